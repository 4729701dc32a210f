//! The user's compiler flags: joins them with ours, and finds flags that cannot work.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{self, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::build::cargo_config::Config;
use crate::build::toolchains::{self, Toolchain};
use crate::foreign::Shown as _;
use crate::status::Failure;

/// Separates flags in CARGO_ENCODED_RUSTFLAGS.
const UNIT: u8 = 0x1f;

/// The flags in the environment, of the first variable that is set, as cargo would take them.
fn from_environment() -> Option<Vec<OsString>> {
    let split = |all: OsString, is_between: fn(&u8) -> bool| -> Vec<OsString> {
        let words = all.as_bytes().split(is_between).filter(|word| !word.is_empty());
        words.map(|word| OsStr::from_bytes(word).to_owned()).collect()
    };
    match env::var_os("CARGO_ENCODED_RUSTFLAGS") {
        Some(encoded) => Some(split(encoded, |byte| *byte == UNIT)),
        None => env::var_os("RUSTFLAGS").map(|all| split(all, u8::is_ascii_whitespace)),
    }
}

/// All flags that the user has set, wherever.
fn users(config: &Config) -> Vec<OsString> {
    let configured = || {
        let all = config.rustflags().unwrap_or_default();
        all.build.into_iter().chain(all.target).map(OsString::from).collect()
    };
    from_environment().unwrap_or_else(configured)
}

/// These flags alone, as CARGO_ENCODED_RUSTFLAGS wants them: it replaces all others.
pub fn only(flags: &[&OsStr]) -> OsString {
    OsString::from_vec(flags.join(OsStr::from_bytes(&[UNIT])).into_vec())
}

/// Has a cargo command compile with our flags besides the user's. Cargo takes flags from one place only: where the
/// user's are, ours are added.
pub fn add(command: &mut Command, ours: &[&OsStr], config: &Config) -> Result<(), Failure> {
    if let Some(users) = from_environment() {
        let all: Vec<_> =
            users.iter().map(OsString::as_os_str).chain(ours.iter().copied()).collect();
        command.env("CARGO_ENCODED_RUSTFLAGS", only(&all));
        return Ok(());
    }
    let configured = config.rustflags()?;
    // A list is added to the other lists. Of both tables cargo takes the target's.
    let table = if configured.target.is_empty() { "build" } else { "target.'cfg(all())'" };
    // JSON's strings are TOML's, too.
    let list: Vec<_> = ours.iter().map(|flag| json!(flag.to_string_lossy()).to_string()).collect();
    command.arg("--config").arg(format!("{table}.rustflags=[{}]", list.join(", ")));
    Ok(())
}

/// Whether this text is in one of the user's flags.
pub fn users_mention(text: &str, config: &Config) -> bool {
    users(config).iter().any(|flag| flag.to_string_lossy().contains(text))
}

/// What follows `--sysroot` in these flags.
fn sysroot(flags: &[OsString]) -> Option<PathBuf> {
    flags.iter().enumerate().find_map(|(index, flag)| {
        let after = flag.as_bytes().strip_prefix(b"--sysroot")?;
        match after.strip_prefix(b"=") {
            Some(path) => Some(OsStr::from_bytes(path).into()),
            None => flags.get(index + 1).filter(|_| after.is_empty()).map(PathBuf::from),
        }
    })
}

/// Refuses a sysroot in the user's flags with which a build for `target` would end in a page of errors.
pub fn must_work(
    mode: &str,
    target: &str,
    named: Option<&Toolchain>,
    config: &Config,
) -> Result<(), Failure> {
    let Some(folder) = sysroot(&users(config)) else { return Ok(()) };
    let shown = folder.shown();
    if mode != "host" {
        return Err(Failure::usage(format!(
            "RUSTFLAGS has --sysroot={shown}, and --mode {mode} finds core by itself: take it out of RUSTFLAGS"
        )));
    }
    if folder.is_relative() {
        let absolute = path::absolute(&folder).unwrap_or_else(|_| folder.clone());
        return Err(Failure::usage(format!(
            "RUSTFLAGS has --sysroot={shown}, a relative path: crates from a registry are compiled in other folders \
             and would find no core; write --sysroot={}",
            absolute.shown()
        )));
    }
    let Some(maker) = toolchains::maker_of_core(&folder, target) else {
        return Err(Failure::usage(format!(
            "RUSTFLAGS has --sysroot={shown}, where no core for {target} is: take it out of RUSTFLAGS \
             (--mode none finds private sysroots by itself)"
        )));
    };
    let compiler = named.map_or_else(Toolchain::in_use, |named| Ok(named.clone()));
    match compiler {
        Ok(compiler) if compiler.version != maker => Err(Failure::usage(format!(
            "two toolchains are mixed: RUSTFLAGS has --sysroot={shown}, whose core was made by {maker}, but {} is {}; \
             take it out of RUSTFLAGS, or set RUSTC to the compiler that made it",
            compiler.name, compiler.version
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysroot_is_found_in_both_spellings() {
        let find = |flags: &[&str]| sysroot(&flags.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(find(&["-O", "--sysroot=/a b"]), Some("/a b".into()));
        assert_eq!(find(&["--sysroot", "c", "-O"]), Some("c".into()));
        assert_eq!(find(&["--sysroots", "c"]), None);
        assert_eq!(find(&["--sysroot"]), None);
        assert_eq!(find(&[]), None);
    }
}
