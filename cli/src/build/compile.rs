//! Building a kernel by cargo.
//!
//! The build is exactly `cargo build -p PACKAGE --bin NAME`, with the user's arguments for cargo and no flags of our own,
//! except those that a mode other than the host's needs ([`crate::build::mode`]). Frame pointers
//! everywhere would improve backtraces of release kernels, but `build.rustflags` was tried and rejected:
//! it makes `cargo build` and this tool rebuild the package in turns, gives way silently to a set
//! RUSTFLAGS, and what runs here would not be what `cargo build` leaves in target/. To have
//! them, set RUSTFLAGS, which cargo inherits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::build::advice;
use crate::build::cargo::cargo;
use crate::build::crate_flags;
use crate::build::mode::Mode;
use crate::build::package::has_kind;
use crate::build::program::{Kernel, Program};
use crate::status::Failure;

/// For a build: long enough for a slow machine, short of a whole night in CI.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

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
}
