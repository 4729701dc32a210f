//! Random bytes through the crate `getrandom`, in a kernel from an empty folder: `cargo freestone` adds the flag that
//! it needs, and on a machine without a source the call fails.

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Ended, Scratch, cargo, root, run, status, target, tool};

const MANIFEST: &str = "\
[package]
name = \"random\"
version = \"0.1.0\"
edition = \"2024\"

[[bin]]
name = \"random\"
path = \"src/main.rs\"
test = false
bench = false

[dependencies]
freestone = { path = FREESTONE }
getrandom = \"0.4\"

[dev-dependencies]
freestone-harness = { path = HARNESS }

[[test]]
name = \"in_kernel\"
harness = false
test = false

[profile.dev]
panic = \"abort\"
";

const BUILD: &str = "\
fn main() {
    println!(\"cargo::rustc-link-arg-bins=@{}\", std::env::var(\"DEP_FREESTONE_LINK\").unwrap());
}
";

const MAIN: &str = "\
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use freestone::{BootInfo, Exit, println};

freestone::entry!(main);
freestone::getrandom_backend!(getrandom::Error);

fn main(_boot: &'static BootInfo) -> Exit {
    let mut bytes = [[0; 21]; 2];
    for bytes in &mut bytes {
        if let Err(error) = getrandom::fill(bytes) {
            println!(\"refused: {error}\");
            return if *bytes == [0; 21] { Exit::Failure } else { Exit::Crash };
        }
    }
    println!(\"{:?}\", bytes[0]);
    println!(\"the project's flags: {}\", cfg!(kept));
    let differ = bytes[0] != bytes[1] && getrandom::u64() != getrandom::u64();
    if differ { Exit::Success } else { Exit::Failure }
}
";

const TESTS: &str = "\
#![no_std]
#![no_main]

freestone_harness::harness!();
freestone_harness::freestone::getrandom_backend!(getrandom::Error);

freestone_harness::tests! {
    fn words_differ() {
        assert_ne!(getrandom::u64().unwrap(), getrandom::u64().unwrap());
    }
}
";

fn project(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let path = |name: &str| format!("{:?}", root().join(name).display().to_string());
    let manifest = MANIFEST.replace("FREESTONE", &path("freestone"));
    scratch.write("Cargo.toml", &manifest.replace("HARNESS", &path("harness")));
    scratch.write("build.rs", BUILD);
    scratch.write("src/main.rs", MAIN);
    scratch.write("tests/in_kernel.rs", TESTS);
    scratch
}

fn freestone(project: &Scratch, arguments: &[&str]) -> Ended {
    let mut command = tool();
    command.env("CARGO_TARGET_DIR", target().join("entropy"));
    run(command.current_dir(project.path()).args(arguments))
}

/// Arguments for a machine without RDRAND and RDSEED.
const WITHOUT: [&str; 2] = ["--qemu-arg=-cpu", "--qemu-arg=max,-rdrand,-rdseed"];

#[test]
fn getrandom_asks_the_kernel_and_is_refused_without_a_source() {
    let project = project("getrandom");
    let ended = freestone(&project, &["run"]).expect(status::SUCCESS, &["["]);
    let said = "random uses getrandom, which gets --cfg getrandom_backend=\"custom\"";
    assert!(ended.stderr.contains(said), "{ended}");

    // It comes to the project's own flags, wherever those are.
    let config = ".cargo/config.toml";
    for table in ["build", "target.'cfg(unix)'"] {
        project.write(config, &format!("[{table}]\nrustflags = ['--cfg', 'kept']\n"));
        freestone(&project, &["run"]).expect(status::SUCCESS, &["the project's flags: true"]);
    }
    project.write(config, "build.rustflags = '--cfg kept'\n");
    let ended = freestone(&project, &["run"]).expect(status::USAGE, &[]);
    assert!(ended.stderr.contains("write them as a list"), "{ended}");
    project.remove(config);

    let [flag, value] = WITHOUT;
    freestone(&project, &["run", flag, value]).expect(status::FAILURE, &["refused: "]);

    // With a device the same machine has bytes: of both kinds that QEMU has, where ACPI and where the command line says,
    // and on PCI; and of one that never has any, as its host has none for it, there is a refusal.
    let device = "--qemu-arg=-device";
    let with = |rest: &[&str]| {
        let arguments = [&["run", flag, value, device], rest].concat();
        freestone(&project, &arguments)
    };
    let modern = "--qemu-arg=virtio-mmio.force-legacy=false";
    let rng = "--qemu-arg=virtio-rng-device";
    with(&[rng]).expect(status::SUCCESS, &["["]);
    with(&[rng, "--qemu-arg=-global", modern]).expect(status::SUCCESS, &["["]);
    with(&[rng, "--qemu-arg=-machine", "--qemu-arg=microvm,acpi=off,auto-kernel-cmdline=on"])
        .expect(status::SUCCESS, &["["]);
    for (machine, rng) in [
        ("q35", "--qemu-arg=virtio-rng-pci"),
        ("pc", "--qemu-arg=virtio-rng-pci"),
        ("q35", "--qemu-arg=virtio-rng-pci,disable-legacy=on"),
        ("q35", "--qemu-arg=virtio-rng-pci,disable-legacy=on,iommu_platform=on"),
    ] {
        with(&[rng, "--machine", machine]).expect(status::SUCCESS, &["["]);
    }
    // Of two the first is used, here one that is driven as before virtio 1.0, as is the one below.
    let both = ["--qemu-arg=virtio-rng-pci,disable-modern=on", device, "--qemu-arg=virtio-rng-pci"];
    with(&[&both[..], &["--machine", "pc"]].concat()).expect(status::SUCCESS, &["["]);
    // Always less than a word, and often: it is given up after a second, not after a thousand.
    with(&[
        "--qemu-arg=virtio-rng-pci,max-bytes=4,period=900",
        "--machine",
        "q35",
        "--timeout",
        "20",
    ])
    .expect(status::FAILURE, &["refused: "]);
    with(&["--qemu-arg=virtio-rng-pci,disable-modern=on", "--machine", "pc"])
        .expect(status::SUCCESS, &["["]);
    let starved = "--qemu-arg=virtio-rng-device,max-bytes=1,period=3600000";
    with(&[starved]).expect(status::FAILURE, &["refused: "]);

    if sysroot("x86_64-unknown-none").is_some() {
        freestone(&project, &["run", "--mode", "none"]).expect(status::SUCCESS, &["["]);
    }
    freestone(&project, &["test", "-p", "random"])
        .expect(status::SUCCESS, &["ok   in kernel: random"]);

    // What the message says works without the tool.
    let mut command = cargo(project.path());
    command.args(["build", "--quiet", "--target", "x86_64-unknown-linux-gnu"]);
    command.env("RUSTFLAGS", "--cfg getrandom_backend=\"custom\"");
    let built = run(command.arg("--target-dir").arg(target().join("entropy")));
    assert_eq!(built.status, Some(0), "{built}");
}

/// The crate's version before, which calls C functions: plain cargo builds it, with one line in the kernel.
const MAIN_02: &str = "\
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use freestone::{BootInfo, Exit, println};

freestone::entry!(main);
freestone::getrandom_02!();

fn main(_boot: &'static BootInfo) -> Exit {
    let mut bytes = [[0; 300]; 2];
    for bytes in &mut bytes {
        if let Err(error) = getrandom::getrandom(bytes) {
            println!(\"refused: {error} {error:?}\");
            return if *bytes == [0; 300] { Exit::Failure } else { Exit::Crash };
        }
    }
    println!(\"{:?}\", &bytes[0][..9]);
    let differ = bytes[0] != bytes[1] && bytes.iter().all(|bytes| bytes[290..] != [0; 10]);
    if differ { Exit::Success } else { Exit::Failure }
}
";

#[test]
fn the_older_getrandom_has_bytes_too_and_without_the_line_it_is_named() {
    let project = project("getrandom-02");
    let mut manifest = MANIFEST.replace("getrandom = \"0.4\"", "getrandom = \"0.2\"");
    for (name, folder) in [("FREESTONE", "freestone"), ("HARNESS", "harness")] {
        let path = format!("{:?}", root().join(folder).display().to_string());
        manifest = manifest.replace(name, &path);
    }
    project.write("Cargo.toml", &manifest);
    project.write("src/main.rs", MAIN_02);
    freestone(&project, &["run"]).expect(status::SUCCESS, &["["]);
    let [flag, value] = WITHOUT;
    freestone(&project, &["run", flag, value]).expect(status::FAILURE, &["refused: OS Error: 5"]);

    project.write("src/main.rs", &MAIN_02.replace("freestone::getrandom_02!();", ""));
    let ended = freestone(&project, &["run"]).expect(101, &[]);
    let said = ended.stderr.find("advice: undefined: ").expect("advice");
    let shown = ended.stderr.find("error: linking with").expect("the linker's words");
    assert!(said < shown, "{ended}");
    let last = ended.stderr.trim_end().lines().last().expect("a line");
    assert!(last.contains("wanted by getrandom") && last.contains("getrandom_02!()"), "{ended}");
}
