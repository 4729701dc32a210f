//! How a kernel ends, and how it reports its verdict to the outside.
//!
//! Under QEMU the verdict is one write to the `isa-debug-exit` device at port 0xf4; QEMU turns the
//! value `v` into its own exit status `2 v + 1`, so each verdict differs from QEMU's own 0 (machine
//! powered off or reset: a triple fault, say) and 1 (QEMU failed). Under Xen it is a last line on the
//! console, and the reason given to `SCHEDOP_shutdown`. The reason alone is not enough: Xen takes a processor that halted
//! with interrupts off for a power-off, as success is, and has one reason for failure and crash. Elsewhere the same line
//! is the last on every console, and the machine is powered off if possible, else halted. To power off it uses ACPI's tables if
//! the kernel has called [`prepare_power_off`].
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::{Exit, exit};
//!
//! fn main_loop(mut step: impl FnMut() -> Option<u8>) -> Exit {
//!     // Without QEMU's exit device or Xen, the machine shall power off.
//!     if let Err(why) = exit::prepare_power_off() {
//!         freestone_rt::println!("this machine will halt: {why}");
//!     }
//!     loop {
//!         match step() {
//!             Some(0) => return Exit::Success, // from `main`
//!             Some(_) => exit::exit(Exit::Failure), // from anywhere
//!             None => {}
//!         }
//!     }
//! }
//! ```

pub(crate) mod verdict;

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch;

pub use verdict::Exit;

/// A `fn(Exit) -> Exit`, or null.
static LAST_LOOK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Has `look` called once, when the kernel ends, in whatever way but a reset; what it returns is the verdict. It may run
/// in the handler of an exception, on a stack of 16 KiB: it must wait for nothing.
pub fn before_exit(look: fn(Exit) -> Exit) {
    LAST_LOOK.store(look as *mut (), Ordering::Release);
}

pub(crate) fn last_look() -> &'static AtomicPtr<()> {
    &LAST_LOOK
}

/// Ends the machine with a verdict. Works in any context; no destructor runs.
pub fn exit(verdict: Exit) -> ! {
    // Taken away first: should it fail, it is not asked again.
    let look = LAST_LOOK.swap(core::ptr::null_mut(), Ordering::Acquire);
    if look.is_null() {
        arch::power::end(verdict)
    }
    // SAFETY: `before_exit` stores `fn(Exit) -> Exit`s only.
    let look = unsafe { core::mem::transmute::<*mut (), fn(Exit) -> Exit>(look) };
    arch::power::end(look(verdict))
}

/// Reads in ACPI's tables how this machine is powered off, for [`exit`] to do it where nobody takes the verdict.
/// Costs a reading of all the firmware's tables, so it is not done unasked. Call it from `main`; calling it again
/// does nothing.
///
/// # Errors
///
/// The tables are absent, damaged or do not say. `exit` then ends in a halted processor.
pub fn prepare_power_off() -> Result<(), arch::power::Error> {
    arch::power::prepare()
}

/// [`exit`] with [`Exit::Crash`], in the shape `freestone_rt::runtime!` wants.
pub fn crash() -> ! {
    exit(Exit::Crash)
}
