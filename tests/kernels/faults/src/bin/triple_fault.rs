//! No handlers at all: the machine resets.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::println!("about to reset");
    let nothing = [0_u8; 10];
    // SAFETY: an empty table is loaded so that the breakpoint cannot be delivered; that is the test.
    unsafe { core::arch::asm!("lidt [{}]", "int3", in(reg) &nothing) };
    Exit::Success
}
