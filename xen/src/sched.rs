//! Giving the CPU away: for a moment, or for good.
//!
//! Source: `public/sched.h`, `SCHEDOP_*`.

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen};

/// `SCHEDOP_yield`.
const YIELD: u64 = 0;
/// `SCHEDOP_shutdown`.
const SHUTDOWN: u64 = 2;

/// Why the guest stops. The numbers are Xen's `SHUTDOWN_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// Done; remove the guest.
    PowerOff = 0,
    /// Start it again.
    Reboot = 1,
    /// Save it, to be resumed later or elsewhere.
    Suspend = 2,
    /// It crashed; the tools may keep it for inspection.
    Crash = 3,
    /// Its watchdog expired.
    Watchdog = 4,
    /// Reset what Xen holds for it, and let it go on.
    SoftReset = 5,
}

/// What a guest finds when it runs again after [`Xen::shutdown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// In a new domain, or after a reset: what it shared with Xen and other guests is gone and has to
    /// be set up anew.
    Anew,
    /// In the same domain: the suspension was cancelled, or was only a checkpoint.
    Unchanged,
}

/// `struct sched_shutdown`.
#[repr(C)]
pub(crate) struct Shutdown {
    pub reason: u32,
}

const _: () = assert!(size_of::<Shutdown>() == 4);

impl Xen {
    /// Stops the whole guest, all CPUs, and tells the tools why.
    ///
    /// After [`Suspend`](Reason::Suspend) and [`SoftReset`](Reason::SoftReset) it returns `Ok`
    /// when the guest runs again. For the other reasons it returns only an error, unless the tools
    /// insist on letting the guest go on.
    ///
    /// - Since: Xen 3.0.2.
    /// - Blocks: for ever, or until the guest is resumed.
    /// - Source: `public/sched.h`, `SCHEDOP_shutdown`.
    #[inline]
    pub fn shutdown(self, reason: Reason) -> Result<Resumed, Error> {
        shutdown(&self.gate, reason)
    }

    /// Lets another virtual CPU run, for instance one that holds the lock this one waits for.
    ///
    /// - Since: Xen 3.0.2.
    /// - Blocks: until it is this CPU's turn again; not at all if nobody else wants to run.
    /// - Source: `public/sched.h`, `SCHEDOP_yield`.
    pub fn yield_now(self) {
        yield_now(&self.gate);
    }
}

#[inline]
pub(crate) fn shutdown(via: &impl Hypercall, reason: Reason) -> Result<Resumed, Error> {
    let arg = Shutdown { reason: reason as u32 };
    let args = [SHUTDOWN, address(&raw const arg), 0, 0, 0];
    // SAFETY: Xen reads `arg`. A guest that goes on finds its memory as it was.
    match check(unsafe { via.call(number::SCHED_OP, args) })? {
        0 => Ok(Resumed::Anew),
        _ => Ok(Resumed::Unchanged),
    }
}

pub(crate) fn yield_now(via: &impl Hypercall) {
    // SAFETY: touches no memory. It cannot fail, so there is nothing to check.
    unsafe { via.call(number::SCHED_OP, [YIELD, 0, 0, 0, 0]) };
}
