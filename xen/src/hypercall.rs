//! The raw hypercall: a number and five words go in, one word comes out.
//!
//! Typed calls use the trait [`Hypercall`], so that a test can check what they would pass.
//! In a guest a machine's `Gate` implements it.

use crate::{Error, Xen};

/// A way to make hypercalls.
pub(crate) trait Hypercall {
    /// Makes one and returns what Xen answered; negative is an error number.
    ///
    /// # Safety
    ///
    /// Whatever Xen reads or writes because of these arguments may be read or written.
    unsafe fn call(&self, number: u64, args: [u64; 5]) -> i64;
}

/// Numbers of the hypercalls used here.
///
/// Source: `public/xen.h`, `__HYPERVISOR_*`.
pub(crate) mod number {
    pub const MEMORY_OP: u64 = 12;
    pub const XEN_VERSION: u64 = 17;
    pub const CONSOLE_IO: u64 = 18;
    pub const VCPU_OP: u64 = 24;
    pub const SCHED_OP: u64 = 29;
    pub const EVENT_CHANNEL_OP: u64 = 32;
    pub const HVM_OP: u64 = 34;
}

/// What a call answered, as a number or an error.
///
/// Inlined, as are the calls that a kernel makes at boot and at its end: one that drops the error does
/// not pay for its name then, which is 700 bytes of a stripped hello world.
#[inline]
pub(crate) fn check(answer: i64) -> Result<u64, Error> {
    u64::try_from(answer).map_err(|_| {
        let code = i32::try_from(answer.unsigned_abs()).unwrap_or(i32::MAX);
        Error::from_code(code)
    })
}

/// The address Xen is told. It reaches the memory behind the compiler's back, hence *expose*.
pub(crate) fn address<T: ?Sized>(of: *const T) -> u64 {
    of.cast::<u8>().expose_provenance() as u64
}

impl Xen {
    /// Makes any hypercall: for those that have no method here.
    ///
    /// Pass 0 for arguments a call does not have, and buffers by their address in kernel memory.
    ///
    /// - Since: depends on the call.
    /// - Blocks: depends on the call.
    /// - Source: `public/arch-x86/xen-x86_64.h`.
    ///
    /// # Safety
    ///
    /// - Memory the call reads is initialised and readable; memory it writes is writable, nobody
    ///   holds a reference to it, and its provenance is exposed.
    /// - The call does not take away or change memory that Rust code uses.
    pub unsafe fn call(self, number: u64, args: [u64; 5]) -> Result<u64, Error> {
        // SAFETY: the caller's promise.
        check(unsafe { self.gate.call(number, args) })
    }
}
