//! The cost of an interrupt, in instructions under `--icount`: from INT to the instruction after IRET, less the same code without INT.
#![no_std]
#![no_main]

use core::arch::asm;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::x86_64::cpu::ticks;
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

const VECTOR: u8 = 0x40;

fn nothing(_frame: &mut Frame, _word: usize) -> Outcome {
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    interrupts::handle(VECTOR, nothing, 0);
    let start = ticks();
    // SAFETY: the vector has a handler, which changes nothing.
    unsafe { asm!("int 0x40") };
    let with = ticks() - start;
    let start = ticks();
    // SAFETY: does nothing.
    unsafe { asm!("nop") };
    let without = ticks() - start;
    println!("interrupt entry and exit: {} instructions", with - without);
    Exit::Success
}
