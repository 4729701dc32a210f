//! What booting costs, in instructions and bytes: exact, so they can be asserted.
//!
//! Under `--icount` the guest's cycle counter counts instructions. It varies by a few hundred with
//! the machine's memory map, never by chance.

use freestone_tests::{MACHINES, Profile, Scratch, boot, cargo, kernel, root, run, status};

/// From the image's first instruction to `main`, heap and traps included.
const ENTRY_TO_MAIN: u64 = 20_000;
/// To the end of the first `println!`. Unikraft, the best of the peers measured, takes 64,000.
const ENTRY_TO_TEXT: u64 = 30_000;
/// A stripped hello world. Solo5, the smallest of the peers measured, has 79,120 bytes.
const HELLO_BYTES: u64 = 24 * 1024;

#[test]
fn booting_and_the_first_line_stay_within_budget() {
    let image = kernel("kernel-boot-cost", "kernel-boot-cost", Profile::Release);
    for machine in MACHINES {
        let count = || {
            let ended = boot(&image, &["--machine", machine, "--icount"]);
            let ended = ended.expect(status::SUCCESS, &["Hello, world"]);
            (ended.number("entry to main:"), ended.number("entry to text:"))
        };
        let (to_main, to_text) = count();
        println!("{machine}: {to_main} instructions to main, {to_text} to the first text");
        assert_eq!((to_main, to_text), count(), "{machine}: two runs differ");
        assert!(to_main <= ENTRY_TO_MAIN, "{machine}: {to_main} instructions to main");
        assert!(to_text <= ENTRY_TO_TEXT, "{machine}: {to_text} instructions to the first text");
    }
}

#[test]
fn a_stripped_hello_stays_small() {
    let scratch = Scratch::new("stripped");
    let mut command = cargo(root());
    command.args(["build", "--quiet", "--release", "-p", "kernel-hello", "--features=bare"]);
    command.args(["--config", "profile.release.strip=true", "--target-dir"]).arg(scratch.path());
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{built}");
    let image = scratch.path().join("release/kernel-hello");
    let bytes = std::fs::metadata(&image).expect("cargo built it").len();
    println!("stripped hello: {bytes} bytes");
    assert!(bytes <= HELLO_BYTES, "a stripped hello has {bytes} bytes");
    boot(&image, &[]).expect(status::SUCCESS, &["Hello, world"]);
}
