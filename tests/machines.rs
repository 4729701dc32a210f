//! The portable memory routines on the machines they are for: built by Rust for aarch64 and riscv64, run by
//! QEMU's user mode.
//!
//! Skipped, and said so, where there is no way to build for a machine (see `sysroot`), no linker for it
//! or no `qemu-aarch64`, `qemu-riscv64` (Debian's package `qemu-user`).

use std::ffi::OsString;
use std::process::Command;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Scratch, run};

/// 58 lengths at eleven places, the source at every place in a word, five checks.
const CHECKS: u64 = 58 * 11 * 8 * 5;

/// `rust-lld` of the compiler that cargo uses, else Debian's.
fn linker() -> Option<OsString> {
    let host = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
    let libraries = String::from_utf8_lossy(&host.stdout).trim().to_owned();
    let beside = std::path::Path::new(&libraries).with_file_name("bin").join("rust-lld");
    let others = ["ld.lld-22", "ld.lld"].map(OsString::from);
    let runs = |linker: &OsString| {
        Command::new(linker).args(["-flavor", "gnu", "--version"]).output().is_ok()
    };
    std::iter::once(beside.into_os_string()).chain(others).find(runs)
}

fn the_routines_are_right_on(target: &str, emulator: &str) {
    let Some(sysroot) = sysroot(target) else { return };
    let Some(linker) = linker() else {
        println!("SKIPPED: no lld for {target}. On Debian: apt-get install lld-22");
        return;
    };
    if Command::new(emulator).arg("-version").output().is_err() {
        println!("SKIPPED: no {emulator}. On Debian: apt-get install qemu-user");
        return;
    }
    let scratch = Scratch::new(&format!("machines-{target}"));
    // Unoptimised, a routine may call itself where an optimised one does not, and end in a full stack.
    for level in ["0", "s", "3"] {
        let flags = format!("-C linker={} -C opt-level={level} -D warnings", linker.display());
        let mut command = sysroot.cargo(&flags);
        command.args(["build", "--quiet", "--release", "--manifest-path"]);
        command.args(["tests/machines/Cargo.toml", "--target-dir"]).arg(scratch.path());
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let program = scratch.path().join(target).join("release/memory");
        let ended = run(Command::new(emulator).arg(&program)).expect(0, &["portable:"]);
        assert_eq!(ended.number("portable:"), CHECKS, "{target}, level {level}");
    }
}

#[test]
fn the_routines_are_right_on_aarch64() {
    the_routines_are_right_on("aarch64-unknown-none", "qemu-aarch64");
}

#[test]
fn the_routines_are_right_on_riscv64() {
    the_routines_are_right_on("riscv64gc-unknown-none-elf", "qemu-riscv64");
}
