//! Each misuse is found, on each kind of heap; right use is left alone.

use core::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, RefCell};
use std::format;
use std::vec::Vec;

use super::{Arena, Block, KIB, MIB};
use crate::checked::{Backing, CallSite, Checked, Kind, Misuse};
use crate::{Cached, Heap, OneCpu, Slabs, SpinLock};

std::thread_local! {
    static REPORTS: RefCell<Vec<Misuse>> = const { RefCell::new(Vec::new()) };
    static SITE: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn note(misuse: &Misuse) {
    REPORTS.with(|reports| reports.borrow_mut().push(*misuse));
}

pub(super) fn reports() -> Vec<Misuse> {
    REPORTS.with(RefCell::take)
}

struct Line;

impl CallSite for Line {
    fn here() -> usize {
        SITE.get()
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// All cases on one kind of heap.
fn every_misuse<A: Backing, const Q: usize>(heap: &Checked<A, Line, Q>, size: usize) {
    let alloc = || {
        SITE.set(1000);
        // SAFETY: the size is not 0.
        let block = unsafe { heap.alloc(layout(size)) };
        assert!(!block.is_null());
        SITE.set(2000);
        block
    };
    let free = |block: *mut u8, layout: Layout| {
        SITE.set(SITE.get() + 1);
        // SAFETY: what `Checked` promises to survive is what is tested; the arena is readable.
        unsafe { heap.dealloc(block, layout) };
    };
    let only = |kind: Kind| {
        let found = reports();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].kind, kind, "{}", found[0]);
        found[0]
    };

    let block = alloc();
    free(block, layout(size));
    assert!(reports().is_empty());
    free(block, layout(size));
    let found = only(Kind::DoubleFree);
    assert_eq!((found.address, found.freed, found.here), (block.addr(), 2001, 2002));
    // Where the heap inside has not written to the record, that is known too.
    assert!(matches!((found.allocated, found.recorded), (0, None) | (1000, Some(_))), "{found:?}");

    // The same after a reallocation that has moved it, which a neighbour makes sure of.
    let (block, neighbour) = (alloc(), alloc());
    // SAFETY: a live block; the new size is not 0.
    let moved = unsafe { heap.realloc(block, layout(size), size + 7000) };
    if moved != block {
        SITE.set(2000);
        free(block, layout(size));
        assert_eq!(only(Kind::DoubleFree).here, 2001);
    }
    free(moved, layout(size + 7000));
    free(neighbour, layout(size));
    assert!(reports().is_empty());

    for wrong in [layout(size + 1), Layout::from_size_align(size, 16).unwrap()] {
        let block = alloc();
        free(block, wrong);
        let found = only(Kind::WrongLayout);
        assert_eq!(
            (found.given, found.recorded, found.allocated),
            (wrong, Some(layout(size)), 1000)
        );
        free(block, layout(size));
        assert!(reports().is_empty());
    }

    for offset in [0, 7] {
        let block = alloc();
        // SAFETY: the canary is part of the block inside.
        unsafe { *block.add(size + offset) ^= 1 };
        free(block, layout(size));
        assert_eq!((only(Kind::Overflow).allocated), 1000);
        // SAFETY: the same: mended, so that it can be freed.
        unsafe { *block.add(size + offset) ^= 1 };
        // SAFETY: a live block; the new size is not 0.
        unsafe {
            *block.add(size + offset) ^= 1;
            assert!(heap.realloc(block, layout(size), size * 2).is_null());
            *block.add(size + offset) ^= 1;
        }
        only(Kind::Overflow);
        free(block, layout(size));
        assert!(reports().is_empty());
    }

    let block = alloc();
    // SAFETY: the record is in front of the block.
    unsafe { *block.sub(9) ^= 0xff };
    free(block, layout(size));
    // These four bytes are the call site, which only a report would miss.
    assert!(reports().is_empty());
    for offset in 1..=8 {
        let block = alloc();
        // SAFETY: the same.
        unsafe { *block.sub(offset) ^= 0xff };
        free(block, layout(size));
        let found = reports();
        // The lowest byte has the alignment in it, which may still be one.
        let kinds = [Kind::NotLive, Kind::WrongLayout, Kind::Overflow];
        assert!(found.len() == 1 && kinds.contains(&found[0].kind), "{offset}: {found:?}");
        // SAFETY: the same: mended, so that it can be freed.
        unsafe { *block.sub(offset) ^= 0xff };
        free(block, layout(size));
        assert!(reports().is_empty());
    }

    let block = alloc();
    free(block.wrapping_add(16), layout(size));
    only(Kind::NotLive);
    free(block.wrapping_add(1), layout(size));
    only(Kind::Foreign);
    let elsewhere = [0_u128; 8];
    free((&raw const elsewhere).cast::<u8>().cast_mut().wrapping_add(32), layout(size));
    let text = format!("{}", only(Kind::Foreign));
    assert!(text.contains("not a block of this heap") && text.contains("alignment 8"), "{text}");
    free(core::ptr::null_mut(), layout(size));
    only(Kind::Foreign);
    free(block, layout(size));
    assert!(reports().is_empty());
}

#[test]
fn misuse_is_found_on_every_kind_of_heap() {
    for size in [1, 24, 200, 1000, 5000] {
        let arena = Arena::new(MIB);
        let heap = Checked::<Heap, Line>::new(Heap::new(), note);
        arena.lend(heap.inner(), 0, MIB);
        every_misuse(&heap, size);
        let arena = Arena::new(MIB);
        let heap = Checked::<Heap<SpinLock, Slabs>, Line>::new(Heap::new(), note);
        arena.lend(heap.inner(), 0, MIB);
        every_misuse(&heap, size);
        let arena = Arena::new(MIB);
        let heap = Checked::<Cached<OneCpu>, Line>::new(Cached::new(), note);
        arena.lend(heap.inner().heap(), 0, MIB);
        every_misuse(&heap, size);
        let arena = Arena::new(MIB);
        let heap = Checked::<Cached<OneCpu>, Line, 16>::new(Cached::new(), note);
        arena.lend(heap.inner().heap(), 0, MIB);
        every_misuse(&heap, size);
    }
}

#[test]
fn a_write_after_free_is_found_when_the_block_leaves_the_quarantine() {
    let arena = Arena::new(MIB);
    let heap = Checked::<Heap, Line, 8>::new(Heap::new(), note);
    arena.lend(heap.inner(), 0, MIB);
    let block = Block::new(&heap, 100, 8);
    let start = block.start;
    block.free(&heap);
    // SAFETY: the misuse that is tested; the memory is the arena's.
    unsafe { start.add(50).write(1) };
    for _ in 0..8 {
        assert!(reports().is_empty());
        Block::new(&heap, 64, 8).free(&heap);
    }
    let found = reports();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].kind, found[0].address, found[0].given.size()),
        (Kind::WriteAfterFree, start.addr().get(), 100)
    );
}

#[test]
fn right_use_is_left_alone() {
    let arena = Arena::new(4 * MIB);
    let heap = Checked::<Cached<OneCpu>, Line, 4>::new(Cached::new(), note);
    arena.lend(heap.inner().heap(), 0, 4 * MIB);
    let mut blocks = Vec::new();
    for align_log2 in 0..14 {
        for size in [1, 7, 16, 33, 100, 250, 300, 4096, 10_000] {
            let mut block = Block::new(&heap, size, 1 << align_log2);
            assert!(block.address().is_multiple_of(1 << align_log2));
            if size != 33 {
                assert!(block.try_resize(&heap, size * 2));
                assert!(block.try_resize(&heap, size.div_ceil(2)));
            }
            blocks.push(block);
        }
    }
    blocks.into_iter().for_each(|block| block.free(&heap));
    assert!(Block::try_new(&heap, 5 * MIB, 8, 0).is_none());
    let mut block = Block::new(&heap, 100, 8);
    assert!(!block.try_resize(&heap, 5 * MIB));
    block.free(&heap);
    assert!(reports().is_empty(), "{:?}", reports());
    let impossible = Layout::from_size_align(isize::MAX as usize - 100, 64).unwrap();
    // SAFETY: the size is not 0.
    assert!(unsafe { heap.alloc(impossible) }.is_null());
}

#[test]
fn an_audit_finds_what_has_not_been_freed_yet() {
    let arena = Arena::new(MIB);
    let heap = Checked::<Cached<OneCpu>, Line>::new(Cached::new(), note);
    arena.lend(heap.inner().heap(), 0, MIB);
    let blocks: Vec<_> =
        (0..11).map(|log2| Block::new(&heap, 50 << (log2 % 7), 1 << log2)).collect();
    Block::new(&heap, 9 * KIB, 8).free(&heap);
    let audit = heap.audit();
    assert_eq!((audit.live, audit.overflowed), (11, 0));
    // SAFETY: the canary is part of the block inside.
    unsafe { *blocks[4].start.as_ptr().add(blocks[4].layout.size()) ^= 1 };
    assert_eq!(heap.audit().overflowed, 1);
    let found = reports();
    assert_eq!(
        (found.len(), found[0].kind, found[0].address),
        (1, Kind::Overflow, blocks[4].address())
    );
    // SAFETY: the same.
    unsafe { *blocks[4].start.as_ptr().add(blocks[4].layout.size()) ^= 1 };
    blocks.into_iter().for_each(|block| block.free(&heap));
    assert_eq!(heap.audit().live, 0);
    assert!(reports().is_empty());
}
