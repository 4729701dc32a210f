//! How a kernel ends, and how the outside learns of it.
//!
//! Under QEMU the verdict is one write to the `isa-debug-exit` device at port 0xf4; QEMU turns the
//! value `v` into its own exit status `2 v + 1`, so each verdict is told from QEMU's own 0 (machine
//! powered off or reset: a triple fault, say) and 1 (QEMU failed). Under Xen it is a last line on the
//! console, and the reason given to `SCHEDOP_shutdown`: a reason alone does not tell success from a
//! processor that halted with interrupts off, which Xen takes for a power-off, nor failure from a crash.
//! Where neither is there, the machine is powered off if it can be, and halted: by what ACPI's tables say if the
//! kernel has asked for that ([`prepare_power_off`]).
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::{Exit, exit};
//!
//! fn main_loop(mut step: impl FnMut() -> Option<u8>) -> Exit {
//!     // Where nobody takes the verdict, the machine shall go off.
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

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch;

/// The verdict on a run. What `main` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// The kernel did its work and the answer is no.
    Failure,
    /// The kernel could not go on. Panics and unhandled exceptions end like this.
    Crash,
}

impl Exit {
    /// The byte written to QEMU's `isa-debug-exit` device. `cargo freestone` knows the same three.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => 0x10,
            Exit::Failure => 0x11,
            Exit::Crash => 0x12,
        }
    }

    /// The last line on a console where no device takes the verdict. `cargo freestone` looks for it and
    /// leaves it out of what it shows; the mark in front keeps it apart from what kernels print.
    pub(crate) fn last_line(self) -> &'static [u8] {
        // Padded to one length, which saves a table.
        const LINES: [[u8; 29]; 3] = [
            *b"\x1efreestone verdict: success \n",
            *b"\x1efreestone verdict: failure \n",
            *b"\x1efreestone verdict: crash   \n",
        ];
        &LINES[self as usize]
    }
}

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
