//! The unit tests of the crates under memory checkers. With FREESTONE_LONG=1 only.
//!
//! | tool | finds | needs |
//! |---|---|---|
//! | AddressSanitizer | reads and writes outside of blocks, statics and stack variables, and after their end | a nightly toolchain with its runtime |
//! | valgrind's memcheck | the same for blocks, and decisions made of bytes that were never written | `valgrind` |
//!
//! A missing tool is reported and skipped. ThreadSanitizer was tried and is not used: a toolchain's standard library is not
//! instrumented, so correct synchronisation in it was reported as a race, first in the test runner's own `Arc` and channel.
//! `models.rs` looks for such races instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_tests::{cargo, long, root, run, target};

/// The crates that have unit tests on the host.
const CRATES: [&str; 8] = [
    "freestone-alloc",
    "freestone-inspect",
    "freestone-math",
    "freestone-mem",
    "freestone-platform",
    "freestone-rt",
    "freestone-task",
    "freestone-xen",
];

const HOST: &str = "x86_64-unknown-linux-gnu";

/// Those of them that do not take hours in emulated code.
const QUICK: [&str; 2] = ["freestone-rt", "freestone-xen"];

#[test]
fn long_nothing_leaves_its_memory_under_address_sanitizer() {
    // Tests leak on purpose what has to live as long as a static.
    if !is_long() {
        return;
    }
    let Some(sysroot) = nightly() else {
        return println!("SKIPPED: there is no nightly toolchain here");
    };
    if !has_runtime(&sysroot.join("lib/rustlib").join(HOST).join("lib")) {
        return println!("SKIPPED: the nightly toolchain has no runtime of AddressSanitizer");
    }
    let mut command = cargo(root());
    command.env("RUSTC", sysroot.join("bin/rustc")).env("RUSTFLAGS", "-Zsanitizer=address");
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    unit_tests(command, "address", &CRATES, &[]);
}

#[test]
fn long_nothing_is_read_before_it_is_written_under_valgrind() {
    if !is_long() {
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no valgrind here");
    }
    let mut command = cargo(root());
    let checker = "valgrind --quiet --error-exitcode=99 --fair-sched=yes --max-stackframe=8388608";
    command.env(format!("CARGO_TARGET_{}_RUNNER", variable(HOST)), checker);
    // Valgrind runs one thread at a time, so that the two that this test is about hardly ever meet.
    unit_tests(command, "valgrind", &QUICK, &["a_record_torn_by_its_writer"]);
}

fn is_long() -> bool {
    if !long() {
        println!("SKIPPED: only with FREESTONE_LONG=1");
    }
    long()
}

/// The nightly toolchain, if rustup has one.
fn nightly() -> Option<PathBuf> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "rustc", "--print", "sysroot"]);
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

/// Whether there is a `librustc-nightly_rt.asan.a` or its like.
fn has_runtime(library: &Path) -> bool {
    let files = library.read_dir().into_iter().flatten().flatten();
    files.into_iter().any(|file| file.file_name().to_string_lossy().ends_with("_rt.asan.a"))
}

/// Runs the unit tests of `crates` but those in `left`, in a folder of their own as the flags differ.
fn unit_tests(mut command: Command, tool: &str, crates: &[&str], left: &[&str]) {
    command.args(["test", "--lib", "--target", HOST, "--target-dir"]);
    command.arg(target().join("tools").join(tool));
    command.args(crates.iter().flat_map(|name| ["-p", name]));
    command.arg("--").args(left.iter().flat_map(|part| ["--skip", part]));
    // What takes minutes takes hours here.
    command.env_remove("FREESTONE_LONG");
    let ended = run(&mut command);
    assert_eq!(ended.status, Some(0), "{ended}");
    let passed = ended.stdout.matches("test result: ok").count();
    assert_eq!(passed, crates.len(), "{ended}");
}

fn variable(target: &str) -> String {
    target.to_uppercase().replace('-', "_")
}
