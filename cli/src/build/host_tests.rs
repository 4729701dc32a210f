//! The tests on the host: plain `cargo test`, which goes on after a failure, and a list of the failures at the end.
//!
//! There are two tiers, so that checking a clone is quick. Test targets whose manifest requires a feature `full`
//! (`required-features = ["full"]`) are needed for changes of this project only: plain `cargo test` leaves them alone, and
//! `--full` runs them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{self, Path};
use std::process::Command;
use std::time::Duration;

use crate::args::Telling;
use crate::boot::accel;
use crate::boot::install;
use crate::build::cargo::{cargo, run_cargo, run_cargo_through};
use crate::build::cargo_config::Config;
use crate::build::flags;
use crate::build::mode::Mode;
use crate::build::program::FULL;
use crate::build::workspace::Workspace;
use crate::status::{Failure, Status};
use crate::supervise::lines::Lines;
use crate::supervise::{Filter, Output, Stop, Watch};

/// For building the tests, and for running them; with `--long` the second is longer.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const LONG_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// What makes a program end where it would unwind.
const ABORT: &str = "panic=abort";

/// What is asked for.
pub struct Request<'a> {
    pub package: Option<&'a str>,
    pub full: bool,
    pub long: bool,
    /// For `cargo test`.
    pub arguments: &'a [OsString],
    pub telling: Telling,
}

impl Request<'_> {
    /// Builds and runs them. Returns the commands that run each failed test alone, none if all passed; `None` if there
    /// are no tests.
    pub fn run(
        &self,
        workspace: &Workspace,
        qemu: &Path,
        mode: &Mode,
    ) -> Result<Option<Vec<String>>, Failure> {
        let folder = &workspace.target_directory;
        let chosen = match self.full {
            false => workspace.host_tests(self.package)?,
            true => {
                let full = workspace.full_tests(self.package);
                full.iter().map(|(package, targets)| longer(package, targets)).collect()
            }
        };
        if self.full && chosen.is_empty() {
            return Err(Failure::usage(format!("no test target here needs the feature {FULL}")));
        }
        let mut failed = Vec::new();
        for words in &chosen {
            failed.extend(self.cargo_test(words, qemu, mode, folder)?);
        }
        Ok((!chosen.is_empty()).then_some(failed))
    }

    fn cargo_test(
        &self,
        chosen: &[String],
        qemu: &Path,
        mode: &Mode,
        target_directory: &Path,
    ) -> Result<Vec<String>, Failure> {
        let Telling { json, verbose } = self.telling;
        // Built on their own first: cargo ends with 101 for a failed build and for a failed test alike.
        // This first run may also ask for passwords, which the second, in a group of its own, could not.
        let build = Watch {
            limit: Some(LIMIT),
            stop: Stop::Ask,
            stdout: if json { Output::ToStderr } else { Output::Inherit },
            stderr: Output::Inherit,
        };
        // Examples of code it builds as it runs them.
        let is_built = chosen.iter().all(|word| word != "--doc");
        let mut command = self.command(chosen, qemu, mode, target_directory, "--no-run")?;
        if is_built && !run_cargo(&mut command, &build, verbose)?.is_success() {
            return Err(Failure::new(Status::Build, "the tests do not build"));
        }
        let limit = if self.long { LONG_LIMIT } else { LIMIT };
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let watch = Watch {
            limit: Some(limit),
            stop: Stop::AskGroup,
            stdout: Output::Pass(if json { stderr.as_fd() } else { stdout.as_fd() }),
            stderr: Output::Pass(stderr.as_fd()),
        };
        let mut command = self.command(chosen, qemu, mode, target_directory, "--no-fail-fast")?;
        let mut names = Names::default();
        let outcome = run_cargo_through(Some(&mut names), &mut command, &watch, verbose)?;
        if outcome.is_success() {
            return Ok(Vec::new());
        }
        let feature = if self.full { "--full " } else { "" };
        Ok(alone(&names.failed, &String::from_utf8_lossy(&outcome.stderr), feature))
    }

    fn command(
        &self,
        chosen: &[String],
        qemu: &Path,
        mode: &Mode,
        target_directory: &Path,
        more: &str,
    ) -> Result<Command, Failure> {
        let own = env::current_exe()
            .map_err(|error| Failure::tool(format!("this program's own path: {error}")))?;
        // Cargo runs each test in the folder of its package.
        let qemu =
            path::absolute(qemu).map_err(|error| Failure::tool(format!("QEMU's path: {error}")))?;
        let mut command = cargo();
        command.arg("test").args(chosen);
        mode.apply(&mut command, target_directory, &[])?;
        // In a kernel's folder the flags say so, and libtest cannot be built for it.
        let config = Config::read(&mode.cargo);
        if flags::users_mention(ABORT, &config) {
            flags::add(&mut command, &[OsStr::new("-Cpanic=unwind")], &config)?;
        }
        command.arg(more).args(self.arguments);
        // Tests compare what emulation gives; those that want KVM say so.
        command.env(accel::VARIABLE, accel::TCG);
        command.env("FREESTONE_CLI", own).env(install::QEMU_VARIABLE, qemu);
        if self.long {
            command.env("FREESTONE_LONG", "1");
        }
        Ok(command)
    }
}

/// What chooses a package's longer tests.
fn longer(package: &str, targets: &[String]) -> Vec<String> {
    let mut words = vec!["-p".into(), package.into()];
    words.extend(["--features".into(), format!("{package}/{FULL}")]);
    words.extend(targets.iter().flat_map(|target| ["--test".to_owned(), target.clone()]));
    words
}

/// Reads along with libtest: the tests that each program names as failed, at its end.
#[derive(Default)]
struct Names {
    lines: Lines,
    is_list: bool,
    list: Vec<String>,
    failed: Vec<Vec<String>>,
}

impl Filter for Names {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(bytes);
        for line in self.lines.take(bytes) {
            self.line(&String::from_utf8_lossy(&line));
        }
        false
    }
}

impl Names {
    /// libtest ends with `failures:`, a name a line, an empty line, and its result.
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            self.is_list = true;
            self.list.clear();
        } else if line.starts_with("test result: FAILED") {
            self.failed.push(std::mem::take(&mut self.list));
            self.is_list = false;
        } else if let Some(name) = line.strip_prefix("    ").filter(|_| self.is_list) {
            self.list.push(name.to_owned());
        }
    }
}

/// The commands that run each failed test alone: cargo names the failed programs in the same order.
fn alone(failed: &[Vec<String>], stderr: &str, feature: &str) -> Vec<String> {
    let programs: Vec<_> = stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("`-p ")?.strip_suffix('`'))
        .collect();
    let command = |program: &str, test: &str| {
        let (package, target) = program.split_once(' ').unwrap_or((program, ""));
        format!("cargo freestone test {feature}-p {package} -- {target} {test}")
            .trim_end()
            .to_owned()
    };
    if programs.len() != failed.len() {
        // A program that died has no list. Then which list is whose is not known.
        let names =
            failed.iter().flatten().map(|test| format!("{test} (of one of the programs above)"));
        return names.chain(programs.iter().map(|program| command(program, ""))).collect();
    }
    let each = programs.iter().zip(failed);
    each.flat_map(|(program, tests)| tests.iter().map(|test| command(program, test))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "test a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\n    no test\n\n\nfailures:\n    \
                          a::b\n    c\n\ntest result: FAILED. 1 passed; 2 failed\n\nfailures:\n    d\n\ntest result: FAILED.";

    #[test]
    fn failed_tests_are_named_with_the_command_that_runs_them() {
        let mut names = Names::default();
        for piece in OUTPUT.as_bytes().chunks(7).chain([&b"\n"[..]]) {
            let mut out = Vec::new();
            assert!(!names.take(piece, &mut out));
            assert_eq!(out, piece);
        }
        let stderr = "error: 2 targets failed:\n    `-p one --lib`\n    `-p two --test x`\n";
        let commands = alone(&names.failed, stderr, "");
        assert_eq!(
            commands,
            [
                "cargo freestone test -p one -- --lib a::b",
                "cargo freestone test -p one -- --lib c",
                "cargo freestone test -p two -- --test x d",
            ]
        );
    }

    #[test]
    fn a_program_that_died_leaves_names_and_programs() {
        let stderr = "error: 2 targets failed:\n    `-p one --lib`\n    `-p two --test x`\n";
        let commands = alone(&[vec!["d".into()]], stderr, "--full ");
        assert_eq!(
            commands,
            [
                "d (of one of the programs above)",
                "cargo freestone test --full -p one -- --lib",
                "cargo freestone test --full -p two -- --test x",
            ]
        );
    }
}
