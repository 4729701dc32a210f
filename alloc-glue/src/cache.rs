//! Per-CPU magazines in front of a heap: small requests without its lock.
//!
//! For each [size class](crate::class) every CPU has a magazine, a stack of pointers to free blocks. A request pops
//! one; a free pushes one. An empty magazine is filled with a small batch under the heap's lock, a full one gives its
//! oldest batch back. Batches are small because the request that causes one waits for all of it. The layout of
//! a block decides which magazine it belongs to, so a block may be freed on any CPU.
//!
//! Batches go through a depot, which all CPUs share under a lock of its own: blocks that one CPU allocates and another frees
//! go back through it, eight pointers at a time, and no CPU touches the pool or the block for that.
//!
//! # An interrupt in the middle
//!
//! A flag protects a CPU's magazines. Code that enters sets it. Code that finds it set is an interrupt handler; it uses the heap
//! below, whose lock must mask interrupts for that. A flag is enough because contexts on one CPU nest: see `magazine.rs`. A
//! kernel that switches between threads in an interrupt must therefore not do so inside the allocator, see [`CpuId`].
//!
//! # Memory pressure
//!
//! Before a request fails this CPU's magazines are emptied and the others are asked to empty theirs, which they do at
//! their next visit to the heap. An idle CPU does not visit: [`Cached::drain`] from its idle loop, or from an interrupt sent to it.
//!
//! The method is Bonwick's magazines ("Magazines and Vmem", USENIX 2001), with a flag in place of a CPU lock.

mod depot;
mod magazine;

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use lock_api::{Mutex, RawMutex};

use crate::class::{self, CLASSES};
use crate::heap::{Heap, State, pointer};
use crate::lock::SpinLock;
use crate::pool::Pool;
use crate::probe::probe;
use crate::span::Slabs;
use crate::stats::{ClassStats, Stats};

use depot::Depot;
use magazine::{BATCH, Cpu, Entered};

/// How many classes an out-of-memory report names.
const TOP: usize = 4;

/// Tells CPUs apart.
///
/// # Safety
///
/// - What runs on different CPUs at the same time gets different numbers from `current`.
/// - From `current` on until the allocator returns, whatever else runs with the same number (interrupt handlers) has finished before
///   the interrupted code goes on. So a kernel with preemption turns it off inside the allocator, or switches threads only
///   where no allocator is on the interrupted stack.
pub unsafe trait CpuId {
    /// The number of this CPU, from 0 up. One that is larger than there are magazines for uses the heap directly.
    fn current() -> usize;
}

/// The [`CpuId`] of a kernel that uses one CPU.
#[derive(Clone, Copy, Debug)]
pub struct OneCpu;

// SAFETY: nothing runs at the same time. The second obligation is the user's, who chose this type for a kernel in which
// only interrupt handlers come in between.
unsafe impl CpuId for OneCpu {
    fn current() -> usize {
        0
    }
}

/// A heap with magazines for each of `CPUS` CPUs, which `C` tells apart.
///
/// About 5.5 KB a CPU and 21 KB for the depot, zero at first, so that it lies in `.bss`. Large blocks and large alignments go
/// to the [heap](Self::heap) inside, which is also where regions and hooks are set.
///
/// A real-time caller that must not meet a batch uses [`direct`](Self::direct).
pub struct Cached<C, const CPUS: usize = 1, L = SpinLock, P = Slabs> {
    heap: Heap<L, P>,
    cpus: [Cpu; CPUS],
    depot: Mutex<L, Depot>,
    /// How many blocks of each class are out of the pool. Changed under the heap's lock.
    taken: [AtomicUsize; CLASSES],
    /// How often everybody was asked to drain.
    drains: AtomicUsize,
    id: PhantomData<fn() -> C>,
}

impl<C: CpuId, const CPUS: usize, L: RawMutex, P: Pool> Cached<C, CPUS, L, P> {
    /// A heap without memory.
    pub const fn new() -> Self {
        Self {
            heap: Heap::new(),
            cpus: [const { Cpu::NEW }; CPUS],
            depot: Mutex::from_raw(L::INIT, Depot::EMPTY),
            taken: [const { AtomicUsize::new(0) }; CLASSES],
            drains: AtomicUsize::new(0),
            id: PhantomData,
        }
    }

    /// The heap behind the magazines: to add regions, set hooks, look at. What was allocated here is freed here, not there.
    pub fn heap(&self) -> &Heap<L, P> {
        &self.heap
    }

    /// The same heap without the magazines: each call takes the lock and then the pool's own constant time. Blocks of the
    /// two mix freely.
    pub fn direct(&self) -> Direct<'_, C, CPUS, L, P> {
        Direct(self)
    }

    /// Gives all blocks in the depot and in this CPU's magazines back to the heap; only those in the depot in a handler
    /// that has interrupted the allocator.
    pub fn drain(&self) {
        if let Some(cpu) = self.enter() {
            self.empty_magazines(&cpu);
        }
        for class in 0..CLASSES {
            while let Some(batch) = self.depot.lock().pop(class) {
                self.free(class, &batch);
            }
        }
    }

    /// The counters now. CPUs that go on meanwhile may be caught between two of them.
    ///
    /// Bytes are rounded up to the classes' sizes. Allocations, frees and reallocations are those that reached the pool: what the
    /// magazines serve is not counted, which is why they cost nothing.
    pub fn stats(&self) -> Stats {
        let mut stats = self.heap.stats();
        stats.cached_bytes = self.classes().map(|class| class.cached * class.size).sum();
        stats.allocated_bytes = stats.allocated_bytes.saturating_sub(stats.cached_bytes);
        stats
    }

    /// The size classes now, the smallest first.
    pub fn classes(&self) -> impl Iterator<Item = ClassStats> + '_ {
        (0..CLASSES).map(|class| {
            let waiting = self.depot.lock().batches(class) * BATCH;
            let magazines = self.cpus.iter().map(|cpu| cpu.blocks(class));
            let cached = magazines.sum::<usize>() + waiting;
            let live = self.taken[class].load(Ordering::Relaxed).saturating_sub(cached);
            ClassStats { size: class::layout(class).size(), live, cached }
        })
    }

    /// The class for a layout, if the pool's blocks of it are as aligned as it wants.
    #[inline]
    fn class(layout: Layout) -> Option<usize> {
        class::of(layout).filter(|_| layout.align() <= P::CLASS_ALIGN)
    }

    /// This CPU's magazines, unless the code that we interrupted is using them.
    #[inline]
    fn enter(&self) -> Option<Entered<'_>> {
        self.cpus.get(C::current())?.enter()
    }

    /// An empty magazine: fills it from the depot or else from the heap.
    #[cold]
    #[inline(never)]
    fn refill(&self, cpu: Entered<'_>, class: usize) -> Option<NonNull<u8>> {
        self.follow_drains(&cpu);
        let magazine = cpu.magazine(class);
        let batch = self.depot.lock().pop(class);
        probe();
        match batch {
            Some(batch) => batch.into_iter().for_each(|block| _ = magazine.push(block)),
            None => self.heap.with(|state| {
                for _ in 0..BATCH {
                    let Some(block) = self.take(state, class) else { break };
                    magazine.push(block);
                }
            }),
        }
        probe();
        let block = magazine.pop();
        drop(cpu);
        block.or_else(|| self.under_pressure(class))
    }

    /// A full magazine: its oldest blocks go, as the newest are likely in the processor's cache.
    #[cold]
    #[inline(never)]
    fn flush(&self, cpu: &Entered<'_>, class: usize, block: NonNull<u8>) {
        let magazine = cpu.magazine(class);
        if let Some(batch) = magazine.pop_oldest() {
            probe();
            let refused = self.depot.lock().push(class, batch);
            if let Some(batch) = refused {
                self.free(class, &batch);
            }
        }
        magazine.push(block);
        self.follow_drains(cpu);
    }

    fn empty_magazines(&self, cpu: &Entered<'_>) {
        for class in 0..CLASSES {
            while let Some(block) = cpu.magazine(class).pop() {
                self.free(class, &[block]);
            }
        }
    }

    fn follow_drains(&self, cpu: &Entered<'_>) {
        if cpu.must_drain(self.drains.load(Ordering::Relaxed)) {
            self.empty_magazines(cpu);
        }
    }

    /// The heap has nothing left: empties what can be emptied, asks the other CPUs to, and tries again.
    #[cold]
    fn after_draining(&self, pool: Layout) -> Option<NonNull<u8>> {
        self.drains.fetch_add(1, Ordering::Relaxed);
        self.drain();
        let block = self.heap.with(|state| state.allocate(pool));
        block.or_else(|| self.heap.exhausted(pool, &self.top()))
    }

    /// A block for a class without the magazines.
    #[cold]
    #[inline(never)]
    fn allocate_directly(&self, class: usize) -> Option<NonNull<u8>> {
        let block = self.heap.with(|state| self.take(state, class));
        block.or_else(|| self.under_pressure(class))
    }

    #[cold]
    fn under_pressure(&self, class: usize) -> Option<NonNull<u8>> {
        let block = self.after_draining(class::layout(class))?;
        self.heap.with(|_| add(&self.taken[class], 1));
        Some(block)
    }

    /// A block for a class, under the heap's lock.
    fn take(&self, state: &mut State<P>, class: usize) -> Option<NonNull<u8>> {
        let block = state.allocate(class::layout(class))?;
        add(&self.taken[class], 1);
        Some(block)
    }

    /// Gives blocks of a class back to the heap.
    #[cold]
    #[inline(never)]
    fn free(&self, class: usize, blocks: &[NonNull<u8>]) {
        let layout = class::layout(class);
        self.heap.with(|state| {
            for &block in blocks {
                // SAFETY: a free block of this class that the caller has taken out of a magazine or never put into one.
                unsafe { state.free(block, layout) };
                add(&self.taken[class], usize::MAX);
            }
        });
        probe();
    }

    /// A block without a class.
    #[inline(never)]
    fn allocate_large(&self, layout: Layout) -> Option<NonNull<u8>> {
        let block = self.heap.with(|state| state.allocate(layout));
        block.or_else(|| self.after_draining(layout))
    }

    /// # Safety
    ///
    /// - `block` is a live block of this layout, which has no class.
    #[inline(never)]
    unsafe fn free_large(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        self.heap.with(|state| unsafe { state.free(block, layout) });
    }

    /// The classes with the most bytes in use.
    pub(crate) fn top(&self) -> [ClassStats; TOP] {
        let mut top = [ClassStats::default(); TOP];
        for mut class in self.classes() {
            for place in &mut top {
                if class.live * class.size > place.live * place.size {
                    core::mem::swap(place, &mut class);
                }
            }
        }
        top
    }
}

impl<C: CpuId, const CPUS: usize, L: RawMutex, P: Pool> Default for Cached<C, CPUS, L, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, const CPUS: usize, L: RawMutex, P: Pool> fmt::Debug for Cached<C, CPUS, L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("heap", &self.heap)
            .field("cpus", &CPUS)
            .finish_non_exhaustive()
    }
}

/// Adds to what only one at a time adds to.
fn add(counter: &AtomicUsize, count: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

// SAFETY: a block in a magazine came from the heap with its class's layout, which is large and aligned enough for each
// layout of the class, and is in one magazine or batch or handed out, never two of them: the magazines of a CPU are used by one
// context at a time, and the depot under its lock.
unsafe impl<C: CpuId, const CPUS: usize, L: RawMutex, P: Pool> GlobalAlloc
    for Cached<C, CPUS, L, P>
{
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Self::class(layout) else {
            return pointer(self.allocate_large(layout));
        };
        let Some(cpu) = self.enter() else {
            return pointer(self.allocate_directly(class));
        };
        match cpu.magazine(class).pop() {
            Some(block) => block.as_ptr(),
            None => pointer(self.refill(cpu, class)),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a live block is not null.
        let live = unsafe { NonNull::new_unchecked(block) };
        let Some(class) = Self::class(layout) else {
            // SAFETY: the caller promises that the block is live and of this layout, which has no class.
            return unsafe { self.free_large(live, layout) };
        };
        match self.enter() {
            None => self.free(class, &[live]),
            Some(cpu) => {
                if !cpu.magazine(class).push(live) {
                    self.flush(&cpu, class, live);
                }
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that is valid with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (Self::class(layout), Self::class(wanted)) {
            (None, None) => {
                // SAFETY: the caller promises that the block is live and of this layout, and that the new size is not 0. A
                // new block is another one.
                pointer(unsafe {
                    let block = NonNull::new_unchecked(block);
                    self.heap.try_reallocate(block, layout, wanted).or_else(|| {
                        let fresh = self.after_draining(wanted)?;
                        Some(self.heap.replace(block, layout, fresh, wanted))
                    })
                })
            }
            (from, to) if from == to => block,
            _ => {
                // SAFETY: the new size is not 0, as the caller promises.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: both blocks have what the smaller size has, and are apart; the caller gives the old one up.
                    unsafe {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}

/// A [`Cached`] heap without its magazines; from [`Cached::direct`].
pub struct Direct<'a, C, const CPUS: usize, L, P>(&'a Cached<C, CPUS, L, P>);

// SAFETY: blocks come from the heap with the layout that `Cached` asks for and frees with, so the two may be mixed. The
// default `realloc` is right for them.
unsafe impl<C: CpuId, const CPUS: usize, L: RawMutex, P: Pool> GlobalAlloc
    for Direct<'_, C, CPUS, L, P>
{
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Cached::<C, CPUS, L, P>::class(layout) else {
            return pointer(self.0.allocate_large(layout));
        };
        pointer(self.0.allocate_directly(class))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Cached::<C, CPUS, L, P>::class(layout) {
            // SAFETY: the caller promises that the block is live and of this layout; it is not null.
            Some(class) => self.0.free(class, &[unsafe { NonNull::new_unchecked(block) }]),
            // SAFETY: the same; what has no class does not touch the magazines.
            None => unsafe { self.0.dealloc(block, layout) },
        }
    }
}
