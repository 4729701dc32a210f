//! Halted for good, without a verdict: to Xen that is a power-off.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::print!("half a line");
    freestone::platform::x86_64::cpu::halt()
}
