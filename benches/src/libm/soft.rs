//! The same functions in a build without hardware floats, where each operation on them is a call.
//!
//! Two programs for `x86_64-unknown-none`, which this machine runs: ours and the crate `libm` on this project's soft
//! float, and the crate on the toolchain's. They run in turns; of each number the least counts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Scratch, root, run};

/// How often each program runs.
const RUNS: usize = 5;

/// Prints the table.
pub fn measure() {
    let Some(sysroot) = sysroot("x86_64-unknown-none") else { return };
    let scratch = Scratch::new("bench-soft-libm");
    let functions = root().join("benches/src/libm/functions.rs");
    let program = include_str!("soft_program.rs");
    scratch.write("src/main.rs", &program.replace("FUNCTIONS", functions.to_str().expect("UTF-8")));
    scratch.write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"soft\"\nedition = \"2024\"\n[workspace]\n[features]\n\
             ours = [\"dep:freestone-math\"]\n[dependencies]\nlibm = \"0.2\"\n\
             freestone-math = {{ path = {:?}, features = [\"export\"], optional = true }}\n",
            root().join("math")
        ),
    );
    fs::copy(root().join("Cargo.lock"), scratch.path().join("Cargo.lock")).expect("both are there");
    let program = |folder: &str, features: &[&str]| -> PathBuf {
        let flags = format!("-C relocation-model=static -C linker={}", linker().display());
        let mut command = sysroot.cargo(&flags);
        command.current_dir(scratch.path()).args(["build", "--quiet", "--release"]).args(features);
        let folder = scratch.path().join(folder);
        let built = run(command.arg("--target-dir").arg(&folder));
        assert_eq!(built.status, Some(0), "{built}");
        folder.join("x86_64-unknown-none/release/soft")
    };
    let ours = program("ours", &["--features", "ours"]);
    let theirs = program("theirs", &[]);
    let (mut rows, mut others) = (least(&ours, None), least(&theirs, None));
    for _ in 1..RUNS {
        (rows, others) = (least(&ours, Some(rows)), least(&theirs, Some(others)));
    }
    println!("| function | ns | libm, on the same soft float | libm, on the toolchain's |");
    println!("|---|---|---|---|");
    let per_ns = ticks_per_ns();
    for ((name, times), (_, other)) in rows.iter().zip(&others) {
        let (ours, krate, other) = (times[0], times[1], other[0]);
        println!(
            "| `{name}` | {:.1} | **{:.2}** | **{:.2}** |",
            ours / 1000.0 / per_ns,
            krate / ours,
            other / ours
        );
    }
}

type Rows = Vec<(String, Vec<f64>)>;

/// Runs a program, and keeps the lesser of its numbers and those so far.
fn least(program: &PathBuf, so_far: Option<Rows>) -> Rows {
    let ended = run(&mut Command::new(program));
    assert_eq!(ended.status, Some(0), "{ended}");
    let mut rows: Rows = ended
        .stdout
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().expect("a name").to_owned();
            (name, words.map(|word| word.parse().expect("a number")).collect())
        })
        .collect();
    for ((_, times), (_, before)) in rows.iter_mut().zip(so_far.iter().flatten()) {
        for (time, before) in times.iter_mut().zip(before) {
            *time = time.min(*before);
        }
    }
    rows
}

/// Of the time-stamp counter.
fn ticks_per_ns() -> f64 {
    // SAFETY: every x86_64 has it.
    let ticks = || unsafe { core::arch::x86_64::_rdtsc() };
    let (begin, from) = (Instant::now(), ticks());
    while begin.elapsed() < Duration::from_millis(50) {}
    (ticks() - from) as f64 / begin.elapsed().as_nanos() as f64
}

/// The linker that comes with the toolchain.
fn linker() -> PathBuf {
    let printed = run(Command::new("rustc").args(["--print", "target-libdir"]));
    PathBuf::from(printed.stdout.trim()).join("../bin/rust-lld")
}
