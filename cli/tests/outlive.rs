//! No QEMU outlives the tool, whatever happens to it. Shown with a fake that only sleeps, with a fake
//! that leaves the sleeping to a child, and with the real QEMU and a kernel that hangs.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use common::{
    eventually, folder, is_alive, process_in, require_qemu, script, see, seen, send, start, stub,
    tool,
};

/// A QEMU that writes down its process id.
struct Fake {
    program: PathBuf,
    id: PathBuf,
}

impl Fake {
    fn new(name: &str, body: &str) -> Self {
        let folder = folder(name);
        let (program, id) = (folder.join("qemu"), folder.join("id"));
        script(&program, &body.replace("ID", &format!("'{}'", id.display())));
        Self { program, id }
    }

    fn sleeping(name: &str) -> Self {
        Self::new(name, "echo $$ > ID; exec sleep 1000")
    }

    /// The id that is written is that of the child.
    fn with_child(name: &str) -> Self {
        Self::new(name, "sleep 1000 & echo $! > ID; wait")
    }

    fn real(name: &str) -> Self {
        require_qemu();
        let qemu = std::env::var("FREESTONE_QEMU").unwrap_or("qemu-system-x86_64".into());
        Self::new(name, &format!("echo $$ > ID; exec {qemu} \"$@\""))
    }

    fn boot(&self, options: &[&str]) -> Command {
        let mut command = tool();
        command.arg("run").arg(stub()).args(options).args(["--", "hang"]);
        command.env("FREESTONE_QEMU", &self.program);
        command
    }

    fn start(&self) -> (Child, u32) {
        let child = start(&mut self.boot(&[]));
        let qemu = process_in(&self.id);
        assert!(is_alive(qemu));
        (child, qemu)
    }
}

/// Every signal that ends the tool in order: its status, its word, and nobody left.
fn ends_in_order(fake: &Fake) {
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let _ = fs::remove_file(&fake.id);
        let (child, qemu) = fake.start();
        send(signal, child.id());
        let seen = seen(child.wait_with_output().expect("ends")).expect(status);
        assert_eq!(seen.stderr, "freestone: interrupted; QEMU is stopped\n");
        eventually("QEMU is gone", || !is_alive(qemu));
    }
}

/// The signal nobody can handle: the kernel does it for us.
fn ends_with_a_killed_tool(fake: &Fake) {
    let (mut child, qemu) = fake.start();
    send("KILL", child.id());
    child.wait().expect("killed");
    eventually("QEMU is gone", || !is_alive(qemu));
}

#[test]
fn a_sleeping_fake_ends_with_the_tool() {
    ends_in_order(&Fake::sleeping("sleeping"));
    ends_with_a_killed_tool(&Fake::sleeping("sleeping-killed"));
}

#[test]
fn a_child_of_a_fake_ends_with_the_tool() {
    ends_in_order(&Fake::with_child("with-child"));
}

#[test]
fn the_real_qemu_ends_with_the_tool() {
    ends_in_order(&Fake::real("real"));
    ends_with_a_killed_tool(&Fake::real("real-killed"));
}

#[test]
fn a_timeout_leaves_nobody() {
    for fake in [Fake::sleeping("t1"), Fake::with_child("t2"), Fake::real("t3")] {
        see(&mut fake.boot(&["--timeout", "1"])).expect(124);
        eventually("QEMU is gone", || !is_alive(process_in(&fake.id)));
    }
}

#[test]
fn a_fake_that_ignores_signals_ends_all_the_same() {
    let fake =
        Fake::new("stubborn", "trap '' INT TERM HUP; echo $$ > ID; while :; do sleep 1; done");
    ends_in_order(&fake);
}

#[test]
fn a_signal_ends_a_build_too() {
    let folder = folder("slow-cargo");
    let id = folder.join("id");
    let cargo = folder.join("cargo");
    script(&cargo, &format!("echo $$ > '{}'; exec sleep 1000", id.display()));
    require_qemu();
    let child = start(tool().arg("run").env("CARGO", &cargo).current_dir(&folder));
    let cargo = process_in(&id);
    send("TERM", child.id());
    seen(child.wait_with_output().expect("ends")).expect(143);
    eventually("cargo is gone", || !is_alive(cargo));
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let fake = Fake::sleeping("nohup");
    let boot = fake.boot(&["--timeout", "2"]);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(boot.get_program())
        .args(boot.get_args());
    command.env("FREESTONE_QEMU", &fake.program);
    let child = start(&mut command);
    process_in(&fake.id);
    send("HUP", child.id());
    seen(child.wait_with_output().expect("ends")).expect(124);
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    require_qemu();
    let children: Vec<_> =
        (0..8).map(|_| start(tool().arg("run").arg(stub()).args(["--", "s"]))).collect();
    for child in children {
        seen(child.wait_with_output().expect("ends")).expect(0);
    }
}
