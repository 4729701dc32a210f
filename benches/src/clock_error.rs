//! How far a kernel's clock is off after a while, against the host's.
//!
//! `cargo run --release -p freestone-benches --bin clock-error [SECONDS] [ROUNDS]` prints a Markdown table. The
//! kernel prints its time in two groups of lines; each line takes a while to arrive, so of a group the one
//! that took the least counts. What is left of that is some tens of microseconds.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use freestone_tests::{MACHINES, Profile, kernel, tool};

fn main() {
    let argument = |at, default| {
        std::env::args().nth(at).and_then(|word| word.parse().ok()).unwrap_or(default)
    };
    let (seconds, rounds) = (argument(1, 10), argument(2, 3));
    println!("| machine | clock | error after {seconds} s, in parts per million, {rounds} runs |");
    println!("|---|---|---|");
    for machine in MACHINES {
        row(machine, &["--machine", machine], seconds, rounds);
    }
    row("Xen", &["--on", "xen"], seconds, rounds);
}

fn row(name: &str, place: &[&str], seconds: u64, rounds: u64) {
    let mut errors = Vec::new();
    let mut source = String::new();
    for _ in 0..rounds {
        let (error, rate) = error(place, seconds);
        errors.push(format!("{error:+.0}"));
        source = rate;
    }
    println!("| {name} | {source} | {} |", errors.join(", "));
}

/// The kernel's seconds against the host's, in millionths, and what the kernel says of its clock.
fn error(place: &[&str], seconds: u64) -> (f64, String) {
    let image = kernel("kernel-clock", "kernel-clock", Profile::Release);
    let mut command = tool();
    command.arg("run").args(place).arg(image).args(["--timeout", "200", "--"]);
    command.args([format!("seconds={seconds}"), "readings=100000".into()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let start = Instant::now();
    let (mut marks, mut rate) = (Vec::new(), String::new());
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        let host = start.elapsed().as_secs_f64();
        if let Some(nanoseconds) = line.strip_prefix("mark ") {
            let guest = nanoseconds.trim().parse::<f64>().expect("a number") / 1e9;
            marks.push((guest, host - guest));
        } else if let Some((_, source)) = line.split_once("kHz, ") {
            rate = source.to_owned();
        }
    }
    assert!(child.wait().is_ok_and(|status| status.success()), "{place:?}");
    let (first, last) = marks.split_at(marks.len() / 2);
    let quickest = |marks: &[(f64, f64)]| {
        marks.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("marks in both groups")
    };
    let (first, last) = (quickest(first), quickest(last));
    let guest = last.0 - first.0;
    let host = guest + last.1 - first.1;
    ((guest / host - 1.0) * 1e6, rate)
}
