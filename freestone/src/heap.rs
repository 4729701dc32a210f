//! The heaps that [`entry!`](crate::entry!) defines in a kernel: they get the memory that is free after boot, and report when it
//! runs out or is misused.
//!
//! | `entry!(main, allocator: …)` | type | |
//! |---|---|---|
//! | `checked`, in debug builds by itself | [`Checked`] | double free, overflow, wrong layout and foreign pointers end in a panic that names the code that allocated and freed the block |
//! | `plain`, in release builds by itself | [`Heap`] | the smallest, each operation in constant time |
//! | `cached` | [`Cached`] | magazines in front: half the time with small blocks, and a third more of them in the same memory; 30 KB of `.bss`, 4 KB of code, and once in a while a batch that takes three times as long |
//! | `none` | yours | any other type of [`freestone_alloc`], or another crate's |
//!
//! The static is called `FREESTONE_HEAP`, in the module that calls `entry!`: `FREESTONE_HEAP.stats()`.
//!
//! Memory with attributes (below 4 GiB, aligned to pages, in one piece, for a device) does not come from the heap but as
//! [`Frames`], with [`Zone::Low`] for instance. An eighth of every free range is kept for frames, so they can be had with each
//! of these heaps, also after the heap has run out.
//!
//! ```no_run
//! use freestone::heap::{Cached, KernelHeap};
//!
//! // In a kernel `entry!(main, allocator: cached)` defines this, and gives it memory before `main`.
//! static FREESTONE_HEAP: Cached = Cached::NEW;
//!
//! let stats = FREESTONE_HEAP.stats();
//! assert_eq!((stats.allocated_bytes, stats.free_bytes), (0, 0));
//! ```

mod misuse;
mod places;
mod sync;

use core::alloc::GlobalAlloc;
use core::ptr::NonNull;

use freestone_alloc::pool::{Pool, Tlsf};
use freestone_alloc::{Interrupts, OneCpu, OutOfMemory, PageProvider, Slabs, SpinLock};
use freestone_platform::memory::{self, Frames, PAGE_SIZE, PhysAddr, Zone};
use freestone_rt::number::Decimal;

pub use misuse::{Traces, report_misuse};

/// The lock of these heaps, held with interrupts masked, so that handlers may allocate.
pub type Lock = SpinLock<MaskInterrupts>;

/// One lock and constant time.
pub type Heap = freestone_alloc::Heap<Lock>;

/// [`Heap`], which finds misuse. [`report_misuse`] is its hook.
pub type Checked = freestone_alloc::Checked<Heap, Traces>;

/// Magazines in front of a heap, for the one CPU that Freestone uses.
pub type Cached = freestone_alloc::Cached<OneCpu, 1, Lock>;

/// The heaps that `entry!` can define.
pub trait KernelHeap: GlobalAlloc + 'static {
    /// What is under its lock.
    type Pool: Pool;

    /// Without memory.
    const NEW: Self;

    /// The heap that gets the memory.
    fn base(&self) -> &freestone_alloc::Heap<Lock, Self::Pool>;
}

impl KernelHeap for Heap {
    type Pool = Tlsf;
    const NEW: Self = Self::new();

    fn base(&self) -> &freestone_alloc::Heap<Lock> {
        self
    }
}

impl KernelHeap for Checked {
    type Pool = Tlsf;
    const NEW: Self = Self::new(Heap::new(), report_misuse);

    fn base(&self) -> &freestone_alloc::Heap<Lock> {
        self.inner()
    }
}

impl KernelHeap for Cached {
    type Pool = Slabs;
    const NEW: Self = Self::new();

    fn base(&self) -> &freestone_alloc::Heap<Lock, Slabs> {
        self.heap()
    }
}

/// Masks interrupts with the processor's interrupt flag, for the locks of [`freestone_alloc`].
#[derive(Clone, Copy, Debug)]
pub struct MaskInterrupts;

// SAFETY: with the interrupt flag clear the processor takes no maskable interrupt (Intel SDM volume 1, 3.4.3.3). `restore`
// sets it again only if `mask` found it set.
unsafe impl Interrupts for MaskInterrupts {
    #[inline]
    fn mask() -> usize {
        let flags: usize;
        // SAFETY: ring 0 may clear the flag. No `nomem`: what the lock protects must not be moved across.
        unsafe { core::arch::asm!("pushfq", "pop {}", "cli", out(reg) flags) };
        flags
    }

    #[inline]
    unsafe fn restore(before: usize) {
        const INTERRUPT_FLAG: usize = 1 << 9;
        if before & INTERRUPT_FLAG != 0 {
            // SAFETY: it was set when the caller masked it.
            unsafe { core::arch::asm!("sti", options(nostack)) };
        }
    }

    fn relax() {
        handler_interrupted_the_heap()
    }
}

/// There is one processor: code that finds the lock taken has interrupted its holder, by an exception or an NMI, and would
/// wait for ever. An exception of its own reports that, in the heap's `alloc` or `dealloc`, and in debug builds under
/// this name; a panic's message, or a call, would be more than a small kernel's budget has left.
#[inline(always)]
fn handler_interrupted_the_heap() {
    // SAFETY: an exception, at any time; should its handler let it pass, the lock is looked at again.
    unsafe { core::arch::asm!("ud2", options(nomem, nostack)) };
}

/// The platform's frames as the pages of a [`Paged`](freestone_alloc::Paged) heap.
#[derive(Clone, Copy, Debug)]
pub struct FramePages;

// SAFETY: frames are writable memory at their own address, mapped by the platform, and nobody else's until they are given back.
unsafe impl PageProvider for FramePages {
    fn allocate(&self, pages: usize, align: usize) -> Option<NonNull<u8>> {
        let frames = Frames::take_where(pages as u64, align as u64, Zone::Any).ok()?;
        let start = frames.as_ptr().cast();
        frames.into_raw();
        Some(start)
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        let start = PhysAddr::new(start.addr().get() as u64);
        // SAFETY: the caller gives them up.
        let done = unsafe { Frames::give_back(start, pages as u64) };
        debug_assert_eq!(done, Ok(()), "pages that were not taken");
    }
}

/// A region of the platform's frames, of `bytes` or more: a hook for [`grow_with`](freestone_alloc::Heap::grow_with), which it meets the
/// promises of.
pub fn grow_from_frames(bytes: usize) -> Option<NonNull<[u8]>> {
    /// What a heap grows by if it does not ask for more: 1 MiB.
    const STEP: u64 = (1 << 20) / PAGE_SIZE;
    let least = (bytes as u64).div_ceil(PAGE_SIZE);
    let frames = Frames::take(least.max(STEP)).or_else(|_| Frames::take(least)).ok()?;
    let region = frames.as_ptr();
    frames.into_raw();
    Some(region)
}

/// Gives `heap` its [share](freestone_platform::memory::heap_share) of the free memory. What `entry!` calls
/// before `main`.
///
/// Also where the memory routines learn what the processor is good at: the last thing before
/// `main`, and without a heap a kernel calls `freestone::mem::detect` itself.
pub fn give_free_memory(heap: &'static impl KernelHeap) {
    let heap = heap.base();
    freestone_mem::detect();
    heap.on_exhausted(report_exhaustion);
    for range in memory::heap_share() {
        let Ok(len) = usize::try_from(range.end - range.start) else { continue };
        if let Some(start) = NonNull::new(range.start as *mut u8) {
            // SAFETY: free RAM at its own address, mapped writable by the platform, which has given it
            // to us for ever.
            unsafe { heap.add_region(start, len) };
        }
    }
}

/// One line on the consoles: what was asked for, and how the heap stands.
pub fn report_exhaustion(report: &OutOfMemory<'_>) {
    let decimal = |number: usize| Decimal(number as u64);
    freestone_rt::println!(
        "heap exhausted: no room for {} bytes (alignment {}), {} of {} bytes are in use, {} in one piece are free",
        decimal(report.wanted.size()),
        decimal(report.wanted.align()),
        decimal(report.stats.allocated_bytes),
        decimal(report.stats.capacity_bytes),
        decimal(report.largest_free),
    );
}
