//! A page fault inside a timer handler.
#![no_std]
#![no_main]

use core::time::Duration;

use freestone::{BootInfo, Exit, interrupts, timer};

freestone::entry!(main, audit: exit);

fn fault(_: usize) {
    let nowhere = 0x0000_4567_89ab_cd00 as *const u64;
    // SAFETY: there is none; the fault is what is tested.
    unsafe { nowhere.read_volatile() };
}

fn main(_boot: &'static BootInfo) -> Exit {
    timer::after(Duration::from_micros(50), fault, 0).expect("a timer");
    interrupts::enable();
    timer::sleep(Duration::from_secs(1));
    Exit::Success
}
