//! Kernels whose main is async: tasks, timers, wake-ups by interrupts, and what is reported of tasks.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{MACHINES, Profile, boot, kernel, long, run, status, tool};

fn image(name: &str, profile: Profile) -> std::path::PathBuf {
    kernel("kernel-tasks", name, profile)
}

#[test]
fn many_tasks_sleep_end_and_are_cancelled() {
    for profile in [Profile::Dev, Profile::Release] {
        let texts = [
            "sleepers: 200",
            "heap exhausted: ",
            "refused: there is no memory for another task",
            "ten ticks",
            "waits for ever: 1 polls",
        ];
        boot(&image("tasks", profile), &["--timeout", "60"]).expect(status::SUCCESS, &texts);
    }
}

#[test]
fn tasks_run_on_xen_and_without_sse_too() {
    let image = image("tasks", Profile::Release);
    let mut command = tool();
    command.args(["run", "--on", "xen", "--timeout", "100"]).arg(image);
    run(&mut command).expect(status::SUCCESS, &["sleepers: 200", "refused: ", "ten ticks"]);
    if sysroot("x86_64-unknown-none").is_some() {
        let mut command = tool();
        command.args([
            "run",
            "--mode",
            "none",
            "--release",
            "-p",
            "kernel-tasks",
            "--bin",
            "tasks",
        ]);
        run(command.args(["--timeout", "60"])).expect(status::SUCCESS, &["sleepers: 200"]);
    }
}

/// A million rounds take two minutes in QEMU.
#[test]
fn no_wake_up_is_lost() {
    let rounds = format!("rounds={}", if long() { 1_000_000 } else { 20_000 });
    let limit = if long() { "4000" } else { "100" };
    for machine in MACHINES {
        let arguments = ["--machine", machine, "--timeout", limit, "--", &rounds];
        boot(&image("wakes", Profile::Release), &arguments).expect(status::SUCCESS, &["lost: 0"]);
        if long() {
            break;
        }
    }
}

#[test]
fn no_wake_up_by_an_exception_is_lost_on_the_way_to_the_halt() {
    let arguments = ["--icount", "--timeout", "60"];
    boot(&image("steps", Profile::Release), &arguments).expect(status::SUCCESS, &["lost: 0"]);
}

/// What the way from an interrupt to the task may cost: from the interrupted instruction to the handler it is half of
/// [what](../interrupts.rs) entry and exit are.
const TO_TASK: u64 = 400 - 60;

#[test]
fn an_interrupt_reaches_its_task_within_budget_and_nothing_else_wakes_the_processor() {
    let arguments = ["--icount", "--timeout", "60"];
    let ended = boot(&image("latency", Profile::Release), &arguments).expect(status::SUCCESS, &[]);
    let cost = ended.number("instructions from the handler to the task:");
    let halts = ended.number("halts in ten seconds:");
    println!("{cost} instructions, {halts} halts");
    assert!((60..=TO_TASK).contains(&cost), "{cost} instructions");
    assert!((1..=2).contains(&halts), "{halts} halts");
}

#[test]
fn a_task_that_does_not_yield_is_named_and_so_is_one_that_panics() {
    let image = image("hog", Profile::Dev);
    let hog = "a task does not yield: hog: 1 polls, running, for 50 ms";
    let ended = boot(&image, &["--icount"]).expect(status::SUCCESS, &[hog, "  from 0x"]);
    assert_eq!(ended.stdout.matches("does not yield").count(), 1, "once for each poll: {ended}");
    let texts = [
        "KERNEL PANIC",
        "as it is to",
        "in the task bad: 1 polls, running",
        "tasks:",
        "network: 1 polls",
        "main: 2 polls",
    ];
    boot(&image, &["--icount", "--", "panic"]).expect(status::CRASH, &texts);
}

#[test]
fn crates_of_embassy_work_in_tasks() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-embassy", "embassy-in-tasks", profile);
        boot(&image, &["--timeout", "60"]).expect(status::SUCCESS, &["ended: 5"]);
    }
}

/// By a pipe, in pieces: two lines, one of them longer than the device keeps, and the end.
#[test]
fn what_is_typed_comes_to_the_kernel_byte_by_byte() {
    let mut command = tool();
    command.args(["run", "--stdin", "--timeout", "60"]).arg(image("input", Profile::Release));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool");
    let mut typed = child.stdin.take().expect("a pipe");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || said.next().expect("a line").expect("text");
    assert_eq!(next(), "ready");
    for line in ["hello".to_owned(), "x".repeat(900)] {
        for piece in line.as_bytes().chunks(100) {
            typed.write_all(piece).expect("a reader");
        }
        typed.write_all(b"\n").expect("a reader");
        assert_eq!(next(), format!("{} bytes: {line}", line.len()));
    }
    typed.write_all(b"end\n").expect("a reader");
    assert_eq!(child.wait().expect("it ends").code(), Some(status::SUCCESS));
}
