//! The heap against a shadow that remembers every block, and each promise of its documentation.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::format;
use std::vec::Vec;

use lock_api::RawMutex;

use crate::pool::Pool;
use crate::{Heap, OutOfMemory, Stats};

mod front;
mod huge;
mod layers;
mod misuse;
mod model;
mod schedules;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Memory to make regions of, with a known alignment so that failures repeat.
struct Arena {
    start: NonNull<u8>,
    layout: Layout,
}

impl Arena {
    fn new(len_bytes: usize) -> Self {
        let layout = Layout::from_size_align(len_bytes, 64 * KIB).unwrap();
        // Zeroed, since an earlier arena's blocks may lie in it, and `Checked` would know them.
        // SAFETY: no test asks for an empty arena.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).unwrap();
        Self { start, layout }
    }

    /// Gives `len` bytes from `from` on to the heap. Each test hands out a byte once, and keeps the
    /// arena until it has stopped using the heap.
    fn lend<L: RawMutex, P: Pool>(&self, heap: &Heap<L, P>, from: usize, len: usize) -> usize {
        assert!(from + len <= self.layout.size());
        // SAFETY: inside the arena as asserted; the rest is said above.
        unsafe { heap.add_region(self.start.add(from), len) }
    }

    fn contains(&self, address: usize, len: usize) -> bool {
        let start = self.start.addr().get();
        start <= address && address + len <= start + self.layout.size()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

fn heap_of(len_bytes: usize) -> (Arena, Heap) {
    let (arena, heap): (_, Heap) = (Arena::new(len_bytes), Heap::new());
    assert!(arena.lend(&heap, 0, len_bytes) > 0);
    (arena, heap)
}

/// A live block, filled with a pattern that its `seed` decides. Freed by [`Block::free`] only.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
    seed: u8,
}

impl Block {
    fn try_new(heap: &dyn GlobalAlloc, size: usize, align: usize, seed: u8) -> Option<Self> {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: no test asks for 0 bytes.
        let start = NonNull::new(unsafe { heap.alloc(layout) })?;
        let mut block = Self { start, layout, seed };
        block.fill();
        Some(block)
    }

    fn new(heap: &dyn GlobalAlloc, size: usize, align: usize) -> Self {
        Self::try_new(heap, size, align, size as u8).expect("the heap is large enough")
    }

    /// Whether it could be resized. What the old and the new size share must have been kept.
    fn try_resize(&mut self, heap: &dyn GlobalAlloc, size: usize) -> bool {
        // SAFETY: a live block of `heap` with this layout; `size` is not 0 and small.
        let moved = unsafe { heap.realloc(self.start.as_ptr(), self.layout, size) };
        let Some(moved) = NonNull::new(moved) else {
            self.check(self.layout.size());
            return false;
        };
        let kept = size.min(self.layout.size());
        self.start = moved;
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        self.check(kept);
        self.fill();
        true
    }

    fn free(self, heap: &dyn GlobalAlloc) {
        self.check(self.layout.size());
        // SAFETY: a live block of `heap` with this layout, and `self` is gone afterwards.
        unsafe { heap.dealloc(self.start.as_ptr(), self.layout) };
    }

    fn address(&self) -> usize {
        self.start.addr().get()
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is live and `fill` or the resize it came from wrote all of it.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }

    fn fill(&mut self) {
        // SAFETY: the block is writable for its size.
        unsafe { self.start.write_bytes(0, self.layout.size()) };
        let seed = self.seed;
        for (i, byte) in self.bytes().iter_mut().enumerate() {
            *byte = pattern(seed, i);
        }
    }

    fn check(&self, len: usize) {
        for i in 0..len {
            // SAFETY: callers pass at most the size that has been filled.
            let got = unsafe { self.start.add(i).read() };
            assert_eq!(got, pattern(self.seed, i), "byte {i} of {:?}", self.layout);
        }
    }
}

fn pattern(seed: u8, i: usize) -> u8 {
    seed.wrapping_add((i as u8).wrapping_mul(31)).wrapping_add((i >> 8) as u8)
}

/// The most one block of 8-byte alignment can have.
fn largest(heap: &dyn GlobalAlloc) -> usize {
    let (mut fits, mut fails) = (0, 1 << 40);
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        let layout = Layout::from_size_align(middle, 8).unwrap();
        // SAFETY: `middle` is at least 1; what is returned is freed at once.
        let served = unsafe {
            let block = heap.alloc(layout);
            if !block.is_null() {
                heap.dealloc(block, layout);
            }
            !block.is_null()
        };
        *(if served { &mut fits } else { &mut fails }) = middle;
    }
    fits
}

/// A xorshift generator; the seed must not be 0.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn every_alignment_up_to_64_kib_is_met_for_small_and_odd_sizes() {
    let (arena, heap) = heap_of(4 * MIB);
    let mut blocks = Vec::new();
    for align_log2 in 0..=16 {
        for size in [1, 7, 16, 31, 32, 33, 48, 100, 4096] {
            let mut block = Block::new(&heap, size, 1 << align_log2);
            assert_eq!(block.address() % (1 << align_log2), 0);
            assert!(block.try_resize(&heap, size * 3), "{size} at 2^{align_log2}");
            assert_eq!(block.address() % (1 << align_log2), 0);
            assert!(arena.contains(block.address(), size * 3));
            blocks.push(block);
        }
    }
    blocks.into_iter().for_each(|block| block.free(&heap));
    assert_eq!(heap.stats().allocated_bytes, 0);
}

#[test]
fn a_heap_without_memory_answers_null_and_counts() {
    let heap: Heap = Heap::new();
    assert!(Block::try_new(&heap, 1, 1, 0).is_none());
    assert_eq!(heap.stats(), Stats { failures: 1, ..Stats::NONE });
}

#[test]
fn requests_too_large_for_an_address_space_are_null_not_a_panic() {
    let (_arena, heap) = heap_of(64 * KIB);
    for (size, align) in [(isize::MAX as usize, 1), (1, 1 << 62), ((1 << 62) - 100, 1 << 62)] {
        assert!(Block::try_new(&heap, size, align, 0).is_none());
    }
    let mut block = Block::new(&heap, 100, 8);
    assert!(!block.try_resize(&heap, isize::MAX as usize - 7));
    block.free(&heap);
}

#[test]
fn regions_too_small_to_use_are_refused_whatever_their_alignment() {
    let arena = Arena::new(64 * KIB);
    let heap: Heap = Heap::new();
    for from in 0..96 {
        for len in 0..96 {
            assert_eq!(arena.lend(&heap, from, len), 0, "{len} bytes from {from}");
        }
    }
    assert_eq!(heap.stats(), Stats::NONE);
    assert_eq!(arena.lend(&heap, 0, 96), 96);
    assert_eq!(heap.stats().regions, 1);
}

#[test]
fn unaligned_regions_lose_only_what_rounding_inwards_cuts_off() {
    let arena = Arena::new(4 * MIB);
    for (i, from) in (0..66).enumerate() {
        let heap: Heap = Heap::new();
        let (from, len) = (i * 16 * KIB + from, 8 * KIB + 77 - from);
        let (first, last) = (from.next_multiple_of(32), (from + len) / 32 * 32);
        assert_eq!(arena.lend(&heap, from, len), last - first, "from {from}");
        assert_eq!(heap.stats().capacity_bytes, last - first);
        let block = Block::new(&heap, largest(&heap), 8);
        assert!(arena.start.addr().get() + first <= block.address());
        assert!(block.address() + block.layout.size() <= arena.start.addr().get() + last);
        block.free(&heap);
    }
}

#[test]
fn a_region_past_the_end_of_the_address_space_is_refused() {
    let heap: Heap = Heap::new();
    let start = NonNull::new(core::ptr::without_provenance_mut(usize::MAX - 100)).unwrap();
    // SAFETY: refused by the address alone, before anything is touched: what is tested here.
    assert_eq!(unsafe { heap.add_region(start, 101) }, 0);
}

#[test]
fn blocks_come_from_every_region_and_go_back_there() {
    let (arena, heap): (_, Heap) = (Arena::new(MIB), Heap::new());
    let taken: usize = (0..16).map(|i| arena.lend(&heap, i * 64 * KIB, 60 * KIB)).sum();
    assert_eq!(heap.stats().capacity_bytes, taken);
    assert_eq!(heap.stats().regions, 16);
    for _ in 0..3 {
        let blocks: Vec<_> = (0..16).map(|_| Block::new(&heap, 50 * KIB, 16)).collect();
        assert!(Block::try_new(&heap, 50 * KIB, 16, 0).is_none());
        let mut regions: Vec<_> = blocks.iter().map(|b| b.address() / (64 * KIB)).collect();
        regions.sort_unstable();
        regions.dedup();
        assert_eq!(regions.len(), 16);
        blocks.into_iter().for_each(|block| block.free(&heap));
    }
}

#[test]
fn exhaustion_calls_the_hook_once_with_the_request_and_counts_every_failure() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn hook(report: &OutOfMemory<'_>) {
        let stats = report.stats;
        assert_eq!((report.wanted.size(), report.wanted.align()), (MIB, 8));
        assert!((8 * KIB..13 * KIB).contains(&report.largest_free), "{report}");
        assert_eq!(stats.failures, 1);
        assert!(stats.allocated_bytes > 50 * KIB);
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let (_arena, heap) = heap_of(64 * KIB);
    heap.on_exhausted(hook);
    let mut block = Block::new(&heap, 51 * KIB, 8);
    assert!(!block.try_resize(&heap, MIB));
    for _ in 0..10 {
        assert!(Block::try_new(&heap, MIB, 8, 0).is_none());
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    assert_eq!(heap.stats().failures, 11);
    // Set again, it is called again.
    fn second(report: &OutOfMemory<'_>) {
        assert_eq!(report.stats.failures, 12);
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    heap.on_exhausted(second);
    assert!(Block::try_new(&heap, MIB, 8, 0).is_none());
    assert!(Block::try_new(&heap, MIB, 8, 0).is_none());
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);
    block.free(&heap);
}

#[test]
fn the_hook_may_use_the_heap_even_fail_in_it() {
    static HEAP: Heap = Heap::new();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn hook(report: &OutOfMemory<'_>) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        assert_eq!(HEAP.try_stats(), Some(report.stats), "the lock must be free here");
        assert!(Block::try_new(&HEAP, MIB, 8, 0).is_none());
        Block::new(&HEAP, 100, 8).free(&HEAP);
    }
    let arena = Arena::new(64 * KIB);
    arena.lend(&HEAP, 0, 64 * KIB);
    HEAP.on_exhausted(hook);
    assert!(Block::try_new(&HEAP, MIB, 8, 0).is_none());
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    assert_eq!(HEAP.stats().failures, 2);
    std::mem::forget(arena); // HEAP outlives this function
}

#[test]
fn a_block_grows_and_shrinks_in_place_when_its_neighbour_is_free() {
    let (_arena, heap) = heap_of(MIB);
    let mut block = Block::new(&heap, 64, 8);
    let address = block.address();
    for size in [128, 4096, 500 * KIB, 1000, 16] {
        assert!(block.try_resize(&heap, size));
        assert_eq!(block.address(), address);
    }
    assert_eq!(heap.stats().in_place, 5);
    // A live neighbour forces it to move.
    let neighbour = Block::new(&heap, 64, 8);
    assert!(block.try_resize(&heap, 4096));
    assert_ne!(block.address(), address);
    let stats = heap.stats();
    assert_eq!((stats.reallocations, stats.in_place), (6, 5));
    block.free(&heap);
    neighbour.free(&heap);
}

#[test]
fn doubling_buffers_often_grow_in_place() {
    let (_arena, heap) = heap_of(16 * MIB);
    let mut buffers: Vec<_> = (0..64).map(|_| Block::new(&heap, 32, 8)).collect();
    let mut random = Random(1);
    for _ in 0..4000 {
        let which = random.below(buffers.len());
        let size = buffers[which].layout.size();
        if size < 64 * KIB {
            assert!(buffers[which].try_resize(&heap, size * 2));
        } else {
            buffers.swap_remove(which).free(&heap);
            buffers.push(Block::new(&heap, 32, 8));
        }
    }
    let stats = heap.stats();
    std::println!("{stats}");
    assert!(stats.in_place * 10 > stats.reallocations);
    buffers.into_iter().for_each(|buffer| buffer.free(&heap));
}

#[test]
fn fragmentation_tells_crumbs_from_one_piece() {
    let (_arena, heap) = heap_of(MIB);
    let fresh = heap.fragmentation();
    assert_eq!(fresh.free_bytes, heap.stats().free_bytes);
    assert!(fresh.free_bytes > MIB - 100 && fresh.percent() <= 2, "{fresh:?}");
    let mut blocks = Vec::new();
    while let Some(block) = Block::try_new(&heap, 1000, 8, 0) {
        blocks.push(block);
    }
    assert!(heap.fragmentation().free_bytes < 2 * KIB);
    // Every other one goes: half of the memory is free, in pieces of a kilobyte.
    let (kept, freed): (Vec<_>, Vec<_>) =
        blocks.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    freed.into_iter().for_each(|(_, block)| block.free(&heap));
    let crumbs = heap.fragmentation();
    assert!(crumbs.free_bytes > MIB / 2 - 2 * KIB && crumbs.percent() == 99, "{crumbs:?}");
    kept.into_iter().for_each(|(_, block)| block.free(&heap));
    assert_eq!(heap.fragmentation(), fresh);
    assert_eq!(Heap::<crate::SpinLock>::new().fragmentation().percent(), 0);
}

#[test]
fn zeroed_blocks_are_zero_in_used_memory() {
    let (_arena, heap) = heap_of(64 * KIB);
    let mut used = Block::new(&heap, 40 * KIB, 8);
    used.bytes().fill(0xff);
    let layout = used.layout;
    // SAFETY: `used` is live, freed once, and not touched again; the second block has `layout`.
    unsafe {
        heap.dealloc(used.start.as_ptr(), layout);
        let zeroed = heap.alloc_zeroed(layout);
        assert!(!zeroed.is_null());
        assert!(core::slice::from_raw_parts(zeroed, layout.size()).iter().all(|&byte| byte == 0));
        heap.dealloc(zeroed, layout);
    }
}

#[test]
fn threads_share_the_heap_and_the_counters_add_up() {
    const THREADS: usize = 4;
    const STEPS: usize = 20_000;
    let (_arena, heap) = heap_of(16 * MIB);
    let fresh = largest(&heap);
    let before = heap.stats();
    let work = |seed: usize| {
        let mut random = Random(seed as u64 + 1);
        let mut blocks: Vec<Block> = Vec::new();
        let mut resized = 0;
        for _ in 0..STEPS {
            let size = 1 + random.below(2000);
            if blocks.is_empty() || blocks.len() < 100 && random.below(3) > 0 {
                let block = Block::try_new(&heap, size, 1 << random.below(8), seed as u8);
                blocks.push(block.expect("16 MiB are plenty"));
                continue;
            }
            let which = random.below(blocks.len());
            if random.below(2) == 0 {
                assert!(blocks[which].try_resize(&heap, size));
                resized += 1;
            } else {
                blocks.swap_remove(which).free(&heap);
            }
        }
        blocks.into_iter().for_each(|block| block.free(&heap));
        resized
    };
    let resized: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let after = heap.stats();
    assert_eq!(after.allocated_bytes, 0);
    assert_eq!(after.allocations, after.frees);
    assert_eq!(after.reallocations - before.reallocations, resized);
    assert_eq!(after.failures, before.failures);
    assert!(after.peak_bytes <= after.capacity_bytes);
    assert_eq!(largest(&heap), fresh);
}

#[test]
fn the_counters_print_as_one_line() {
    let stats = Stats {
        capacity_bytes: 20 * MIB + 5,
        allocated_bytes: 812 * KIB,
        cached_bytes: 0,
        free_bytes: 19 * MIB,
        peak_bytes: 9999,
        regions: 2,
        allocations: 120,
        frees: 80,
        reallocations: 12,
        in_place: 5,
        failures: 0,
    };
    assert_eq!(
        format!("{stats}"),
        "812 KiB of 20 MiB in 2 region(s), peak 9999 bytes; 120 allocations, 80 frees, \
         12 reallocations (5 in place), 0 failures"
    );
}
