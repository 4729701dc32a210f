//! Compiler flags that crates below a kernel need, and that only the program's build can set.
//!
//! So far there is one: `getrandom`, from 0.3 on, asks the system for random bytes, and takes them from the kernel
//! only with `--cfg getrandom_backend="custom"`. The flags are for the kernel's target alone: with them cargo gets
//! `--target`, so build scripts and macros, which run on the host, keep the host's source. A line reports what is added.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::build::cargo;
use crate::build::cargo_config::Config;
use crate::build::flags;
use crate::build::mode::{HOST, Mode};
use crate::say;
use crate::status::Failure;
use crate::supervise::{Output, Stop, Watch};

const GETRANDOM: &str = "getrandom_backend";

/// The flags for this package's kernel, or, with `tests`, for its kernel tests.
pub fn needed(
    package: &str,
    tests: bool,
    mode: &Mode,
    verbose: bool,
) -> Result<Vec<OsString>, Failure> {
    // Who has chosen a backend has chosen.
    if flags::users_mention(GETRANDOM, &Config::read(&mode.cargo)) {
        return Ok(Vec::new());
    }
    let mut command = cargo::cargo();
    question(&mut command, package, tests, mode);
    let watch = Watch {
        limit: Some(Duration::from_secs(300)),
        stop: Stop::Ask,
        stdout: Output::KeepAll,
        stderr: Output::Keep,
    };
    let outcome = cargo::run_cargo(&mut command, &watch, verbose)?;
    // What cargo cannot tell, the build will complain about, in better words.
    if !outcome.is_success() || !has_getrandom(&String::from_utf8_lossy(&outcome.stdout)) {
        return Ok(Vec::new());
    }
    let flag = format!("{GETRANDOM}=\"custom\"");
    say!(
        "flags: {package} uses getrandom, which gets --cfg {flag}; plain cargo needs \
         RUSTFLAGS='--cfg {flag}' and --target {}; the kernel gives it bytes by \
         freestone::getrandom_backend!(getrandom::Error)",
        mode.target.to_string_lossy()
    );
    Ok(vec!["--cfg".into(), flag.into()])
}

/// What the program is linked with, one package a line.
fn question(command: &mut Command, package: &str, tests: bool, mode: &Mode) {
    command.args(["tree", "--prefix", "none", "--format", "{p}", "--package", package]);
    command
        .args(["--edges", if tests { "normal,dev,no-proc-macro" } else { "normal,no-proc-macro" }]);
    mode.cargo.ask_with_features(command);
    command.arg("--target");
    // A target file is not for this verb; what it selects is much the same.
    if mode.name == "json" {
        command.arg(HOST)
    } else {
        command.arg(&mode.target)
    };
}

/// Whether a line is `getrandom v0.3.0`, or a later one.
fn has_getrandom(tree: &str) -> bool {
    tree.lines().any(|line| {
        let version = line.strip_prefix("getrandom v").unwrap_or("0.0");
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        (major, minor) >= (0, 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getrandom_is_known_by_name_and_version() {
        for (tree, has) in [
            ("kernel v0.1.0 (/k)\ngetrandom v0.3.4\ncfg-if v1.0.5", true),
            ("getrandom v0.4.3 (*)", true),
            ("getrandom v1.0.0", true),
            ("getrandom v0.2.17", false),
            ("getrandom-or-panic v0.3.0", false),
            ("rand v0.9.0", false),
            ("getrandom vx", false),
            ("", false),
        ] {
            assert_eq!(has_getrandom(tree), has, "{tree:?}");
        }
    }
}
