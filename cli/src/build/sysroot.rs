//! Sysroots: `core` and `alloc` for a target, built once from the toolchain's own source.
//!
//! ```text
//! $XDG_CACHE_HOME/freestone/   (or ~/.cache/freestone/)
//!   sysroot-1.96.0-ac68…/      one for each compiler: all that `rustc --version` says
//!     lib/rustlib/TARGET/lib/  libcore-*.rlib, liballoc-*.rlib, libcompiler_builtins-*.rlib
//!   .freestone-PID-0/          while one is built; renamed into place when it is whole
//! ```
//!
//! With `--sysroot` a compiler looks there instead of in its own library folder, so builds work as if the
//! target were installed: on stable, with no flag that stable refuses. Only the library itself is built
//! with such flags, which its source needs (RUSTC_BOOTSTRAP, `-Z build-std`). No other file does that.
//!
//! The path is absolute: with a relative one crates from a registry, built elsewhere, find no `core`.
//! The library has bitcode embedded: otherwise a kernel with `lto = true` could not link it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::boot::install;
use crate::build::advice;
use crate::build::cargo;
use crate::build::toolchains::{NoSource, Toolchain, has_core};
use crate::foreign::Shown as _;
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::{self, Output, Stop, Watch};
use crate::unfinished::Unfinished;

/// Measured: 20 s alone on two cores, 65 s beside other builds.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The libraries that make a sysroot; the last one comes with the first.
const LIBRARIES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

const MANIFEST: &str = "[package]\nname = \"sysroot\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
    [lib]\npath = \"lib.rs\"\n[workspace]\n\
    [profile.release]\npanic = \"abort\"\nopt-level = 3\ncodegen-units = 1\n";

/// The toolchain that `--toolchain` names.
pub fn named(name: Option<&str>) -> Result<Option<Toolchain>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let all = Toolchain::all();
    if let Some(found) = all.iter().find(|t| t.name == name || t.rustc == Path::new(name)) {
        return Ok(Some(found.clone()));
    }
    // rustup takes short names too: `nightly` for `nightly-x86_64-unknown-linux-gnu`.
    let short = format!("{name}-");
    if let Some(found) = all.iter().find(|t| t.name.starts_with(&short)) {
        return Ok(Some(found.clone()));
    }
    if Path::new(name).components().count() > 1 {
        return Toolchain::of(name, Path::new(name)).map(Some).map_err(Failure::usage);
    }
    let names: Vec<_> = all.iter().map(|t| t.name.as_str()).collect();
    Err(Failure::usage(format!("no toolchain {name} here; there are: {}", names.join(", "))))
}

/// What to say where there is no compiler at all.
pub fn no_rust() -> Failure {
    Failure::tool("no Rust toolchain answers; see cargo freestone doctor")
}

/// The private sysroot of this compiler, if it has this target.
pub fn ready(toolchain: &Toolchain, target: &str) -> Option<PathBuf> {
    folder(toolchain).ok().filter(|folder| has_core(folder, target))
}

/// The private sysroot of this compiler with this target in it, built if need be.
pub fn ensure(toolchain: &Toolchain, target: &str, verbose: bool) -> Result<PathBuf, Failure> {
    let folder = folder(toolchain)?;
    if has_core(&folder, target) {
        return Ok(folder);
    }
    toolchain.is_new_enough().map_err(Failure::usage)?;
    let name = &toolchain.name;
    let cure = toolchain.cure(target);
    toolchain.source().map_err(|why| {
        let why = match why {
            NoSource::Missing => "has no source of the standard library".to_owned(),
            NoSource::Other(release) => {
                format!("is {}, but the library's source beside it is {release}", toolchain.release)
            }
        };
        Failure::tool(format!("{name} {why}, and no core for {target}; get it with: {cure}"))
    })?;
    is_target_known(toolchain, target)?;
    let parent = folder.parent().expect("it was joined to one");
    let scratch = Unfinished::folder_in(parent).map_err(|error| unwritable(parent, &error))?;
    let _lock = alone(parent)?;
    if has_core(&folder, target) {
        // Built by the one that was waited for.
        return Ok(folder);
    }
    say!("building core and alloc for {target} with {name} (once, half a minute or so)");
    build(toolchain, target, scratch.path(), verbose)?;
    install(scratch.path(), target, &folder)?;
    Ok(folder)
}

fn folder(toolchain: &Toolchain) -> Result<PathBuf, Failure> {
    let none = "no place for a sysroot: set XDG_CACHE_HOME or HOME to an absolute path";
    let cache = install::cache().ok_or_else(|| Failure::tool(none))?;
    Ok(cache.join(folder_name(&toolchain.version)))
}

/// rustc compares the whole text: a distribution's build of a release does not take what the release's own made.
fn folder_name(version: &str) -> String {
    let words = version
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words.filter(|word| *word != "rustc").collect();
    format!("sysroot-{}", words.join("-"))
}

/// Waits until no other process builds one; what is returned keeps others waiting.
fn alone(parent: &Path) -> Result<File, Failure> {
    let path = parent.join(".building.lock");
    let fail = |error| unwritable(&path, &error);
    let lock = File::create(&path).map_err(fail)?;
    let begin = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
            Err(TryLockError::WouldBlock) if begin.elapsed() > LIMIT => {
                let message =
                    format!("another process builds a sysroot, for too long: {}", path.shown());
                return Err(Failure::new(Status::Timeout, message));
            }
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(100)),
        }
    }
}

/// What to say of a place in the cache that cannot be written.
pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.shown();
    Failure::tool(format!(
        "{path}: {error}; make it writable, or set XDG_CACHE_HOME to a folder that is"
    ))
}

/// A misspelt target is told from a library that does not build.
fn is_target_known(toolchain: &Toolchain, target: &str) -> Result<(), Failure> {
    let mut command = process::Command::new(&toolchain.rustc);
    command.stdin(process::Stdio::null()).args(["--print", "cfg", "--target", target]);
    let watch =
        Watch { limit: Some(LIMIT), stop: Stop::Kill, stdout: Output::Keep, stderr: Output::Keep };
    let outcome = supervise::run(&mut command, &watch)
        .map_err(|error| Failure::tool(format!("{}: {error}", toolchain.rustc.shown())))?;
    if outcome.is_success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    let first = complaint.lines().next().unwrap_or_default();
    Err(Failure::usage(format!("{} does not know the target {target}: {first}", toolchain.name)))
}

fn build(
    toolchain: &Toolchain,
    target: &str,
    scratch: &Path,
    verbose: bool,
) -> Result<(), Failure> {
    let write = |name: &str, text: &str| {
        let path = scratch.join(name);
        fs::write(&path, text).map_err(|error| unwritable(&path, &error))
    };
    write("Cargo.toml", MANIFEST)?;
    write("lib.rs", "#![no_std]\n")?;
    // The cargo of the same release knows best how to build the library.
    let own_cargo = toolchain.rustc.with_file_name("cargo");
    let mut command = match own_cargo.is_file() {
        true => process::Command::new(own_cargo),
        false => cargo::cargo(),
    };
    command.stdin(process::Stdio::null()).current_dir(scratch);
    command.args(["build", "--release", "-Zbuild-std=core,alloc", "--target", target]);
    // Not the user's: a sysroot is shared by everything that is built later.
    for variable in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"]
    {
        command.env_remove(variable);
    }
    for variable in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command.env("RUSTC", &toolchain.rustc).env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", "-Cembed-bitcode=yes").env("CARGO_TARGET_DIR", scratch.join("target"));
    let what = format!(
        "core for {target} does not build with {}; is its source of release {}?",
        toolchain.name, toolchain.release
    );
    advice::build(&mut command, LIMIT, None, &what, verbose).map(drop)
}

/// Moves what was built into the sysroot, in one step: another process finds all of it or nothing.
fn install(scratch: &Path, target: &str, folder: &Path) -> Result<(), Failure> {
    let built = scratch.join("target").join(target).join("release/deps");
    let stage = scratch.join("stage");
    let libraries = stage.join("lib");
    let fail = |path: &Path, error: io::Error| unwritable(path, &error);
    fs::create_dir_all(&libraries).map_err(|error| fail(&libraries, error))?;
    let files = fs::read_dir(&built).map_err(|error| fail(&built, error))?;
    for path in files.flatten().map(|file| file.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = LIBRARIES.iter().any(|l| name.starts_with(&format!("lib{l}-")));
        if is_ours && name.ends_with(".rlib") {
            fs::copy(&path, libraries.join(name)).map_err(|error| fail(&path, error))?;
        }
    }
    let place = folder.join("lib/rustlib").join(target);
    let parent = place.parent().expect("it was joined to one");
    fs::create_dir_all(parent).map_err(|error| fail(parent, error))?;
    match fs::rename(&stage, &place) {
        // Another process was quicker.
        Err(_) if has_core(folder, target) => Ok(()),
        // What an interrupted one may have left behind.
        Err(_) if place.exists() => {
            let _ = fs::remove_dir_all(&place);
            fs::rename(&stage, &place).map_err(|error| fail(&place, error))
        }
        other => other.map_err(|error| fail(&place, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_compiler_has_a_folder_of_its_own() {
        assert_eq!(
            folder_name("rustc 1.95.0 (59807616e 2026-04-14)"),
            "sysroot-1.95.0-59807616e-2026-04-14"
        );
        assert_eq!(
            folder_name("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            "sysroot-1.96.0-ac68faa20-2026-05-25-built-from-a-source-tarball"
        );
        assert_eq!(folder_name("rustc 1.63.0"), "sysroot-1.63.0");
    }
}
