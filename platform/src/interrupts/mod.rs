//! Interrupts: handlers, when interrupts are let in, and waiting for them.
//!
//! Interrupts are off until the kernel turns them on. Handlers run on a stack of their own and leave every register
//! of the interrupted code as it was, vector registers and the red zone included. A handler must not wait: it must
//! take no lock that other code holds with interrupts on. It may allocate only from a heap whose lock masks interrupts,
//! as the heaps that `freestone::entry!` makes do.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::interrupts::{self, Frame, Outcome};
//!
//! fn tick(_frame: &mut Frame, _word: usize) -> Outcome { Outcome::Handled }
//!
//! let vector = interrupts::allocate(tick, 0).expect("a free vector");
//! interrupts::enable();
//! ```

pub(crate) mod words;

use crate::arch::lines;
use crate::arch::trap::interrupts as arch;

pub use crate::arch::lines::{Error as LineError, Line, Message};
pub use crate::arch::trap::frame::{Frame, Handler, Outcome};
pub use words::{Polarity, Trigger, Wire};

/// Registers `handler` for one vector, in place of the one before it; it is called with `word`.
///
/// # Panics
///
/// If `vector` is not an interrupt's: on x86_64 those below 32 are exceptions'.
pub fn handle(vector: u8, handler: Handler, word: usize) {
    arch::handle(vector, handler, word);
}

/// Registers `handler`, with `word`, for a vector that nobody has, and returns that; the most urgent one. `None` if all
/// are taken.
pub fn allocate(handler: Handler, word: usize) -> Option<u8> {
    arch::allocate(handler, word)
}

/// Gives a vector back. Interrupts that still come on it are unexpected then.
pub fn release(vector: u8) {
    arch::release(vector);
}

/// Makes `wire` raise `vector` on this processor. The line is [masked](Line::mask) at first. Connecting a wire again
/// replaces its vector. The handler for a [level](Trigger::Level) must satisfy its device before it returns, else
/// it is called again at once. The firmware's tables or the bus say which wire a device has; for those
/// of the ISA bus use [`io_apic::isa`](crate::devices::pc::io_apic::isa).
///
/// # Errors
///
/// No controller has the line, the one that has it does not behave like one, or there is none for the processor.
///
/// # Panics
///
/// If `vector` is not an interrupt's.
pub fn connect(wire: Wire, vector: u8) -> Result<Line, LineError> {
    lines::connect(wire, vector)
}

/// What a device must write where to raise `vector` on this processor (a message-signalled interrupt, MSI); on an edge.
///
/// # Errors
///
/// There is no controller for the processor, or it has a number that devices cannot name.
///
/// # Panics
///
/// If `vector` is not an interrupt's.
pub fn message(vector: u8) -> Result<Message, LineError> {
    lines::message(vector)
}

/// Lets interrupts in.
pub fn enable() {
    arch::enable();
}

/// Keeps interrupts out. NMI and exceptions are not interrupts.
pub fn disable() {
    arch::disable();
}

/// Whether interrupts are let in.
pub fn are_enabled() -> bool {
    arch::are_enabled()
}

/// Runs `f` without interrupts, and lets them in afterwards if they were before.
pub fn without<R>(f: impl FnOnce() -> R) -> R {
    arch::without(f)
}

/// Stops the processor until an interrupt has been handled. Called with interrupts off, and returns so: what
/// is waited for can be looked at before and after without missing it.
pub fn wait() {
    arch::wait();
}

/// Whether an interrupt handler runs.
pub fn in_handler() -> bool {
    arch::in_handler()
}

/// Whether a handler of anything runs: of an interrupt, an exception or an NMI.
#[inline]
pub fn in_any_handler() -> bool {
    arch::in_handler() || crate::arch::trap::traps::in_handler()
}

/// How many interrupts came that nobody had registered for. The first one is reported on the console.
pub fn unexpected() -> u64 {
    arch::unexpected()
}
