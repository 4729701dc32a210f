//! No process that the tool started outlives it, whatever happens to it. Tested with a fake QEMU that only sleeps, with
//! one that leaves the sleeping to a child, with the real QEMU and a kernel that hangs; and for every verb that starts
//! programs, with a fake whose descendants leave its process group and session.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
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

const WORD: &str = "freestone: interrupted; QEMU is stopped\n";

/// Every signal that ends the tool in order: its status, its word, and nobody left.
fn ends_in_order(fake: &Fake) {
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let _ = fs::remove_file(&fake.id);
        let (child, qemu) = fake.start();
        send(signal, child.id());
        let seen = seen(child.wait_with_output().expect("ends")).expect(status);
        assert_eq!(seen.stderr, WORD);
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
    let fake = Fake::real("real");
    for (signal, status, wanted) in [
        // Ctrl-C: its user wants to know where the kernel hung.
        ("INT", 130, &*format!("{WORD}the processor was\n  at   0x00000000001000")),
        ("TERM", 143, WORD),
        ("HUP", 129, WORD),
    ] {
        let _ = fs::remove_file(&fake.id);
        let (mut child, qemu) = fake.start();
        // The kernel says something before it hangs.
        let mut said = [0; 10];
        std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut said).expect("text");
        send(signal, child.id());
        let seen = seen(child.wait_with_output().expect("ends")).expect(status);
        assert!(seen.stderr.starts_with(wanted), "{}", seen.stderr);
        assert_eq!(seen.stderr.lines().count() > 1, signal == "INT");
        eventually("QEMU is gone", || !is_alive(qemu));
    }
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

/// A program that starts others, one of them in a session of its own, and waits; what `first` says goes before.
struct Tree {
    program: PathBuf,
    folder: PathBuf,
}

impl Tree {
    const IDS: [&str; 3] = ["own", "child", "far"];

    fn new(folder: &Path, first: &str) -> Self {
        let (program, folder) = (folder.join("tree"), folder.to_owned());
        let id = |name: &str| format!("'{}'", folder.join(name).display());
        let far = format!("setsid sh -c 'sleep 1000 & echo $! > \"$0\"; wait' {} &", id("far"));
        let own = format!("echo $$ > {}; sleep 1000 & echo $! > {}", id("own"), id("child"));
        script(&program, &format!("{first}\n{own}\n{far}\nwait"));
        Self { program, folder }
    }

    /// Starts `command`, waits until the tree stands, does `end` to the tool, and nobody must be left.
    fn falls_with(&self, name: &str, command: &mut Command, end: fn(u32)) {
        for id in Self::IDS {
            let _ = fs::remove_file(self.folder.join(id));
        }
        let mut tool = start(command);
        let all = Self::IDS.map(|id| process_in(&self.folder.join(id)));
        end(tool.id());
        tool.wait().expect("ended");
        for (id, process) in Self::IDS.iter().zip(all) {
            eventually(&format!("{name}: {id} is gone"), || !is_alive(process));
        }
    }
}

fn kill(tool: u32) {
    send("KILL", tool);
}

fn terminate(tool: u32) {
    send("TERM", tool);
}

/// The tool is two processes; this is the one that works.
fn kill_the_worker(tool: u32) {
    let children = fs::read_to_string(format!("/proc/{tool}/task/{tool}/children"));
    let worker = children.expect("proc(5) has it").trim().parse().expect("one child");
    send("KILL", worker);
}

/// Whoever of the tool's two is killed, and if it is asked to end, too.
fn falls(name: &str, tree: &Tree, mut command: impl FnMut() -> Command) {
    for end in [kill, kill_the_worker, terminate] {
        tree.falls_with(name, &mut command(), end);
    }
}

/// As much of a Xen as the tool looks at.
fn fake_xen(folder: &Path) -> PathBuf {
    let (path, mut bytes) = (folder.join("xen"), vec![0; 4096]);
    bytes[..5].copy_from_slice(b"\x7fELF\x01");
    bytes[64..68].copy_from_slice(&0x1bad_b002_u32.to_le_bytes());
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn whatever_a_boot_started_ends_with_the_tool() {
    let folder = folder("boot-tree");
    let tree = Tree::new(&folder, "");
    let xen = fake_xen(&folder);
    let with = |verb: &str, options: &[&str]| {
        let mut command = tool();
        command.arg(verb).arg(stub()).args(options).env("FREESTONE_QEMU", &tree.program);
        command.env("FREESTONE_XEN", &xen);
        command
    };
    falls("boot", &tree, || with("run", &[]));
    falls("trace", &tree, || with("run", &["--trace"]));
    falls("xen", &tree, || with("run", &["--on", "xen"]));
    falls("chart", &tree, || with("chart", &[]));
}

#[test]
fn the_debugger_and_its_machine_end_with_the_tool() {
    let folder = folder("debug-tree");
    let qemu = Fake::sleeping("debug-machine");
    // As gdb does, it waits for the machine: else it would be ended before there is one.
    let wait = format!("until [ -s '{}' ]; do sleep 0.01; done", qemu.id.display());
    let tree = Tree::new(&folder, &wait);
    for end in [kill, kill_the_worker, terminate] {
        let _ = fs::remove_file(&qemu.id);
        let mut command = tool();
        command.arg("debug").arg(stub()).env("FREESTONE_GDB", &tree.program);
        command.env("FREESTONE_QEMU", &qemu.program);
        tree.falls_with("debug", &mut command, end);
        let machine = process_in(&qemu.id);
        eventually("debug: the machine is gone", || !is_alive(machine));
    }
}

/// A package with a kernel, and with tests inside one.
fn package(folder: &Path) {
    let dependencies = "freestone = \"0.1\"\n[dev-dependencies]\nfreestone-harness = \"0.1\"";
    let test = "[[test]]\nname = \"t\"\nharness = false\ntest = false\n";
    let head = "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2024\"";
    let manifest = format!("{head}\n[workspace]\n[dependencies]\n{dependencies}\n{test}");
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    for file in ["src/main.rs", "tests/t.rs"] {
        fs::create_dir_all(folder.join(file).parent().expect("a folder")).expect("a folder");
        fs::write(folder.join(file), "fn main() {}").expect("a file");
    }
}

#[test]
fn whatever_cargo_started_ends_with_the_tool() {
    require_qemu();
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    // Builds of a kernel; of tests on the host, and running these; the same of tests inside a kernel.
    for (name, words, calls_before) in [
        ("build", &["run"][..], 0),
        ("host tests, build", &["test"], 0),
        ("host tests", &["test"], 1),
        ("kernel tests, build", &["test"], 2),
        ("kernel tests", &["test"], 3),
        ("nextest", &["test", "--nextest"], 3),
    ] {
        let folder = folder(&format!("cargo-tree {name}"));
        package(&folder);
        let count = folder.join("count");
        let tree = Tree::new(
            &folder,
            &format!(
                "case $1 in metadata) exec {cargo} \"$@\";; esac\n\
                 n=$(cat '{0}'); echo $((n+1)) > '{0}'; [ $n -lt {calls_before} ] && exit 0",
                count.display()
            ),
        );
        falls(name, &tree, || {
            fs::write(&count, "0").expect("a file");
            let mut command = tool();
            command.args(words).env("CARGO", &tree.program).current_dir(&folder);
            command
        });
    }
}

#[test]
fn the_tool_ends_as_its_worker_does() {
    let fake = Fake::sleeping("worker-killed");
    let (mut child, qemu) = fake.start();
    kill_the_worker(child.id());
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.wait().expect("ended").signal(), Some(9));
    eventually("QEMU is gone", || !is_alive(qemu));
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
