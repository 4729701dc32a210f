//! A page fault inside a breakpoint handler.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

use freestone::traps::{self, Frame, Outcome};

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    let nowhere = 0x0000_4567_89ab_cd00 as *const u64;
    // SAFETY: there is none; the fault is what is tested.
    unsafe { nowhere.read_volatile() };
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(traps::BREAKPOINT, handler, 0);
    traps::breakpoint();
    Exit::Success
}
