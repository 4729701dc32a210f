//! A read from where nothing is mapped.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    let nowhere = 0x0000_4567_89ab_cd00 as *const u64;
    // SAFETY: there is none; the fault is what is tested.
    let word = unsafe { nowhere.read_volatile() };
    freestone::println!("read {word}");
    Exit::Success
}
