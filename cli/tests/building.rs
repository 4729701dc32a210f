//! From a folder to a verdict: the kernel that is chosen, how it is built, and what `test` reports.

mod common;

use std::path::Path;
use std::process::Command;

use common::workspace::Workspace;
use common::{folder, require_qemu, script, see, tool};

#[test]
fn the_kernel_one_stands_in_is_built_and_booted() {
    let w = Workspace::new("stand-in", "");
    w.kernel("one");
    w.kernel("two");
    let seen = w.see("one/src", &["run", "--", "say", "hello"]).expect(0);
    assert_eq!(seen.stdout, "stub: say hello\n");
    assert!(seen.stderr.contains("Finished `dev` profile"), "{}", seen.stderr);

    let seen = w.see("two", &["run", "--release", "--json", "--", "f"]).expect(1);
    let result: serde_json::Value = serde_json::from_str(&seen.stdout).expect("JSON");
    let image = Path::new(result["image"].as_str().expect("a path"));
    assert!(image.ends_with("target/release/two"), "{image:?}");

    // What this tool built is what `cargo build` builds: nothing is left to do.
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "-p", "one"])
        .current_dir(&w.0)
        .env("CARGO_TARGET_DIR", w.0.join("target"));
    let seen = see(cargo.env_remove("RUSTFLAGS")).expect(0);
    assert!(!seen.stderr.contains("Compiling"), "{}", seen.stderr);

    let seen = w.see("", &["run"]).expect(2);
    seen.says("error: several kernels here: one, two; choose one with -p");
    w.see("", &["run", "-p", "two"]).expect(0);
    w.see("one", &["run", "-p", "two", "--", "f"]).expect(1);
    w.see("", &["run", "-p", "three"])
        .expect(2)
        .says("no package three in this workspace; kernels here: one, two");
    w.see("", &["run", "-p", "one", "--bin", "x"])
        .expect(2)
        .says("package one has no binary x; it has: one");
    w.see("", &["run", "-p", "freestone"]).expect(2).says("package freestone has no binary");
    w.see("", &["run", "one/Cargo.toml", "-p", "one"]).expect(2).says("cannot be used with");
}

#[test]
fn a_workspace_can_name_its_kernel() {
    let w = Workspace::new("named", "[workspace.metadata.freestone]\nrun = \"two\"");
    w.kernel("one");
    w.kernel("two");
    let seen = w.see("freestone", &["run", "-v", "--", "s"]).expect(0);
    seen.says("build -p two --bin two");
}

#[test]
fn what_cargo_cannot_build_is_101() {
    let w = Workspace::new("broken", "");
    w.kernel("one");
    w.write("one/src/main.rs", "this is not Rust");
    w.see("one", &["run"]).expect(101).says("error: could not build one").says("main.rs:1");

    let seen =
        see(w.tool("one").arg("run").env("CARGO_TARGET_DIR", "/dev/null/target")).expect(101);
    seen.says("/dev/null").says("error: could not build one");

    w.write("one/Cargo.toml", "[package\n");
    w.see("one", &["run"])
        .expect(101)
        .says("cargo cannot read this workspace")
        .says("Cargo.toml:1");
}

#[test]
fn a_kernel_without_its_link_arguments_is_told_so() {
    let w = Workspace::new("unlinked", "");
    w.kernel("one");
    w.write("one/build.rs", "fn main() {}");
    w.write("one/src/main.rs", "fn main() {}");
    w.see("one", &["run"])
        .expect(2)
        .says("let the kernel's build.rs pass on freestone's link arguments");
}

#[test]
fn a_folder_without_a_kernel_is_2() {
    require_qemu();
    let seen = see(tool().arg("run").current_dir("/")).expect(2);
    assert_eq!(
        seen.stderr,
        "error: no Cargo.toml here or above; name an ELF file, or go to a kernel's folder\n"
    );
    let w = Workspace::new("none", "");
    w.see("", &["run"]).expect(2).says("no package here has a binary");
}

#[test]
fn a_missing_or_strange_cargo_is_3() {
    let folder = folder("strange-cargo");
    require_qemu();
    let run = |cargo: &Path| see(tool().arg("run").current_dir(&folder).env("CARGO", cargo));
    run(Path::new("/nowhere/cargo"))
        .expect(3)
        .says("cargo does not start")
        .says("is Rust installed?");
    let cargo = folder.join("cargo");
    script(&cargo, "echo hello");
    run(&cargo).expect(3).says("cargo metadata answered in an unknown form");
}

const TESTS: &str = r#"
#[test]
fn the_tool_is_known() {
    let tool = std::env::var("FREESTONE_CLI").unwrap();
    assert!(std::path::Path::new(&tool).is_file());
    assert!(std::env::var_os("FREESTONE_QEMU").is_some());
    assert!(std::env::var("FREESTONE_LONG").unwrap_or_default() != "1", "long");
}
"#;

#[test]
fn test_runs_the_tests_and_boots_every_machine() {
    let w = Workspace::new("test", "");
    w.package("host", "", &[("src/lib.rs", TESTS)]);
    let seen = w.see("", &["test"]).expect(0);
    assert!(seen.stdout.ends_with("ok   boot        skipped: no kernel here\n"), "{}", seen.stdout);

    w.kernel("one");
    let seen = w.see("", &["test"]).expect(0);
    let rows: Vec<_> = seen.stdout.lines().rev().take(4).collect();
    for (row, begin) in rows.iter().rev().zip([
        "ok   cargo test       passed in ",
        "ok   boot on microvm  success in ",
        "ok   boot on q35      success in ",
        "ok   boot on pc       success in ",
    ]) {
        assert!(row.starts_with(begin), "{}", seen.stdout);
    }
    assert!(seen.stdout.contains("stub: oneshot\n"));

    let seen = w.see("", &["test", "--machine", "pc", "--", "no_such_test"]).expect(0);
    assert!(
        seen.stdout.contains("1 filtered out") && !seen.stdout.contains("microvm"),
        "{}",
        seen.stdout
    );

    // The one test of this workspace refuses the long mode.
    let seen = w.see("", &["test", "--long", "--machine", "microvm"]).expect(1);
    assert!(seen.stdout.contains("\nFAIL cargo test       FAILED in "), "{}", seen.stdout);
    assert!(seen.stdout.contains("\nok   boot on microvm"), "{}", seen.stdout);

    w.write("host/src/lib.rs", "this is not Rust");
    w.see("", &["test"]).expect(101).says("the tests do not build");

    w.kernel("two");
    w.see("", &["test"]).expect(2).says("several kernels here: one, two; choose one with -p");
}
