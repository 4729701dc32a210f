//! The library crates on other machines: built by Rust for aarch64 and riscv64, with and without hardware floats, and
//! by target file, for i686 too; and run by QEMU's user mode.
//!
//! A test is skipped, with a message, if there is no way to build for a machine (see `sysroot`), no linker for it
//! or no `qemu-aarch64`, `qemu-riscv64`, `qemu-i386` (Debian's package `qemu-user`).

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use freestone_tests::sysroot::{Sysroot, sysroot};
use freestone_tests::{Ended, Scratch, cargo, long, root, run};

/// 58 lengths at eleven places, the source at every place in a word, five checks.
fn memory_checks(target: &str) -> u64 {
    let word_bytes = if target.starts_with("i686") { 4 } else { 8 };
    58 * 11 * word_bytes * 5
}

/// What does not ask for a machine of its own.
const LIBRARIES: [&str; 5] =
    ["freestone-mem", "freestone-math", "freestone-rt", "freestone-alloc", "freestone-xen"];

/// A way to build for a machine and to run what was built.
struct Machine {
    target: &'static str,
    how: How,
    linker: OsString,
    emulator: &'static str,
    scratch: Scratch,
}

/// With a private sysroot, or by target file, with `core` built beside the programs.
enum How {
    Sysroot(Sysroot),
    File { rustc: String },
}

/// `rust-lld` of the compiler that cargo uses, else Debian's.
fn linker() -> Option<OsString> {
    let host = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
    let libraries = String::from_utf8_lossy(&host.stdout).trim().to_owned();
    let beside = Path::new(&libraries).with_file_name("bin").join("rust-lld");
    let others = ["ld.lld-22", "ld.lld"].map(OsString::from);
    let runs = |linker: &OsString| {
        Command::new(linker).args(["-flavor", "gnu", "--version"]).output().is_ok()
    };
    std::iter::once(beside.into_os_string()).chain(others).find(runs)
}

impl Machine {
    fn new(target: &'static str, emulator: &'static str) -> Option<Machine> {
        Self::with(target, How::Sysroot(sysroot(target)?), emulator)
    }

    /// For the target file of this name.
    fn of_file(target: &'static str, emulator: &'static str) -> Option<Machine> {
        // Whoever can build a sysroot has the library's source.
        let rustc = sysroot("x86_64-unknown-none")?.rustc().to_owned();
        Self::with(target, How::File { rustc }, emulator)
    }

    fn with(target: &'static str, how: How, emulator: &'static str) -> Option<Machine> {
        let Some(linker) = linker() else {
            println!("SKIPPED: no lld for {target}. On Debian: apt-get install lld-22");
            return None;
        };
        if Command::new(emulator).arg("-version").output().is_err() {
            println!("SKIPPED: no {emulator}. On Debian: apt-get install qemu-user");
            return None;
        }
        let scratch = Scratch::new(&format!("machines-{target}"));
        Some(Machine { target, how, linker, emulator, scratch })
    }

    /// Builds all programs of `machines/` at a level.
    fn build(&self, level: &str) {
        let flags = format!("-C linker={} -C opt-level={level} -D warnings", self.linker.display());
        let mut command = match &self.how {
            How::Sysroot(sysroot) => sysroot.cargo(&flags),
            How::File { rustc } => {
                let mut command = cargo(root());
                command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags);
                let file = root().join(format!("targets/{}.json", self.target));
                command.env("CARGO_BUILD_TARGET", file);
                command
            }
        };
        command.args(["build", "--quiet", "--release", "--manifest-path"]);
        command.args(["tests/machines/Cargo.toml", "--target-dir"]).arg(self.scratch.path());
        if let How::File { .. } = self.how {
            command.args(["-Zjson-target-spec", "-Zbuild-std=core,alloc"]);
        }
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{}, level {level}: {built}", self.target);
    }

    fn run(&self, program: &str) -> Ended {
        let path = self.scratch.path().join(self.target).join("release").join(program);
        run(Command::new(self.emulator).arg(path))
    }
}

fn the_libraries_are_right_on(machine: Option<Machine>, floats: &str) {
    let Some(machine) = machine else { return };
    let target = machine.target;
    // Unoptimised, a routine may call itself where an optimised one does not, and end in a full stack.
    for level in if long() { &["0", "s", "3"][..] } else { &["0", "3"] } {
        machine.build(level);
        let memory = machine.run("memory").expect(0, &["portable:"]);
        assert_eq!(memory.number("portable:"), memory_checks(target), "{target}, level {level}");
        let right = ["operators: right", "functions: right", "methods: right"];
        let math = machine.run("math").expect(0, &[floats]).expect(0, &right);
        assert!(!math.stdout.contains("WRONG"), "{target}, level {level}: {math}");
        machine.run("kit").expect(
            4,
            &[
                "715 names, sum 1786785, 65536 numbers, 3.143",
                "KERNEL PANIC at src/kit.rs:",
                "and it panics with rt's handler",
            ],
        );
    }
}

#[test]
fn the_libraries_are_right_on_aarch64() {
    let machine = Machine::new("aarch64-unknown-none", "qemu-aarch64");
    the_libraries_are_right_on(machine, "floats by hardware");
}

#[test]
fn long_the_libraries_are_right_on_aarch64_without_floats() {
    if long() {
        let machine = Machine::new("aarch64-unknown-none-softfloat", "qemu-aarch64");
        the_libraries_are_right_on(machine, "floats by software");
    }
}

#[test]
fn the_libraries_are_right_on_riscv64() {
    let machine = Machine::new("riscv64gc-unknown-none-elf", "qemu-riscv64");
    the_libraries_are_right_on(machine, "floats by hardware");
}

#[test]
fn long_the_libraries_are_right_when_built_by_target_file() {
    if !long() {
        return;
    }
    for (file, emulator, floats) in [
        ("aarch64-freestone", "qemu-aarch64", "floats by software"),
        ("riscv64-freestone", "qemu-riscv64", "floats by hardware"),
        ("i686-freestone", "qemu-i386", "floats by software"),
    ] {
        the_libraries_are_right_on(Machine::of_file(file, emulator), floats);
    }
}

/// With every feature, and without a warning.
fn all_libraries_build_for(target: &str) {
    let Some(sysroot) = sysroot(target) else { return };
    let scratch = Scratch::new(&format!("libraries-{target}"));
    let build = |arguments: &[&str]| {
        let mut command = sysroot.cargo("-D warnings");
        command.args(["build", "--quiet", "--target-dir"]).arg(scratch.path());
        run(command.args(arguments))
    };
    let packages = LIBRARIES.map(|library| ["-p", library]);
    let built = build(&[&["--all-features"], packages.as_flattened()].concat());
    assert_eq!(built.status, Some(0), "{target}: {built}");

    // The machine under a kernel is one that platform knows, and it is what says so first, or the façade.
    let built = build(&["-p", "freestone"]);
    assert_eq!(built.status, Some(101), "{built}");
    let says =
        ["freestone-platform knows x86_64 only so far", "freestone builds kernels for x86_64"];
    assert!(says.iter().any(|said| built.stderr.contains(said)), "{target}: {built}");
}

#[test]
fn all_libraries_build_for_aarch64() {
    all_libraries_build_for("aarch64-unknown-none");
}

#[test]
fn long_all_libraries_build_for_aarch64_without_floats() {
    if long() {
        all_libraries_build_for("aarch64-unknown-none-softfloat");
    }
}

/// 32 bits, and an alignment of 4 for 64.
#[test]
fn all_libraries_build_for_i686() {
    all_libraries_build_for("i686-unknown-linux-gnu");
}

#[test]
fn all_libraries_build_for_riscv64() {
    all_libraries_build_for("riscv64gc-unknown-none-elf");
}
