//! A lock file for packages that the tool makes, cut from Freestone's own.
//!
//! For a package without a lock file cargo asks the registry, even if it has every crate already. With this lock file it asks
//! nothing if it has the crates that it names, and builds the versions that were tested.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::boot::packages::cannot;
use crate::build::cargo;
use crate::foreign::{Shown as _, line};
use crate::signals::caught;
use crate::status::Failure;
use crate::supervise::{Output, Stop, Watch};

const LOCK: &str = "Cargo.lock";

/// Reading a lock file and what it names.
const LIMIT: Duration = Duration::from_secs(60);

/// Gives the package in `folder` the part of the checkout's lock file that is for it. Returns what is missing here, in
/// cargo's words, so that a build needs a network; `None` if it does not.
pub fn lock(folder: &Path, checkout: Option<&Path>) -> Result<Option<String>, Failure> {
    if let Some(ours) = checkout.map(|checkout| checkout.join(LOCK)).filter(|lock| lock.is_file()) {
        let lock = folder.join(LOCK);
        fs::copy(&ours, &lock).map_err(|error| cannot(&lock, &error))?;
    }
    // Cargo takes out what is of others.
    let mut command = cargo::cargo();
    command.stdin(Stdio::null()).current_dir(folder);
    command.args(["metadata", "--format-version", "1", "--offline"]);
    let (stdout, stderr) = (Output::Keep, Output::Keep);
    let watch = Watch { limit: Some(LIMIT), stop: Stop::Ask, stdout, stderr };
    match cargo::run_cargo(&mut command, &watch, false) {
        Ok(outcome) if outcome.is_success() => Ok(None),
        Ok(outcome) => Ok(Some(complaint(&outcome.stderr))),
        Err(failure) if caught().is_some() => Err(failure),
        Err(failure) => Ok(Some(failure.message)),
    }
}

/// What to say about that.
pub fn advice(checkout: Option<&Path>, missing: &str) -> String {
    let fetch = checkout.map(|checkout| {
        format!(": cargo fetch --manifest-path {}", checkout.join("Cargo.toml").shown())
    });
    let fetch = fetch.unwrap_or_default();
    format!(
        "some of its crates are not here, and cargo fetches them by the network{fetch}\n  cargo: {missing}"
    )
}

fn complaint(stderr: &[u8]) -> String {
    let lines = stderr.split(|&byte| byte == b'\n');
    let mut errors = lines.filter_map(|text| text.strip_prefix(b"error: "));
    errors.next().map_or_else(|| "it does not say what".into(), line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told() {
        let stderr = b"  Locking 1\nerror: failed to download `a v1`\x1b[2J\nerror: no\n";
        assert_eq!(complaint(stderr), "failed to download `a v1`\\u{1b}[2J");
        assert_eq!(complaint(b""), "it does not say what");
    }
}
