//! Call sites for the reports of a [`Checked`](super::Checked) heap: the code that allocated and freed a block.
//!
//! A block's record has room for one number, and one address would say little: the innermost ones are all in `alloc`. So the number
//! stands for a whole backtrace, which is kept here once for all blocks allocated from the same place. Traces are found by following frame pointers,
//! and are as complete as those are kept, see [`freestone_rt::backtrace`].

use core::fmt;

use freestone_alloc::checked::{CallSite, Kind, Misuse};
use freestone_rt::backtrace;

use super::places::Places;

/// Return addresses in a trace. In a debug build a dozen of them lie between a kernel's own function and the allocator.
const FRAMES: usize = 20;

/// Places that can be told apart: 42 KB. Those that find no room are unknown.
const PLACES: usize = 512;

static PLACE: Places<FRAMES, PLACES> = Places::new();

/// Keeps the traces of the code that allocates and frees.
#[derive(Clone, Copy, Debug)]
pub struct Traces;

impl CallSite for Traces {
    fn here() -> usize {
        let mut trace = [0; FRAMES];
        match backtrace::collect(backtrace::frame_pointer(), &mut trace) {
            0 => 0,
            // Kernels are linked below 4 GiB.
            _ => PLACE.keep(&trace.map(|address| address as u32)),
        }
    }
}

/// Panics with a description of the misuse, and the backtraces of the code that allocated and freed the block. The panic's own
/// backtrace shows the code that misused it.
pub fn report_misuse(misuse: &Misuse) {
    panic!("{}", Report(misuse));
}

struct Report<'a>(&'a Misuse);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        write_trace(f, "allocated", self.0.allocated)?;
        write_trace(f, "freed", self.0.freed)?;
        // Nobody allocated what was never a block.
        if self.0.here == 0 && self.0.kind != Kind::Foreign {
            f.write_str(
                "\n  (built with RUSTFLAGS=-Cforce-frame-pointers=yes, it would say who allocated or freed it)",
            )?;
        }
        Ok(())
    }
}

fn write_trace(f: &mut fmt::Formatter<'_>, what: &str, number: usize) -> fmt::Result {
    let Some(frames) = PLACE.trace(number) else { return Ok(()) };
    writeln!(f, "\n  {what}")?;
    let frames = frames.map(|frame| frame as usize);
    backtrace::print_addresses(f, frames.take_while(|&frame| frame > 0));
    Ok(())
}
