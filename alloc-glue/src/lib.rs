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
//! # The layers
//!
//! ```text
//!     Checked<A>               finds misuse, optional
//!       Paged<A, Pages>        pages from a page allocator, optional
//!         Cached<C, CPUS, L, P>    magazines for each CPU in front, optional
//!           Heap<L, P>             the lock, the regions, the counters, the hooks
//!             P = Tlsf             constant time; or Slabs<P>: small objects in spans; or Zones<P>: memory below 4 GiB apart
//! ```
//!
//! - `Heap` alone is the smallest: one lock, 8.4 KB of `.bss`, each operation in constant time.
//! - `Cached` is the fastest with small blocks, alone or on many CPUs, and packs them best. At most one operation in eight
//!   handles a batch. With large and small blocks mixed, a few percent less of the memory can be used.
//!   `Cached<C, CPUS, L, Tlsf>` has no spans and gives up the packing instead.
//!
//! # Interrupts
//!
//! A handler may allocate if the heap's lock masks interrupts: implement [`Interrupts`] and use `SpinLock<Yours>`. The crate
//! `freestone` does so for its kernels.
//!
//! # What it does not do
//!
//! - **Misuse**, without [`Checked`]: a double free or a wrong layout corrupts the heap, as in every unchecked allocator.
//! - **Whole pages**, without [`Paged`]: a block with a large alignment keeps the padding in front of it, so a page at page
//!   alignment costs two.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]

#[cfg(test)]
extern crate std;

#[cfg(feature = "allocator-api2")]
mod api;
pub mod c;
mod cache;
pub mod checked;
pub mod class;
mod heap;
pub mod lock;
mod map;
pub mod pages;
pub mod pool;
mod probe;
mod span;
mod stats;
#[cfg(test)]
mod tests;

#[cfg(feature = "allocator-api2")]
pub use api::In;
pub use cache::{Cached, CpuId, OneCpu};
pub use checked::Checked;
pub use heap::{Exhausted, Grow, Heap};
pub use lock::{Interrupts, SpinLock};
pub use map::{Audit, Map};
pub use pages::{PageBitmap, PageProvider, Paged};
pub use pool::{Tlsf, Zones};
pub use span::Slabs;
pub use stats::{ClassStats, Fragmentation, Metrics, OutOfMemory, Stats};
