//! ACPI's tables as QEMU's firmware and Xen leave them, and machines that are powered off by them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use freestone_tests::{MACHINES, Profile, boot, kernel, run, status, tool};

fn image(profile: Profile) -> std::path::PathBuf {
    kernel("kernel-acpi", "kernel-acpi", profile)
}

#[test]
fn tables_are_read_on_every_machine() {
    for profile in [Profile::Dev, Profile::Release] {
        for machine in MACHINES {
            let texts = ["hpet: ", "local APIC: 0xfee00000", "described", "\nprepared"];
            boot(&image(profile), &["--machine", machine]).expect(status::SUCCESS, &texts);
        }
    }
}

#[test]
fn a_machine_without_tables_says_so() {
    let arguments = ["--machine", "microvm", "--qemu-arg=-machine", "--qemu-arg=acpi=off"];
    let texts = ["the firmware left no ACPI tables", "not prepared: the firmware left no"];
    boot(&image(Profile::Dev), &arguments).expect(status::SUCCESS, &texts);
}

#[test]
fn xen_shows_its_tables() {
    let ended = run(tool().args(["run", "--on", "xen"]).arg(image(Profile::Release)));
    ended.expect(status::SUCCESS, &["described"]);
}

/// QEMU without the device that takes the verdict.
fn start(machine: &str, image: &Path) -> Child {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-machine", machine, "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults"]);
    command.args(["-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"]);
    command.args(["-serial", "stdio", "-kernel"]).arg(image).stdin(Stdio::null());
    command.stdout(Stdio::piped()).spawn().expect("QEMU, which the other tests use too, starts")
}

/// How QEMU ended, if it did in time; and what it said.
fn end(mut machine: Child, patience: Duration) -> (Option<i32>, String) {
    let limit = Instant::now() + patience;
    let status = loop {
        match machine.try_wait().expect("it is our child") {
            Some(status) => break status.code(),
            None if Instant::now() > limit => {
                machine.kill().expect("it is our child");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let output = machine.wait_with_output().expect("it is our child");
    (status, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn without_a_debug_exit_the_machine_goes_off_as_the_tables_say() {
    for profile in [Profile::Dev, Profile::Release] {
        for machine in MACHINES {
            let (status, output) = end(start(machine, &image(profile)), Duration::from_secs(60));
            assert_eq!(status, Some(0), "{machine}: {output}");
            // Once it is prepared, the only way that is tried is the one of the tables.
            assert!(output.contains("\nprepared"), "{machine}: {output}");
        }
    }
}

#[test]
fn a_machine_that_cannot_go_off_halts() {
    let machine = start("microvm,acpi=off", &image(Profile::Release));
    let (status, output) = end(machine, Duration::from_secs(3));
    assert!(output.contains("not prepared"), "{output}");
    assert_eq!(status, None, "{output}");
}
