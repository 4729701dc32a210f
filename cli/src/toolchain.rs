//! Cargo, as far as this tool needs it: running it, and building a kernel by it.
//!
//! The build is exactly `cargo build -p PACKAGE --bin NAME`, with what the user says to cargo: no flags of our own,
//! but for what a mode other than the host's needs ([`crate::mode`]). Frame pointers
//! everywhere would improve backtraces of release kernels, but `build.rustflags` was tried and lost:
//! it makes `cargo build` and this tool rebuild the package in turns, gives way silently to a set
//! RUSTFLAGS, and what runs here would not be what `cargo build` leaves in target/. Whoever wants
//! them sets RUSTFLAGS, which cargo inherits.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::mode::Mode;
use crate::package::has_kind;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Output, Stop, Watch};
use crate::workspace::{Kernel, Program};
use crate::{advice, color, crate_flags, say, toolchains};

/// For questions that cargo answers from what lies on the disk.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// For a build: long enough for a slow machine, short of a whole night in CI.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The cargo that started this tool, else the one on PATH.
pub fn cargo() -> Command {
    let name =
        env::var_os("CARGO").filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    color::pass_on(&mut command);
    command
}

/// Runs cargo under watch; what is told of it under `--verbose` is the command itself.
pub fn run_cargo(command: &mut Command, watch: &Watch, verbose: bool) -> Result<Outcome, Failure> {
    run_cargo_through(None, command, watch, verbose)
}

/// The same, with its stdout going through `filter`.
pub fn run_cargo_through(
    filter: Option<&mut dyn Filter>,
    command: &mut Command,
    watch: &Watch,
    verbose: bool,
) -> Result<Outcome, Failure> {
    if verbose {
        say!("running: {}", words(command));
    }
    let outcome = supervise::run_through(filter, command, watch).map_err(|error| {
        Failure::tool(format!("cargo does not start: {error}; is Rust installed?"))
    })?;
    match outcome.ending {
        Ending::Ended(_) | Ending::Enough => Ok(outcome),
        Ending::Limit(_) => {
            let seconds = watch.limit.unwrap_or_default().as_secs();
            Err(Failure::new(Status::Timeout, format!("cargo took more than {seconds} s")))
        }
        Ending::Signalled(signal) => Err(Failure::new(Status::of_signal(signal), "stopped cargo")),
        Ending::OutputClosed => Err(Failure::silent(Status::OutputClosed)),
        Ending::OutputFailed(error) => Err(Failure::tool(format!("no output from cargo: {error}"))),
    }
}

/// The folder that holds the toolchain's libraries for a target, or for the host.
pub fn libraries(target: Option<&str>, verbose: bool) -> Result<PathBuf, Failure> {
    let mut command = Command::new(toolchains::rustc());
    command.stdin(Stdio::null()).args(["--print", "target-libdir"]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    if verbose {
        say!("running: {}", words(&command));
    }
    let watch = Watch {
        limit: Some(QUESTION_LIMIT),
        stop: Stop::Ask,
        stdout: Output::KeepAll,
        stderr: Output::Keep,
    };
    let outcome = supervise::run(&mut command, &watch).map_err(|error| {
        Failure::tool(format!("rustc does not start: {error}; is Rust installed?"))
    })?;
    if !outcome.is_success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr).trim_end().to_owned();
        return Err(Failure::usage(format!("rustc does not know this target:\n{complaint}")));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&outcome.stdout).trim_end()))
}

/// A command as one could type it, for `--verbose`.
pub fn words(command: &Command) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted =
        |word: &OsStr| String::from_utf8_lossy(&quoted(word.as_encoded_bytes())).into_owned();
    all.map(quoted).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,+%@".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.into();
    }
    let inside: Vec<&[u8]> = word.split(|byte| *byte == b'\'').collect();
    [b"'", inside.join(&br"'\''"[..]).as_slice(), b"'"].concat()
}

/// Builds the kernel, with cargo's own progress and messages on stderr, and returns the image.
pub fn build(
    kernel: &Kernel,
    mode: &Mode,
    target_directory: &Path,
    verbose: bool,
) -> Result<PathBuf, Failure> {
    let mut command = cargo();
    command.arg("build");
    let (kind, name) = (kernel.program.kind(), kernel.program.name());
    command.args(["-p", &kernel.package, &format!("--{kind}"), name]);
    let extra = crate_flags::needed(&kernel.package, false, mode, verbose)?;
    mode.apply(&mut command, target_directory, &extra)?;
    let advised = advice::Kernel { package: &kernel.package, mode };
    let what = format!("could not build {}", kernel.package);
    let outcome = advice::build(&mut command, BUILD_LIMIT, Some(advised), &what, verbose)?;
    executable(&outcome.stdout, &kernel.program)
        .ok_or_else(|| Failure::tool("cargo built the kernel but does not say where"))
}

/// Finds the file among cargo's messages, one JSON object per line.
fn executable(messages: &[u8], program: &Program) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let objects = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let ours = |object: &Value| {
        object["reason"] == "compiler-artifact"
            && object["target"]["name"] == program.name()
            && has_kind(&object["target"], program.kind())
    };
    objects
        .filter(ours)
        .filter_map(|object| object["executable"].as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_among_other_messages() {
        let lines = [
            r#"{"reason":"build-script-executed"}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"k"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"k"},"executable":"/t/k"}"#,
            "not JSON",
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let k = Program::Bin("k".into());
        assert_eq!(executable(lines.join("\n").as_bytes(), &k), Some("/t/k".into()));
        assert_eq!(executable(b"", &k), None);
    }

    #[test]
    fn words_can_be_typed_again() {
        let mut command = Command::new("qemu");
        command.args(["-append", "a b", "", "it's"]);
        assert_eq!(words(&command), r"qemu -append 'a b' '' 'it'\''s'");
    }
}
