//! The same kernels in all modes, and the folders that `cargo freestone new` makes.
//!
//! None and json mode need a toolchain with the library's source; without one these tests are skipped, and
//! say so.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Ended, Scratch, long, run, status, target, tool};

fn can_build_core() -> bool {
    sysroot("x86_64-unknown-none").is_some()
}

#[test]
fn the_tour_is_the_same_without_sse_and_red_zone() {
    if !can_build_core() {
        return;
    }
    for profile in [&[][..], &["--release"]] {
        let mut command = tool();
        command.args(["run", "--mode", "none"]).args(profile).args(["--", "oneshot"]);
        let ended = run(&mut command);
        let numbers = "sine of 1         0.841470984807897";
        let ended = ended.expect(status::SUCCESS, &[numbers, "VERDICT: success"]);
        assert!(ended.stderr.contains("mode: none"), "{ended}");
    }
    let image = target().join("x86_64-unknown-none/release/example-kernel");
    let ended = run(tool().arg("check").arg(&image)).expect(status::SUCCESS, &["0 errors"]);
    // Traps save vector state in every mode; nothing else touches it here.
    assert!(!ended.stdout.contains("red-zone  "), "{ended}");
}

#[test]
fn kernel_tests_pass_in_none_mode() {
    if !can_build_core() {
        return;
    }
    let mut command = tool();
    command.args(["test", "-p", "freestone-in-kernel-tests", "--mode", "none"]);
    let row = "ok   in kernel: freestone-in-kernel-tests";
    run(&mut command).expect(status::SUCCESS, &["test result: ok", row]);
}

#[test]
fn long_everything_passes_with_the_target_file() {
    if !long() || !can_build_core() {
        println!("SKIPPED: only with FREESTONE_LONG=1");
        return;
    }
    let row = "ok   in kernel: freestone-in-kernel-tests";
    run(tool().args(["test", "--mode", "json"])).expect(status::SUCCESS, &[row, "ok   boot on pc"]);
}

fn new(scratch: &Scratch, arguments: &[&str]) -> Ended {
    run(tool().current_dir(scratch.path()).arg("new").args(arguments))
}

#[test]
fn every_template_boots_with_two_commands() {
    let scratch = Scratch::new("new");
    for (template, said) in [
        ("minimal", "hello from QEMU TCG, 3.143"),
        ("heap", "2  some"),
        ("own-boot", "booted by code of its own, PVH magic 0x336ec578"),
    ] {
        let name = format!("new-{template}");
        new(&scratch, &[&name, "--template", template]).expect(status::SUCCESS, &["made"]);
        let folder = scratch.path().join(&name);
        let mut command = tool();
        command.current_dir(&folder).args(["run", "--", "some words some"]);
        run(&mut command).expect(status::SUCCESS, &[said]);
        let image = format!("target/debug/{name}");
        let mut command = tool();
        run(command.current_dir(&folder).args(["check", &image]))
            .expect(status::SUCCESS, &["0 errors"]);
        if template != "own-boot" {
            let row = format!("ok   in kernel: {name}");
            run(tool().current_dir(&folder).arg("test")).expect(status::SUCCESS, &[&row]);
        }
    }
    let again = new(&scratch, &["new-heap"]).expect(status::USAGE, &[]);
    assert!(again.stderr.contains("exists already"), "{again}");
}

/// A compiler that says it is another one.
fn pretender(scratch: &Scratch, release: &str) -> String {
    let sysroot = scratch.path().display();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n-vV) echo 'rustc {release}'; echo 'host: x86_64-unknown-linux-gnu'; \
         echo 'release: {release}';;\n*sysroot*) echo '{sysroot}';;\n*) exit 1;;\nesac\n"
    );
    scratch.write("rustc", &script);
    let path = scratch.path().join("rustc");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.display().to_string()
}

#[track_caller]
fn refused(ended: Ended, wanted: i32, advice: &str) {
    assert_eq!(ended.status, Some(wanted), "{ended}");
    assert!(ended.stderr.contains(advice), "no word of {advice:?}\n{ended}");
}

#[test]
fn what_cannot_build_is_named_with_its_cure() {
    let scratch = Scratch::new("pretender");
    let sysroot = |rustc: &str| {
        let mut command = tool();
        command.args(["sysroot", "--target", "x86_64-unknown-none", "--toolchain", rustc]);
        command.env("XDG_CACHE_HOME", scratch.path().join("cache"));
        run(&mut command)
    };
    let old = pretender(&scratch, "1.80.0");
    refused(sysroot(&old), status::USAGE, "1.80.0 is older than 1.95");
    let bare = pretender(&scratch, "1.96.0");
    refused(sysroot(&bare), status::TOOL, "no source of the standard library");
    // Two packages of one distribution, of which one was upgraded.
    scratch.write("src/rustc-1.95.0/library/core/src/lib.rs", "");
    fs::create_dir_all(scratch.path().join("lib/rustlib/src")).expect("it is ours");
    let link = scratch.path().join("lib/rustlib/src/rust");
    std::os::unix::fs::symlink(scratch.path().join("src/rustc-1.95.0"), link).expect("a link");
    refused(
        sysroot(&bare),
        status::TOOL,
        "is 1.96.0, but the library's source beside it is 1.95.0",
    );

    refused(sysroot("nobodys"), status::USAGE, "no toolchain nobodys here; there are: ");
    let run_with = |arguments: &[&str]| run(tool().args(["run"]).args(arguments));
    refused(run_with(&["--mode", "host", "--target", "x.json"]), status::USAGE, "target file");
    refused(
        run_with(&["--mode", "json", "--target", "/no/x.json"]),
        status::USAGE,
        "no such target file",
    );
    refused(
        run_with(&["--mode", "none", "--toolchain", &bare]),
        status::TOOL,
        "get core for it with",
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let Some(rustc) = fs::exists("/usr/bin/rustc").ok().filter(|is| *is && can_build_core()) else {
        return;
    };
    assert!(rustc);
    let mut command = tool();
    command.args(["sysroot", "--target", "x86_64-unknown-none", "--toolchain", "/usr/bin/rustc"]);
    refused(run(command.env("XDG_CACHE_HOME", "/proc/nowhere")), status::TOOL, "XDG_CACHE_HOME");
    let mut command = tool();
    command.args(["sysroot", "--target", "no-such-target", "--toolchain", "/usr/bin/rustc"]);
    refused(run(&mut command), status::USAGE, "does not know the target no-such-target");
}
