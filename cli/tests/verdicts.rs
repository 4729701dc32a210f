//! Boots of a stub kernel in the real QEMU: every verdict, every machine, and what the options do.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{PATIENCE, boot, eventually, folder, require_qemu, script, see, start, stub, tool};

#[test]
fn success_is_0_on_every_machine() {
    for machine in ["microvm", "q35", "pc"] {
        let seen = see(&mut boot("s", &["--machine", machine])).expect(0);
        // pc and q35 have a BIOS that may speak first.
        assert!(seen.stdout.ends_with("stub: s\n"), "{machine}: {:?}", seen.stdout);
        assert_eq!(seen.stderr, "", "{machine}");
    }
}

#[test]
fn the_default_machine_prints_nothing_of_its_own() {
    assert_eq!(see(&mut boot("s", &[])).expect(0).stdout, "stub: s\n");
}

#[test]
fn reported_failure_is_1() {
    see(&mut boot("f", &[])).expect(1).says("the kernel reported failure");
}

#[test]
fn reported_crash_is_4() {
    see(&mut boot("c", &[])).expect(4).says("the kernel crashed");
}

#[test]
fn triple_fault_is_4_on_every_machine() {
    for machine in ["microvm", "q35", "pc"] {
        see(&mut boot("t", &["--machine", machine]))
            .expect(4)
            .says("without a verdict: a triple fault");
    }
}

#[test]
fn what_is_no_verdict_is_3() {
    see(&mut boot("p", &[])).expect(3).says("QEMU ended with status 129, which is no verdict");
}

#[test]
fn a_hang_is_124_and_its_last_words_are_repeated() {
    let begin = Instant::now();
    let seen = see(&mut boot("hello, nobody", &["--timeout", "1"])).expect(124);
    assert_eq!(seen.stdout, "stub: hello, nobody\n");
    let wanted = "freestone: timeout after 1 s; last output:\n  | stub: hello, nobody\n\
                  the processor was\n  at   0x00000000001000";
    assert!(seen.stderr.starts_with(wanted), "{}", seen.stderr);
    let wall = begin.elapsed();
    assert!(wall >= Duration::from_secs(1) && wall < PATIENCE, "{wall:?}");
}

#[test]
fn endless_output_still_times_out() {
    let seen = see(&mut boot("l", &["--timeout", "1"])).expect(124).says("last output:");
    assert_eq!(seen.stderr.lines().filter(|line| line.starts_with("  | ")).count(), 20);
    assert!(seen.stdout.starts_with("stub: l\n"));
}

#[test]
fn a_reader_that_sleeps_does_not_keep_the_timeout_from_coming() {
    let mut child = start(&mut boot("l", &["--timeout", "1"]));
    eventually("the tool gave up", || child.try_wait().expect("waits").is_some());
    assert_eq!(child.wait().expect("ended").code(), Some(124));
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    for letter in ["l", "h"] {
        let mut child = start(&mut boot(letter, &["--timeout", "30"]));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, format!("stub: {letter}\n"));
        // The pipe is closed now.
        eventually("the tool ended", || child.try_wait().expect("waits").is_some());
        assert_eq!(child.wait().expect("ended").code(), Some(141));
        let mut stderr = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        assert_eq!(stderr, "");
    }
}

#[test]
fn a_full_disk_is_3() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let mut child = boot("s", &[]);
    let child = child.stdout(full).stderr(Stdio::piped()).spawn().expect("starts");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_command_line_arrives_word_for_word() {
    let mut command = boot("say", &[]);
    command.args(["a=1,b=2", "\"quoted\"", "--flag", "-append", "it's"]);
    let seen = see(&mut command).expect(0);
    assert_eq!(seen.stdout, "stub: say a=1,b=2 \"quoted\" --flag -append it's\n");
}

#[test]
fn no_command_line_is_an_empty_one() {
    require_qemu();
    let seen = see(tool().arg("run").arg(stub())).expect(0);
    assert_eq!(seen.stdout, "stub: \n");
}

#[test]
fn options_reach_qemu() {
    let seen =
        see(&mut boot("s", &["-m", "32", "--icount", "--qemu-arg", "-name", "--qemu-arg=x", "-v"]))
            .expect(0);
    let command = seen.stderr.lines().find(|line| line.starts_with("running: ")).expect("shown");
    assert!(command.contains("-m 32 -smp 1"), "{command}");
    assert!(command.contains(" -icount shift=0,sleep=off "), "{command}");
    assert!(command.ends_with(" -append s -name x"), "{command}");
}

#[test]
fn the_extra_word_of_an_installed_subcommand_is_dropped() {
    require_qemu();
    see(tool().args(["freestone", "run"]).arg(stub())).expect(0);
}

#[test]
fn json_is_the_last_line_of_stdout_and_all_of_it() {
    for (letter, status, verdict) in
        [("s", 0, "success"), ("f", 1, "failure"), ("t", 4, "crash"), ("h", 124, "timeout")]
    {
        let seen = see(&mut boot(letter, &["--json", "--timeout", "1"])).expect(status);
        assert_eq!(seen.stdout.lines().count(), 1, "{}", seen.stdout);
        let result: serde_json::Value = serde_json::from_str(&seen.stdout).expect("JSON");
        assert_eq!(result["verdict"], verdict);
        assert_eq!(result["status"], status);
        assert_eq!(result["machine"], "microvm");
        assert_eq!(result["image"], stub().to_str().expect("text"));
        assert!(result["wall_ms"].is_u64());
        assert!(seen.stderr.starts_with(&format!("stub: {letter}\n")), "{}", seen.stderr);
    }
}

#[test]
fn json_comes_for_what_never_booted_too() {
    let seen = see(tool().args(["run", "/nowhere", "--json"])).expect(2);
    let result: serde_json::Value = serde_json::from_str(&seen.stdout).expect("JSON");
    assert_eq!((&result["verdict"], &result["status"]), (&"usage".into(), &2.into()));
    assert!(result["wall_ms"].is_null());
}

#[test]
fn a_qemu_that_refuses_is_3_with_its_words() {
    let seen = see(&mut boot("s", &["--qemu-arg=-no-such-option"])).expect(3);
    assert!(seen.stderr.contains("error: QEMU could not start\n  qemu: "), "{}", seen.stderr);
    assert!(seen.stderr.contains("no-such-option"), "{}", seen.stderr);
}

#[test]
fn a_debugger_is_waited_for() {
    let free =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let seen = see(&mut boot("s", &["--gdb", &free.to_string(), "--timeout", "1"])).expect(124);
    seen.says(&format!("target remote 127.0.0.1:{free}")).says("the guest printed nothing");
}

#[test]
fn a_debug_port_in_use_is_3() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    see(&mut boot("s", &["--gdb", &port.to_string()])).expect(3).says("cannot be used for gdb");
}

#[test]
fn a_qemu_that_dies_or_is_stopped_is_3() {
    let folder = folder("dying");
    for (body, says) in [
        ("kill -SEGV $$", "QEMU was killed by signal 11"),
        (
            "echo 'q: terminating on signal 15 from pid 1' >&2; exit 0",
            "QEMU was stopped from outside",
        ),
        ("echo no memory >&2; exit 1", "QEMU could not start\n  qemu: no memory"),
        ("exit 77", "QEMU ended with status 77"),
    ] {
        let fake = folder.join("qemu");
        script(&fake, body);
        see(tool().arg("run").arg(stub()).arg("--qemu").arg(&fake)).expect(3).says(says);
    }
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_the_tool() {
    let fake = folder("grandchild").join("qemu");
    // Longer than any limit of the tool's.
    script(&fake, "echo begin; sleep 3600 & echo end; exit 33");
    let seen = see(tool().arg("run").arg(stub()).arg("--qemu").arg(&fake)).expect(0);
    assert_eq!(seen.stdout, "begin\nend\n");
}

#[test]
fn much_output_arrives_complete_through_a_slow_reader() {
    let fake = folder("much").join("qemu");
    script(&fake, "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done; exit 33");
    let mut child = start(tool().arg("run").arg(stub()).arg("--qemu").arg(&fake));
    std::thread::sleep(Duration::from_millis(500));
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    assert_eq!(text.lines().count(), 40000);
    assert!(text.ends_with("line 39999\n"));
}

#[test]
fn a_timeout_of_0_is_none() {
    let fake = folder("patient").join("qemu");
    script(&fake, "sleep 1; exit 33");
    see(tool().arg("run").arg(stub()).args(["--timeout", "0", "--qemu"]).arg(&fake)).expect(0);
}
