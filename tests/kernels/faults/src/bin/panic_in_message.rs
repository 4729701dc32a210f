//! A panic whose message panics.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

struct Bomb;

impl core::fmt::Display for Bomb {
    fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        panic!("the second panic");
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    panic!("the first panic, {Bomb}");
}
