//! One-shot timers: in order, cancelled ones never, a full table refused; and sleep.
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
    assert!(slept >= ms(50) && interrupts::unexpected() == 0);
    Exit::Success
}
