//! Cargo's arguments and configuration mean to the tool what they mean to cargo.

mod common;

use std::fs;

use common::workspace::{KERNEL, LINK, Workspace};
use common::{see, tool};

fn with_profile(name: &str) -> Workspace {
    let more = "[profile.small]\ninherits = \"release\"\n";
    Workspace::new(name, more)
}

fn image(seen: &common::Seen) -> String {
    let line = seen.stdout.lines().last().expect("a line of JSON");
    let result: serde_json::Value = serde_json::from_str(line).expect("JSON");
    result["image"].as_str().expect("a path").to_owned()
}

#[test]
fn profiles_and_folders_are_cargos() {
    let w = with_profile("profiles");
    w.kernel("one");
    for (words, folder) in [
        (&["--profile", "small"][..], "target/small/one"),
        (&["-r"], "target/release/one"),
        (&["--profile=small", "--target-dir", "elsewhere"], "elsewhere/small/one"),
        (&["-r", "--config", "profile.release.opt-level=1", "-q", "-j1"], "target/release/one"),
        (&["--offline", "--ignore-rust-version"], "target/debug/one"),
    ] {
        let seen = w.see("one", &[&["run", "--json"], words, &["--", "s"]].concat()).expect(0);
        assert!(image(&seen).ends_with(folder), "{}", image(&seen));
    }
    // All verbs that build take them.
    for verb in ["check", "debug", "chart", "test"] {
        let seen = w.see("one", &[verb, "--profile", "none-such"]).expect(101);
        seen.says("profile `none-such` is not defined");
    }
    w.see("one", &["run", "--release", "--profile", "small"]).expect(101).says("--profile");
    w.see("", &["run", "one/Cargo.toml", "--profile", "small"]).expect(2).says("cannot be used");
    let seen = w.see("one", &["check", "-p", "one", "-r"]).expect(0);
    assert!(seen.stdout.contains("0 errors"), "{}", seen.stdout);
}

#[test]
fn features_are_cargos() {
    let w = Workspace::new("features", "");
    w.kernel("one");
    let manifest = fs::read_to_string(w.0.join("one/Cargo.toml")).expect("it");
    w.write(
        "one/Cargo.toml",
        &format!("{manifest}[features]\ndefault = [\"a\"]\na = []\nb = []\n"),
    );
    let check = "#[cfg(feature = \"a\")]\ncompile_error!(\"has a\");\n\
                 #[cfg(feature = \"b\")]\ncompile_error!(\"has b\");\n";
    // Inner attributes come first.
    let source = format!(
        "#![no_std]\n#![no_main]\n{check}{}",
        KERNEL.replace("#![no_std]", "").replace("#![no_main]", "")
    );
    w.write("one/src/main.rs", &source);
    let says = |words: &[&str], a: bool, b: bool| {
        let seen = w.see("one", &[&["run"], words].concat());
        assert_eq!(
            (seen.stderr.contains("has a"), seen.stderr.contains("has b")),
            (a, b),
            "{}",
            seen.stderr
        );
    };
    says(&[], true, false);
    says(&["-F", "b"], true, true);
    says(&["--all-features"], true, true);
    says(&["--no-default-features", "--features", "b"], false, true);
    says(&["--no-default-features"], false, false);
    w.see("one", &["run", "-F", "c"]).expect(101).says("c");
    // Of a workspace each package gets the features that it has.
    w.package("host", "[features]\nc = []\n", &[("src/lib.rs", "")]);
    let seen = w.see("", &["test", "--no-default-features", "-F", "c", "--machine", "microvm"]);
    seen.expect(0);
}

#[test]
fn the_manifest_may_be_elsewhere() {
    let w = Workspace::new("manifest", "");
    w.kernel("one");
    w.kernel("two");
    for verb in ["run", "debug", "chart", "check", "test"] {
        let mut command = tool();
        command.current_dir("/").env("CARGO_TARGET_DIR", w.0.join("target"));
        command.args([verb, "--manifest-path"]).arg(w.0.join("two/Cargo.toml"));
        if verb == "debug" {
            command.arg("--print");
        }
        if verb == "test" {
            command.args(["-p", "two"]);
        }
        see(&mut command).expect(0);
    }
    w.see("one", &["run", "--manifest-path", "../two/Cargo.toml", "-v"])
        .expect(0)
        .says("--bin two");
    w.see("two", &["run", "--manifest-path", "Cargo.toml", "-v"]).expect(0).says("--bin two");
    w.see("one", &["run", "--manifest-path", "none.toml"]).expect(101).says("none.toml");
    // Without a lock file none may be made.
    fs::remove_file(w.0.join("Cargo.lock")).expect("it");
    w.see("one", &["run", "--locked"]).expect(101).says("--locked");
    w.see("one", &["run", "--frozen"]).expect(101);
}

#[test]
fn an_example_and_a_kernel_without_our_crates_are_found() {
    let w = Workspace::new("strangers", "");
    let files =
        [("src/main.rs", KERNEL), ("build.rs", LINK), ("src/stub.s", include_str!("stub.s"))];
    w.package("own", "[[bin]]\nname = \"own\"\npath = \"src/main.rs\"\ntest = false\n", &files);
    w.see("", &["run", "--", "s"]).expect(0);
    w.see("own", &["run", "--", "f"]).expect(1);
    let link = LINK.replace("link-arg-bins", "link-arg-examples");
    let files = [
        ("src/lib.rs", "#![no_std]\n"),
        ("examples/demo.rs", KERNEL),
        ("examples/stub.s", include_str!("stub.s")),
        ("build.rs", &link),
    ];
    w.package("library", "", &files);
    w.see("", &["run", "--example", "demo", "--", "f"]).expect(1);
    w.see("library", &["run", "--example", "demo", "-p", "library"]).expect(0);
    w.see("", &["run", "--example", "none"]).expect(2).says("no package here has an example none");
}

#[test]
fn test_takes_memory_profile_and_json() {
    let w = Workspace::new("test-json", "");
    w.kernel("one");
    let words = ["test", "--json", "--release", "-m", "32", "--machine", "microvm"];
    let seen = w.see("one", &words).expect(0);
    let result: serde_json::Value = serde_json::from_str(&seen.stdout).expect("one line of JSON");
    assert_eq!(result["verdict"], "success");
    assert_eq!(result["steps"][1]["step"], "boot on microvm");
    assert!(w.0.join("target/release/one").is_file());
    w.write("one/src/main.rs", "this is not Rust");
    let seen = w.see("one", &words).expect(101);
    let result: serde_json::Value = serde_json::from_str(&seen.stdout).expect("one line of JSON");
    assert_eq!((&result["verdict"], &result["status"]), (&"build".into(), &101.into()));
}

#[test]
fn what_is_mistyped_gets_a_suggestion_and_no_advice_to_hide_it() {
    for (words, says) in [
        (&["chek"][..], "'check'"),
        (&["run", "--relase"], "'--release'"),
        (&["test", "--boot-per-tst"], "'--boot-per-test'"),
        (&["run", "--machin", "q35"], "'--machine'"),
        (&["run", "--machine", "microm"], "'microvm'"),
    ] {
        let seen = see(tool().args(words)).expect(2).says(says);
        assert!(!seen.stderr.contains("as a value"), "{}", seen.stderr);
    }
    let seen = see(tool().args(["run", "--xyz"])).expect(2);
    assert!(!seen.stderr.contains("tip"), "{}", seen.stderr);
}

/// Whoever says it, cargo's default target is the kernel's.
#[test]
fn the_configured_target_is_built_for() {
    let w = Workspace::new("configured", "");
    w.kernel("one");
    let target = "x86_64-unknown-linux-gnu";
    let config = format!("[build]\ntarget = \"{target}\"\n");
    w.write(".cargo/config.toml", &config);
    let seen = w.see("one", &["run", "--json"]).expect(0);
    assert!(image(&seen).ends_with(&format!("target/{target}/debug/one")), "{}", image(&seen));
    w.write(".cargo/config.toml", "[build]\ntarget = [\"a\", \"b\"]\n");
    w.see("one", &["run"]).expect(2).says("build.target has several targets").says(": a, b");
    w.see("one", &["run", "--mode", "host"]).expect(0);
    w.write(".cargo/config.toml", "[build]\ntarget = \"none-such\"\n");
    let seen = w.see("one", &["run", "--json", "--config", &format!("build.target='{target}'")]);
    assert!(image(&seen.expect(0)).contains(target));
    // The environment is stronger than files.
    let mut command = w.tool("one");
    let seen = see(command.args(["run", "--json"]).env("CARGO_BUILD_TARGET", "host-tuple"));
    assert!(image(&seen.expect(0)).contains(target));
}

/// A topic of help, which short helps point to; on a pipe there are colours only where they are asked for.
#[test]
fn help_has_examples_and_colours_are_a_choice() {
    let topic = see(tool().args(["help", "exit-status"])).expect(0);
    assert!(topic.stdout.contains("  124  time ran out\n"), "{}", topic.stdout);
    let short = see(tool().args(["run", "-h"])).expect(0);
    assert!(short.stdout.contains("Examples:\n  cargo freestone run "), "{}", short.stdout);
    assert!(short.stdout.contains("`cargo freestone help exit-status`"), "{}", short.stdout);

    let wrong = |words: &[&str], variable: &str| {
        let mut command = tool();
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        see(command.args(["run", "/nowhere"]).args(words).env(variable, "1")).expect(2)
    };
    for (words, variable, is_painted) in [
        (&[][..], "NO_COLOR", false),
        (&[], "UNRELATED", false),
        (&[], "CLICOLOR_FORCE", true),
        (&["--color", "never"], "CLICOLOR_FORCE", false),
        (&["--color=always"], "NO_COLOR", true),
    ] {
        let seen = wrong(words, variable);
        assert_eq!(
            seen.stderr.contains('\x1b'),
            is_painted,
            "{words:?} {variable}: {}",
            seen.stderr
        );
    }
    let json = wrong(&["--color=always", "--json"], "UNRELATED");
    assert!(json.stdout.starts_with('{') && !json.stdout.contains('\x1b'), "{}", json.stdout);
}
