//! ACPI's tables as QEMU's firmware and Xen leave them, and powering machines off by them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use freestone_tests::{MACHINES, Profile, Scratch, boot, kernel, run, status, tool};

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

/// QEMU without the device that takes the verdict, and the file that the serial port writes to.
struct Machine {
    process: Child,
    serial: PathBuf,
    _scratch: Scratch,
}

impl Machine {
    fn start(machine: &str, image: &Path) -> Machine {
        let scratch = Scratch::new(&format!("acpi-{machine}-{:?}", std::thread::current().id()));
        let serial = scratch.path().join("serial");
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", machine, "-accel", "tcg", "-cpu", "max", "-m", "64"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-monitor", "none", "-serial"]).arg(format!("file:{}", serial.display()));
        command.arg("-kernel").arg(image).stdin(Stdio::null());
        let process = command.spawn().expect("QEMU, which the other tests use too, starts");
        Machine { process, serial, _scratch: scratch }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.serial).unwrap_or_default()).into_owned()
    }

    /// QEMU's status, if it ended.
    fn status(&mut self) -> Option<Option<i32>> {
        self.process.try_wait().expect("it is our child").map(|status| status.code())
    }

    /// Looks every 10 ms, for a minute.
    #[track_caller]
    fn wait_until<T>(&mut self, mut look: impl FnMut(&mut Machine) -> Option<T>) -> T {
        for _ in 0..6000 {
            if let Some(seen) = look(self) {
                return seen;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not come in a minute; the kernel said:\n{}", self.said());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Fails if it has ended, which is what this wants.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn without_a_debug_exit_the_machine_goes_off_as_the_tables_say() {
    for profile in [Profile::Dev, Profile::Release] {
        for name in MACHINES {
            let mut machine = Machine::start(name, &image(profile));
            let status = machine.wait_until(Machine::status);
            let said = machine.said();
            assert_eq!(status, Some(0), "{name}: {said}");
            // Once it is prepared, the only way that is tried is the one of the tables.
            assert!(said.contains("\nprepared"), "{name}: {said}");
        }
    }
}

#[test]
fn a_machine_that_cannot_go_off_halts() {
    let mut machine = Machine::start("microvm,acpi=off", &image(Profile::Release));
    machine.wait_until(|machine| machine.said().contains("not prepared").then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(machine.status(), None, "{}", machine.said());
}
