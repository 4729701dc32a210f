//! Interrupts: who handles which, when they are let in, and waiting for them.
//!
//! They are off until the kernel turns them on. Handlers run on a stack of their own and leave every register
//! of the interrupted code as it was, vector registers and the red zone included. What an interrupt does not
//! do is wait: a handler must take no lock that other code holds with interrupts on, and must not allocate.
//!
//! ```ignore
//! use freestone::interrupts::{self, Frame, Outcome};
//!
//! fn tick(_frame: &mut Frame) -> Outcome { Outcome::Handled }
//!
//! let vector = interrupts::allocate(tick).expect("a free vector");
//! interrupts::enable();
//! ```

use crate::arch::interrupts as arch;

#[cfg(target_arch = "x86_64")]
pub use crate::arch::traps::{Frame, Handler, Outcome};

/// What makes an interrupt of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Becoming active: each time is one interrupt.
    Edge,
    /// Being active: another one follows until the device has been satisfied.
    Level,
}

/// Which level of a line is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// The high one.
    High,
    /// The low one.
    Low,
}

/// Registers `handler` for one vector, in place of the one before it.
///
/// # Panics
///
/// If `vector` is not an interrupt's: on x86_64 those below 32 are exceptions'.
pub fn handle(vector: u8, handler: Handler) {
    arch::handle(vector, handler);
}

/// Registers `handler` for a vector that nobody has, and returns that; the most urgent one. `None` if all
/// are taken.
pub fn allocate(handler: Handler) -> Option<u8> {
    arch::allocate(handler)
}

/// Gives a vector back. Interrupts that still come on it are unexpected then.
pub fn release(vector: u8) {
    arch::release(vector);
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
    let were_enabled = are_enabled();
    disable();
    let result = f();
    if were_enabled {
        enable();
    }
    result
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

/// How many interrupts came that nobody had registered for. The first one is reported on the console.
pub fn unexpected() -> u64 {
    arch::unexpected()
}
