//! A handler that interrupts itself until its stack is used up.
#![no_std]
#![no_main]

use core::arch::asm;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    // SAFETY: raises the interrupt that this handler is for; that is what is tested.
    unsafe { asm!("int 0x40") };
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    interrupts::handle(0x40, handler, 0);
    // SAFETY: as above.
    unsafe { asm!("int 0x40") };
    Exit::Success
}
