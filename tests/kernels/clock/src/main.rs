//! Prints the time. `readings=N` reads the clock N times, with interrupts in between that read it too; it must never go back.
//! `seconds=S` prints a line now and one S seconds later, for the host to compare with its own clock.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::time::{self, DateTime};
use freestone::{BootInfo, Exit, interrupts, println, timer};

freestone::entry!(main, audit: exit);

/// The latest reading that a handler has had, in nanoseconds, and how many it has had.
static LATEST: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);

fn nanoseconds() -> u64 {
    time::now().as_nanos() as u64
}

fn tick(period: usize) {
    LATEST.store(nanoseconds(), Ordering::Relaxed);
    TICKS.fetch_add(1, Ordering::Relaxed);
    timer::after(Duration::from_micros(period as u64), tick, period);
}

fn never_goes_back(readings: u64) -> bool {
    timer::after(Duration::ZERO, tick, 5000).expect("a timer");
    interrupts::enable();
    let (mut latest, mut read) = (0, 0);
    while read < readings || TICKS.load(Ordering::Relaxed) < 10 {
        let in_handler = LATEST.load(Ordering::Relaxed);
        let now = nanoseconds();
        if now < latest || now < in_handler {
            println!("{now} ns after {latest} ns, and {in_handler} ns in a handler");
            return false;
        }
        (latest, read) = (now, read + 1);
    }
    interrupts::disable();
    println!("readings: {read}, interrupted {} times", TICKS.load(Ordering::Relaxed));
    latest > 0
}

/// Several, a little apart: the host takes the one that it has heard of soonest.
fn mark(seconds: u64) {
    let start = time::now();
    for number in 0..20 {
        let at = start + Duration::from_secs(seconds) + Duration::from_millis(20 * number);
        timer::sleep(at.saturating_sub(time::now()));
        println!("mark {}", nanoseconds());
    }
}

fn main(boot: &'static BootInfo) -> Exit {
    let rate = time::rate();
    println!("rate: {} kHz, {}", rate.hertz / 1000, rate.source);
    match time::wall() {
        Some(wall) => println!("date: {}", DateTime::of(wall)),
        None => println!("date: unknown"),
    }
    let argument = |key| boot.argument(key).and_then(|text| text.parse().ok());
    if let Some(seconds) = argument("seconds") {
        mark(0);
        mark(seconds);
    }
    if never_goes_back(argument("readings").unwrap_or(100_000)) {
        Exit::Success
    } else {
        Exit::Failure
    }
}
