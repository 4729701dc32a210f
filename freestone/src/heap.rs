//! Gives a heap the memory that the boot left free, and a voice when it runs out.

use core::ptr::NonNull;

use freestone_alloc::{Interrupts, OutOfMemory, PageProvider, SpinLock};
use freestone_platform::memory::{self, Frames, PAGE_SIZE, PhysAddr, Zone};
use freestone_rt::number::Decimal;

/// The heap that `entry!` stamps: one lock, held with interrupts masked, so that handlers may allocate.
pub type Heap = freestone_alloc::Heap<SpinLock<MaskInterrupts>>;

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
pub fn give_free_memory(heap: &'static Heap) {
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
