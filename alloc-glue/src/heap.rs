//! The heap: a pool, its regions, the lock and the counters put together as a [`GlobalAlloc`].
//!
//! [`State`] is what the lock protects. Each call is counted in the same critical section. The lock is released for what takes
//! long or calls foreign code: the copy of a large block that moves, the hook that provides more memory, and the report
//! that there is none.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::mem;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use lock_api::{Mutex, RawMutex};

use crate::lock::SpinLock;
use crate::pool::{Block, GRANULE, Pool, Tlsf, Zones};
use crate::stats::{ClassStats, Fragmentation, OutOfMemory, Stats};

/// What [`Heap::on_exhausted`] calls.
pub type Exhausted = fn(&OutOfMemory<'_>);

/// What [`Heap::grow_with`] calls: has a region for a request that needs `bytes` in one piece, or `None`.
pub type Grow = fn(bytes: usize) -> Option<NonNull<[u8]>>;

// The hooks are kept in `AtomicPtr`s.
const _: () = assert!(size_of::<Exhausted>() == size_of::<*mut ()>());
const _: () = assert!(size_of::<Grow>() == size_of::<*mut ()>());

/// Blocks above this are copied with the lock released. Below, the lock costs more than the copy.
const COPY_LOCKED_MAX: usize = 4096;

/// How often a request may ask for more memory. Once is enough for a hook that does what it is asked.
const GROWTHS: usize = 2;

/// A heap that can be a `#[global_allocator]`. The [crate page](crate) has an example.
///
/// `L` is its lock, `P` the [pool](crate::pool) under it. A new heap is all zero bytes, so as a `static` it lies in
/// `.bss` and adds nothing to an image.
pub struct Heap<L = SpinLock, P = Tlsf> {
    state: Mutex<L, State<P>>,
    /// The hooks as pointers, null where there is none. Taking the first out is what limits it to one call.
    exhausted: AtomicPtr<()>,
    grow: AtomicPtr<()>,
    /// Where the lowest region's first block is, inverted so that 0 stands for none, and the highest one's end.
    lowest: AtomicUsize,
    highest: AtomicUsize,
}

impl<L: RawMutex, P: Pool> Heap<L, P> {
    /// A heap without memory: each request fails until a region has been added.
    pub const fn new() -> Self {
        let state = State { pool: P::EMPTY, regions: ptr::null_mut(), stats: Stats::NONE };
        Self {
            state: Mutex::from_raw(L::INIT, state),
            exhausted: AtomicPtr::new(ptr::null_mut()),
            grow: AtomicPtr::new(ptr::null_mut()),
            lowest: AtomicUsize::new(0),
            highest: AtomicUsize::new(0),
        }
    }

    /// Gives the heap the `len_bytes` from `start` on, for ever.
    ///
    /// Returns how many of these bytes it took: all but the few that rounding both ends inwards to multiples of 32 cuts
    /// off, or 0 if less than 96 bytes are left then. 32 bytes at each end and the headers of blocks come out of what
    /// was taken. Any number of regions can be added at any time. A block never spans two of them, even if they touch.
    ///
    /// # Safety
    ///
    /// - The bytes may be read and written, now and as long as the heap or a block from it is used.
    /// - Nothing else uses any of them from now on, and they are not part of another region.
    pub unsafe fn add_region(&self, start: NonNull<u8>, len_bytes: usize) -> usize {
        let address = start.addr().get();
        let padding = address.wrapping_neg() % GRANULE;
        if address.checked_add(len_bytes).is_none() || len_bytes < padding + 3 * GRANULE {
            return 0;
        }
        let len = (len_bytes - padding) / GRANULE * GRANULE;
        let mut taken = 0;
        // A pool may take a part of it: the rest is another region.
        while len - taken >= 3 * GRANULE {
            // SAFETY: inside what the caller hands over; both ends are rounded.
            let more = unsafe {
                let region = start.add(padding + taken);
                self.with(|state| state.add_region(region, len - taken))
            };
            if more == 0 {
                break;
            }
            taken += more;
        }
        if taken > 0 {
            self.lowest.fetch_max(!(address + padding + GRANULE), Ordering::Relaxed);
            self.highest.fetch_max(address + padding + taken, Ordering::Relaxed);
        }
        taken
    }

    /// From the lowest region's first block to the highest one's end.
    pub(crate) fn bounds(&self) -> Range<usize> {
        !self.lowest.load(Ordering::Relaxed)..self.highest.load(Ordering::Relaxed)
    }

    /// Sets what is called when a request cannot be met, before it is answered with null.
    ///
    /// It is called **once**, at the first failure from now on: code that tries and falls back (`try_reserve` in a
    /// loop) would flood the console otherwise. [`Stats::failures`] counts them all. Setting a hook again, also from
    /// within the hook, arms it for one more call.
    ///
    /// The lock is not held during the call, so the hook may print, use [`stats`](Self::stats), or allocate. On other
    /// CPUs the heap may have changed since the failure.
    pub fn on_exhausted(&self, hook: Exhausted) {
        self.exhausted.store(hook as *mut (), Ordering::Release);
    }

    /// Sets what has more memory when there is none left: it returns a region, and the request is tried again.
    ///
    /// It is asked before a request is answered with null and before [`on_exhausted`](Self::on_exhausted) is called. A
    /// region of the bytes it is told, or more, is enough. The lock is not held, so it may take other locks and print;
    /// several CPUs may be in it at once. It must not allocate from this heap, which would ask it again.
    ///
    /// # Safety
    ///
    /// - Each region that `hook` returns is as [`add_region`](Self::add_region) wants it.
    pub unsafe fn grow_with(&self, hook: Grow) {
        self.grow.store(hook as *mut (), Ordering::Release);
    }

    /// The counters now. Waits for the lock, and copies a dozen words under it.
    pub fn stats(&self) -> Stats {
        self.with(|state| state.stats())
    }

    /// The counters now, or `None` if the lock is taken: for a panic handler, which may have stopped the CPU that holds it.
    pub fn try_stats(&self) -> Option<Stats> {
        Some(self.state.try_lock()?.stats())
    }

    /// The largest block with an alignment of 16 that could be had now. Found by bisection: an allocation and a free for each
    /// doubling of the capacity above 32 bytes (19 in 16 MiB), with the lock held.
    pub fn largest_free(&self) -> usize {
        self.with(|state| state.largest_free())
    }

    /// How broken up the free memory is. As [`largest_free`](Self::largest_free), which is the part that is not kept: to keep it would
    /// mean to know where rlsf merges blocks, at each of them, and to find the next smaller one when it goes.
    pub fn fragmentation(&self) -> Fragmentation {
        self.with(|state| Fragmentation {
            free_bytes: state.pool.free_bytes(),
            largest_free: state.largest_free(),
        })
    }

    /// Whether an address lies in one of the regions. Looks at each of them.
    pub fn owns(&self, address: usize) -> bool {
        let mut owns = false;
        self.with(|state| {
            state.each_region(|region| {
                owns |= address.wrapping_sub(region.addr().get()) < region.len();
            });
        });
        owns
    }

    /// Shows each region and then its blocks, **with the lock held**.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(Walk)) {
        self.with(|state| {
            state.each_region(|region| {
                visit(Walk::Region(region));
                // SAFETY: what is in the list was inserted with this length.
                unsafe { state.pool.walk(inside(region), &mut |block| visit(Walk::Block(block))) };
            });
        });
    }

    /// Works on what the lock protects. A leaf: `work` locks, calls and prints nothing.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State<P>) -> R) -> R {
        work(&mut self.state.lock())
    }

    /// Makes a block fit `to`, in place or in a new one, without last resorts.
    ///
    /// # Safety
    ///
    /// - `block` is a live block of layout `from`, `to` has the same alignment, and no size is 0.
    pub(crate) unsafe fn try_reallocate(
        &self,
        block: NonNull<u8>,
        from: Layout,
        to: Layout,
    ) -> Option<NonNull<u8>> {
        let resize = |state: &mut State<P>, may_copy| {
            // SAFETY: the caller's promise.
            unsafe { state.resize(block, from, to, may_copy) }
        };
        let moved = self.with(|state| resize(state, to.size() <= COPY_LOCKED_MAX));
        if moved.is_some() {
            return moved;
        }
        match self.with(|state| state.allocate(to)) {
            // SAFETY: the caller's promise; `fresh` is new.
            Some(fresh) => Some(unsafe { self.replace(block, from, fresh, to) }),
            // It may fit where it is together with the free memory in front.
            None => self.with(|state| resize(state, true)),
        }
    }

    /// Copies a block, without the lock, to one allocated for it, and frees it.
    ///
    /// # Safety
    ///
    /// - `block` and `fresh` are two live blocks, of layouts `from` and `to`.
    pub(crate) unsafe fn replace(
        &self,
        block: NonNull<u8>,
        from: Layout,
        fresh: NonNull<u8>,
        to: Layout,
    ) -> NonNull<u8> {
        // SAFETY: both have what the smaller size has, and are apart.
        unsafe { fresh.copy_from_nonoverlapping(block, from.size().min(to.size())) };
        // SAFETY: the caller gives the old block up.
        self.with(|state| unsafe { state.moved(block, from, to) });
        fresh
    }

    /// The last resorts of a request, with the lock released: more memory, a report, none.
    #[cold]
    pub(crate) fn exhausted(&self, wanted: Layout, top: &[ClassStats]) -> Option<NonNull<u8>> {
        for _ in 0..GROWTHS {
            if !self.grow(wanted) {
                break;
            }
            let block = self.with(|state| state.allocate(wanted));
            if block.is_some() {
                return block;
            }
        }
        self.report(wanted, top);
        None
    }

    /// Whether the hook had more memory.
    fn grow(&self, wanted: Layout) -> bool {
        let hook = self.grow.load(Ordering::Acquire);
        if hook.is_null() {
            return false;
        }
        // SAFETY: only `grow_with` stores anything but null, and that is a `Grow`, which has the size of a pointer.
        let hook = unsafe { mem::transmute::<*mut (), Grow>(hook) };
        // What the region's ends and the block's header take, the rounding of both, and of the size to its list.
        let Some(bytes) = wanted.size().checked_add(wanted.align()) else { return false };
        let Some(bytes) = bytes.checked_add(bytes / 16 + 8 * GRANULE) else { return false };
        let Some(region) = hook(bytes) else { return false };
        // SAFETY: who set the hook promised that its regions are as `add_region` wants them.
        (unsafe { self.add_region(region.cast(), region.len()) }) > 0
    }

    /// Counts a request that is answered with null, and tells the hook of the first.
    pub(crate) fn report(&self, wanted: Layout, top: &[ClassStats]) {
        let stats = self.with(|state| {
            state.stats.failed();
            state.stats()
        });
        let hook = self.exhausted.swap(ptr::null_mut(), Ordering::AcqRel);
        if hook.is_null() {
            return;
        }
        let largest_free = self.largest_free();
        // SAFETY: only `on_exhausted` stores anything but null, and that is an `Exhausted`, which has the size of a
        // pointer.
        let hook = unsafe { mem::transmute::<*mut (), Exhausted>(hook) };
        hook(&OutOfMemory { wanted, stats, largest_free, top });
    }
}

impl<L: RawMutex, P: Pool> Heap<L, Zones<P>> {
    /// A block below 4 GiB, for a device with 32-bit addresses; null if there is none. Freed like any other.
    pub fn alloc_below_4g(&self, layout: Layout) -> *mut u8 {
        self.with(|state| match state.pool.allocate_low(layout) {
            None => ptr::null_mut(),
            Some(block) => {
                state.stats.allocated(layout.size());
                block.as_ptr()
            }
        })
    }
}

impl<L: RawMutex, P: Pool> Default for Heap<L, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the counters if they can be had without waiting.
impl<L: RawMutex, P: Pool> fmt::Debug for Heap<L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("stats", &self.try_stats()).finish_non_exhaustive()
    }
}

// `alloc_zeroed` is the default one, which clears what `alloc` returns. Nobody knows that a block
// is zero already: even in fresh memory the allocator has written free-list links.
//
// SAFETY: blocks come from a `Pool`, which hands out distinct, aligned blocks large enough for the layout and keeps each
// until it is freed. It is only used under the lock. Nothing here unwinds: the counters wrap, and the hooks run after
// the pool has been left in order.
unsafe impl<L: RawMutex, P: Pool> GlobalAlloc for Heap<L, P> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.with(|state| state.allocate(layout));
        pointer(block.or_else(|| self.exhausted(layout, &[])))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the block is live, of this heap and of this layout; it is not null.
        self.with(|state| unsafe { state.free(NonNull::new_unchecked(block), layout) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the alignment is a valid one; the caller promises that `new_size`, rounded up to it, does not exceed
        // `isize::MAX`.
        let wanted = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that the block is live, of this heap and of `layout`, and that the new size is not 0.
        // A new block is another one.
        pointer(unsafe {
            let block = NonNull::new_unchecked(block);
            self.try_reallocate(block, layout, wanted).or_else(|| {
                let fresh = self.exhausted(wanted, &[])?;
                Some(self.replace(block, layout, fresh, wanted))
            })
        })
    }
}

/// How C and [`GlobalAlloc`] say it.
pub(crate) fn pointer(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

/// What a walk meets: a region, then its blocks.
pub(crate) enum Walk {
    Region(NonNull<[u8]>),
    Block(Block),
}

/// What the lock protects.
pub(crate) struct State<P> {
    pub pool: P,
    /// The regions, the newest first.
    regions: *mut Region,
    pub stats: Stats,
}

// SAFETY: the regions are memory of the heap; whoever has the state has them alone.
unsafe impl<P: Send> Send for State<P> {}

/// What stands at the start of a region, so that there may be any number.
struct Region {
    next: *mut Region,
    /// Of the whole region, in bytes.
    len: usize,
}

const _: () = assert!(size_of::<Region>() <= GRANULE);

/// What the pool has of a region: all but its header.
fn inside(region: NonNull<[u8]>) -> NonNull<[u8]> {
    // SAFETY: every region is longer than a granule.
    let start = unsafe { region.cast::<u8>().add(GRANULE) };
    NonNull::slice_from_raw_parts(start, region.len() - GRANULE)
}

impl<P: Pool> State<P> {
    /// # Safety
    ///
    /// - As for [`Heap::add_region`]; both ends are multiples of [`GRANULE`], 3 of them or more apart.
    unsafe fn add_region(&mut self, start: NonNull<u8>, len: usize) -> usize {
        // SAFETY: the caller hands over the bytes for as long as the pool is used.
        let taken = unsafe { self.pool.insert(inside(NonNull::slice_from_raw_parts(start, len))) };
        if taken == 0 {
            return 0;
        }
        let region = start.cast::<Region>();
        // SAFETY: aligned, and in the first granule, which the pool did not get.
        unsafe { region.write(Region { next: self.regions, len: taken + GRANULE }) };
        self.regions = region.as_ptr();
        self.stats.region_added(taken + GRANULE);
        taken + GRANULE
    }

    fn stats(&self) -> Stats {
        Stats { free_bytes: self.pool.free_bytes(), ..self.stats }
    }

    fn each_region(&self, mut visit: impl FnMut(NonNull<[u8]>)) {
        let mut region = self.regions;
        while let Some(start) = NonNull::new(region) {
            // SAFETY: `add_region` wrote it, and a region stays for ever.
            let Region { next, len } = unsafe { start.read() };
            visit(NonNull::slice_from_raw_parts(start.cast(), len));
            region = next;
        }
    }

    /// A block from the pool, which gives up its reserve for it.
    #[inline]
    pub fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let mut block = self.pool.allocate(layout);
        if block.is_none() && self.pool.trim() {
            block = self.pool.allocate(layout);
        }
        block?;
        self.stats.allocated(layout.size());
        block
    }

    /// # Safety
    ///
    /// - `block` is a live block of this layout.
    #[inline]
    pub unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.pool.free(block, layout) };
        self.stats.freed(layout.size());
    }

    /// Frees what a block of layout `to`, allocated before, has taken the place of: together a reallocation.
    ///
    /// # Safety
    ///
    /// - As for [`free`](Self::free), of layout `from`.
    unsafe fn moved(&mut self, block: NonNull<u8>, from: Layout, to: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.pool.free(block, from) };
        self.stats.allocations = self.stats.allocations.wrapping_sub(1);
        self.stats.reallocated(from.size() + to.size(), to.size(), false);
    }

    /// Resizes in place, or if that does not work and `may_copy`, moves.
    ///
    /// # Safety
    ///
    /// - `block` is a live block of layout `from`, `to` has the same alignment, and no size is 0.
    unsafe fn resize(
        &mut self,
        block: NonNull<u8>,
        from: Layout,
        to: Layout,
        may_copy: bool,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        let moved = unsafe {
            if self.pool.resize(block, from, to) {
                block
            } else if may_copy {
                self.pool.slide(block, from, to)?
            } else {
                return None;
            }
        };
        self.stats.reallocated(from.size(), to.size(), moved == block);
        Some(moved)
    }

    /// By bisection with the pool itself, which knows best how it rounds.
    fn largest_free(&mut self) -> usize {
        let (mut fits, mut fails) = (0, self.stats.capacity_bytes / GRANULE + 1);
        while fails - fits > 1 {
            let middle = fits + (fails - fits) / 2;
            // SAFETY: 16 is a power of two; the size is at most the capacity's, which is in the address space.
            let layout = unsafe { Layout::from_size_align_unchecked(middle * GRANULE, 16) };
            match self.pool.allocate(layout) {
                Some(block) => {
                    // SAFETY: allocated just now, with this layout.
                    unsafe { self.pool.free(block, layout) };
                    fits = middle;
                }
                None => fails = middle,
            }
        }
        fits * GRANULE
    }
}
