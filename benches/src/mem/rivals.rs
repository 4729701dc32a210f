//! Builds the other contenders.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contenders::{Contender, load};

/// Whoever can be had, `compiler_builtins` first: the others are compared with it.
pub fn all() -> Vec<Contender> {
    let target = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
    // Absolute, because what is built there is built from other folders.
    let folder = std::path::absolute(target.join("rivals")).expect("a current folder");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    [
        compiler_builtins(&folder).and_then(|library| load("compiler_builtins", &library, "")),
        load("glibc", Path::new("libc.so.6"), ""),
        musl(&folder).and_then(|library| load("musl", &library, "musl_")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As kernels have it: general-purpose registers only. The compiler warns that this will not be
/// possible for ever, so its output is shown only when it fails.
fn compiler_builtins(folder: &Path) -> Option<PathBuf> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals");
    let soft = "-Ctarget-feature=-mmx,-sse,-sse2,-sse3,-ssse3,+soft-float";
    run(Command::new("cargo")
        .args(["+nightly", "build", "--quiet", "--release", "--target", TARGET, "--target-dir"])
        .arg(folder)
        .env("RUSTFLAGS", soft)
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .current_dir(source))?;
    // By its full path: `dlopen` looks for a bare name elsewhere.
    folder.join(TARGET).join("release/librivals.so").canonicalize().ok()
}

/// The six objects out of Debian's `musl-dev`, each symbol with a prefix.
fn musl(folder: &Path) -> Option<PathBuf> {
    const ARCHIVE: &str = "/usr/lib/x86_64-linux-musl/libc.a";
    const MEMBERS: [&str; 6] =
        ["memcpy.lo", "memmove.lo", "memset.lo", "memcmp.lo", "bcmp.lo", "strlen.lo"];
    let folder = folder.join("musl");
    std::fs::create_dir_all(&folder).ok()?;
    run(Command::new("ar").args(["x", ARCHIVE]).args(MEMBERS).current_dir(&folder))?;
    for member in MEMBERS {
        run(Command::new("objcopy").args(["--prefix-symbols=musl_", member]).current_dir(&folder))?;
    }
    let link = ["-shared", "-nostdlib", "-o", "musl.so"];
    run(Command::new("cc").args(link).args(MEMBERS).current_dir(&folder))?;
    folder.join("musl.so").canonicalize().ok()
}

/// Runs `command`; says what it said if it fails.
fn run(command: &mut Command) -> Option<()> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Some(()),
        Ok(output) => {
            eprintln!("left out, {command:?}: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("left out, {command:?}: {error}");
            None
        }
    }
}
