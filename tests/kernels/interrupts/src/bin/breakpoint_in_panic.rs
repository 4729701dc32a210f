//! A breakpoint while a panic is being reported: survived, if there is a handler.
#![no_std]
#![no_main]

use core::fmt;

use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

struct Breaks;

impl fmt::Display for Breaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        traps::breakpoint();
        f.write_str("and went on")
    }
}

fn handler(_frame: &mut Frame, _word: usize) -> Outcome {
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(traps::BREAKPOINT, handler, 0);
    panic!("broke {}", Breaks);
}
