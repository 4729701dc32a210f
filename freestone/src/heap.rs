//! Gives a heap the memory that the boot left free, and a voice when it runs out.

use core::alloc::Layout;
use core::ptr::NonNull;

use freestone_alloc::{Heap, Stats};
use freestone_platform::memory;
use freestone_rt::number::Decimal;

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
pub fn report_exhaustion(wanted: Layout, stats: Stats) {
    let decimal = |number: usize| Decimal(number as u64);
    freestone_rt::println!(
        "heap exhausted: no room for {} bytes (alignment {}), {} of {} bytes are in use",
        decimal(wanted.size()),
        decimal(wanted.align()),
        decimal(stats.allocated_bytes),
        decimal(stats.capacity_bytes),
    );
}
