//! How long from the start of QEMU to a kernel's first text, beside the smallest possible kernel.
//!
//! `cargo run -p freestone-benches --bin boot-time [ROUNDS]` prints a Markdown table. The two kernels
//! take turns, so that other load on the machine affects both. Quote the ratio of the medians: milliseconds
//! depend on the machine and the hour.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use freestone_tests::{MACHINES, Profile, kernel};

const DEFAULT_ROUNDS: usize = 21;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let rounds = rounds.unwrap_or(DEFAULT_ROUNDS);
    let floor = kernel("kernel-floor", "kernel-floor", Profile::Release);
    let hello = kernel("kernel-hello", "kernel-hello", Profile::Release);

    println!("| machine | floor, ms min / median | hello, ms min / median | ratio of medians |");
    println!("|---|---|---|---|");
    for machine in MACHINES {
        let (mut floors, mut hellos) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            floors.push(until_text(&floor, machine, "F\n"));
            hellos.push(until_text(&hello, machine, "Hello, world\n"));
        }
        let ((floor_min, floor), (hello_min, hello)) = (spread(floors), spread(hellos));
        let ratio = hello / floor;
        println!(
            "| {machine} | {floor_min:.1} / {floor:.1} | {hello_min:.1} / {hello:.1} | {ratio:.3} |"
        );
    }
}

/// Starts QEMU as `cargo freestone run` does and waits for `text`.
fn until_text(image: &Path, machine: &str, text: &str) -> Duration {
    let start = Instant::now();
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-machine", machine, "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults"])
        .args(["-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel"])
        .arg(image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("QEMU does not start: {error}"));
    let mut output = qemu.stdout.take().expect("it is piped");
    let (mut seen, mut buffer) = (Vec::new(), [0; 256]);
    let took = loop {
        let count = output.read(&mut buffer).expect("a pipe can be read");
        assert!(count > 0, "{} ended without {text:?}", image.display());
        seen.extend_from_slice(&buffer[..count]);
        if seen.windows(text.len()).any(|window| window == text.as_bytes()) {
            break start.elapsed();
        }
    };
    // The kernel ends by itself right after; only a broken one would have to be killed.
    let _ = qemu.wait();
    took
}

/// Minimum and median in milliseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1000.0;
    let middle = times.get(times.len() / 2).map_or(0.0, milliseconds);
    (times.first().map_or(0.0, milliseconds), middle)
}
