//! The same kernels in all modes, and the folders that `cargo freestone new` makes.
//!
//! None and json mode need a toolchain with the library's source; without one these tests are skipped,
//! with a message.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Ended, Scratch, cargo, long, root, run, status, target, tool};

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

/// As cargo has it: `build.target` is the target where no other is named, whoever names it.
#[test]
fn the_configured_target_is_built_for() {
    if !can_build_core() {
        return;
    }
    let none = "x86_64-unknown-none";
    for arguments in [
        &["run", "-p", "kernel-hello"][..],
        &["check", "-p", "kernel-hello"],
        &["debug", "-p", "kernel-hello", "--print"],
        &["chart", "-p", "kernel-hello"],
        &["test", "-p", "kernel-hello", "--machine", "microvm"],
    ] {
        let ended = run(tool().args(arguments).env("CARGO_BUILD_TARGET", none));
        let ended = ended.expect(status::SUCCESS, &[]);
        let said = "target: x86_64-unknown-none, as CARGO_BUILD_TARGET says";
        assert!(ended.stderr.contains(said), "{ended}");
    }
    let config = format!("build.target='{none}'");
    let mut command = tool();
    command.args(["run", "-p", "kernel-hello", "--json", "--config", &config]);
    let image = format!("{none}/debug/kernel-hello");
    run(&mut command).expect(status::SUCCESS, &[&image]);
    let ended = run(command.args(["--mode", "host"])).expect(status::SUCCESS, &["kernel-hello"]);
    assert!(!ended.stdout.contains(none), "{ended}");
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
        ("async", "3 words came"),
        ("own-boot", "booted by code of its own, PVH magic 0x336ec578"),
    ] {
        let name = format!("new-{template}");
        new(&scratch, &[&name, "--template", template]).expect(status::SUCCESS, &["made"]);
        let folder = scratch.path().join(&name);
        let mut command = tool();
        command.current_dir(&folder).args(["run", "--", "some words some"]);
        run(&mut command).expect(status::SUCCESS, &[said]);
        let mut command = tool();
        run(command.current_dir(&folder).arg("check")).expect(status::SUCCESS, &["0 errors"]);
        // Cargo's own words do it as well.
        let runner = format!("{} runner", tool().get_program().display());
        let plain = |verb: &str, more: &[&str]| {
            let mut command = cargo(&folder);
            command.arg(verb).args(more).env("FREESTONE_ACCEL", "tcg");
            run(command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", &runner))
        };
        plain("run", &["--", "some words some"]).expect(status::SUCCESS, &[said]);
        if template != "own-boot" {
            plain("test", &[]).expect(status::SUCCESS, &["running 2 tests", "2 passed"]);
            // Another runner that cargo is told of is not in the way.
            let config = folder.join(".cargo/config.toml");
            let text = fs::read_to_string(&config).expect("it was made");
            let others = "[target.x86_64-unknown-linux-gnu]\nrunner = 'false'\n";
            fs::write(&config, text + others).expect("it is ours");
            let row = format!("ok   in kernel: {name}");
            let ended = run(tool().current_dir(&folder).arg("test"));
            let ended = ended.expect(status::SUCCESS, &[&row]);
            assert!(!ended.stderr.contains("Compiling"), "built twice: {ended}");
        }
    }
    opens_clean(&scratch);
    let again = new(&scratch, &["new-heap"]).expect(status::USAGE, &[]);
    assert!(again.stderr.contains("exists already"), "{again}");
}

/// A chain of callers that nothing but frame pointers leads through.
const CHAIN: &str = "
#![no_std]
#![no_main]
use core::hint::black_box;
freestone::entry!(main);
#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(inner(n) + 1)
}
#[inline(never)]
fn inner(n: u64) -> u64 {
    assert!(black_box(n) != 3);
    black_box(n)
}
fn main(_: &'static freestone::BootInfo) -> freestone::Exit {
    black_box(outer(3));
    freestone::Exit::Success
}
";

#[test]
fn a_panic_in_a_new_kernel_shows_every_caller() {
    let scratch = Scratch::new("new-trace");
    new(&scratch, &["chain"]).expect(status::SUCCESS, &["made"]);
    let folder = scratch.path().join("chain");
    std::fs::write(folder.join("src/main.rs"), CHAIN).expect("it was just made");
    for profile in [&[][..], &["--release"]] {
        let ended = run(tool().current_dir(&folder).arg("run").args(profile));
        ended.expect(
            status::CRASH,
            &["chain::inner+", "chain::outer+", "freestone_main+", "freestone_pvh_entry+"],
        );
    }
}

/// What an editor asks of cargo, for all targets and with warnings, is without a word in every template.
fn opens_clean(scratch: &Scratch) {
    for template in ["minimal", "heap", "async", "own-boot"] {
        for verb in ["check", "clippy"] {
            let mut command = cargo(&scratch.path().join(format!("new-{template}")));
            command
                .args([verb, "--quiet", "--all-targets", "--target-dir"])
                .arg(target().join("outside"));
            let ended = run(&mut command);
            assert_eq!(ended.status, Some(0), "{template}, {verb}: {ended}");
            assert_eq!(ended.stderr, "", "{template}, {verb}");
        }
    }
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
    refused(
        sysroot(&old),
        status::USAGE,
        "1.80.0 is older than 1.95, the oldest that works; get a newer one",
    );
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

/// Found out after cargo has failed, as its own words are about something else.
#[test]
fn a_compiler_that_is_too_old_is_named() {
    let scratch = Scratch::new("old");
    new(&scratch, &["old"]).expect(status::SUCCESS, &[]);
    let rustc = pretender(&scratch, "1.80.0");
    let mut command = tool();
    command.current_dir(scratch.path().join("old")).arg("run").env("RUSTC", rustc);
    refused(
        run(&mut command),
        101,
        "1.80.0 is older than 1.95, the oldest that works; get a newer one",
    );
}

#[test]
fn a_sysroot_in_the_users_flags_is_refused_with_a_reason() {
    let with = |flags: &str, mode: &str| {
        let mut command = tool();
        command
            .args(["run", "-p", "kernel-hello", "--mode", mode])
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(command.env("RUSTFLAGS", flags))
    };
    let absolute = root().join("some/where");
    let cure = format!(
        "a relative path: crates from a registry are compiled in other folders and would find no core; \
                        write --sysroot={}",
        absolute.display()
    );
    refused(with("-g --sysroot=some/where", "host"), status::USAGE, &cure);
    refused(
        with("--sysroot some/where", "none"),
        status::USAGE,
        "finds core by itself: take it out",
    );
    refused(with("--sysroot=/nowhere", "host"), status::USAGE, "take it out of RUSTFLAGS");

    // Another compiler's core: this one's, with other words in it.
    let scratch = Scratch::new("mixed");
    let libraries = "lib/rustlib/x86_64-unknown-linux-gnu/lib";
    scratch
        .write(&format!("{libraries}/libcore-0.rlib"), "..rust\0\0\0\n12345678\u{c}rustc 1.90.0");
    let mixed = with(&format!("--sysroot={}", scratch.path().display()), "host");
    refused(mixed, status::USAGE, "two toolchains are mixed: RUSTFLAGS has --sysroot=");
}

#[test]
fn a_target_file_of_another_release_is_refused_with_its_cure() {
    if !can_build_core() {
        return;
    }
    let scratch = Scratch::new("target-file");
    let ours =
        fs::read_to_string(root().join("targets/x86_64-freestone.json")).expect("it is there");
    let riscv =
        fs::read_to_string(root().join("targets/riscv64-freestone.json")).expect("it is there");
    let without = |text: &str, key: &str| {
        text.lines().filter(|line| !line.contains(key)).collect::<Vec<_>>().join("\n")
    };
    for (text, cure) in [
        (
            ours.replace("width\": 64", "width\": \"64\""),
            "write the width as a number, without quotes",
        ),
        (without(&ours, "rustc-abi"), "add \"rustc-abi\": \"softfloat\""),
        (without(&ours, "\"arch\""), "add the key as the built-in targets have it"),
        (
            ours.replace("\"arch\"", "\"is-builtin\": true, \"arch\""),
            "take the key out, this release does not know it",
        ),
        (
            without(&riscv, "llvm-abiname"),
            "name the calling convention, as \"llvm-abiname\": \"lp64d\"",
        ),
        (ours[..40].to_owned(), "the file is cut off"),
        ("kernel".to_owned(), "this is no JSON"),
        (ours.replace("gnu-lld", "gnu-llld"), "compare it with a built-in target"),
    ] {
        scratch.write("x86_64-freestone.json", &text);
        let path = scratch.path().join("x86_64-freestone.json").display().to_string();
        let ended = run(tool().args(["run", "-p", "kernel-hello", "--target", &path]));
        refused(ended, status::USAGE, cure);
    }
}

/// A distribution's build of a release does not take what the release's own compiler made, and the other way round.
#[test]
fn a_private_sysroot_belongs_to_one_compiler() {
    let scratch = Scratch::new("two-of-one-release");
    for version in ["1.96.0 (ac68faa20 2026-05-25)", "1.96.0"] {
        let name = version.split(' ').next().unwrap_or_default();
        let rustc = pretender(&scratch, name);
        let told = fs::read_to_string(&rustc)
            .expect("it was just written")
            .replace(&format!("rustc {name}'"), &format!("rustc {version}'"));
        fs::write(&rustc, told).expect("it is ours");
        // A core that one of the two made.
        let libraries = "cache/freestone/sysroot-1.96.0/lib/rustlib/x86_64-unknown-none/lib";
        scratch.write(&format!("{libraries}/libcore-0.rlib"), "");
        let mut command = tool();
        command.args(["sysroot", "--target", "x86_64-unknown-none", "--toolchain", &rustc]);
        let ended = run(command.env("XDG_CACHE_HOME", scratch.path().join("cache")));
        let wanted = if version == name { status::SUCCESS } else { status::TOOL };
        assert_eq!(ended.status, Some(wanted), "{version}: {ended}");
    }
}
