//! A handler that allocates after it has interrupted the heap: every instruction of the heap's code is interrupted.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::hint::black_box;

use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

/// The debug exception, which comes behind every instruction while the flag says so (Intel SDM volume 3, 19.3.1.4).
const DEBUG: u8 = 1;
const TRAP_FLAG: u64 = 1 << 8;

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    black_box(Box::new(7));
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(DEBUG, handler, 0);
    println!("one instruction after the other");
    // SAFETY: the flag changes nothing but what is handled above.
    unsafe {
        core::arch::asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP_FLAG);
    }
    black_box(Box::new(8));
    Exit::Success
}
