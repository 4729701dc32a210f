//! How many instructions the memory routines take, by `callgrind`: exact, so a change shows.
//!
//! Instructions are not time, and `rep` counts one for each repetition. But one more branch, spill or loop turn
//! in a short copy shows here, however noisy the machine is. `FREESTONE_BLESS=1 cargo test -p
//! freestone-tests --test mem_counts` writes the table anew; without `valgrind` the test is skipped, with a message.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use freestone_tests::{Profile, Scratch, kernel, root, run};

/// `body, routine` to instructions by bytes.
type Counts = BTreeMap<String, BTreeMap<usize, u64>>;

fn table_path() -> PathBuf {
    root().join("tests/contract/mem-counts.txt")
}

/// The counts of one run, without those of the call itself; `None` without `valgrind`.
fn counted() -> Option<Counts> {
    Command::new("valgrind").arg("--version").output().ok()?;
    // No kernel, but built like one.
    let program = kernel("freestone-benches", "mem-counts", Profile::Release);
    let scratch = Scratch::new("mem-counts");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--collect-atstart=no"]);
    command.arg(format!("--callgrind-out-file={}", scratch.path().join("out").display()));
    let ended = run(command.arg(program));
    assert_eq!(ended.status, Some(0), "{ended}");
    let mut dumps = Vec::new();
    for dump in fs::read_dir(scratch.path()).expect("it was just made") {
        let text = fs::read_to_string(dump.expect("an entry").path()).expect("a readable dump");
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        // The last dump, at the program's end, has no name.
        if let Some(name) = field("desc: Trigger: Client Request: ") {
            let total = field("totals: ").and_then(|total| total.trim().parse::<u64>().ok());
            dumps.push((name.to_owned(), total.expect("a total")));
        }
    }
    let nothing = dumps.iter().find(|(name, _)| name == "nothing").expect("a call of nothing").1;
    let mut counts = Counts::new();
    for (name, total) in &dumps {
        let Some((routine, bytes)) = name.rsplit_once(", ") else { continue };
        let bytes = bytes.parse().expect("a number of bytes");
        // With the `ret`, which `nothing` has too.
        counts.entry(routine.to_owned()).or_default().insert(bytes, total - nothing + 1);
    }
    Some(counts)
}

/// The table as it is committed: a line for each routine, a column for each number of bytes.
fn table(counts: &Counts) -> String {
    let mut text = format!("{:44}", "instructions, by bytes");
    for bytes in counts.values().next().expect("a routine").keys() {
        let _ = write!(text, " {bytes:>6}");
    }
    for (routine, counts) in counts {
        let _ = write!(text, "\n{routine:44}");
        for count in counts.values() {
            let _ = write!(text, " {count:>6}");
        }
    }
    text + "\n"
}

/// The lines that are not the same, committed and found.
fn differences(committed: &str, found: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in committed.lines().filter(|line| !found.lines().any(|other| other == *line)) {
        lines.push(format!("- {line}"));
    }
    for line in found.lines().filter(|line| !committed.lines().any(|other| other == *line)) {
        lines.push(format!("+ {line}"));
    }
    lines
}

#[test]
fn counts_are_those_in_the_table() {
    let Some(counts) = counted() else {
        println!("SKIPPED: valgrind is not installed, nothing was counted");
        return;
    };
    // Six routines, `memmove` both ways, by five bodies; one of them not on every processor.
    let all = std::arch::is_x86_feature_detected!("avx2");
    assert_eq!(counts.len(), 7 * if all { 5 } else { 4 });
    let found = table(&counts);
    if all && env::var_os("FREESTONE_BLESS").is_some() {
        fs::write(table_path(), &found).expect("the table can be written");
    }
    let mut committed = fs::read_to_string(table_path()).expect("a committed table");
    if !all {
        println!("SKIPPED: no AVX2 here, its body was not counted");
        let lines = committed.split_inclusive('\n').filter(|line| !line.starts_with("avx2, "));
        committed = lines.collect();
    }
    let differences = differences(&committed, &found);
    assert!(
        differences.is_empty(),
        "not what {} says:\n{}",
        table_path().display(),
        differences.join("\n")
    );
}

#[test]
fn one_instruction_more_is_found() {
    let mut counts = Counts::new();
    counts.entry("gpr, memcpy".into()).or_default().extend([(8, 20), (16, 22)]);
    let committed = table(&counts);
    assert_eq!(differences(&committed, &table(&counts)), Vec::<String>::new());
    *counts.get_mut("gpr, memcpy").unwrap().get_mut(&16).unwrap() += 1;
    assert_eq!(differences(&committed, &table(&counts)).len(), 2);
}
