//! The heap: rlsf's allocator, the lock and the counters put together as a [`GlobalAlloc`].
//!
//! [`State`] holds what the lock protects and has the same four verbs as the allocator below it;
//! each call is counted in the same critical section. [`Heap`] adds the lock, and the report on
//! exhaustion, which is made after the lock has been released: the hook may print, take other
//! locks, read the counters, even allocate.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use rlsf::{GRANULARITY, Tlsf};

use crate::lock::Lock;
use crate::stats::Stats;

/// The allocator below, with 32 size ranges of 32 lists each.
///
/// 32 lists in a range keep the rounding of a request to its list below 1/32: after everything
/// has been freed, 98.4 % of a region can be had as one block (93.7 % with 8 lists). 32 ranges,
/// the first from 32 bytes, take regions up to 128 GiB in one piece; larger ones are cut. The
/// tables are 8.3 KB. Fewer lists were measured no faster. Bitmaps of 32 bits fit both numbers.
type Pool = Tlsf<'static, u32, u32, 32, 32>;

/// What [`Heap::on_exhausted`] calls: the request that failed, and the counters just after it.
pub type Exhausted = fn(Layout, Stats);

// The hook is kept in an `AtomicPtr`.
const _: () = assert!(size_of::<Exhausted>() == size_of::<*mut ()>());

/// A heap that can be a `#[global_allocator]`. The [crate page](crate) has an example.
///
/// A new heap is all zero bytes, so as a `static` it lies in `.bss` and adds nothing to an image.
pub struct Heap {
    state: Lock<State>,
    /// The hook as a pointer, null when there is none. Taking it out is what limits it to one call.
    exhausted: AtomicPtr<()>,
}

impl Heap {
    /// A heap without memory: each request fails until a region has been added.
    pub const fn new() -> Self {
        Self {
            state: Lock::new(State { pool: Pool::new(), stats: Stats::NONE }),
            exhausted: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Gives the heap the `len_bytes` from `start` on, for ever.
    ///
    /// Returns how many of these bytes it took: all but the few that rounding both ends inwards to
    /// multiples of 32 cuts off, or 0 if less than 64 bytes are left then. Block headers and one
    /// 32-byte end mark come out of what was taken. Any number of regions can be added at any
    /// time. A block never spans two of them, even if they touch.
    ///
    /// # Safety
    ///
    /// - The bytes may be read and written, now and as long as the heap or a block from it is used.
    /// - Nothing else uses any of them from now on, and they are not part of another region.
    pub unsafe fn add_region(&self, start: NonNull<u8>, len_bytes: usize) -> usize {
        let address = start.addr().get();
        if address.checked_add(len_bytes).is_none() {
            return 0;
        }
        let padding = address.wrapping_neg() % GRANULARITY;
        let region = NonNull::slice_from_raw_parts(start, len_bytes);
        self.state.with(|state| {
            // SAFETY: the caller hands over the bytes for as long as the pool is used.
            let Some(end) = (unsafe { state.pool.insert_free_block_ptr(region) }) else {
                return 0;
            };
            // The pool counts from the region's start. Its first block begins behind the padding.
            let taken = end.get().wrapping_sub(padding);
            state.stats.region_added(taken);
            taken
        })
    }

    /// Sets what is called when a request cannot be met, before it is answered with null.
    ///
    /// It is called **once**, at the first failure from now on: code that tries and falls back
    /// (`try_reserve` in a loop) would flood the console otherwise. [`Stats::failures`] counts
    /// them all. Setting a hook again, also from within the hook, arms it for one more call.
    ///
    /// The lock is not held during the call, so the hook may print, use [`stats`](Self::stats), or
    /// allocate. On other CPUs the heap may have changed since the failure.
    pub fn on_exhausted(&self, hook: Exhausted) {
        self.exhausted.store(hook as *mut (), Ordering::Release);
    }

    /// The counters now. Waits for the lock, and copies nine words under it.
    pub fn stats(&self) -> Stats {
        self.state.with(|state| state.stats)
    }

    /// The counters now, or `None` if the lock is taken: for a panic handler, which may have
    /// stopped the CPU that holds it.
    pub fn try_stats(&self) -> Option<Stats> {
        self.state.try_with(|state| state.stats)
    }

    /// The pointer to answer with. A failure goes to the hook first; no lock is held here.
    ///
    /// A hook that grows the heap and has the request tried again would belong here as well.
    fn answer(&self, outcome: Result<NonNull<u8>, Stats>, layout: Layout) -> *mut u8 {
        match outcome {
            Ok(block) => block.as_ptr(),
            Err(stats) => {
                self.report(layout, stats);
                ptr::null_mut()
            }
        }
    }

    #[cold]
    fn report(&self, layout: Layout, stats: Stats) {
        let hook = self.exhausted.swap(ptr::null_mut(), Ordering::AcqRel);
        if hook.is_null() {
            return;
        }
        // SAFETY: only `on_exhausted` stores anything but null, and that is an `Exhausted`, which
        // has the size of a pointer (asserted above).
        let hook = unsafe { mem::transmute::<*mut (), Exhausted>(hook) };
        hook(layout, stats);
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the counters if they can be had without waiting.
impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("stats", &self.try_stats()).finish_non_exhaustive()
    }
}

// `alloc_zeroed` is the default one, which clears what `alloc` returns. Nobody knows that a block
// is zero already: even in fresh memory the allocator has written free-list links.
//
// SAFETY: blocks come from `Pool`, which hands out distinct, aligned blocks large enough for the
// layout and keeps each until it is freed. It is only used under the lock. Nothing here unwinds:
// the counters wrap, and the hook runs after the pool has been left in order.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let outcome = self.state.with(|state| state.allocate(layout));
        self.answer(outcome, layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller passes a block that `alloc` or `realloc` returned, which is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller promises that the block is live, of this heap and of this layout.
        self.state.with(|state| unsafe { state.free(block, layout) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the alignment is a valid one; the caller promises that `new_size`, rounded up to
        // it, does not exceed `isize::MAX`.
        let wanted = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as in `dealloc`.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller promises that the block is live, of this heap and of `layout`;
        // `wanted` has the same alignment.
        let outcome = self.state.with(|state| unsafe { state.resize(block, layout, wanted) });
        self.answer(outcome, wanted)
    }
}

/// What the lock protects. The verbs that can fail return the counters as they were just then.
struct State {
    pool: Pool,
    stats: Stats,
}

impl State {
    fn allocate(&mut self, layout: Layout) -> Result<NonNull<u8>, Stats> {
        let Some(block) = self.pool.allocate(layout) else {
            return Err(self.fail());
        };
        self.stats.allocated(layout.size());
        Ok(block)
    }

    /// # Safety
    ///
    /// `block` is a live block of this heap, and `layout` is the one it has.
    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise; the layout has the alignment the pool wants to know.
        unsafe { self.pool.deallocate(block, layout.align()) };
        self.stats.freed(layout.size());
    }

    /// Resizes in place if the memory behind the block allows it. Otherwise the pool moves the
    /// block into free memory in front of it or into a new place, and copies under the lock. If
    /// that fails too, the block stays as it was.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this heap, `old` is the layout it has, and `new` has the same
    /// alignment.
    unsafe fn resize(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, Stats> {
        // SAFETY: the caller's promise; `new` has the alignment the block was allocated with.
        let Some(moved) = (unsafe { self.pool.reallocate(block, new) }) else {
            return Err(self.fail());
        };
        self.stats.reallocated(old.size(), new.size(), moved == block);
        Ok(moved)
    }

    fn fail(&mut self) -> Stats {
        self.stats.failed();
        self.stats
    }
}
