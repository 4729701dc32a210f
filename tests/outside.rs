//! A kernel outside this repository, from an empty folder: what a new user does, and forgets.

use std::path::PathBuf;
use std::process::Command;

use freestone_tests::{Ended, MACHINES, Scratch, boot, cargo, root, run, status, target};

const MAIN: &str = "\
#![no_std]
#![no_main]
freestone::entry!(main);
fn main(boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!(\"hello from outside, {}\", boot.protocol());
    freestone::Exit::Success
}
";

const BUILD: &str = "\
fn main() {
    println!(\"cargo::rustc-link-arg-bins=@{}\", std::env::var(\"DEP_FREESTONE_LINK\").unwrap());
}
";

const PROFILES: &str = "\
[profile.dev]
panic = \"abort\"
[profile.release]
panic = \"abort\"
";

/// One dependency, the profile lines, nothing else.
fn manifest(name: &str, profiles: &str) -> String {
    let facade = root().join("freestone");
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dependencies]\nfreestone = {{ path = {:?} }}\n{profiles}",
        facade.display().to_string()
    )
}

/// A folder with that kernel; parts are left out or replaced by the tests.
fn project(name: &str, profiles: &str, build: Option<&str>, main: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.write("Cargo.toml", &manifest(name, profiles));
    scratch.write("src/main.rs", main);
    if let Some(build) = build {
        scratch.write("build.rs", build);
    }
    scratch
}

/// Plain `cargo build`, into a target folder that these projects share: it saves building the kit six
/// times. Only the first test does without.
fn build(project: &Scratch) -> Ended {
    run(cargo(project.path()).args(["build", "--quiet", "--target-dir"]).arg(shared_target()))
}

fn shared_target() -> PathBuf {
    target().join("outside")
}

#[track_caller]
fn refused(project: &Scratch, advice: &str) {
    let ended = build(project);
    assert_ne!(ended.status, Some(0), "{ended}");
    assert!(ended.stderr.contains(advice), "no word of {advice:?}\n{ended}");
}

#[test]
fn a_kernel_builds_with_plain_cargo_and_boots() {
    let project = project("outside", PROFILES, Some(BUILD), MAIN);
    for (arguments, folder) in [(&[][..], "debug"), (&["--release"][..], "release")] {
        let mut command = cargo(project.path());
        command.env_remove("CARGO_TARGET_DIR").args(["build", "--quiet"]).args(arguments);
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let image = project.path().join("target").join(folder).join("outside");
        for machine in MACHINES {
            boot(&image, &["--machine", machine])
                .expect(status::SUCCESS, &["hello from outside, PVH"]);
        }
    }

    // As a program of the host it says what it is.
    let ended = run(&mut Command::new(project.path().join("target/debug/outside")));
    assert_eq!(ended.status, Some(2), "{ended}");
    assert!(ended.stderr.contains("This is a Freestone kernel"), "{ended}");
    assert!(ended.stderr.contains("cargo freestone run"), "{ended}");

    // The tool finds the kernel in the folder it is called in.
    let mut tool = freestone_tests::tool();
    tool.current_dir(project.path()).env_remove("CARGO_TARGET_DIR").arg("run");
    run(&mut tool).expect(status::SUCCESS, &["hello from outside"]);
}

#[test]
fn everything_entry_stamps_can_be_refused() {
    let main = "\
#![no_std]
#![no_main]
freestone::entry!(main, allocator: none, panic: none, shims: none);
fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!(\"by my own means\");
    freestone::Exit::Success
}
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    freestone::exit(freestone::Exit::Crash)
}
#[unsafe(no_mangle)]
extern \"C\" fn rust_eh_personality() {}
";
    let project = project("refusals", PROFILES, Some(BUILD), main);
    let built = build(&project);
    assert_eq!(built.status, Some(0), "{built}");
    let image = shared_target().join("debug/refusals");
    boot(&image, &[]).expect(status::SUCCESS, &["by my own means"]);

    project.write("src/main.rs", &main.replace("shims: none", "shims: never"));
    refused(&project, "entry! has no option `shims: never`");
}

#[test]
fn a_forgotten_build_script_is_named() {
    let project = project("no-build", PROFILES, None, MAIN);
    refused(&project, "freestone_linker_script_missing__add_the_build_rs_from_the_README");
}

#[test]
fn a_forgotten_profile_line_is_named() {
    let project = project("no-abort", "", Some(BUILD), MAIN);
    refused(&project, "panic = \\\"abort\\\"".replace('\\', "").as_str());
}

#[test]
fn a_forgotten_entry_is_named() {
    let main = "\
#![no_std]
#![no_main]
use freestone as _;
freestone::rt::runtime!(exit = freestone::platform::exit::crash);
";
    let project = project("no-entry", PROFILES, Some(BUILD), main);
    refused(&project, "add `freestone::entry!(main);`");
}

#[test]
fn an_undefined_c_function_is_named_not_taken_from_the_host() {
    let main = MAIN.replace(
        "    freestone::Exit::Success",
        "    unsafe extern \"C\" { fn getpid() -> i32; }\n\
         \x20   // SAFETY: never runs: the host's C library must not be found.\n\
         \x20   freestone::println!(\"{}\", unsafe { getpid() });\n    freestone::Exit::Success",
    );
    let project = project("libc", PROFILES, Some(BUILD), &main);
    refused(&project, "undefined symbol: getpid");
}
