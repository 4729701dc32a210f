//! Settings in manifests, and programs that cargo runs by this tool: the value that counts for a boot, and its source.

mod common;

use std::process::Command;

use common::workspace::Workspace;
use common::{Seen, see};

const SETTINGS: &str = "[package.metadata.freestone]
machine = \"pc\"
memory = 8
command-line = \"f from the manifest\"
timeout = 7
qemu-args = [\"-name\", \"a name\"]
";

fn workspace(name: &str, workspace: &str, package: &str) -> Workspace {
    let w = Workspace::new(name, workspace);
    w.kernel("one");
    add(&w, package);
    w
}

fn add(w: &Workspace, settings: &str) {
    w.kernel("one");
    let manifest = std::fs::read_to_string(w.0.join("one/Cargo.toml")).expect("a manifest");
    w.write("one/Cargo.toml", &format!("{manifest}{settings}"));
}

/// Cargo itself, for which this tool is the runner.
fn cargo(w: &Workspace, arguments: &[&str]) -> Seen {
    let runner = format!(
        "target.'cfg(all())'.runner=[{:?}, 'runner']",
        env!("CARGO_BIN_EXE_cargo-freestone")
    );
    let mut command = Command::new(env!("CARGO"));
    command.arg(arguments[0]).args(["--config", &runner]).args(&arguments[1..]);
    command.current_dir(w.0.join("one")).env("CARGO_TARGET_DIR", w.0.join("target"));
    see(command.env_remove("RUSTFLAGS").env("FREESTONE_ACCEL", "tcg"))
}

#[test]
fn settings_count_and_options_win_and_each_is_told_with_its_source() {
    let w =
        workspace("settings", "[workspace.metadata.freestone]\nmemory = 16\ncores = 2\n", SETTINGS);
    let seen = w.see("one", &["run", "-v", "--accel", "tcg"]).expect(1);
    assert_eq!(seen.stdout, "stub: f from the manifest\n");
    let by = "in [package.metadata.freestone] of one";
    for line in [
        &format!("machine: pc, by machine {by}\n") as &str,
        &format!("memory:  8 MiB, by memory {by}\n"),
        "cores:   2, by cores in [workspace.metadata.freestone]\n",
        &format!("timeout: 7 s, by timeout {by}\n"),
        &format!("for QEMU: a name, by qemu-args {by}\n"),
        "-machine pc -accel tcg -cpu max -m 8 -smp 2 ",
        "-append 'f from the manifest' -name 'a name'\n",
    ] {
        assert!(seen.stderr.contains(line), "{line}: {}", seen.stderr);
    }
    // What is shown can be typed again.
    assert!(!seen.stderr.contains("/proc/"), "{}", seen.stderr);
    let line = seen.stderr.lines().find(|line| line.contains("-kernel")).expect("QEMU's line");
    let typed = line.strip_prefix("running: ").expect("a command");
    see(Command::new("/bin/sh").args(["-c", typed])).expect(35);

    let options =
        ["run", "-v", "--machine=q35", "-m16", "--cores=1", "--timeout=0", "--", "s", "x"];
    let seen = w.see("one", &options).expect(0);
    assert_eq!(seen.stdout, "stub: s x\n");
    for line in [
        "machine: q35, by --machine\n",
        "16 MiB, by -m\n",
        "1, by --cores\n",
        "none, by --timeout\n",
    ] {
        assert!(seen.stderr.contains(line), "{line}: {}", seen.stderr);
    }

    let image = w.0.join("target/debug/one");
    let words = ["run", image.to_str().expect("UTF-8"), "--", "s"];
    // Of a file that is named nothing else is known.
    w.see("one", &words).expect(0);
    let result = w.see("one", &["run", "--json"]).expect(1);
    let result: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    assert_eq!(result["machine"], "pc");
}

#[test]
fn tests_boot_what_is_set_there() {
    let w = workspace("settings-test", "", &SETTINGS.replace("f from", "s from"));
    let seen = w.see("", &["test", "-p", "one"]).expect(0);
    assert!(seen.stdout.contains("stub: s from the manifest oneshot\n"), "{}", seen.stdout);
    assert!(seen.stdout.contains("ok   boot on pc "), "{}", seen.stdout);
    assert!(!seen.stdout.contains("boot on q35"), "{}", seen.stdout);
}

#[test]
fn a_setting_that_means_nothing_is_refused_by_every_verb_that_would_heed_it() {
    let w = workspace("settings-wrong", "", "[package.metadata.freestone]\nmemroy = 8\n");
    for verb in ["run", "test", "debug", "chart"] {
        w.see("one", &[verb]).expect(2).says(
            "[package.metadata.freestone] of one: no setting is called `memroy`; is memory meant?",
        );
    }
    for (wrong, complaint) in [
        ("[package.metadata]\nfreestone = \"x\"\n", "of one: it is \"x\", and no table"),
        ("[package.metadata.freestone]\nrun = \"one\"\n", "no setting is called `run`"),
    ] {
        add(&w, wrong);
        w.see("one", &["run"]).expect(2).says(complaint);
    }
    add(&w, "[package.metadata.freestone]\nmachine = \"vax\"\n");
    w.see("one", &["run"]).expect(2).says("machine is \"vax\"; it may be one of microvm, q35, pc");
    cargo(&w, &["run"]).expect(2).says("machine is \"vax\"");
}

#[test]
fn plain_cargo_run_boots() {
    let w = workspace("plain", "", SETTINGS);
    let seen = cargo(&w, &["run"]).expect(1).says("the kernel reported failure");
    assert_eq!(seen.stdout, "stub: f from the manifest\n");
    let seen = cargo(&w, &["run", "--", "s", "--machine", "--", "x"]).expect(0);
    assert_eq!(seen.stdout, "stub: s --machine -- x\n");
    cargo(&w, &["run", "--", "c"]).expect(4).says("the kernel crashed");
}

#[test]
fn a_program_of_the_hosts_is_run_as_it_is() {
    let w = workspace("plain-host", "", "");
    let main = "fn main() { println!(\"{:?}\", std::env::args().skip(1).collect::<Vec<_>>()); std::process::exit(7) }
#[test]
fn host() {}
";
    w.package("tool", "", &[("src/main.rs", main)]);
    let seen = cargo(&w, &["run", "-p", "tool", "--", "--list", "a b"]).expect(7);
    assert_eq!(seen.stdout, "[\"--list\", \"a b\"]\n");
    // Static ones name no loader that would tell.
    let mut program = Command::new(env!("CARGO"));
    program.current_dir(w.0.join("tool")).env("CARGO_TARGET_DIR", w.0.join("target/static"));
    program.env("RUSTFLAGS", "-Ctarget-feature=+crt-static").args(["build", "--quiet"]);
    see(&mut program).expect(0);
    let mut runner = Command::new(env!("CARGO_BIN_EXE_cargo-freestone"));
    let seen =
        see(runner.arg("runner").arg(w.0.join("target/static/debug/tool")).arg("x")).expect(7);
    assert_eq!(seen.stdout, "[\"x\"]\n");
    let seen = cargo(&w, &["test", "-p", "tool"]).expect(0);
    assert!(seen.stdout.contains("test host ... ok"), "{}", seen.stdout);
}

#[test]
fn what_is_no_file_is_no_program_and_no_image() {
    let folder = common::folder("runner-odd");
    let fifo = folder.join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()));
    for odd in [&*fifo, "/dev/zero".as_ref(), &*folder, "/nonexistent".as_ref()] {
        let mut runner = Command::new(env!("CARGO_BIN_EXE_cargo-freestone"));
        see(runner.arg("runner").arg(odd)).expect(2);
    }
}
