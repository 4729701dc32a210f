//! Who allocated and who freed: the call sites in the reports of a [`Checked`](super::Checked) heap.
//!
//! A block's record has room for one number, and one address would say little: the innermost ones are all in `alloc`. So the number
//! names a whole trace, which is kept here once for all blocks of the same place. Traces are found by following frame pointers,
//! and are as complete as those are kept, see [`freestone_rt::backtrace`].

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use freestone_alloc::checked::{CallSite, Kind, Misuse};
use freestone_rt::backtrace;

/// Return addresses in a trace. In a debug build a dozen of them lie between a kernel's own function and the allocator.
const FRAMES: usize = 20;

/// Places that can be told apart: 42 KB. Those that find no room are unknown.
const PLACES: usize = 512;

/// How many places in a row a trace looks for its own in.
const PROBES: usize = 8;

/// The state of a place with nothing in it, and of one that is being written. Otherwise it is the trace's hash.
const EMPTY: u32 = 0;
const BUSY: u32 = 1;

/// A trace that stays for ever once it has been written.
struct Place {
    state: AtomicU32,
    /// Kernels are linked below 4 GiB. 0 behind the last.
    frames: [AtomicU32; FRAMES],
}

static PLACE: [Place; PLACES] = [const {
    Place { state: AtomicU32::new(EMPTY), frames: [const { AtomicU32::new(0) }; FRAMES] }
}; PLACES];

/// Keeps the traces of the code that allocates and frees.
#[derive(Clone, Copy, Debug)]
pub struct Traces;

impl CallSite for Traces {
    fn here() -> usize {
        let mut trace = [0; FRAMES];
        match backtrace::collect(backtrace::frame_pointer(), &mut trace) {
            0 => 0,
            _ => keep(&trace.map(|address| address as u32)),
        }
    }
}

/// The number of the trace, from 1 up; 0 if there is no room. A handler that comes in between takes another place.
fn keep(trace: &[u32; FRAMES]) -> usize {
    let hash = hash(trace);
    for probe in 0..PROBES {
        let number = (hash as usize + probe) % PLACES;
        let place = &PLACE[number];
        match place.state.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                for (to, &from) in place.frames.iter().zip(trace) {
                    to.store(from, Ordering::Relaxed);
                }
                place.state.store(hash, Ordering::Release);
                return number + 1;
            }
            Err(state) if state == hash && place.holds(trace) => return number + 1,
            Err(_) => {}
        }
    }
    0
}

/// FNV-1a over words; neither [`EMPTY`] nor [`BUSY`].
fn hash(trace: &[u32; FRAMES]) -> u32 {
    trace
        .iter()
        .fold(0x811c_9dc5, |hash: u32, &word| (hash ^ word).wrapping_mul(0x0100_0193))
        .max(2)
}

impl Place {
    fn holds(&self, trace: &[u32; FRAMES]) -> bool {
        self.frames.iter().zip(trace).all(|(kept, &given)| kept.load(Ordering::Relaxed) == given)
    }
}

/// Panics with what was done wrong, and who allocated and freed the block; the panic's own trace shows who did it.
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
    let Some(place) = number.checked_sub(1).and_then(|at| PLACE.get(at)) else { return Ok(()) };
    writeln!(f, "\n  {what}")?;
    let frames = place.frames.iter().map(|frame| frame.load(Ordering::Relaxed) as usize);
    backtrace::print_addresses(f, frames.take_while(|&frame| frame > 0));
    Ok(())
}
