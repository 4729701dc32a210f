//! The heap for Rust kernels: a `static` that gets its memory at run time.
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
//! # How memory comes in
//!
//! A heap starts empty: until it has memory, every request fails. [`Heap::add_region`] gives it a range of memory for ever;
//! call it as often as there are ranges, at any time. No block spans two regions. When a request cannot be met, the heap
//! asks the hook of [`Heap::grow_with`] for another region and tries again. If that fails too, it calls the hook of
//! [`Heap::on_exhausted`] once and returns null. Both hooks run without the lock.
//!
//! # Which heap
//!
//! | type | take it for | its price |
//! |---|---|---|
//! | [`Heap`] | the smallest, with constant time: about 100 ns at worst on a current server, apart from the copy when a `realloc` moves a block | 8.4 KB of `.bss` |
//! | [`Cached`] | speed with small blocks, on one CPU or many, and the best packing of them | 30 KB of `.bss`; at most one operation in eight handles a batch; a few percent less memory with mixed sizes |
//! | [`Checked`] around one of them | finding double frees, wrong layouts, foreign pointers and overflows | 24 bytes for each block |
//!
//! More types are layers and parts of these. Each stands in front of the one below:
//!
//! ```text
//! Checked<A>                   finds misuse, optional
//!   Paged<A, Pages>            pages from a page allocator, optional
//!     Cached<C, CPUS, L, P>    magazines (small stocks of free blocks) for each CPU, optional
//!       Heap<L, P>             the lock, the regions, the counters, the hooks
//!         P = Tlsf             constant time; or Slabs<P>: small objects side by side;
//!                              or Zones<P>: memory below 4 GiB apart
//! ```
//!
//! # The lock and the CPU
//!
//! `L` is the lock around a heap: [`SpinLock`], or any other [`lock_api::RawMutex`]. `SpinLock` alone does not mask
//! interrupts, and a handler that allocates could interrupt the lock's holder and wait for ever. If handlers allocate,
//! implement [`Interrupts`] for your kernel and use `SpinLock<Yours>`. It cannot mask NMIs and exceptions: their handlers
//! must not allocate. The crate `freestone` does this for its kernels.
//!
//! `C` tells CPUs apart, so that each has magazines of its own: implement [`CpuId`], or use [`OneCpu`]. A kernel that
//! switches threads must not switch inside the allocator; `CpuId` states the exact rule.
//!
//! # What is not promised
//!
//! - Misuse is found by [`Checked`] only. In every other heap a double free or a wrong layout corrupts memory.
//! - A block with a large alignment keeps the padding in front of it: without [`Paged`], a page at page alignment costs two.
//! - No heap gives a region back.

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
