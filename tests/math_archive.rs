//! `freestone-math` as an archive: what its code refers to and does, at every level of optimisation.
//!
//! A function that implements division must not divide: at some level the compiler turns that into a call
//! of the function itself. So no exported function may reach itself through calls in the archive, and none
//! may reach the panic machinery.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::disassembly::{self, Links};
use freestone_inspect::{File, names};
use freestone_tests::sysroot::sysroot;
use freestone_tests::{Scratch, cargo, long, root, run};

/// What an archive holds: who refers to whom, and what is wrong with the code itself.
#[derive(Default)]
struct Code {
    references: BTreeMap<String, BTreeSet<String>>,
    complaints: Vec<String>,
    uses_vectors: bool,
}

/// Reads an archive or object; relocations say what a function refers to, called or not.
fn read(path: &Path) -> Code {
    let mut code = Code::default();
    let file = File::open(path).expect("it was just built");
    for object in file.objects().expect("an archive or an object") {
        let object = object.expect("a readable object");
        for function in object.functions() {
            let facts = disassembly::facts(&function, &Links::of(&object, function.section));
            let seen = [
                (facts.red_zone.is_any() || facts.red_zone_doubtful.is_any(), "red zone"),
                (facts.x87.is_any(), "x87"),
                (facts.undecodable.is_any(), "undecodable"),
            ];
            for (_, what) in seen.iter().filter(|(seen, _)| *seen) {
                code.complaints.push(format!("{}: {what}", function.name));
            }
            code.uses_vectors |= facts.vector.is_any();
            let links = object.relocations(function.section);
            let inside =
                links.filter(|link| (function.address..function.end()).contains(&link.offset));
            let targets: BTreeSet<_> = inside
                .map(|link| object.symbols()[link.symbol].name.to_string())
                .filter(|name| !name.is_empty())
                .collect();
            for name in function.names() {
                code.references.entry(name.to_owned()).or_default().extend(targets.clone());
            }
        }
    }
    code
}

/// Follows every exported function to the ends.
fn judge(code: &Code, exports: &[&str]) -> Vec<String> {
    let mut complaints = code.complaints.clone();
    for &start in exports {
        if !code.references.contains_key(start) {
            complaints.push(format!("{start}: not there"));
        }
        let (mut reached, mut next) = (vec![start], 0);
        while next < reached.len() {
            for target in code.references.get(reached[next]).into_iter().flatten() {
                if target == start {
                    complaints.push(format!("{start}: comes back to itself"));
                }
                if is_panic(target) {
                    complaints.push(format!("{start}: leads to {}", names::demangled(target)));
                }
                if !reached.contains(&target.as_str()) {
                    reached.push(target);
                }
            }
            next += 1;
        }
    }
    complaints
}

fn is_panic(symbol: &str) -> bool {
    let name = names::demangled(symbol);
    ["panicking", "precondition_check", "unwrap_failed", "expect_failed", "slice_index_fail"]
        .iter()
        .any(|part| name.contains(part))
}

fn exports() -> Vec<&'static str> {
    include_str!("../math/exports.txt").lines().collect()
}

/// Builds the archive without a red zone, as a kernel's can be.
fn archive(scratch: &Scratch, level: &str, checks: bool) -> PathBuf {
    let folder = scratch.path().join(format!("{level}-{checks}"));
    let mut command = cargo(root());
    command.args(["build", "--quiet", "--release", "-p", "freestone-math", "--features", "export"]);
    command.arg("--target-dir").arg(&folder);
    for setting in [
        format!("opt-level={level:?}").replace("\"0\"", "0").replace("\"3\"", "3"),
        format!("debug-assertions={checks}"),
        format!("overflow-checks={checks}"),
    ] {
        command.args(["--config", &format!("profile.release.{setting}")]);
    }
    command.env("RUSTFLAGS", "-C no-redzone=yes");
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{built}");
    folder.join("release/libfreestone_math.rlib")
}

#[test]
fn nothing_comes_back_to_itself_or_leads_to_a_panic_at_any_level() {
    let scratch = Scratch::new("math-archive");
    for (level, checks) in [("0", true), ("0", false), ("s", false), ("z", false), ("3", false)] {
        let code = read(&archive(&scratch, level, checks));
        let complaints = judge(&code, &exports());
        assert_eq!(complaints, Vec::<String>::new(), "level {level}, checks {checks}");
    }
}

/// For a target whose floats are not the hardware's.
#[test]
fn soft_float_builds_use_no_vector_registers() {
    let target = "x86_64-unknown-none";
    let Some(sysroot) = sysroot(target) else { return };
    let scratch = Scratch::new("math-soft");
    for level in ["0", "s", "z", "3"] {
        let mut command = sysroot.cargo(&format!("-C opt-level={level}"));
        command.args(["build", "--quiet", "--release", "-p", "freestone-math"]);
        command.args(["--features", "export", "--target-dir"]).arg(scratch.path().join(level));
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let path = format!("{level}/{target}/release/libfreestone_math.rlib");
        let code = read(&scratch.path().join(path));
        assert_eq!(judge(&code, &exports()), Vec::<String>::new(), "level {level}");
        assert!(!code.uses_vectors, "level {level}");
    }
}

/// A program for the target without floats, which this machine can run: it has no operating system to
/// ask for anything but its end.
const PROGRAM: &str = r#"
#![no_std]
#![no_main]

extern crate freestone_math;

#[path = "ANSWERS"]
mod answers;

core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call start", "ud2");

/// Linux's exit, number 60, with 0 if all answers are right.
#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    let right = answers::operators() == answers::ANSWER && answers::functions() == answers::ANSWER
        && answers::methods() == answers::OF_METHODS;
    // SAFETY: exit takes a number and touches no memory; it does not return.
    unsafe { core::arch::asm!("syscall", in("rax") 60, in("rdi") !right as u64, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: it raises an exception, which ends the program.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
"#;

/// Where every `+` of floats is a call, with the floats in general registers.
#[test]
fn programs_without_hardware_floats_give_the_right_answers() {
    let Some(sysroot) = sysroot("x86_64-unknown-none") else { return };
    let scratch = Scratch::new("math-answers");
    let math = root().join("math");
    let answers = math.join("tests/answers.rs");
    scratch.write("src/main.rs", &PROGRAM.replace("ANSWERS", answers.to_str().expect("UTF-8")));
    scratch.write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"answers\"\nedition = \"2024\"\n[workspace]\n\
             [dependencies]\nfreestone-math = {{ path = {math:?}, features = [\"export\"] }}\n"
        ),
    );
    fs::copy(root().join("Cargo.lock"), scratch.path().join("Cargo.lock")).expect("both are there");
    for level in ["0", "s", "3"] {
        let map = scratch.path().join(format!("{level}.map"));
        let flags = format!(
            "-C opt-level={level} -C relocation-model=static -C linker={} -C link-arg=-Map={}",
            linker().display(),
            map.display()
        );
        let mut command = sysroot.cargo(&flags);
        command.current_dir(scratch.path()).args(["build", "--quiet", "--release"]);
        command.arg("--target-dir").arg(scratch.path().join(level));
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let program = scratch.path().join(level).join("x86_64-unknown-none/release/answers");
        let map = fs::read_to_string(&map).expect("the linker wrote it");
        for line in map.lines().filter(|line| line.contains(":(.text.__")) {
            assert!(!line.contains("libcompiler_builtins"), "not ours, at level {level}: {line}");
        }
        assert!(map.contains(":(.text.__adddf3)"), "level {level}: nobody adds");
        let ended = run(&mut Command::new(&program));
        assert_eq!(ended.status, Some(0), "level {level}: {ended}");
    }
}

/// The linker that comes with the toolchain of this test.
fn linker() -> PathBuf {
    let printed = run(Command::new("rustc").args(["--print", "target-libdir"]));
    Path::new(printed.stdout.trim()).join("../bin/rust-lld")
}

/// Without a warning, with and without the names of C.
fn compiles_for(target: &str) {
    let Some(sysroot) = sysroot(target) else { return };
    let scratch = Scratch::new(&format!("math-{target}"));
    for features in [&[][..], &["--features", "export"]] {
        let mut command = sysroot.cargo("-D warnings");
        command.args(["build", "--quiet", "--release", "-p", "freestone-math", "--target-dir"]);
        command.arg(scratch.path()).args(features);
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
    }
}

macro_rules! compiles_for {
    ($($test:ident: $target:literal, $now:expr;)*) => {$(
        #[test]
        fn $test() {
            // Building `core` takes longest.
            if $now {
                compiles_for($target);
            }
        }
    )*};
}

compiles_for! {
    it_compiles_for_aarch64: "aarch64-unknown-none", true;
    long_it_compiles_for_aarch64_without_floats: "aarch64-unknown-none-softfloat", long();
    it_compiles_for_riscv64: "riscv64gc-unknown-none-elf", true;
    long_it_compiles_for_riscv32_without_floats: "riscv32imac-unknown-none-elf", long();
    it_compiles_for_i686: "i686-unknown-linux-gnu", true;
}

/// The compiler's own library uses both.
#[test]
fn red_zones_and_vector_registers_are_found() {
    let printed = run(Command::new("rustc").args(["--print", "target-libdir"]));
    let files = fs::read_dir(printed.stdout.trim()).expect("a toolchain has libraries");
    let mut paths = files.map(|file| file.expect("readable").path());
    let builtins = paths.find(|path| path.to_string_lossy().contains("/libcompiler_builtins-"));
    let code = read(&builtins.expect("every toolchain has it"));
    assert!(code.uses_vectors);
    assert!(
        code.complaints.iter().any(|what| what.ends_with(": red zone")),
        "{:?}",
        code.complaints
    );
}

#[test]
fn what_is_wrong_is_found() {
    let code = |edges: &[(&str, &str)]| {
        let mut code = Code::default();
        for (from, to) in edges {
            code.references.entry((*from).into()).or_default().insert((*to).into());
        }
        code
    };
    let found = |edges, what: &str| {
        let complaints = judge(&code(edges), &["__udivti3"]);
        assert!(complaints.iter().any(|found| found.contains(what)), "{complaints:?}");
    };
    found(&[("__udivti3", "__udivti3")], "comes back");
    found(
        &[("__udivti3", "ours"), ("ours", "__umodti3"), ("__umodti3", "__udivti3")],
        "comes back",
    );
    found(
        &[("__udivti3", "ours"), ("ours", "_ZN4core9panicking5panic17h0123456789abcdefE")],
        "leads",
    );
    found(&[("__umodti3", "ours")], "not there");
    assert_eq!(judge(&code(&[("__udivti3", "ours")]), &["__udivti3"]), Vec::<String>::new());
}
