//! One-shot timers: in order, cancelled ones never, a full table refused; timers set by timers; and sleep, with a place in
//! the table, without one, and in a handler.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use freestone::{BootInfo, Exit, interrupts, println, time, timer};

freestone::entry!(main, audit: exit);

static ORDER: AtomicUsize = AtomicUsize::new(0);

fn note(digit: usize) {
    assert!(interrupts::in_handler() && !interrupts::are_enabled());
    ORDER.store(ORDER.load(Ordering::Relaxed) * 10 + digit, Ordering::Relaxed);
}

/// How often each of these was called.
static CALLS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn count(which: usize) -> usize {
    CALLS[which].fetch_add(1, Ordering::Relaxed) + 1
}

/// Sets itself for a moment that is over. It must not hold the processor meanwhile.
fn at_once(_: usize) {
    if count(0) < 500 {
        timer::at(Duration::ZERO, at_once, 0).expect("its own place is free");
    }
}

/// Sets itself for later, and another one for before that, which the hardware must be told of.
fn later(micros: usize) {
    if count(1) < 10 {
        let delay = Duration::from_micros(micros as u64);
        timer::after(delay, later, micros).expect("room");
        timer::after(delay / 2, between, 0).expect("room");
        let never = timer::after(delay / 4, note, 6).expect("room");
        assert!(timer::cancel(never), "taken back by who set it");
    }
}

fn between(_: usize) {
    count(2);
}

fn timers_set_timers() {
    timer::after(Duration::ZERO, at_once, 0).expect("room");
    timer::after(Duration::from_millis(1), later, 500).expect("room");
    let limit = time::now() + Duration::from_secs(20);
    let calls = || [0, 1, 2].map(|which| CALLS[which].load(Ordering::Relaxed));
    while calls() != [500, 10, 9] && time::now() < limit {
        timer::sleep(Duration::from_micros(300));
    }
    println!("called: {:?}", calls());
    timer::sleep(Duration::from_millis(5));
    assert_eq!(calls(), [500, 10, 9]);
    // Nothing was left behind: the table has all its places.
    let all =
        [(); timer::MOST].map(|()| timer::after(Duration::from_secs(9), note, 5).expect("room"));
    assert!(all.into_iter().all(timer::cancel));
}

/// Counts itself, and comes again.
fn again(micros: usize) {
    CALLS[0].fetch_add(1, Ordering::Relaxed);
    timer::after(Duration::from_micros(micros as u64), again, micros)
        .expect("its own place is free");
}

/// With all places taken, by one that comes again and others that are far away.
fn sleep_without_a_place() {
    let far = Duration::from_secs(1000);
    let all = [(); timer::MOST - 1].map(|()| timer::after(far, note, 4).expect("room"));
    CALLS[0].store(0, Ordering::Relaxed);
    timer::after(Duration::ZERO, again, 2000).expect("room");
    assert!(timer::after(far, note, 4).is_none(), "the table is full");
    let begin = time::now();
    timer::sleep(Duration::from_millis(50));
    let (slept, came) = (time::now() - begin, CALLS[0].load(Ordering::Relaxed));
    assert!(slept >= Duration::from_millis(50), "{slept:?}");
    println!("without a place: {} us, interrupted {came} times", slept.as_micros());
    // However slow the machine, it was interrupted meanwhile, and not only at the end.
    assert!(came > 1, "interrupted {came} times");
    assert!(all.into_iter().all(timer::cancel));
}

/// In a handler of an interrupt, whose timer's own interrupt does not come until it has ended.
fn sleeper(_: usize) {
    timer::sleep(Duration::from_millis(1));
    count(1);
}

fn sleep_in_a_handler() {
    CALLS[1].store(0, Ordering::Relaxed);
    timer::after(Duration::ZERO, sleeper, 0).expect("room");
    let limit = time::now() + Duration::from_secs(20);
    while CALLS[1].load(Ordering::Relaxed) == 0 && time::now() < limit {
        timer::sleep(Duration::from_micros(100));
    }
    assert_eq!(CALLS[1].load(Ordering::Relaxed), 1);
}

fn main(_boot: &'static BootInfo) -> Exit {
    let ms = Duration::from_millis;
    timer::start().expect("a timer");
    // From one moment, as the host may stop the machine for a while between two lines.
    let start = time::now();
    timer::at(start + ms(30), note, 3).expect("room");
    timer::at(start + ms(10), note, 1).expect("room");
    let never = timer::at(start + ms(15), note, 9).expect("room");
    timer::at(start + ms(20), note, 2).expect("room");
    assert!(timer::cancel(never) && !timer::cancel(never));
    let spare = [(); timer::MOST - 3].map(|()| timer::after(ms(1000), note, 8).expect("room"));
    assert!(timer::after(ms(1), note, 7).is_none(), "the table is full");
    assert!(spare.into_iter().all(timer::cancel));
    let begin = time::now();
    timer::sleep(ms(50));
    let slept = time::now() - begin;
    println!("order: {}", ORDER.load(Ordering::Relaxed));
    println!("slept: {} us", slept.as_micros());
    assert!(!interrupts::are_enabled(), "sleep gives back what it found");
    assert_eq!(ORDER.load(Ordering::Relaxed), 123);
    timers_set_timers();
    sleep_in_a_handler();
    sleep_without_a_place();
    assert!(slept >= ms(50) && interrupts::unexpected() == 0);
    Exit::Success
}
