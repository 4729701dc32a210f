//! Interrupts without a handler: reported once, counted, survived.
#![no_std]
#![no_main]

use core::arch::asm;

use freestone::{BootInfo, Exit, interrupts, println};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    interrupts::enable();
    // SAFETY: every interrupt vector has a gate now, and its entry changes nothing.
    unsafe { asm!("int 0x77", "int 0x77", "int 0xff", "int 0x20") };
    println!("counted: {}", interrupts::unexpected());
    if interrupts::unexpected() == 4 { Exit::Success } else { Exit::Failure }
}
