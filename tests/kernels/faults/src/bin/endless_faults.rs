//! A handler that raises what it handles, until its stack is used up.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

use freestone::traps::{self, Frame, Outcome};

const INVALID_OPCODE: u8 = 6;

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    // SAFETY: raises the exception that this handler is for; that is what is tested.
    unsafe { core::arch::asm!("ud2") };
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(INVALID_OPCODE, handler, 0);
    // SAFETY: as above.
    unsafe { core::arch::asm!("ud2") };
    Exit::Success
}
