//! Tests inside a kernel, seen from outside: the reports on tests that pass, fail, crash and hang.
//!
//! The tests belong to a crate in an empty folder with one dev-dependency, as a user would begin.

#[path = "in_kernel/programs.rs"]
mod programs;

use std::fs;

use freestone_tests::{Ended, Scratch, root, run, target, tool};
use programs::{EARLY, FORMS, OPEN, REFUSED, SLY};

const MANIFEST: &str = "\
[package]
name = \"visitor\"
version = \"0.1.0\"
edition = \"2024\"

[dev-dependencies]
freestone-harness = { path = HARNESS }

[[test]]
name = \"in_kernel\"
harness = false
test = false
";

const GOOD: &str = "\
#![no_std]
#![no_main]

freestone_harness::harness!();

freestone_harness::tests! {
    fn sums_are_right() {
        assert_eq!(visitor::sum(&[1, 2, 3]), 6);
    }

    #[should_panic(expected = \"overflow\")]
    fn sums_are_checked() {
        visitor::sum(&[u32::MAX, 1]);
    }
}
";

const ILL: &str = "\
#![no_std]
#![no_main]

freestone_harness::harness!();

freestone_harness::tests! {
    fn a_passes() {}
    fn b_panics() { panic!(\"the reason of b\"); }
    fn c_faults() {
        // SAFETY: there is none; the fault is what is tested.
        unsafe { (0x0000_4567_89ab_cd00 as *const u8).read_volatile() };
    }
    fn d_hangs() { loop { core::hint::spin_loop() } }
    #[should_panic(expected = \"this\")]
    fn e_panics_as_it_should() { panic!(\"because of this\"); }
    #[should_panic(expected = \"this\")]
    fn f_panics_otherwise() { panic!(\"because of that\"); }
    #[should_panic]
    fn g_does_not_panic() {}
    #[ignore = \"on request only\"]
    fn h_is_ignored() { panic!(\"it ran\"); }
    fn i_returns_an_error() -> Result<(), &'static str> { Err(\"no luck\") }
    fn j_says_success_and_crashes() { freestone_harness::freestone::exit(
        freestone_harness::freestone::Exit::Crash) }
}

mod inner {
    freestone_harness::tests! {
        fn k_has_a_path() {}
        fn l_panics() { panic!() }
        fn m_panics() { panic!() }
        fn n_panics() { panic!() }
        fn o_panics() { panic!() }
        fn p_panics() { panic!() }
        fn q_panics() { panic!() }
        fn r_panics() { panic!() }
        fn s_panics() { panic!() }
    }
}
";

/// What fails of these.
const SLY_FAILURES: &str = "acgrstuvxy";

const FAILURES: [&str; 15] = [
    "b_panics",
    "c_faults",
    "d_hangs",
    "f_panics_otherwise",
    "g_does_not_panic",
    "i_returns_an_error",
    "j_says_success_and_crashes",
    "inner::l_panics",
    "inner::m_panics",
    "inner::n_panics",
    "inner::o_panics",
    "inner::p_panics",
    "inner::q_panics",
    "inner::r_panics",
    "inner::s_panics",
];

fn project(name: &str, tests: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let harness = root().join("harness").display().to_string();
    let manifest = MANIFEST.replace("HARNESS", &format!("{harness:?}")).replace("visitor", name);
    scratch.write("Cargo.toml", &manifest);
    scratch.write(
        "src/lib.rs",
        "#![no_std]\npub fn sum(all: &[u32]) -> u32 {\n    all.iter().fold(0, |sum, one| sum + one)\n}\n",
    );
    scratch.write("tests/in_kernel.rs", &tests.replace("visitor", name));
    scratch
}

fn test(project: &Scratch, arguments: &[&str]) -> Ended {
    let mut command = tool();
    // Shared with other projects of this kind: it saves building the kit for each.
    command.current_dir(project.path()).env("CARGO_TARGET_DIR", target().join("outside"));
    command.arg("test");
    run(command.args(arguments))
}

#[test]
fn one_dev_dependency_is_enough() {
    let project = project("visitor", GOOD);
    test(&project, &[]).expect(
        0,
        &[
            "running 2 tests",
            "test sums_are_checked ... ok",
            "test sums_are_right ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "in kernel: visitor",
        ],
    );
    let filtered = ["--boot-per-test", "--", "--", "right"];
    test(&project, &filtered)
        .expect(0, &["running 1 test", "1 passed; 0 failed", "1 filtered out"]);

    // Plain cargo, which builds for the host, does not know these tests.
    let mut plain = freestone_tests::cargo(project.path());
    let plain = run(plain.args(["test", "--quiet", "--target-dir"]).arg(target().join("outside")));
    assert_eq!(plain.status, Some(0), "{plain}");
}

#[test]
fn every_way_to_fail_is_reported() {
    let project = project("ill", ILL);
    for boot_per_test in [false, true] {
        let mut arguments = vec!["--timeout", "3", "--junit", "results"];
        if boot_per_test {
            arguments.push("--boot-per-test");
        }
        let ended = test(&project, &arguments).expect(
            1,
            &[
                "running 19 tests",
                "failures:",
                "test result: FAILED. 3 passed; 15 failed; 1 ignored; 0 measured; 0 filtered out",
            ],
        );
        for name in FAILURES {
            assert!(ended.stdout.contains(&format!("test {name} ... FAILED")), "{name}\n{ended}");
            assert!(ended.stdout.contains(&format!("\n    {name}\n")), "{name}\n{ended}");
        }
        for name in ["a_passes", "e_panics_as_it_should", "inner::k_has_a_path"] {
            assert!(ended.stdout.contains(&format!("test {name} ... ok")), "{name}\n{ended}");
        }
        for text in ["the reason of b", "page fault (#PF)", "(timeout", "because of that"] {
            assert!(ended.stdout.contains(text), "{text}\n{ended}");
        }
        for text in ["the test did not panic", "no luck", "h_is_ignored ... ignored"] {
            assert!(ended.stdout.contains(text), "{text}\n{ended}");
        }
        let xml = fs::read_to_string(project.path().join("results/in_kernel.xml"));
        let xml = xml.expect("--junit writes this file");
        assert!(xml.contains("tests=\"19\" failures=\"15\" skipped=\"1\""), "{xml}");
    }
    // What is ignored runs when asked for.
    let ended = test(&project, &["--", "--", "--ignored"]);
    ended.expect(1, &["running 1 test", "h_is_ignored ... FAILED", "it ran", "18 filtered out"]);
}

#[test]
fn no_test_says_for_the_harness_that_it_passed_or_spoils_another() {
    let project = project("sly", SLY);
    for arguments in [&["--timeout", "2"][..], &["--timeout", "2", "--boot-per-test"]] {
        let ended = test(&project, arguments);
        let lines =
            ended.stdout.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        let mut count = 0;
        for (name, verdict) in lines {
            let is_failure = SLY_FAILURES.contains(&name[..1]);
            assert_eq!(verdict, if is_failure { "FAILED" } else { "ok" }, "{name}\n{ended}");
            count += 1;
        }
        assert_eq!(count, 30, "{ended}");
        ended.expect(1, &["20 passed; 10 failed"]);
    }
}

#[test]
fn no_code_before_the_tests_answers_for_them() {
    let project = project("early", EARLY);
    let ended = test(&project, &[]).expect(1, &["1 passed; 2 failed"]);
    for line in ["test a_good ... ok", "test b_bad ... FAILED", "test c_early ... FAILED"] {
        assert!(ended.stdout.contains(line), "{line}\n{ended}");
    }
}

#[test]
fn attributes_mean_what_they_mean_to_libtest() {
    let many: String = (0..1000).map(|n| format!("        fn t{n:03}() {{}}\n")).collect();
    let project = project("forms", &FORMS.replace("MANY", &many));
    let ended = test(&project, &[]).expect(1, &["1008 passed; 1 failed; 2 ignored"]);
    for text in ["d_ignored ... ignored, slow, & <odd>", "j_nested ... FAILED", "Err(3)"] {
        assert!(ended.stdout.contains(text), "{text}\n{ended}");
    }
    assert!(!ended.stdout.contains("a_left_out"), "{ended}");
    for (form, complaint) in REFUSED {
        let tests =
            GOOD.replace("    fn sums_are_right", &format!("{form}\n    fn sums_are_right"));
        project.write("tests/in_kernel.rs", &tests.replace("visitor", "forms"));
        let ended = test(&project, &[]);
        assert!(ended.stderr.contains(complaint), "{form}\n{ended}");
    }
}

#[test]
fn a_page_that_is_writable_and_executable_fails_its_test() {
    let project = project("open", OPEN);
    let ended = test(&project, &["--timeout", "10"]);
    let ended = ended
        .expect(1, &["running 3 tests", "the map is not as it should be: ", "1 passed; 2 failed"]);
    for text in ["is writable and executable", "test c_nothing_is_opened ... ok"] {
        assert!(ended.stdout.contains(text), "{text}\n{ended}");
    }
}

#[test]
fn nextest_runs_them_unchanged() {
    let has_nextest = run(freestone_tests::cargo(root()).args(["nextest", "--version"]));
    if has_nextest.status != Some(0) {
        println!("skipped: cargo nextest is not installed");
        return;
    }
    let project = project("following", GOOD);
    let ended = test(&project, &["--nextest"]).expect(0, &["in kernel: following"]);
    for text in ["2 tests run: 2 passed", "sums_are_right"] {
        assert!(ended.stderr.contains(text), "{text}\n{ended}");
    }
}
