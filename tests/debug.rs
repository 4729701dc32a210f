//! gdb on a running kernel, without a terminal; and the table of accesses to devices.

use std::process::Command;

use freestone_tests::{Ended, MACHINES, Profile, Scratch, boot, kernel, run, status, tool};

#[test]
fn gdb_stops_where_main_begins() {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("skipped: gdb is not installed");
        return;
    }
    let image = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    for machine in MACHINES {
        let mut debug = tool();
        debug.arg("debug").arg(&image).args(["--machine", machine, "--batch"]);
        debug.args(["-x", "info symbol $rip", "-x", "bt 1", "-x", "kill"]);
        run(&mut debug).expect(
            status::SUCCESS,
            &["Breakpoint 1, ", "kernel_hello::main", "in section .text", "hello/src/main.rs:"],
        );
    }
}

/// The commands after the first stop, in gdb; and what gdb said.
fn in_gdb(package: &str, name: &str, commands: &[&str]) -> Ended {
    let image = kernel(package, name, Profile::Dev);
    let mut debug = tool();
    debug.arg("debug").arg(image).arg("--batch");
    commands.iter().for_each(|command| _ = debug.args(["-x", command]));
    run(debug.args(["-x", "kill"])).expect(status::SUCCESS, &["Breakpoint 1, "])
}

/// The functions of a backtrace, the innermost first.
fn frames(ended: &Ended) -> Vec<&str> {
    let numbered = ended.stdout.lines().filter(|line| line.starts_with('#'));
    let named = numbered.map(|line| line.split_once(" in ").map_or(line, |(_, rest)| rest));
    named.collect()
}

/// `wanted` are found in this order, and nothing comes behind the last but the way from the entry to `main`.
fn assert_frames(ended: &Ended, wanted: &[&str]) {
    let frames = frames(ended);
    let mut rest = frames.iter();
    for wanted in wanted {
        assert!(rest.any(|frame| frame.contains(wanted)), "no {wanted}\n{ended}");
    }
    let ends = frames.last().is_some_and(|last| last.starts_with("freestone_pvh_entry ()"));
    assert!(ends && !frames.iter().any(|frame| frame.contains("??")), "{ended}");
}

#[test]
fn gdb_knows_who_called_whom_and_with_what() {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("skipped: gdb is not installed");
        return;
    }
    let ended = in_gdb(
        "kernel-faults",
        "panic",
        &["print _boot", "break freestone_rt::panic::report", "continue", "bt"],
    );
    let argument = ended.stdout.lines().find(|line| line.starts_with("$1 = "));
    assert!(argument.is_some_and(|line| line.contains("BOOT_INFO")), "{ended}");
    let path = ["report", "panic_fmt", "panic::main (_boot=0x", "freestone_start (image=0x100000,"];
    assert_frames(&ended, &path);
}

/// Two interrupts deep, so across both changes of stacks.
#[test]
fn gdb_sees_through_interrupts_and_exceptions() {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("skipped: gdb is not installed");
        return;
    }
    let stop = ["break nesting::handler", "continue", "continue", "bt"];
    let ended = in_gdb("kernel-interrupts", "nesting", &stop);
    let signal = "<signal handler called>";
    let handler = ["nesting::handler (frame=0x", signal, "send_to_self (vector="];
    let main = ["nesting::main (_boot=0x"];
    assert_frames(&ended, &[&handler[..], &handler, &main].concat());

    let stop =
        ["break freestone_platform::arch::x86_64::trap::report::exception", "continue", "bt"];
    let ended = in_gdb("kernel-faults", "null_pointer", &stop);
    assert_frames(&ended, &["report::exception", signal, "null_pointer::main (boot=0x"]);
}

#[test]
fn a_kernel_that_ends_in_gdb_gives_its_status() {
    if Command::new("gdb").arg("--version").output().is_err() {
        println!("skipped: gdb is not installed");
        return;
    }
    for (package, name, expected) in [
        ("kernel-hello", "kernel-hello", status::SUCCESS),
        ("kernel-faults", "failure", status::FAILURE),
    ] {
        let image = kernel(package, name, Profile::Dev);
        run(tool().arg("debug").arg(&image).args(["--batch", "-x", "continue"]))
            .expect(expected, &["Breakpoint 1, "]);
    }
}

/// What has no names is refused by the verbs that need them, and by none of them called empty.
#[test]
fn an_image_without_names_is_refused() {
    let scratch = Scratch::new("debug-stripped");
    let image = kernel("kernel-hello", "kernel-hello", Profile::Release);
    let stripped = scratch.path().join("stripped");
    let done = run(Command::new("strip").arg(&image).arg("-o").arg(&stripped));
    assert_eq!(done.status, Some(0), "{done}");
    for verb in ["debug", "symbols"] {
        let ended = run(tool().arg(verb).arg(&stripped)).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains("before it was stripped"), "{ended}");
    }
}

#[test]
fn a_trace_counts_accesses_by_device() {
    let image = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    for machine in MACHINES {
        let ended = boot(&image, &["--machine", machine, "--trace"]);
        let ended = ended.expect(status::SUCCESS, &["Hello, world"]);
        let row = |name: &str| {
            let row = ended.stderr.lines().find(|line| line.split(' ').next() == Some(name));
            row.unwrap_or_else(|| panic!("no row for {name}\n{ended}"))
        };
        // One write for the verdict, and at least one for each character.
        let mut words = row("isa-debug-exit").split_whitespace().skip(1);
        assert_eq!(
            (words.next(), words.next(), words.next()),
            (Some("0"), Some("1"), Some("0xf4"))
        );
        let writes = row("serial").split_whitespace().nth(2).and_then(|n| n.parse::<u64>().ok());
        assert!(writes.is_some_and(|writes| writes >= 13), "{ended}");
    }
    boot(&image, &["--on", "xen", "--trace"]).expect(status::USAGE, &[]);
}

#[test]
fn a_missing_gdb_is_named_with_its_cure_and_nothing_is_left_running() {
    let image = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    let mut debug = tool();
    debug.env("FREESTONE_GDB", "/nonexistent/gdb").arg("debug").arg(&image).arg("--batch");
    let ended = run(&mut debug).expect(status::TOOL, &[]);
    assert!(ended.stderr.contains("apt-get install gdb"), "{ended}");

    let shown = run(tool().arg("debug").arg(&image).arg("--print"));
    shown.expect(status::SUCCESS, &["run ", "--gdb ", "\ngdb -q ", "target remote 127.0.0.1:"]);
}
