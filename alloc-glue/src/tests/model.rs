//! Heaps of every type against a list of the blocks that they should hold.

use core::alloc::GlobalAlloc;
use std::vec::Vec;

use lock_api::RawMutex;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{Arena, Block, KIB};
use crate::heap::Walk;
use crate::pool::{BlockState, Pool};
use crate::{Cached, Heap, OneCpu, Slabs, SpinLock, Stats, Tlsf, Zones};

#[derive(Clone, Debug)]
enum Step {
    Allocate { size: usize, align_log2: u32 },
    Free { which: usize },
    Resize { which: usize, size: usize },
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1usize..200, 3 => 200usize..5000, 1 => 5000usize..60_000]
}

fn step() -> impl Strategy<Value = Step> {
    let align_log2 = prop_oneof![8 => 0u32..5, 2 => 5u32..17];
    prop_oneof![
        4 => (size(), align_log2).prop_map(|(size, align_log2)| Step::Allocate { size, align_log2 }),
        3 => any::<usize>().prop_map(|which| Step::Free { which }),
        3 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
    ]
}

/// The heap beside a list of what it should hold.
struct Shadow<'a> {
    arena: &'a Arena,
    heap: &'a dyn GlobalAlloc,
    /// The counters, where they can be foretold.
    stats: Option<&'a dyn Fn() -> Stats>,
    blocks: Vec<Block>,
    want: Stats,
}

impl Shadow<'_> {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Allocate { size, align_log2 } => {
                let seed = self.want.allocations as u8;
                match Block::try_new(self.heap, size, 1 << align_log2, seed) {
                    Some(block) => {
                        self.want.allocations += 1;
                        self.blocks.push(block);
                        self.check_place(self.blocks.len() - 1);
                    }
                    None => self.want.failures += 1,
                }
            }
            Step::Free { which } if !self.blocks.is_empty() => {
                let which = which % self.blocks.len();
                self.blocks.swap_remove(which).free(self.heap);
                self.want.frees += 1;
            }
            Step::Resize { which, size } if !self.blocks.is_empty() => {
                let which = which % self.blocks.len();
                let before = self.blocks[which].address();
                if self.blocks[which].try_resize(self.heap, size) {
                    self.want.reallocations += 1;
                    self.want.in_place += u64::from(self.blocks[which].address() == before);
                    self.check_place(which);
                } else {
                    self.want.failures += 1;
                }
            }
            Step::Free { .. } | Step::Resize { .. } => {}
        }
        self.want.allocated_bytes = self.blocks.iter().map(|b| b.layout.size()).sum();
        let Some(stats) = self.stats.map(|stats| stats()) else { return };
        // A block that moves is there twice for a moment.
        let most = self.want.peak_bytes.max(self.want.allocated_bytes) + 60_000;
        assert!((self.want.allocated_bytes..=most).contains(&stats.peak_bytes), "{stats:?}");
        assert!(stats.peak_bytes >= self.want.peak_bytes);
        self.want.peak_bytes = stats.peak_bytes;
        // `check` looks after these.
        self.want.free_bytes = stats.free_bytes;
        assert_eq!(stats, self.want);
    }

    /// Aligned, in the arena, and apart from every other block.
    fn check_place(&self, which: usize) {
        let new = &self.blocks[which];
        let (start, size) = (new.address(), new.layout.size());
        assert_eq!(start % new.layout.align(), 0, "{:?}", new.layout);
        assert!(self.arena.contains(start, size));
        for (i, old) in self.blocks.iter().enumerate() {
            let apart = start + size <= old.address() || old.address() + old.layout.size() <= start;
            assert!(i == which || apart, "{:?} overlaps {:?}", new.layout, old.layout);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("FREESTONE_LONG").is_some() { 40_000 } else { 400 },
        rng_seed: RngSeed::Fixed(0x0f5e_ed5e_ed00),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Two regions of 256 KiB are little enough that requests fail now and then.
    #[test]
    fn every_block_is_aligned_apart_and_keeps_its_bytes(steps in prop::collection::vec(step(), 1..300)) {
        let heap: Heap = Heap::new();
        check(&heap, &heap, Some(&|| heap.stats()), &|| (), &steps);
    }

    #[test]
    fn so_it_is_with_spans(steps in prop::collection::vec(step(), 1..300)) {
        let heap: Heap<SpinLock, Slabs> = Heap::new();
        check(&heap, &heap, Some(&|| heap.stats()), &|| { heap.with(|state| state.pool.trim()); }, &steps);
    }

    #[test]
    fn so_it_is_with_zones_and_few_lists(steps in prop::collection::vec(step(), 1..300)) {
        let heap: Heap<SpinLock, Zones<Tlsf<20, 8>>> = Heap::new();
        check(&heap, &heap, Some(&|| heap.stats()), &|| (), &steps);
    }

    #[test]
    fn so_it_is_with_magazines(steps in prop::collection::vec(step(), 1..300)) {
        let heap: Cached<OneCpu> = Cached::new();
        check(heap.heap(), &heap, None, &|| heap.drain_all(), &steps);
        prop_assert_eq!(heap.stats().allocated_bytes, 0);
        prop_assert!(heap.classes().all(|class| class.live == 0 && class.cached == 0));
    }

    #[test]
    fn so_it_is_with_magazines_over_bare_tlsf(steps in prop::collection::vec(step(), 1..300)) {
        let heap: Cached<OneCpu, 1, SpinLock, Tlsf> = Cached::new();
        check(heap.heap(), &heap, None, &|| heap.drain_all(), &steps);
        prop_assert_eq!(heap.stats().allocated_bytes, 0);
    }
}

/// Takes the steps and gives everything back: then there must be as much as in the beginning.
fn check<L: RawMutex, P: Pool>(
    regions: &Heap<L, P>,
    heap: &dyn GlobalAlloc,
    stats: Option<&dyn Fn() -> Stats>,
    settle: &dyn Fn(),
    steps: &[Step],
) {
    let arena = Arena::new(512 * KIB + 100);
    arena.lend(regions, 0, 256 * KIB);
    arena.lend(regions, 256 * KIB + 50, 256 * KIB);
    let fresh = regions.largest_free();
    let want = regions.stats();
    let mut shadow = Shadow { arena: &arena, heap, stats, blocks: Vec::new(), want };
    for step in steps {
        shadow.take(step);
    }
    assert_eq!(regions.stats().free_bytes, free_bytes(regions), "what is kept, and what is there");
    for block in shadow.blocks.drain(..) {
        block.free(heap);
    }
    settle();
    assert_eq!(regions.stats().allocated_bytes, 0);
    assert_eq!(regions.largest_free(), fresh);
    assert_eq!(regions.stats().free_bytes, want.free_bytes);
}

/// What the pool has in free blocks with their headers, counted; objects of a span, which lie inside its block, are not the pool's.
fn free_bytes<L: RawMutex, P: Pool>(heap: &Heap<L, P>) -> usize {
    const HEADER: usize = 16;
    let (mut sum, mut span) = (0, 0..0);
    heap.walk(&mut |event| {
        let Walk::Block(block) = event else { return };
        let start = block.start.addr().get();
        if block.state == BlockState::Span {
            span = start..start + block.len;
        } else if block.state == BlockState::Free && !span.contains(&start) {
            sum += block.len + HEADER;
        }
    });
    sum
}
