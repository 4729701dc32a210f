//! `cargo freestone check` finds nothing in this repository's kernels, and finds the mistakes in bad ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_tests::{Ended, Profile, Scratch, boot, kernel, root, run, status, tool};

fn check(image: &Path, options: &[&str]) -> Ended {
    run(tool().arg("check").arg(image).args(options))
}

/// Those linked by a script that makes everything writable and executable.
const OWN_SCRIPT: [&str; 4] =
    ["kernel-own-boot", "kernel-own-panic", "kernel-own-heap", "kernel-floor"];

/// Every kernel here: package and binary.
fn kernels() -> Vec<(&'static str, String)> {
    let mut kernels: Vec<_> =
        ["example-kernel", "kernel-hello", "kernel-boot-cost", "kernel-multiboot"]
            .into_iter()
            .chain(OWN_SCRIPT)
            .map(|name| (name, name.to_owned()))
            .collect();
    let folder = root().join("tests/kernels/faults/src/bin");
    for entry in fs::read_dir(folder).expect("the kernels that go wrong") {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_stem().expect("a source file").to_string_lossy().into_owned();
        kernels.push(("kernel-faults", name));
    }
    kernels
}

#[test]
fn our_own_kernels_have_neither_errors_nor_warnings() {
    for profile in [Profile::Dev, Profile::Release] {
        for (package, name) in kernels() {
            let ended = check(&kernel(package, &name, profile), &[]).expect(status::SUCCESS, &[]);
            let is_all_allowed = OWN_SCRIPT.contains(&package);
            let warnings = ended.stdout.lines().filter(|line| line.starts_with("warning"));
            let unexpected: Vec<_> = warnings
                .filter(|line| !(is_all_allowed && line.contains("writable-text")))
                .collect();
            assert!(unexpected.is_empty(), "{name}, {profile:?}: {unexpected:#?}");
        }
    }
}

/// Links assembly into an image with a PVH entry at `_start`.
fn image(scratch: &Scratch, assembly: &str) -> PathBuf {
    let note = ".section .note.Xen, \"a\", @note\n.balign 4\n.long 4, 4, 18\n.asciz \"Xen\"\n.long _start\n";
    scratch.write("kernel.s", &format!("{note}.text\n.globl _start\n{assembly}\n"));
    let path = scratch.path().join("kernel");
    let linked = run(Command::new("cc")
        .args(["-nostdlib", "-static", "-no-pie"])
        .arg("-Wl,-Ttext=0x100000,--build-id=none,-z,noexecstack")
        .arg("-o")
        .args([&path, &scratch.path().join("kernel.s")]));
    assert_eq!(linked.status, Some(0), "{linked}");
    path
}

/// Reports success on QEMU's exit port.
const SUCCESS: &str = "_start: mov $0xf4, %edx\nmov $0x10, %al\noutb %al, %dx\n1: hlt\njmp 1b\n\
    .size _start, . - _start\n";

#[test]
fn run_boots_no_image_with_errors_unless_told_to() {
    let scratch = Scratch::new("check-run");
    let memcpy = ".globl memcpy\nmemcpy: call memcpy\nret\n.size memcpy, . - memcpy\n";
    let bad = image(&scratch, &format!("{SUCCESS}{memcpy}"));
    let ended = boot(&bad, &[]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("`memcpy` calls itself"), "{ended}");
    boot(&bad, &["--no-check"]).expect(status::SUCCESS, &[]);
    check(&bad, &[]).expect(status::FAILURE, &["error    self-recursion", "1 error, "]);
}

#[test]
fn what_runs_but_is_doubtful_is_booted() {
    let scratch = Scratch::new("check-doubtful");
    let leaf = "leaf: mov %rdi, -8(%rsp)\niretq\n.size leaf, . - leaf\n";
    let doubtful = image(&scratch, &format!("{SUCCESS}{leaf}"));
    boot(&doubtful, &[]).expect(status::SUCCESS, &[]);
    check(&doubtful, &[]).expect(status::FAILURE, &["error    red-zone", "leaf: 1 access"]);
}

#[test]
fn soft_float_code_over_a_hard_float_library_is_found() {
    let scratch = Scratch::new("check-float");
    scratch.write(
        "kernel.rs",
        r#"#![no_std]
        #![no_main]
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
        #[unsafe(no_mangle)]
        extern "C" fn work(a: &mut f64, b: &f64) { *a *= *b; }
        "#,
    );
    let path = scratch.path().join("kernel");
    let flags = ["target-feature=+soft-float", "panic=abort", "opt-level=2"];
    let linking = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--entry=work"];
    let built = run(Command::new("rustc")
        .args(["--edition=2024", "-Cdefault-linker-libraries=no", "-Crelocation-model=static"])
        .args(flags.map(|flag| format!("-C{flag}")))
        .args(linking.map(|flag| format!("-Clink-arg={flag}")))
        .args([Path::new("-o"), &path, &scratch.path().join("kernel.rs")]));
    assert_eq!(built.status, Some(0), "{built}");
    let ended = check(&path, &[]).expect(status::FAILURE, &[]);
    let found = "work: passes floats to `__muldf3` in general-purpose registers";
    assert!(ended.stdout.contains(found), "{ended}");
}

#[test]
fn every_form_of_output_says_the_same() {
    let scratch = Scratch::new("check-output");
    let leaf = "leaf: mov %rdi, -8(%rsp)\niretq\n.size leaf, . - leaf\n";
    let image = image(&scratch, &format!("{SUCCESS}{leaf}"));
    let json = check(&image, &["--json"]).expect(status::FAILURE, &["\"rule\":\"red-zone\""]);
    assert_eq!(json.stdout.lines().count(), 1, "{json}");
    assert!(json.stdout.contains("\"errors\":1"), "{json}");
    let sarif = check(&image, &["--sarif"]).expect(status::FAILURE, &["\"ruleId\": \"red-zone\""]);
    assert!(sarif.stdout.contains("\"version\": \"2.1.0\""), "{sarif}");
    check(&image, &["--size"]).expect(status::FAILURE, &["red-zone", "bytes are loaded", "leaf"]);
    check(&image, &["--sarif", "--json"]).expect(status::USAGE, &[]);
}

#[test]
fn rules_are_listed_and_explained() {
    let list = run(tool().args(["check", "--rules"])).expect(status::SUCCESS, &["entry-note"]);
    for line in list.stdout.lines() {
        let name = line.split(' ').next().expect("a name");
        let ended = run(tool().args(["check", "--explain", name])).expect(status::SUCCESS, &[name]);
        assert!(ended.stdout.lines().count() > 4, "{ended}");
    }
    let ended = run(tool().args(["check", "--explain", "nonsense"])).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("check --rules"), "{ended}");
}

#[test]
fn files_that_are_no_images_end_with_status_2() {
    let scratch = Scratch::new("check-files");
    scratch.write("text", "hello\n");
    scratch.write("empty", "");
    for (name, text) in [
        ("text", "neither an ELF file nor an archive"),
        ("empty", "the file is empty"),
        ("missing", "not found"),
    ] {
        let ended = check(&scratch.path().join(name), &[]).expect(status::USAGE, &[]);
        assert!(ended.stderr.contains(text) && ended.stderr.contains(name), "{ended}");
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ended = check(manifest, &[]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("not a regular file"), "{ended}");
}
