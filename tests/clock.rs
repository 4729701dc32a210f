//! Clocks on every machine: where the rate comes from, that time never goes back, and what day it is.

use std::time::{SystemTime, UNIX_EPOCH};

use freestone_tests::{MACHINES, Profile, boot, kernel, long, run, status, tool};

fn readings(quick: u32) -> String {
    format!("readings={}", if long() { 30_000_000 } else { quick })
}

#[test]
fn time_never_goes_back_and_has_the_source_it_should() {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Release);
    for machine in MACHINES {
        let source = if machine == "microvm" { "against the PIT" } else { "against the HPET" };
        let count = readings(3_000_000);
        let ended = boot(&image, &["--machine", machine, "--timeout", "300", "--", &count]);
        ended.expect(status::SUCCESS, &["rate: ", source, "date: 20", "readings: "]);
    }
}

#[test]
fn without_an_hpet_the_pit_will_do() {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Dev);
    for machine in ["q35,hpet=off", "pc,hpet=off"] {
        boot(&image, &["--qemu-arg=-machine", &format!("--qemu-arg={machine}")])
            .expect(status::SUCCESS, &["measured against the PIT"]);
    }
}

#[test]
fn time_never_goes_back_on_xen() {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Release);
    let count = readings(1_000_000);
    let mut command = tool();
    command.args(["run", "--on", "xen"]).arg(image).args(["--timeout", "300", "--", &count]);
    run(&mut command).expect(status::SUCCESS, &["by Xen's shared clock", "date: 20"]);
}

/// What is found out on first use, asked for by a handler in the middle of that: in single steps, and by NMIs and
/// interrupts in the millisecond of the measurement. By instructions, so that the moments are the same every time.
#[test]
fn who_interrupts_a_first_use_is_told_what_holds_afterwards() {
    let image = kernel("kernel-clock", "first_use", Profile::Release);
    let points = if long() { 1000 } else { 12 };
    let mut cases = Vec::new();
    for machine in MACHINES {
        cases.extend(
            ["clock", "wall", "timer", "acpi", "entropy", "map"]
                .map(|name| (machine, name, "step", None)),
        );
        cases.extend(["nmi", "interrupt"].map(|by| (machine, "clock", by, None)));
        cases.push((machine, "wall", "nmi", None));
    }
    let device = [
        "--qemu-arg=-cpu",
        "--qemu-arg=max,-rdrand,-rdseed",
        "--qemu-arg=-device",
        "--qemu-arg=virtio-rng-device",
    ];
    cases.extend(["entropy", "map"].map(|name| ("microvm", name, "step", Some(&device[..]))));
    // The HPET alone, whose registers cannot be mapped in the middle of another change of the map.
    let no_pit: &[&str] = &["--qemu-arg=-machine", "--qemu-arg=q35,pit=off"];
    cases.extend([("q35", "sleep", "step", None), ("q35", "sleep", "step", Some(no_pit))]);
    for (machine, name, by, more) in cases {
        let [name, by] = [format!("use={name}"), format!("by={by}")];
        let points = format!("points={points}");
        let mut arguments = vec!["--machine", machine, "--icount", "--timeout", "600"];
        arguments.extend(["--qemu-arg=-rtc", "--qemu-arg=clock=vm"]);
        arguments.extend(more.into_iter().flatten().copied());
        arguments.extend(["--", &name, &by, &points]);
        boot(&image, &arguments).expect(status::SUCCESS, &[" points of "]);
    }
}

/// One moment for each boot: Xen's page cannot be put back.
#[test]
fn who_interrupts_a_first_use_on_xen_is_told_what_holds_afterwards() {
    let image = kernel("kernel-clock", "first_use", Profile::Release);
    let moments: &[u32] = if long() { &[1, 20, 60, 100, 200, 400] } else { &[100] };
    for name in ["clock", "wall", "timer", "events"] {
        for at in moments {
            let mut command = tool();
            command.args(["run", "--on", "xen"]).arg(&image).args(["--timeout", "300", "--"]);
            let ended = run(command.args([format!("use={name}"), format!("at={at}")]));
            ended.expect(status::SUCCESS, &["asked Some"]);
        }
    }
}

#[test]
fn the_battery_backed_clock_tells_the_date() {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Release);
    for machine in MACHINES {
        for (base, date) in [
            ("2031-02-28T23:59:59", "2031-0"),
            ("2028-02-29T12:34:10", "2028-02-29T12:34:1"),
            ("1999-12-31T00:00:10", "1999-12-31T00:00:1"),
        ] {
            let base = format!("--qemu-arg=base={base},clock=vm");
            boot(&image, &["--machine", machine, "--qemu-arg=-rtc", &base])
                .expect(status::SUCCESS, &[&format!("date: {date}")]);
        }
    }
    // And the true one: to the day, as the test may run at midnight.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let ended = boot(&image, &[]).expect(status::SUCCESS, &[]);
    let days = [now, now + 60].map(|second| {
        let moment = format!("@{second}");
        let date = run(std::process::Command::new("date").args(["-u", "-d", &moment, "+%FT%H:%M"]));
        format!("date: {}", date.stdout.trim())
    });
    assert!(days.iter().any(|day| ended.stdout.contains(day)), "{days:?}: {ended}");
}

#[test]
fn tasks_of_embassy_wait_by_the_timer() {
    let texts = ["40 sleepers", "ticks: 20, timeouts: 2"];
    let image = kernel("kernel-embassy", "kernel-embassy", Profile::Release);
    for machine in MACHINES {
        boot(&image, &["--machine", machine, "--timeout", "60"]).expect(status::SUCCESS, &texts);
    }
    let ended = run(tool().args(["run", "--on", "xen"]).arg(image).args(["--timeout", "100"]));
    ended.expect(status::SUCCESS, &texts);
    let image = kernel("kernel-embassy", "kernel-embassy", Profile::Dev);
    boot(&image, &["--timeout", "60"]).expect(status::SUCCESS, &texts);
}
