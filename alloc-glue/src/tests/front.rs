//! The magazines: an interrupt at every step, threads, pressure.

use core::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{Arena, Block, KIB, MIB, Random};
use crate::probe::{Masked, with_interrupt};
use crate::{Cached, CpuId, OneCpu, SpinLock};

std::thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

struct ThreadCpu;

// SAFETY: the tests give each thread its number.
unsafe impl CpuId for ThreadCpu {
    fn current() -> usize {
        CPU.get()
    }
}

type One = Cached<OneCpu, 1, SpinLock<Masked>>;

impl<C: CpuId, const CPUS: usize, L: lock_api::RawMutex, P: crate::pool::Pool>
    Cached<C, CPUS, L, P>
{
    /// Empties this CPU's magazines and the depot, and has the pool give up its reserve.
    pub(super) fn drain_all(&self) {
        self.drain();
        self.heap().with(|state| state.pool.trim());
    }
}

/// What a scenario does before the step that is interrupted, so that it meets each path of the magazines.
fn scenario(heap: &One, blocks: &mut Vec<Block>, number: usize) {
    let size = 100;
    match number {
        0 => blocks.push(Block::new(heap, size, 8)), // an empty magazine
        1 => {
            // A full one overflows.
            let many: Vec<_> = (0..40).map(|_| Block::new(heap, size, 8)).collect();
            many.into_iter().for_each(|block| block.free(heap));
        }
        2 => {
            // Grows from class to class, then out of them.
            let mut block = Block::new(heap, 8, 8);
            for size in [8, 9, 100, 300, 2000, 3000, 5000, 40] {
                assert!(block.try_resize(heap, size));
            }
            block.free(heap);
        }
        3 => heap.drain(),
        _ => blocks.push(Block::new(heap, 5000, 64)),
    }
}

/// What the handler does: allocates, frees its own of last time, frees one of the interrupted code's.
fn handler(heap: &One, own: &mut Vec<Block>, number: usize) {
    let size = if number.is_multiple_of(2) { 100 } else { 8 };
    own.push(Block::new(heap, size, 8));
    if own.len() > 2 {
        own.swap_remove(0).free(heap);
    }
    if number.is_multiple_of(3) {
        heap.drain();
    }
}

#[test]
fn an_interrupt_that_allocates_may_come_at_every_step() {
    let mut interrupted = 0;
    for number in 0..5 {
        for busy_before in [0, 1, 7, 8, 16, 17] {
            for kind in 0..6 {
                let mut at = 0;
                // Each round interrupts one probe later, until there is none left.
                while interrupt_once(number, busy_before, kind, at) {
                    at += 1;
                    interrupted += 1;
                }
                assert!(at > 0, "scenario {number} has no probe");
            }
        }
    }
    std::println!("{interrupted} interrupts");
    assert!(interrupted > 1000);
}

/// Whether there was a probe number `at`.
fn interrupt_once(number: usize, busy_before: usize, kind: usize, at: usize) -> bool {
    let (arena, heap) = (Arena::new(MIB), Arc::new(One::new()));
    arena.lend(heap.heap(), 0, MIB);
    let fresh = heap.heap().largest_free();
    let mut blocks: Vec<_> = (0..busy_before).map(|_| Block::new(&*heap, 100, 8)).collect();
    let own = Arc::new(Mutex::new(Vec::new()));
    let (probes, fired) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let interrupt = {
        let (heap, own, probes, fired) = (heap.clone(), own.clone(), probes.clone(), fired.clone());
        move || {
            if probes.replace(probes.get() + 1) == at {
                fired.set(true);
                for _ in 0..3 {
                    handler(&heap, &mut own.lock().unwrap(), kind);
                }
            }
        }
    };
    with_interrupt(interrupt, || scenario(&heap, &mut blocks, number));
    // Nothing is lost, nothing is there twice: all blocks are apart and keep their bytes, and everything comes back.
    let mut own = own.lock().unwrap();
    let addresses: BTreeSet<_> = blocks.iter().chain(own.iter()).map(Block::address).collect();
    assert_eq!(addresses.len(), blocks.len() + own.len());
    blocks.drain(..).chain(own.drain(..)).for_each(|block| block.free(&*heap));
    heap.drain_all();
    assert!(heap.classes().all(|class| class.live == 0 && class.cached == 0));
    assert_eq!(heap.heap().stats().allocated_bytes, 0);
    assert_eq!(heap.heap().largest_free(), fresh, "scenario {number}, probe {at}");
    fired.get()
}

#[test]
fn threads_pass_blocks_round_and_nothing_is_lost() {
    const THREADS: usize = 4;
    let (arena, heap) = (Arena::new(16 * MIB), Cached::<ThreadCpu, 3>::new());
    arena.lend(heap.heap(), 0, 16 * MIB);
    let fresh = heap.heap().largest_free();
    let shared: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let work = |number: usize| {
        // The last one has no magazines.
        CPU.set(number);
        let mut random = Random(number as u64 + 1);
        for step in 0..20_000 {
            let block = match random.below(3) {
                0 => shared.lock().unwrap().pop(),
                _ => Some(Block::new(
                    &heap,
                    1 + random.below(random_limit(step)),
                    1 << random.below(8),
                )),
            };
            let Some(mut block) = block else { continue };
            if random.below(4) == 0 {
                assert!(block.try_resize(&heap, 1 + random.below(3000)));
            }
            if random.below(3) > 0 {
                block.free(&heap);
            } else {
                shared.lock().unwrap().push(block);
            }
        }
        heap.drain();
    };
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || work(number));
        }
    });
    shared.into_inner().unwrap().into_iter().for_each(|block| block.free(&heap));
    heap.drain_all();
    assert!(heap.classes().all(|class| class.live == 0 && class.cached == 0));
    assert_eq!(heap.stats().allocated_bytes, 0);
    assert_eq!(heap.heap().largest_free(), fresh);
}

fn random_limit(step: usize) -> usize {
    if step.is_multiple_of(50) { 20_000 } else { 600 }
}

// SAFETY: a block may be freed by any thread.
unsafe impl Send for Block {}

#[test]
fn magazines_are_emptied_before_a_request_fails() {
    let (arena, heap) = (Arena::new(256 * KIB), One::new());
    arena.lend(heap.heap(), 0, 256 * KIB);
    // Free blocks of many classes fill the magazines and the depot.
    for size in (300..2000).step_by(100) {
        let many: Vec<_> = (0..8).map(|_| Block::new(&heap, size, 8)).collect();
        many.into_iter().for_each(|block| block.free(&heap));
    }
    assert!(heap.stats().cached_bytes > 50 * KIB);
    let largest = 200 * KIB;
    assert!(heap.heap().largest_free() < largest);
    Block::new(&heap, largest, 8).free(&heap);
    assert_eq!(heap.heap().stats().failures, 0);
}

#[test]
fn the_heap_grows_by_what_the_hook_returns_and_only_then_fails() {
    static ARENA: Mutex<Option<(usize, usize)>> = Mutex::new(None);
    fn grow(bytes: usize) -> Option<core::ptr::NonNull<[u8]>> {
        let (start, len) = ARENA.lock().unwrap().take()?;
        assert!(bytes <= len);
        let start = core::ptr::NonNull::new(core::ptr::with_exposed_provenance_mut(start))?;
        Some(core::ptr::NonNull::slice_from_raw_parts(start, len))
    }
    let (arena, heap) = (Arena::new(MIB), One::new());
    *ARENA.lock().unwrap() = Some((arena.start.as_ptr().expose_provenance(), MIB));
    // SAFETY: the arena is nobody else's, is handed out once, and outlives the heap's use.
    unsafe { heap.heap().grow_with(grow) };
    let blocks: Vec<_> = (0..10).map(|_| Block::new(&heap, 64, 8)).collect();
    let large = Block::new(&heap, 500 * KIB, 8);
    assert_eq!(heap.heap().stats().regions, 1);
    assert!(Block::try_new(&heap, MIB, 8, 0).is_none());
    assert_eq!(heap.heap().stats().failures, 1);
    blocks.into_iter().chain([large]).for_each(|block| block.free(&heap));
}

#[test]
fn direct_blocks_and_magazine_blocks_mix() {
    let (arena, heap) = (Arena::new(MIB), One::new());
    arena.lend(heap.heap(), 0, MIB);
    for size in [1, 8, 100, 256, 257, 2032, 2033, 9000] {
        let (direct, cached) = (Block::new(&heap.direct(), size, 8), Block::new(&heap, size, 8));
        direct.free(&heap);
        cached.free(&heap.direct());
        let mut block = Block::new(&heap.direct(), size, 8);
        assert!(block.try_resize(&heap.direct(), size * 2));
        block.free(&heap);
    }
    heap.drain_all();
    assert_eq!(heap.stats().allocated_bytes, 0);
}

#[test]
fn a_report_names_the_largest_classes() {
    static REPORT: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
    let (arena, heap) = (Arena::new(MIB), One::new());
    arena.lend(heap.heap(), 0, MIB);
    heap.heap().on_exhausted(|report| {
        let mut seen = REPORT.lock().unwrap();
        seen.extend(report.top.iter().map(|class| (class.size, class.live)));
        assert!(std::format!("{report}").contains("300 blocks of 1008 bytes, 295 KiB"), "{report}");
    });
    let large: Vec<_> = (0..300).map(|_| Block::new(&heap, 1000, 8)).collect();
    let small: Vec<_> = (0..100).map(|_| Block::new(&heap, 20, 8)).collect();
    assert!(Block::try_new(&heap, MIB, 8, 0).is_none());
    assert_eq!(REPORT.lock().unwrap()[..2], [(1008, 300), (24, 100)]);
    large.into_iter().chain(small).for_each(|block| block.free(&heap));
}

#[test]
fn small_objects_lie_side_by_side() {
    let (arena, heap) = (Arena::new(MIB), One::new());
    arena.lend(heap.heap(), 0, MIB);
    let mut blocks = Vec::new();
    while let Some(block) = Block::try_new(&heap, 64, 8, 1) {
        blocks.push(block);
    }
    assert!(blocks.len() * 64 > MIB * 95 / 100, "only {} objects", blocks.len());
    blocks.into_iter().for_each(|block| block.free(&heap));
}

/// Every layout up to the largest class and a bit beyond gets what it asks for.
#[test]
fn every_size_and_alignment_has_the_right_class() {
    let (arena, heap) = (Arena::new(4 * MIB), One::new());
    arena.lend(heap.heap(), 0, 4 * MIB);
    for align_log2 in 0..13 {
        for size in 1..2100 {
            let layout = Layout::from_size_align(size, 1 << align_log2).unwrap();
            // SAFETY: allocated and freed with one layout, and written to inside it.
            unsafe {
                let block = heap.alloc(layout);
                assert!(
                    !block.is_null() && block.addr().is_multiple_of(layout.align()),
                    "{layout:?}"
                );
                block.write_bytes(0xa5, size);
                heap.dealloc(block, layout);
            }
        }
    }
}

#[test]
fn the_audit_and_the_picture_show_what_is_there() {
    let (arena, heap) = (Arena::new(2 * MIB), One::new());
    arena.lend(heap.heap(), 0, MIB);
    arena.lend(heap.heap(), MIB + 64, MIB / 2);
    heap.drain_all();
    assert_eq!(heap.heap().audit().used_blocks, 0);
    let empty = std::format!("{}", heap.heap().map());
    assert_eq!(empty.matches("rgb(255,255,255)").count(), empty.matches("<rect").count());
    let mut blocks: Vec<_> = (1..500).map(|size| Block::new(&heap, size, 8)).collect();
    blocks.push(Block::new(&heap, 900 * KIB, 8));
    heap.drain_all();
    let audit = heap.heap().audit();
    assert_eq!((audit.used_blocks, audit.broken), (blocks.len(), 0));
    let asked: usize = blocks.iter().map(|block| block.layout.size()).sum();
    assert!((asked..asked * 12 / 10).contains(&audit.used_bytes), "{audit:?}");
    let largest = heap.heap().largest_free();
    assert!(
        audit.largest_free >= largest && audit.largest_free - largest < largest / 16,
        "{audit:?}"
    );
    let full = std::format!("{}", heap.heap().map());
    let cells = full.matches("<rect").count();
    let dark = full.matches("rgb(40,40,255)").count();
    assert!((cells * 55 / 100..cells * 65 / 100).contains(&dark), "{dark} of {cells}");
    blocks.into_iter().for_each(|block| block.free(&heap));
}

#[test]
fn metrics_are_in_the_text_format_of_prometheus() {
    let (arena, heap) = (Arena::new(MIB), One::new());
    arena.lend(heap.heap(), 0, MIB);
    let block = Block::new(&heap, 5000, 8);
    let text = std::format!("{}", heap.stats().metrics());
    assert!(
        text.contains("# TYPE heap_allocated_bytes gauge\nheap_allocated_bytes 5000\n"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE heap_allocations_total counter\nheap_allocations_total 1\n"),
        "{text}"
    );
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').unwrap();
        assert!(name.starts_with("heap_") && value.parse::<u64>().is_ok(), "{line}");
    }
    block.free(&heap);
}
