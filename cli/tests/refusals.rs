//! Errors before anything is booted: bad images, bad arguments, a system that lacks something.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::{folder, require_qemu, script, see, stub, tool};

/// One line that names the file, for each kind of wrong one.
#[test]
fn every_unusable_image_has_its_own_line() {
    let folder = folder("images");
    let stub = fs::read(stub()).expect("the stub kernel");
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        fs::write(&file, bytes).expect("a file");
        file
    };
    let with = |at: usize, byte: u8| {
        let mut changed = stub.clone();
        changed[at] = byte;
        changed
    };
    let object = folder.join("object");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stub.s");
    let status = Command::new("cc").args(["-c", source, "-o"]).arg(&object).status();
    assert!(status.is_ok_and(|status| status.success()));
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    let huge = folder.join("huge");
    fs::File::create(&huge).and_then(|file| file.set_len(2 << 30)).expect("a sparse file");

    for (path, says) in [
        (folder.join("missing"), "No such file"),
        (folder.clone(), "this is a directory"),
        (fifo, "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (huge, "larger than 1 GiB"),
        (file("empty", b""), "the file is empty"),
        (file("script", b"#!/bin/sh\n"), "this is a script"),
        (file("text", b"hello"), "not an ELF file"),
        (file("cut", &stub[..stub.len() / 2]), "truncated"),
        (file("arm", &with(18, 183)), "built for aarch64"),
        (file("class", &with(4, 1)), "32-bit ELF"),
        (object, "an object file that was not linked"),
        (env!("CARGO_BIN_EXE_cargo-freestone").into(), "a program for this system, not a kernel"),
    ] {
        let seen = see(tool().arg("run").arg(&path)).expect(2).says(says);
        let begin = format!("error: {}: ", path.display());
        assert!(
            seen.stderr.starts_with(&begin) && seen.stderr.lines().count() == 1,
            "{}",
            seen.stderr
        );
    }
}

/// Not even root can read the first byte of its own address space.
#[test]
fn a_file_that_cannot_be_read_is_2() {
    see(tool().args(["run", "/proc/self/mem"]))
        .expect(2)
        .says("error: /proc/self/mem: Input/output error");
}

#[test]
fn wrong_arguments_are_2() {
    for (arguments, says) in [
        (&["run", "--machine", "vax"][..], "invalid value 'vax'"),
        (&["run", "-m", "0"], "invalid value '0'"),
        (&["run", "-m", "much"], "invalid value 'much'"),
        (&["run", "-m", "99999999999"], "invalid value '99999999999'"),
        (&["run", "--timeout", "-1"], "-1"),
        (&["run", "--timeout", "1.5"], "invalid value '1.5'"),
        (&["run", "--gdb", "0"], "invalid value '0'"),
        (&["run", "--gdb", "65536"], "invalid value '65536'"),
        (&["run", "--no-such-option"], "--no-such-option"),
        (&["run", "a", "b"], "unexpected argument 'b'"),
        (&["run", "a", "--release"], "cannot be used with"),
        (&["walk"], "unrecognized subcommand 'walk'"),
        (&[], "Usage: cargo freestone"),
    ] {
        see(tool().args(arguments)).expect(2).says(says);
    }
}

#[test]
fn help_has_the_table_of_statuses() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["freestone", "test", "--help"],
        &["doctor", "--help"],
    ] {
        let seen = see(tool().args(arguments)).expect(0);
        assert!(seen.stdout.contains("  124  time ran out\n"), "{}", seen.stdout);
    }
}

#[test]
fn a_named_qemu_that_is_not_there_is_3_and_nothing_is_installed() {
    let seen =
        see(tool().arg("run").arg(stub()).args(["--qemu", "/nowhere/qemu", "--yes"])).expect(3);
    assert_eq!(
        seen.stderr,
        "error: --qemu names /nowhere/qemu, which is not a program that can be run\n"
    );
    let seen = see(tool().arg("run").arg(stub()).env("FREESTONE_QEMU", "no-such-qemu")).expect(3);
    seen.says("FREESTONE_QEMU names no-such-qemu");
}

#[test]
fn a_program_that_is_no_qemu_is_3() {
    for program in ["/bin/true", "/bin/false", "/bin/cat"] {
        let seen = see(tool().arg("run").arg(stub()).args(["--qemu", program]));
        // `true` ends as a machine does that went off without a verdict; nothing tells them apart.
        seen.expect(if program == "/bin/true" { 4 } else { 3 });
    }
}

#[test]
fn new_prints_commands_that_can_be_pasted() {
    let folder = folder("a 'place'").join("my-kernel");
    let seen = see(tool().arg("new").arg(&folder)).expect(0);
    let line = seen.stdout.lines().find(|line| line.starts_with("  cd ")).expect("a line");
    let shell = Command::new("/bin/sh").args(["-c", &format!("{line} && pwd")]).output();
    let shown = shell.expect("a shell").stdout;
    assert_eq!(String::from_utf8_lossy(&shown).trim_end(), folder.to_string_lossy());
    see(tool().args(["new", "build"])).expect(2).says("build is a folder of cargo's");
    // Brought by our crates, so that cargo would not know which one is meant.
    for taken in ["freestone-xen", "bitflags"] {
        let seen = see(tool().arg("new").arg(folder.with_file_name(taken))).expect(2);
        seen.says(&format!("{taken} is the name of a crate that a kernel uses"));
        assert!(!folder.with_file_name(taken).exists());
    }
    see(tool().args(["new", "match"])).expect(2).says("match is a word of the language");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// The tool in a system whose PATH is one folder.
fn in_bare_system(path: &Path) -> Command {
    let mut command = tool();
    command.env("PATH", path).env_remove("FREESTONE_QEMU").arg("run").arg(stub());
    command
}

#[test]
fn a_missing_qemu_is_3_with_the_cure() {
    let path = folder("bare");
    let seen = see(&mut in_bare_system(&path)).expect(3);
    seen.says("QEMU is missing: qemu-system-x86_64 is not on PATH\n").says("error: install QEMU");
    let seen = see(in_bare_system(&path).arg("--json")).expect(3);
    assert!(seen.stdout.contains("\"verdict\":\"tool\""), "{}", seen.stdout);
}

/// A made-up apt-get writes down what it was asked and does what it is told. Only where the tool would
/// call apt-get at all: on Debian and its relatives, as root and without a terminal.
#[test]
fn root_without_a_terminal_gets_qemu_from_apt() {
    if !is_root() || !Path::new("/etc/debian_version").exists() {
        return;
    }
    let path = folder("apt");
    let log = path.join("log");
    let apt = |install: &str| {
        let body = format!(
            "echo \"$DEBIAN_FRONTEND $@\" >> '{}'\necho to stdout\n{install}",
            log.display()
        );
        let _ = fs::remove_file(&log);
        script(&path.join("apt-get"), &body);
    };
    apt("exit 100");
    let seen = see(&mut in_bare_system(&path)).expect(3).says("apt-get did not install QEMU");
    assert_eq!(seen.stdout, "");
    assert!(fs::read_to_string(&log).expect("called").ends_with("noninteractive update\n"));

    apt("exit 0");
    see(&mut in_bare_system(&path))
        .expect(3)
        .says("was installed, yet qemu-system-x86_64 is not on PATH");

    let fake = path.join("fake");
    script(&fake, "echo booted; exit 33");
    let place = path.join("qemu-system-x86_64");
    apt(&format!("[ $1 = install ] && /bin/cp '{}' '{}'; exit 0", fake.display(), place.display()));
    let seen = see(&mut in_bare_system(&path)).expect(0);
    assert_eq!(seen.stdout, "booted\n");
    seen.says("running: apt-get install -y --no-install-recommends qemu-system-x86\n")
        .says("to stdout");
    let asked = fs::read_to_string(&log).expect("called");
    assert!(
        asked.ends_with("noninteractive install -y --no-install-recommends qemu-system-x86\n"),
        "{asked}"
    );
}

#[test]
fn doctor_is_content_where_kernels_boot() {
    require_qemu();
    let seen = see(tool().arg("doctor")).expect(0);
    assert_eq!(
        seen.stdout.lines().filter(|line| line.starts_with("ok ")).count(),
        7,
        "{}",
        seen.stdout
    );
    assert!(seen.stdout.contains("\nnote     gdb      "), "{}", seen.stdout);
    // What follows is about toolchains, as many as there are.
    let (checks, _) = seen.stdout.split_once("\ntoolchains\n").expect("two parts");
    let mut last = checks.lines().rev();
    for note in ["note     nested", "note     xen", "note     kvm"] {
        assert!(last.next().is_some_and(|line| line.starts_with(note)), "{}", seen.stdout);
    }
}

#[test]
fn doctor_names_what_is_missing_and_the_cure() {
    let path = folder("sick");
    let mut command = tool();
    command.arg("doctor").env("PATH", &path).env("CARGO_TARGET_DIR", "/dev/null/target");
    for name in ["CARGO", "RUSTC", "FREESTONE_QEMU"] {
        command.env_remove(name);
    }
    let seen = see(&mut command).expect(3);
    let checks = seen.stdout.split("\ntoolchains\n").next().unwrap_or_default();
    assert_eq!(checks.matches("missing ").count(), 7, "{}", seen.stdout);
    assert_eq!(checks.matches(" -> ").count(), 7, "{}", seen.stdout);

    let seen = see(command.arg("--json")).expect(3);
    let answer: serde_json::Value = serde_json::from_str(&seen.stdout).expect("JSON");
    assert_eq!(answer["status"], 3);
    let checks = answer["checks"].as_array().expect("a list");
    assert!(
        checks.iter().all(|check| check["ok"] == false && check["cure"].is_string()),
        "{answer}"
    );
}

#[test]
fn doctor_sees_old_tools() {
    let path = folder("old");
    script(
        &path.join("rustc"),
        "echo 'rustc 1.94.1'; echo 'release: 1.94.1'; echo 'host: aarch64-apple-darwin'",
    );
    script(&path.join("qemu"), "echo 'QEMU emulator version 2.0'");
    let mut command = tool();
    command.arg("doctor").env("RUSTC", path.join("rustc")).env("FREESTONE_QEMU", path.join("qemu"));
    let seen = see(&mut command).expect(3);
    for line in [
        "missing  rustc    1.94.1 is older than 1.95\n",
        "missing  host     aarch64-apple-darwin: ",
        "ok       qemu     QEMU emulator version 2.0 (",
        "missing  microvm  this QEMU has no microvm machine\n",
    ] {
        assert!(seen.stdout.contains(line), "{line:?} not in\n{}", seen.stdout);
    }
}

/// `image` refuses what the form has no place for before it builds or writes anything.
#[test]
fn what_an_image_has_no_place_for_is_refused() {
    let folder = folder("image-refusals");
    fs::write(folder.join("something"), "else").expect("a file");
    fs::create_dir(folder.join("folder")).expect("a folder");
    fs::write(folder.join("folder/mine"), "").expect("a file");
    for (words, says) in [
        (&["-m", "8"][..], "-m describes a machine: it has a meaning with --libvirt and --xl only"),
        (&["--oci", "--disk", "d"], "--disk describes a machine"),
        (&["--efi", "--net", "user"], "--net describes a machine"),
        (&["--iso", "--installed-as", "/k"], "--installed-as describes a machine"),
        (&["--libvirt", "--monitor", "qemu"], "--monitor has a meaning with --oci only"),
        (&["--", "word"], "its loader gives it (QEMU: -append)"),
        (&["--xl", "--mac", "02:00:00:00:00:01"], "--mac needs a network"),
        (&["--xl", "--net", "user"], "--net bridge=NAME"),
        (&["--xl", "--net", "network=n"], "--net bridge=NAME"),
        (&["--xl", "--installed-as", "k.elf"], "an absolute path"),
        (&["--xl", "-o", "k.elf"], "would have the same name; let it end in .cfg"),
        (&["--libvirt", "--disk", ""], "it wants the path of a file"),
        (&["--xl", "-m", "2"], "does not fit into 2 MiB"),
        (&["--efi", "--", "a\nb"], "control characters"),
        (&["--iso", "--", "it's"], "a quote or a backslash"),
        (&["--oci", "-o", "folder"], "something else is there"),
        (&["--oci", "-o", "something"], "something else is there"),
        (&["-o", "folder"], "Is a directory"),
        (&["-o", "missing/k"], "No such file or directory"),
    ] {
        let mut command = tool();
        command.current_dir(&folder).arg("image").arg(stub()).args(words);
        let seen = see(&mut command).expect(2).says(says);
        assert_eq!(seen.stdout, "", "{words:?}");
    }
    let json = see(tool().current_dir(&folder).arg("image").arg("missing").arg("--json")).expect(2);
    assert!(json.stdout.contains(r#""form":"elf","image":null"#), "{}", json.stdout);
    let mut own = tool();
    let same = see(own.arg("image").arg(stub()).arg("-o").arg(stub())).expect(2);
    same.says("this is the kernel itself");
    let left: Vec<_> = fs::read_dir(&folder).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
