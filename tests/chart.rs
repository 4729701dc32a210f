//! The boot chart: its numbers against the kernel's own count, on every machine; what it cannot chart.

use std::fs;

use freestone_tests::{MACHINES, Profile, Scratch, boot, kernel, run, status, tool};

/// What the kernel counts ends before its boot information is moved to where `main` finds it.
const SLACK: u64 = 1000;

#[test]
fn a_chart_counts_what_the_kernel_counts() {
    let scratch = Scratch::new("chart");
    let image = kernel("kernel-boot-cost", "kernel-boot-cost", Profile::Release);
    for machine in MACHINES {
        let counted = boot(&image, &["--machine", machine, "--icount"]);
        let counted = counted.expect(status::SUCCESS, &[]).number("entry to main:");
        let picture = scratch.path().join(machine);
        let mut chart = tool();
        chart.arg("chart").arg(&image).args(["--machine", machine, "--svg"]).arg(&picture);
        let ended = run(&mut chart).expect(
            status::SUCCESS,
            &[
                "kernel-boot-cost on ",
                "\nentry to main: ",
                " %  #",
                " freestone_pvh_entry\n",
                "::boot::prepare\n",
                "\nmain (",
                "::console::print ×3",
                "\nafter main: ",
                "::exit::exit",
                "left out: ",
            ],
        );
        // Which of these takes more depends on the machine.
        for function in ["· memcpy\n", "::initial::protect\n"] {
            assert!(ended.stdout.contains(function), "{ended}");
        }
        // What the kernel says passes by.
        assert!(ended.stderr.contains("Hello, world"), "{ended}");
        let charted = ended.stdout.replace(',', "");
        let (_, charted) = charted.split_once("entry to main: ").expect("checked above");
        let charted: u64 = charted.split(' ').next().unwrap().parse().expect("a number");
        assert!((counted..counted + SLACK).contains(&charted), "{charted} for {counted}\n{ended}");
        let picture = fs::read_to_string(&picture).expect("it was written");
        assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"));
        assert!(picture.matches("<rect ").count() > 20 && picture.contains("::initial::protect"));
    }
}

#[test]
fn charts_are_the_same_each_time_and_add_up() {
    let image = kernel("example-kernel", "example-kernel", Profile::Release);
    let json = || {
        let mut chart = tool();
        chart.arg("chart").arg(&image).args(["--json", "--", "oneshot"]);
        let ended = run(&mut chart).expect(status::SUCCESS, &["\"verdict\":\"success\""]);
        assert!(ended.stderr.contains("VERDICT: success"), "{ended}");
        ended.stdout
    };
    let text = json();
    let chart: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let sum = |list: &serde_json::Value| -> u64 {
        let list = list.as_array().expect("a list");
        list.iter().map(|one| one["instructions"].as_u64().expect("a number")).sum()
    };
    assert_eq!(chart["complete"], true);
    assert_eq!(sum(&chart["parts"]), chart["instructions"].as_u64().unwrap());
    let parts = chart["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3, "{text}");
    for part in parts {
        assert_eq!(sum(&part["stages"]), part["instructions"].as_u64().unwrap());
        for stage in part["stages"].as_array().unwrap() {
            if stage["functions"].as_array().is_some_and(|functions| !functions.is_empty()) {
                assert_eq!(sum(&stage["functions"]), stage["instructions"].as_u64().unwrap());
            }
        }
    }
    assert!(text.contains("example_kernel::tour::heap"), "{text}");
    let boot = |text: &str| text.split_once("\"part\":\"main\"").map(|(boot, _)| boot.len());
    assert_eq!(boot(&text), boot(&json()), "two runs differ");
}

#[test]
fn any_kernel_with_symbols_has_a_chart_however_it_ends() {
    let chart = |image: &std::path::Path, arguments: &[&str]| {
        run(tool().arg("chart").arg(image).args(arguments))
    };
    // Boot code of its own, and an end by panic.
    let own = kernel("kernel-own-boot", "kernel-own-boot", Profile::Dev);
    chart(&own, &[]).expect(status::CRASH, &["\nentry to main: ", "\nmain ("]);
    let faults = kernel("kernel-faults", "hang", Profile::Dev);
    let hung = chart(&faults, &["--timeout", "2"]);
    let hung = hung.expect(status::TIMEOUT, &["\nmain (hang::main): "]);
    assert!(hung.stderr.contains("timeout after 2 s"), "{hung}");
    // Another function to cut at, by a part of its name; one that is not there.
    let hello = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    let cut = chart(&hello, &["--main", "boot"]);
    cut.expect(status::SUCCESS, &["main (freestone_platform::boot::boot): "]);
    let ended = chart(&hello, &["--main", "nothing"]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("no function nothing"), "{ended}");
}

#[test]
fn what_cannot_be_charted_is_named() {
    let chart = |arguments: &[&str]| run(tool().arg("chart").args(arguments));
    let scratch = Scratch::new("chart-stripped");
    let mut build = freestone_tests::cargo(freestone_tests::root());
    build.args(["build", "--quiet", "-p", "kernel-hello", "--config", "profile.dev.strip=true"]);
    let built = run(build.arg("--target-dir").arg(scratch.path()));
    assert_eq!(built.status, Some(0), "{built}");
    let stripped = scratch.path().join("debug/kernel-hello");
    let ended = chart(&[stripped.to_str().unwrap()]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("build it without `strip`"), "{ended}");
    let ended = chart(&["/bin/true"]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("not a kernel"), "{ended}");
    let hello = kernel("kernel-hello", "kernel-hello", Profile::Dev);
    let nowhere = ["--svg", "/nonexistent/chart.svg", hello.to_str().unwrap()];
    let ended = chart(&nowhere).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("/nonexistent/chart.svg"), "{ended}");
}
