//! Linking, in all common ways: three linkers, three kinds of link-time optimisation, three
//! levels, one or many codegen units, two modes. Each image boots, reports the tour's verdict, and `check`
//! finds no error in it. If a symbol is defined twice, the linker names it.
//!
//! A diagonal each time, the whole matrix with FREESTONE_LONG=1 (108 kernels); with FREESTONE_BLESS=1 beside it,
//! what came out is written to `link-matrix.md`.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use freestone_tests::sysroot::{Sysroot, sysroot};
use freestone_tests::{Scratch, boot, cargo, long, root, run, status, tool};

const LINKERS: [&str; 3] = ["rust-lld", "ld", "ld.lld"];
const LTO: [&str; 3] = ["off", "thin", "fat"];
const LEVELS: [&str; 3] = ["0", "\"s\"", "3"];
const UNITS: [&str; 2] = ["1", "16"];
const MODES: [&str; 2] = ["host", "none"];

#[derive(Clone, Copy, Debug)]
struct Case {
    linker: &'static str,
    lto: &'static str,
    level: &'static str,
    units: &'static str,
    mode: &'static str,
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    // The linker last: what is linked is the same for all three, and built once.
    for mode in MODES {
        for lto in LTO {
            for level in LEVELS {
                for units in UNITS {
                    all.extend(LINKERS.map(|linker| Case { linker, lto, level, units, mode }));
                }
            }
        }
    }
    if long() {
        return all;
    }
    // Every value of every dimension at least once.
    let diagonal = [
        (0, 2, 2, 0, 0),
        (1, 0, 1, 1, 0),
        (2, 1, 0, 1, 0),
        (0, 1, 0, 0, 1),
        (1, 2, 1, 1, 1),
        (2, 0, 2, 0, 1),
    ];
    let case = |(linker, lto, level, units, mode): (usize, usize, usize, usize, usize)| Case {
        linker: LINKERS[linker],
        lto: LTO[lto],
        level: LEVELS[level],
        units: UNITS[units],
        mode: MODES[mode],
    };
    diagonal.map(case).to_vec()
}

/// The program itself, `None` if it is not here.
fn program(name: &str) -> Option<PathBuf> {
    if name == "rust-lld" {
        let printed = run(Command::new("rustc").args(["--print", "sysroot"]));
        let bin = "lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld";
        return Some(Path::new(printed.stdout.trim()).join(bin)).filter(|path| path.is_file());
    }
    // Debian's lld has its version in its name.
    let names =
        std::iter::once(name.to_owned()).chain((15..30).rev().map(|n| format!("{name}-{n}")));
    names.map(|name| Path::new("/usr/bin").join(name)).find(|path| path.is_file())
}

/// The compiler flags that make it link.
fn flags(case: Case, path: &Path, scratch: &Scratch) -> Vec<String> {
    match (case.mode, case.linker) {
        // The compiler driver takes its linker by name from a folder.
        ("host", "rust-lld") => Vec::new(),
        ("host", "ld") => vec!["-Clinker-features=-lld".into()],
        ("host", _) => {
            let folder = scratch.path().join("bin");
            fs::create_dir_all(&folder).expect("it is ours");
            let _ = symlink(path, folder.join("ld.lld"));
            let folder = format!("-Clink-arg=-B{}", folder.display());
            vec!["-Clinker-features=-lld".into(), "-Clink-arg=-fuse-ld=lld".into(), folder]
        }
        (_, "ld") => vec![format!("-Clinker={}", path.display()), "-Clinker-flavor=ld".into()],
        _ => vec![format!("-Clinker={}", path.display())],
    }
}

/// Builds the reference kernel so. Only the kernel gets `flags`: what it is linked from is shared by the linkers.
fn build(case: Case, flags: &[String], core: Option<&Sysroot>, folder: &Path) -> PathBuf {
    let mut command = match core {
        Some(core) => core.cargo(""),
        None => {
            let mut command = cargo(root());
            command.env("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu");
            command
        }
    };
    command.args(["rustc", "--quiet", "--release", "-p", "example-kernel", "--target-dir"]);
    command.arg(folder);
    for setting in [
        format!("lto={:?}", case.lto),
        format!("opt-level={}", case.level),
        format!("codegen-units={}", case.units),
    ] {
        command.args(["--config", &format!("profile.release.{setting}")]);
    }
    let built = run(command.arg("--").args(flags));
    assert_eq!(built.status, Some(0), "{case:?} {built}");
    let target = if core.is_some() { "x86_64-unknown-none" } else { "x86_64-unknown-linux-gnu" };
    folder.join(target).join("release/example-kernel")
}

#[test]
fn every_way_of_linking_gives_a_kernel_that_boots() {
    let scratch = Scratch::new("hygiene");
    let none = sysroot("x86_64-unknown-none");
    let mut sizes = Vec::new();
    for case in cases() {
        let core = if case.mode == "none" { none.as_ref() } else { None };
        let path = program(case.linker);
        let (Some(path), true) = (path, case.mode == "host" || core.is_some()) else {
            println!("SKIPPED: {case:?}: no such linker here, or no core");
            continue;
        };
        println!("{case:?}");
        let flags = flags(case, &path, &scratch);
        let image = build(case, &flags, core, &scratch.path().join("target"));
        boot(&image, &["--", "oneshot"]).expect(status::SUCCESS, &["VERDICT: success"]);
        run(tool().arg("check").arg(&image)).expect(status::SUCCESS, &["0 errors"]);
        sizes.push((case, fs::metadata(&image).expect("it booted").len()));
    }
    if long() && env::var_os("FREESTONE_BLESS").is_some() {
        let path = root().join("tests/link-matrix.md");
        fs::write(&path, document(&sizes, none.as_ref())).expect("the folder is there");
    }
}

/// The matrix as a table: a row for a mode, a linker and a kind of optimisation, a column for a level and units.
fn document(sizes: &[(Case, u64)], none: Option<&Sysroot>) -> String {
    let version = |program: &Path| {
        let said = run(Command::new(program).args(["-flavor", "gnu", "--version"]));
        let said =
            if said.status == Some(0) { said } else { run(Command::new(program).arg("--version")) };
        said.stdout.lines().next().unwrap_or_default().to_owned()
    };
    let mut linkers = String::new();
    for name in LINKERS {
        let version = program(name).as_deref().map_or_else(|| "not here".into(), version);
        let _ = writeln!(linkers, "- `{name}`: {version}");
    }
    let release = run(Command::new("rustc").arg("--version")).stdout;
    let mut rows = String::new();
    for mode in MODES {
        for linker in LINKERS {
            for lto in LTO {
                let _ = write!(rows, "| {mode} | {linker} | {lto} |");
                for (level, units) in
                    LEVELS.iter().flat_map(|level| UNITS.map(|units| (level, units)))
                {
                    let found = sizes.iter().find(|(case, _)| {
                        (case.mode, case.linker, case.lto) == (mode, linker, lto)
                            && (case.level, case.units) == (level, units)
                    });
                    let _ = match found {
                        Some((_, bytes)) => write!(rows, " {} |", bytes.div_ceil(1024)),
                        None => write!(rows, " not run |"),
                    };
                }
                rows.push('\n');
            }
        }
    }
    format!(
        "# The reference kernel, linked in every way\n\n\
         Each of these {} images was linked, was booted in QEMU, told the tour's verdict (success), and `cargo freestone\n\
         check` found no error in it; the number is its size with symbols, in KiB. Made by tests/hygiene.rs with\n\
         `FREESTONE_LONG=1 FREESTONE_BLESS=1`; do not edit.\n\n\
         - host mode: {}- none mode: rustc {} with `core` from its source\n{linkers}\n\
         | mode | linker | LTO | level 0, 1 unit | 0, 16 | s, 1 | s, 16 | 3, 1 | 3, 16 |\n\
         |---|---|---|---|---|---|---|---|---|\n{rows}",
        sizes.len(),
        release,
        none.map_or("-", Sysroot::release),
    )
}

/// A library that looks like libc or libm to the linker, whole, beside ours.
#[test]
fn a_second_provider_is_named() {
    let scratch = Scratch::new("collision");
    for (name, source) in [
        (
            "memcpy",
            "void *memcpy(void *d, const void *s, unsigned long n) { (void)s; (void)n; return d; }",
        ),
        ("pow", "double pow(double x, double y) { return x + y; }"),
    ] {
        scratch.write("like.c", source);
        let (object, archive) = (scratch.path().join("like.o"), scratch.path().join("liblike.a"));
        let mut gcc = Command::new("gcc");
        gcc.args(["-c", "-ffreestanding", "-o"]).arg(&object).arg(scratch.path().join("like.c"));
        assert_eq!(run(&mut gcc).status, Some(0));
        assert_eq!(run(Command::new("ar").arg("rcs").arg(&archive).arg(&object)).status, Some(0));
        let flags = format!(
            "-Clink-arg=-Wl,--whole-archive -Clink-arg={} -Clink-arg=-Wl,--no-whole-archive",
            archive.display()
        );
        let mut command = cargo(root());
        command.env("RUSTFLAGS", flags).args(["build", "--quiet", "-p", "example-kernel"]);
        command.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"]);
        let ended = run(command.arg(scratch.path().join("target")));
        assert_eq!(ended.status, Some(101), "{ended}");
        let is_named = ended.stderr.contains(&format!("duplicate symbol: {name}"));
        assert!(is_named && ended.stderr.contains("liblike.a"), "{ended}");
    }
}
