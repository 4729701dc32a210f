//! Kernels that are interrupted: the interrupted code loses nothing, however exceptions, NMIs and interrupts nest.

use freestone_tests::sysroot::sysroot;
use freestone_tests::{
    MACHINES, Profile, Scratch, boot, cargo, kernel, long, root, run, status, tool,
};

fn image(name: &str, profile: Profile) -> std::path::PathBuf {
    kernel("kernel-interrupts", name, profile)
}

/// Runs one of the kernels in `kernels/interrupts` in both profiles.
#[track_caller]
fn check(name: &str, expected: i32, texts: &[&str]) {
    for profile in [Profile::Dev, Profile::Release] {
        boot(&image(name, profile), &["--timeout", "30"]).expect(expected, texts);
    }
}

/// What an interrupt may cost, handler apart, with the vector state saved. The same without was to be 120.
const ENTRY_AND_EXIT: u64 = 120;

#[test]
fn an_interrupt_stays_within_budget() {
    let ended = boot(&image("cost", Profile::Release), &["--icount"]).expect(status::SUCCESS, &[]);
    let cost = ended.number("interrupt entry and exit:");
    println!("{cost} instructions");
    assert!(cost > 50, "{cost} instructions cannot save and restore everything: {ended}");
    assert!(cost <= ENTRY_AND_EXIT, "{cost} instructions");
}

/// How many interrupts: a million take under a minute in QEMU, and a quarter of an hour on Xen inside it.
fn storm(quick: u32) -> (String, [&'static str; 2]) {
    let count = if long() { 1_000_000 } else { quick };
    (format!("interrupts={count}"), ["--timeout", if long() { "3000" } else { "100" }])
}

#[test]
fn a_storm_of_interrupts_corrupts_nothing() {
    let (count, [flag, limit]) = storm(10_000);
    let image = image("storm", Profile::Release);
    for machine in MACHINES {
        let ended = boot(&image, &["--machine", machine, flag, limit, "--", &count]);
        ended.expect(status::SUCCESS, &["interrupts: ", "corrupted: [0, 0, 0, 0]"]);
    }
}

#[test]
fn a_storm_on_xen_corrupts_nothing() {
    let (count, [flag, limit]) = storm(2_000);
    let image = image("storm", Profile::Release);
    let mut command = tool();
    command.args(["run", "--on", "xen"]).arg(image).args([flag, limit, "--", &count]);
    let ended = run(&mut command);
    ended.expect(status::SUCCESS, &["x2APIC: true", "corrupted: [0, 0, 0, 0]"]);
}

#[test]
fn event_channels_come_from_xen() {
    for profile in [Profile::Dev, Profile::Release] {
        let image = image("events", profile);
        let mut command = tool();
        command.args(["run", "--on", "xen", "--timeout", "60"]).arg(&image);
        let ended = run(&mut command).expect(status::SUCCESS, &["cycles late: ", "events: "]);
        assert_eq!(ended.stdout.matches("unexpected interrupt").count(), 1, "{ended}");
        boot(&image, &[]).expect(status::FAILURE, &["no event channels: this is not Xen"]);
    }
}

/// As long as a hypervisor inside another one takes for an interrupt: what is interrupted goes on nevertheless.
#[test]
fn a_storm_of_expensive_interrupts_ends() {
    let arguments = ["--icount", "--timeout", "100", "--", "interrupts=200", "cost=100000"];
    let ended = boot(&image("storm", Profile::Release), &arguments);
    ended.expect(status::SUCCESS, &["rounds: ", "corrupted: [0, 0, 0, 0]"]);
}

/// Without red zone and SSE in the interrupted code, and with soft floats in the handlers: the same kernels, built for
/// `x86_64-unknown-none`.
#[test]
fn the_same_holds_in_none_mode() {
    if sysroot("x86_64-unknown-none").is_none() {
        return;
    }
    let (count, [_, limit]) = storm(10_000);
    let nothing: &[&str] = &["corrupted: [0, 0, 0, 0]"];
    for (name, command_line, expected, texts) in [
        ("storm", count.as_str(), status::SUCCESS, nothing),
        ("nesting", "", status::SUCCESS, &["deepest: 3"]),
        ("nmi", "", status::SUCCESS, &["[100, 200]"]),
        ("nested_nmi", "", status::SUCCESS, &["[300, 300, 3]"]),
        ("timers", "", status::SUCCESS, &["order: 123", "slept: "]),
        ("unexpected", "", status::SUCCESS, &["unexpected interrupt, vector 119", "counted: 4"]),
        ("endless_nesting", "", status::CRASH, &["STACK OVERFLOW: the interrupt stack"]),
        ("nested_fault", "", status::CRASH, &["page fault", "raised inside an interrupt handler"]),
        ("breakpoint_in_panic", "", status::CRASH, &["KERNEL PANIC", "broke and went on"]),
    ] {
        let mut command = tool();
        command.args(["run", "--mode", "none", "--release", "-p", "kernel-interrupts"]);
        command.args(["--bin", name, "--timeout", limit, "--", command_line]);
        let ended = run(&mut command);
        assert!(ended.stderr.contains("mode: none"), "{ended}");
        ended.expect(expected, texts);
    }
}

/// The storm sees what it is there to see: each half of the protection is switched off in turn.
#[test]
fn without_protection_the_storm_corrupts() {
    for (protection, texts) in [("red-zone", "corrupted: ["), ("vectors", "corrupted: [0, 0, ")] {
        let scratch = Scratch::new(&format!("unprotected-{protection}"));
        let mut command = cargo(root());
        command.env("RUSTFLAGS", format!("--cfg freestone_unprotected=\"{protection}\""));
        command.args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "kernel-interrupts",
            "--bin",
            "storm",
        ]);
        let built = run(command.arg("--target-dir").arg(scratch.path()));
        assert_eq!(built.status, Some(0), "{built}");
        let image = scratch.path().join("release/storm");
        // By instructions, so that the same happens every time. What is corrupted may be found by who looks for it, or
        // be a pointer or a return address, of which nothing good can come.
        let ended = boot(&image, &["--icount", "--timeout", "100", "--", "interrupts=30000"]);
        let is_found = ended.status == Some(status::FAILURE) && ended.stdout.contains(texts);
        let is_fatal = ended.status == Some(status::CRASH)
            && ["EXCEPTION", "PANIC"].iter().any(|end| ended.stdout.contains(end));
        assert!(is_found || is_fatal, "{protection}: {ended}");
    }
}

#[test]
fn handlers_that_let_interrupts_in_are_interrupted() {
    check("nesting", status::SUCCESS, &["deepest: 3"]);
}

#[test]
fn nesting_ends_at_a_guard_page() {
    let cure = "it has 16 KiB; more: KernelStack::run\n";
    check("endless_nesting", status::CRASH, &["STACK OVERFLOW: the interrupt stack", cure]);
}

/// There is one local APIC and one timer in it, and nothing of either can be told before it has been started.
#[test]
fn the_timer_is_whose_it_is() {
    check("timer_owner", status::SUCCESS, &["the timer went round"]);
    let image = image("timer_owner", Profile::Release);
    for (what, text) in [
        ("id", "the local APIC is off"),
        ("send", "the local APIC is off"),
        ("nmi", "the local APIC is off"),
        ("vector", "an interrupt's vector is 32 or more"),
    ] {
        boot(&image, &["--", what]).expect(status::CRASH, &[text]);
    }
}

#[test]
fn a_fault_in_a_timers_callback_is_reported() {
    check(
        "nested_fault",
        status::CRASH,
        &["page fault", "raised inside an interrupt handler", "reading 0x0000456789abcd00"],
    );
}

#[test]
fn unexpected_interrupts_are_reported_once() {
    for profile in [Profile::Dev, Profile::Release] {
        let ended = boot(&image("unexpected", profile), &[]);
        let ended =
            ended.expect(status::SUCCESS, &["unexpected interrupt, vector 119", "counted: 4"]);
        assert_eq!(ended.stdout.matches("unexpected interrupt").count(), 1, "{ended}");
    }
}

#[test]
fn an_nmi_may_come_in_an_exception_and_an_exception_in_that() {
    check("nmi", status::SUCCESS, &["[100, 200]"]);
}

#[test]
fn nmis_may_come_in_handlers_of_nmis_once_an_exception_has_returned() {
    check("nested_nmi", status::SUCCESS, &["[300, 300, 3]"]);
}

#[test]
fn an_exceptions_handler_may_let_interrupts_in_wherever_it_came() {
    for machine in MACHINES {
        boot(&image("entry_steps", Profile::Release), &["--machine", machine, "--timeout", "30"])
            .expect(status::SUCCESS, &["instructions: "]);
    }
    check("entry_steps", status::SUCCESS, &["instructions: "]);
}

#[test]
fn the_legacy_controllers_interrupts_are_counted() {
    let image = image("legacy", Profile::Release);
    for (machine, count) in [("microvm", "counted: 0"), ("q35", "counted: 1"), ("pc", "counted: 1")]
    {
        boot(&image, &["--machine", machine, "--timeout", "60"])
            .expect(status::SUCCESS, &[count, "came: 40"]);
    }
}

/// The tool asks by an NMI, which the kernel hears with interrupts off, and answers by itself.
#[test]
fn a_kernel_that_hangs_is_asked_by_an_nmi() {
    let image = image("asked", Profile::Release);
    for machine in MACHINES {
        let ask = |words: &[&str]| {
            let arguments = ["--machine", machine, "--timeout", "3", "--"];
            let hung = boot(&image, &[&arguments, words].concat());
            assert!(
                hung.stderr.contains("  | the last words\nthe processor was\n  at   0x"),
                "{hung}"
            );
            hung
        };
        let report = [
            "the last words",
            "EXCEPTION: non-maskable interrupt (NMI), vector 2",
            "asked::wait_for_ever+",
        ];
        ask(&[]).expect(status::TIMEOUT, &report);
        ask(&["handled"]).expect(status::TIMEOUT, &["the last words", "I am at 0x"]);
    }
    // Where no NMI is let in, the tool's own answer is the only one.
    let hung =
        boot(&image, &["--timeout", "3", "--", "off"]).expect(status::TIMEOUT, &["the last words"]);
    assert!(
        !hung.stdout.contains("NMI") && hung.stderr.contains("asked::wait_for_ever+"),
        "{hung}"
    );
}

#[test]
fn a_breakpoint_in_a_panic_report_is_survived() {
    check("breakpoint_in_panic", status::CRASH, &["KERNEL PANIC", "broke and went on"]);
}

#[test]
fn timers_come_in_order_and_sleep_lasts() {
    let image = image("timers", Profile::Dev);
    for machine in MACHINES {
        boot(&image, &["--machine", machine]).expect(
            status::SUCCESS,
            &["order: 123", "slept: ", "called: [500, 10, 9]", "without a place: "],
        );
    }
}

#[test]
fn devices_with_a_line_interrupt_by_the_io_apic() {
    let texts = ["serial: 1 edge, 4 levels", "no I/O APIC has line 1000", "unexpected: 0"];
    for profile in [Profile::Dev, Profile::Release] {
        let image = image("lines", profile);
        for machine in MACHINES {
            let ended = boot(&image, &["--machine", machine, "--timeout", "30"]);
            ended.expect(status::SUCCESS, &["tables: true"]).expect(status::SUCCESS, &texts);
        }
        let arguments = ["--machine", "microvm", "--qemu-arg=-machine", "--qemu-arg=acpi=off"];
        let ended = boot(&image, &arguments).expect(status::SUCCESS, &["tables: false"]);
        ended.expect(status::SUCCESS, &texts);
    }
}

#[test]
fn a_device_that_writes_messages_interrupts() {
    for machine in ["q35", "pc"] {
        let image = image("message", Profile::Release);
        let arguments = ["--machine", machine, "--qemu-arg=-global", "--qemu-arg=hpet.msi=on"];
        boot(&image, &arguments).expect(status::SUCCESS, &["messages: 10, unexpected: 0"]);
    }
}

/// By memory (ECAM) on q35, by ports on pc; edu is behind a bridge.
#[test]
fn pci_devices_that_write_messages_interrupt() {
    let image = image("pci", Profile::Release);
    let devices =
        ["pci-bridge,id=bridge,chassis_nr=1", "edu,bus=bridge,addr=1", "e1000e", "virtio-rng-pci"];
    let devices =
        devices.map(|device| ["--qemu-arg=-device".into(), format!("--qemu-arg={device}")]);
    for (machine, said) in [("q35", "0000:00:1f.2 8086:2922"), ("pc", "0000:00:01.1 8086:7010")] {
        let mut arguments = vec!["--machine", machine];
        arguments.extend(devices.iter().flatten().map(String::as_str));
        let texts = [
            said,
            "of 5 messages: [2, 2]",
            "messages: 10, sum: 55",
            "stops undone: 0",
            "unexpected: 0",
        ];
        let ended = boot(&image, &arguments).expect(status::SUCCESS, &texts);
        let is_behind = |line: &str| line.starts_with("0000:01:01.0 1234:11e8 class 00ff");
        assert!(ended.stdout.lines().any(is_behind), "{ended}");
        assert!(ended.stdout.contains("virtio 4 at 0000:00:0"), "{ended}");
    }
}

/// A table that says that configuration is where there is memory, or nothing: what the ports show counts.
#[test]
fn a_table_that_lies_about_pci_is_not_believed() {
    let scratch = Scratch::new("mcfg");
    for start in [0xc000_0000_u64, 0xfee0_0000, 0x7e0_0000] {
        let mut table = vec![0; 8];
        table.extend(start.to_le_bytes());
        table.extend([0, 0, 0, 255, 0, 0, 0, 0]);
        std::fs::write(scratch.path().join("mcfg"), table).expect("a file");
        let table = format!("--qemu-arg=sig=MCFG,data={}", scratch.path().join("mcfg").display());
        let arguments = ["--machine", "pc", "-m", "128", "--qemu-arg=-acpitable", &table];
        let ended = boot(&image("pci", Profile::Release), &arguments)
            .expect(status::SUCCESS, &["0000:00:01.1 8086:7010"]);
        let functions = ended.stdout.lines().filter(|line| line.starts_with("0000:")).count();
        assert!((4..=6).contains(&functions), "{ended}");
    }
}

/// As ACPI describes them, and as the command line names them without it.
#[test]
fn virtio_devices_without_a_bus_are_found_with_their_wires() {
    let image = image("pci", Profile::Release);
    let device = ["--qemu-arg=-device", "--qemu-arg=virtio-rng-device"];
    for (machine, registers, wire) in [
        ("microvm", "0x00000000feb02e00", "line: 47, trigger: Level, polarity: High"),
        ("microvm,acpi=off", "0x00000000feb00e00", "line: 12, trigger: Edge, polarity: High"),
    ] {
        let machine = format!("--qemu-arg={machine}");
        let arguments = [&["--qemu-arg=-machine", &machine], &device[..]].concat();
        let said = format!("virtio 4 at {registers}, Wire {{ {wire} }}");
        boot(&image, &arguments).expect(status::SUCCESS, &[&said]);
    }
}
