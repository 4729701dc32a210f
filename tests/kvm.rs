//! Kernels by Linux's KVM, which runs inside an emulated machine: each machine, each end, and KVM's own clock.
//!
//! `cargo freestone` fetches Debian's Linux, which needs the network the first time. Without it these tests
//! fail: a green run must mean that KVM was there. A boot takes some 10 s, so there are few, one after the other.

use std::path::Path;

use freestone_tests::{Ended, MACHINES, Profile, kernel, run, status, tool};

/// `cargo freestone run --on kvm-nested IMAGE ARGUMENTS`.
fn by_kvm(image: &Path, arguments: &[&str]) -> Ended {
    // Each boot emulates a machine with a Linux: on a busy machine that takes its time.
    let mut command = tool();
    command.args(["run", "--on", "kvm-nested", "--timeout", "1800"]).arg(image).args(arguments);
    let ended = run(&mut command);
    let tools_fault = ended.status == Some(status::TOOL);
    assert!(!tools_fault, "these tests need Linux, and the network to fetch it once:\n{ended}");
    ended
}

#[test]
fn the_tour_succeeds_on_every_machine() {
    let image = kernel("example-kernel", "example-kernel", Profile::Dev);
    for machine in MACHINES {
        by_kvm(&image, &["--machine", machine, "--", "oneshot", "it's", "a,b=1"]).expect(
            status::SUCCESS,
            &["KVM", "\"oneshot it's a,b=1\"", "by KVM's shared clock", "VERDICT: success"],
        );
    }
}

#[test]
fn a_module_arrives_beside_the_kernel() {
    let image = kernel("example-kernel", "example-kernel", Profile::Dev);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let bytes = std::fs::read(manifest).expect("this crate has a manifest").len();
    by_kvm(&image, &["--module", manifest])
        .expect(status::SUCCESS, &[&format!("module        {bytes} bytes")]);
}

#[test]
fn time_never_goes_back_by_kvms_clock() {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Release);
    by_kvm(&image, &["--", "readings=20000"])
        .expect(status::SUCCESS, &["by KVM's shared clock", "date: 20", "readings: "]);
}

#[test]
fn no_translation_outlives_its_page() {
    let image = kernel("kernel-translations", "kernel-translations", Profile::Release);
    for machine in MACHINES {
        let ended = by_kvm(&image, &["--machine", machine, "-m", "256", "--", "rounds=8"]);
        ended.expect(status::SUCCESS, &["guard pages and aliases: ok", "8 random changes: ok"]);
    }
}

/// By steps alone: the other ways need instructions that are counted.
#[test]
fn who_interrupts_a_first_use_is_told_what_holds_afterwards() {
    let image = kernel("kernel-clock", "first_use", Profile::Release);
    for machine in MACHINES {
        by_kvm(&image, &["--machine", machine, "--", "use=clock", "by=step", "points=6"])
            .expect(status::SUCCESS, &["6 points of "]);
    }
}

#[test]
fn every_end_has_its_status() {
    for (name, machine, expected, text) in [
        ("page_fault", "microvm", status::CRASH, "nothing is mapped there"),
        ("stack_overflow", "q35", status::CRASH, "STACK OVERFLOW"),
        ("triple_fault", "pc", status::CRASH, "about to reset"),
    ] {
        let image = kernel("kernel-faults", name, Profile::Dev);
        let ended = by_kvm(&image, &["--machine", machine]).expect(expected, &[text]);
        let message = if name == "triple_fault" { "without a verdict" } else { "report is above" };
        assert!(ended.stderr.contains(message), "{ended}");
    }
}

#[test]
fn what_has_no_meaning_there_is_refused() {
    let image = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    for option in ["--icount", "--trace", "--xen=x", "--accel=kvm"] {
        let mut command = tool();
        command.args(["run", "--on", "kvm-nested", option]).arg(&image);
        let ended = run(&mut command).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains("has no meaning with --on kvm-nested"), "{ended}");
    }
}
