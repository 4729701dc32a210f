//! Xen hypercalls for Rust guests.
//!
//! For guests that run in 64-bit mode in ring 0 of a hardware-virtualised domain: PVH and HVM. The
//! key is [`Xen`]: [`Xen::detect`] returns one only where hypercalls work, and each call is a
//! method of it. So without Xen nothing is executed but one `cpuid`, and no call needs `unsafe`.
//!
//! ```no_run
//! use freestone_xen::{Reason, Xen};
//!
//! if let Some(xen) = Xen::detect() {
//!     let _ = xen.console_write(b"hello\n"); // refused to most guests by release builds of Xen
//!     let why = xen.shutdown(Reason::PowerOff);
//!     panic!("still running: {why:?}");
//! }
//! ```
//!
//! There is a file for each header of Xen's public interface; constants and layouts are restated
//! from the headers of Xen 4.17 (MIT licence). On machines other than x86_64 everything compiles
//! and [`Xen::detect`] returns `None`.
//!
//! All calls here are older than PVH itself, so every Xen that can start such a guest has them.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]

#[cfg(test)]
extern crate std;

mod console;
mod error;
mod event;
mod hypercall;
mod memory;
mod pvclock;
mod sched;
mod settled;
mod shared;
mod sync;
mod vcpu;
mod version;

#[cfg(any(target_arch = "x86_64", test))]
mod cpuid;
#[cfg(not(target_arch = "x86_64"))]
mod other;
#[cfg(target_arch = "x86_64")]
mod x86_64; // the two instructions, and the CPUID they are chosen by

#[cfg(not(target_arch = "x86_64"))]
use other as machine;
#[cfg(target_arch = "x86_64")]
use x86_64 as machine;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use event::{Domain, MOST_PORTS, Port, Virq};
pub use memory::{E820Entry, E820Kind};
pub use pvclock::{ClockError, CpuTime, TimeInfo, WallClock};
pub use sched::{Reason, Resumed};
pub use shared::{Page, SharedInfo};
pub use version::{ExtraVersion, Features, Version};

/// Proof that this is a Xen guest which can make hypercalls, and the way to make them.
///
/// It is 8 bytes and `Copy`: find it once and keep it.
#[derive(Clone, Copy, Debug)]
pub struct Xen {
    gate: machine::Gate,
}

impl Xen {
    /// Looks for Xen by CPUID.
    ///
    /// Returns `None`
    /// - if the CPU does not say that there is a hypervisor: one `cpuid`, nothing else;
    /// - outside ring 0, where Xen refuses hypercalls (this is also where PV guests run, whose
    ///   hypercalls are made in another way);
    /// - if the hypervisor is another one (two more `cpuid`, which trap there; 256 if it is Hyper-V,
    ///   under whose name Xen may hide);
    /// - if the CPU's vendor is not one that Xen runs such guests on.
    ///
    /// - Source: Xen's `public/arch-x86/cpuid.h`.
    pub fn detect() -> Option<Self> {
        machine::Gate::find().map(|gate| Self { gate })
    }

    /// The frequency of the guest's time stamp counter in kHz. Changes only by migration.
    ///
    /// `None` if this Xen does not say.
    ///
    /// - Since: before PVH. It is read by CPUID; no hypercall.
    /// - Blocks: no.
    /// - Source: `public/arch-x86/cpuid.h`, leaf 4 (base + 3), sub-leaf 0, ECX.
    pub fn tsc_khz(self) -> Option<u32> {
        self.gate.tsc_khz()
    }
}
