//! How a kernel ends, and how the outside learns of it.
//!
//! Under QEMU the verdict is one write to the `isa-debug-exit` device at port 0xf4; QEMU turns the
//! value `v` into its own exit status `2 v + 1`, so each verdict is told from QEMU's own 0 (machine
//! powered off or reset: a triple fault, say) and 1 (QEMU failed). Under Xen it is the reason given
//! to `SCHEDOP_shutdown`. Where neither is there, the machine is powered off if it can be, and
//! halted.

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
}

/// Ends the machine with a verdict. Works in any context; no destructor runs.
pub fn exit(verdict: Exit) -> ! {
    arch::power::end(verdict)
}

/// [`exit`] with [`Exit::Crash`], in the shape `freestone_rt::runtime!` wants.
pub fn crash() -> ! {
    exit(Exit::Crash)
}
