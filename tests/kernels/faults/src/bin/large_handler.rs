//! A nested handler with more on its stack than the stack has: it must not reach its caller's.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

static DEPTH: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn large() {
    let mut room = [0x55_u8; 20 * 1024];
    core::hint::black_box(&mut room);
}

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    if DEPTH.fetch_add(1, Ordering::Relaxed) == 0 {
        traps::breakpoint();
    } else {
        large();
    }
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(traps::BREAKPOINT, handler, 0);
    traps::breakpoint();
    Exit::Success
}
