//! virtio drivers for any kernel: a split ring that believes no device, and a network, a disk, a console and a source of
//! entropy on it.
//!
//! The crate knows no machine. How a device's registers are reached is a [`Transport`]: [`mmio::Mmio`] and [`pci::Pci`],
//! legacy devices and those of version 1.0 and later. What memory is shared with a device is a [`Memory`](memory::Memory).
//! The kernel registers the handlers of its interrupts, which call an [`Attention`], and drivers wake tasks from there.
//! Freestone's platform does both.
//!
//! # What a device may do
//!
//! Nothing that a device says in its rings, its registers and its configuration is believed: an index, a number of a
//! descriptor or a length that cannot be makes the driver reset it and use it no more. No wait is without a limit. The same
//! code runs on the host in tests, against a device that lies in every way we could think of.
//!
//! A device that writes where it was not told to, or changes a buffer after it has handed it over, is another matter: it
//! can change all of the kernel's memory, and only an IOMMU or memory that is not its own holds it off.
//!
//! # Why not `virtio-drivers`
//!
//! That crate (0.13) was measured: it rings the bell for each buffer, twice as often as one that
//! collects; it is wrong at the wrap of 16-bit indices when buffers are collected, has no MSI-X, waits for
//! resets without a limit, and reads shared rings as plain memory.
//!
//! Source: OASIS, Virtual I/O Device (VIRTIO) 1.2.

#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![no_std]

#[cfg(target_endian = "big")]
compile_error!("virtio's rings are little-endian, and are used as they are");

#[cfg(feature = "block")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod bell;
#[cfg(feature = "block")]
pub mod block;
mod config;
pub mod console;
mod interrupt;
pub mod memory;
pub mod mmio;
pub mod net;
pub mod pci;
mod ports;
mod queue;
pub mod rng;
mod transport;

pub use bell::Bell;
pub use interrupt::{Attention, Interrupt, Messages};
pub use transport::{Error, Places, Transport, reset};

#[cfg(test)]
mod model;
