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
