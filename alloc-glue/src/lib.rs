//! A global allocator for Rust kernels.
//!
//! [`Heap`] implements [`GlobalAlloc`](core::alloc::GlobalAlloc). It starts empty, so it can be a `static` that is right
//! before any code has run; the kernel gives it memory when it knows which memory is free, in as
//! many regions as there are. Below it is the two-level segregated fit allocator of the `rlsf`
//! crate: every operation takes constant time (about 100 ns at worst on a current server), save for
//! the copy in a `realloc` that has to move. Around it are one spin lock, counters, and a report
//! when memory runs out.
//!
//! ```
//! use core::{mem::MaybeUninit, ptr::NonNull};
//! use freestone_alloc::Heap;
//!
//! #[global_allocator]
//! static HEAP: Heap = Heap::new();
//!
//! // A kernel asks its memory map instead; this is what a first boot may do.
//! const ARENA_BYTES: usize = 1 << 20;
//! static mut ARENA: MaybeUninit<[u8; ARENA_BYTES]> = MaybeUninit::uninit();
//!
//! /// Runs once, before anything allocates.
//! extern "C" fn boot() {
//!     let Some(start) = NonNull::new((&raw mut ARENA).cast()) else { return };
//!     // SAFETY: ARENA lives for ever, is used nowhere else, and this runs once.
//!     let taken = unsafe { HEAP.add_region(start, ARENA_BYTES) };
//!     assert!(taken > ARENA_BYTES - 64);
//! }
//! # // As a test this is a hosted program, whose runtime allocates before `main`.
//! # #[used]
//! # #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
//! # #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
//! # static BOOT: extern "C" fn() = boot;
//!
//! fn main() {
//!     let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
//!     assert_eq!(squares[999], 998_001);
//!     assert!(HEAP.stats().allocated_bytes >= 8000);
//! }
//! ```
//!
//! # What it does not do yet
//!
//! - **Interrupts.** The lock does not mask them. A handler that allocates or frees after it has
//!   interrupted the lock's holder on the same CPU waits for ever. So a handler must not touch the
//!   heap, or the code it can interrupt must not. All locking is in one file, to change that there.
//! - **Per-CPU caches.** One lock serves all CPUs.
//! - **Growing on demand.** A heap that is full fails; it does not ask for more memory.
//! - **Misuse.** A double free or a wrong layout corrupts the heap, as in every unchecked allocator.
//! - **Whole pages.** A block with a large alignment keeps the padding in front of it, so a page at
//!   page alignment costs two. Take pages from a frame allocator.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]

#[cfg(test)]
extern crate std;

mod heap;
mod lock;
mod stats;
#[cfg(test)]
mod tests;

pub use heap::{Exhausted, Heap};
pub use stats::Stats;
