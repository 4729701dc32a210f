//! Any sequence of operations on six types of heap: every block keeps its bytes, requests that are too large fail, and in the
//! end all memory is free again.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, alloc, dealloc};
use std::ptr::NonNull;

use freestone_alloc::checked::Nowhere;
use freestone_alloc::{Cached, Checked, Heap, OneCpu, PageBitmap, Paged, Slabs, SpinLock, Tlsf, c};
use libfuzzer_sys::fuzz_target;

const ARENA: usize = 256 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((&make, steps)) = input.split_first() else { return };
    let arena = Layout::from_size_align(ARENA, 64).unwrap();
    // SAFETY: allocated and freed with one layout; the heaps are gone before.
    unsafe {
        let memory = NonNull::new(alloc(arena)).expect("memory");
        match make % 6 {
            0 => {
                let heap: Heap = Heap::new();
                heap.add_region(memory, ARENA);
                run(&heap, steps);
                assert_eq!((heap.stats().allocated_bytes, heap.audit().used_blocks), (0, 0));
            }
            1 => {
                let heap: Heap<SpinLock, Slabs<Tlsf<20, 8>>> = Heap::new();
                // Two regions that do not touch.
                heap.add_region(memory, ARENA / 2);
                heap.add_region(memory.add(ARENA / 2 + 40), ARENA / 2 - 40);
                run(&heap, steps);
                assert_eq!((heap.stats().allocated_bytes, heap.audit().used_blocks), (0, 0));
            }
            2 => {
                let heap: Cached<OneCpu> = Cached::new();
                heap.heap().add_region(memory, ARENA);
                run(&heap, steps);
                heap.drain();
                let audit = heap.heap().audit();
                assert_eq!(
                    (heap.stats().allocated_bytes, audit.used_blocks, audit.broken),
                    (0, 0, 0)
                );
            }
            3 => {
                let heap: Paged<Heap, PageBitmap<1>> = Paged::new(Heap::new(), PageBitmap::new());
                heap.heap().add_region(memory, ARENA / 2);
                heap.pages().give(memory.add(ARENA / 2), ARENA / 2);
                run(&heap, steps);
                assert_eq!(heap.heap().audit().used_blocks, 0);
            }
            4 => {
                let misuse = |misuse: &_| panic!("{misuse}");
                let heap: Checked<Heap> = Checked::new(Heap::new(), misuse);
                heap.inner().add_region(memory, ARENA);
                run(&InC(&heap), steps);
                assert_eq!((heap.audit().live, heap.inner().audit().used_blocks), (0, 0));
            }
            _ => {
                let misuse = |misuse: &_| panic!("{misuse}");
                let heap: Checked<Cached<OneCpu>, Nowhere, 4> = Checked::new(Cached::new(), misuse);
                heap.inner().heap().add_region(memory, ARENA);
                run(&heap, steps);
                assert_eq!(heap.audit().live, 0);
            }
        }
        dealloc(memory.as_ptr(), arena);
    }
});

/// A heap through the functions of C.
struct InC<'a, A>(&'a A);

// SAFETY: what these functions promise is what a heap must.
unsafe impl<A: GlobalAlloc> GlobalAlloc for InC<'_, A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        c::aligned_alloc(self.0, layout.align(), layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match layout.align() {
            ..=16 => c::calloc(self.0, 1, layout.size()),
            // SAFETY: the caller's promise.
            _ => unsafe {
                c::calloc(self.0, layout.size(), (usize::MAX / layout.size()).saturating_add(1))
            },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe {
            assert_eq!(c::usable_size(block), layout.size());
            c::free(self.0, block);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, _: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { c::realloc(self.0, block, size) }
    }
}

/// Four bytes a step: what, which or how aligned, and a size, or how much less than the largest.
fn run(heap: &impl GlobalAlloc, steps: &[u8]) {
    let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
    for step in steps.chunks_exact(4) {
        let little = 1 + usize::from(u16::from_le_bytes([step[2], step[3]])) >> (step[0] >> 4 & 7);
        let is_huge = step[0] & 8 != 0;
        let size = |align: usize| match is_huge {
            true => (isize::MAX as usize - (align - 1)).saturating_sub(little).max(1),
            false => little.max(1),
        };
        let which = usize::from(step[1]).checked_rem(blocks.len());
        // SAFETY: each block is used with the layout that it has, inside its bytes.
        unsafe {
            match (step[0] & 3, which) {
                (2, Some(which)) => {
                    let (block, layout, byte) = blocks.swap_remove(which);
                    check(block, layout.size(), byte);
                    heap.dealloc(block, layout);
                }
                (3, Some(which)) => {
                    let (block, layout, byte) = blocks[which];
                    let size = size(layout.align());
                    let moved = heap.realloc(block, layout, size);
                    let kept = if moved.is_null() { block } else { moved };
                    check(kept, layout.size().min(size), byte);
                    if !moved.is_null() {
                        assert!(moved.addr().is_multiple_of(layout.align()) && size < ARENA);
                        moved.write_bytes(byte, size);
                        blocks[which] =
                            (moved, Layout::from_size_align(size, layout.align()).unwrap(), byte);
                    }
                }
                _ => {
                    let align = 1 << (step[1] % if is_huge { 63 } else { 15 });
                    let layout = Layout::from_size_align(size(align), align).unwrap();
                    let is_zeroed = step[0] & 4 != 0;
                    let block =
                        if is_zeroed { heap.alloc_zeroed(layout) } else { heap.alloc(layout) };
                    if !block.is_null() {
                        assert!(block.addr().is_multiple_of(align) && layout.size() < ARENA);
                        if is_zeroed {
                            check(block, layout.size(), 0);
                        }
                        let byte = blocks.len() as u8 ^ step[3];
                        block.write_bytes(byte, layout.size());
                        blocks.push((block, layout, byte));
                    }
                }
            }
        }
    }
    for (block, layout, byte) in blocks {
        // SAFETY: as above.
        unsafe {
            check(block, layout.size(), byte);
            heap.dealloc(block, layout);
        }
    }
}

unsafe fn check(block: *mut u8, len: usize, byte: u8) {
    // SAFETY: the caller's block, which has been written to.
    let bytes = unsafe { std::slice::from_raw_parts(block, len) };
    assert!(bytes.iter().all(|&found| found == byte), "a block has lost its bytes");
}
