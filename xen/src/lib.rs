//! Xen hypercalls for Rust guests.
//!
//! They are for kernels that run in 64-bit mode and ring 0 of a hardware-virtualised guest (PVH or HVM). The crate is not
//! for PV guests, which make hypercalls in another way, nor for tools in dom0, which go through their kernel. It prints
//! nothing and allocates nothing. It has no grant tables and no PV drivers.
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
//! # How a call is made
//!
//! [`Xen::detect`] looks for Xen by CPUID and returns a [`Xen`] only where hypercalls work. Every hypercall is a method of
//! `Xen`, so code without Xen cannot make one by mistake. A `Xen` is 8 bytes and `Copy`: call `detect` once and keep the
//! result.
//!
//! The hypercall page is not used, and nothing has to be mapped for a call: the instruction (`vmcall` or `vmmcall`) follows
//! from the processor's vendor. Xen reads and writes arguments through the guest's page tables, so buffers and stacks must
//! be mapped where the kernel passes them from.
//!
//! A call returns Xen's own [`Error`]. The documentation of each says since which Xen it exists, whether it can block, and
//! which of Xen's headers describes it.
//!
//! # The shared page
//!
//! Clocks and events live in one page that Xen shares with the guest. A kernel gives up a [`Page`] for it by
//! [`Xen::shared_info`] and gets a [`SharedInfo`].
//!
//! - **Clock.** [`SharedInfo::system_time`] reads the nanoseconds since Xen started; [`SharedInfo::wall_clock`] says what
//!   the time of day was then. Both readings are consistent, although Xen may write at any time.
//! - **Events.** A [`Port`] is the guest's end of an event channel. Xen marks the port in the page and raises one
//!   interrupt, the upcall, whose vector [`Xen::set_upcall_vector`] sets. Its handler calls
//!   [`SharedInfo::take_events`]. Events are not counted: two that come before the guest looks are seen as one.
//!
//! # What is safe
//!
//! All methods are safe but two. [`Xen::shared_info`] lets Xen write to memory that the caller names. [`Xen::call`] makes
//! any other hypercall, whose effect on memory this crate does not know.
//!
//! # What is not promised
//!
//! On processors other than x86-64 everything compiles and `detect` returns `None`. Ports are those of the two-level form,
//! 4096 of them. `vmcall`, the instruction of Intel processors, has not been run; `vmmcall` has, on Xen 4.17. Constants and
//! layouts restate the headers of Xen 4.17 (MIT licence). All calls exist since Xen 4.6 or
//! longer, and every Xen that boots PVH kernels is newer.

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
