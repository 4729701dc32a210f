//! A panic while the console lock is held.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

struct Bomb;

impl core::fmt::Display for Bomb {
    fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        panic!("inside print");
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::println!("half a line, {Bomb}");
    Exit::Success
}
