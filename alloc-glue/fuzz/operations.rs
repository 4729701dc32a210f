//! Any sequence of operations on four makes of heap: every block keeps its bytes, and in the end all comes back.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, alloc, dealloc};
use std::ptr::NonNull;

use freestone_alloc::{Cached, Checked, Heap, OneCpu, Slabs, SpinLock, Tlsf, checked::Nowhere};
use libfuzzer_sys::fuzz_target;

const ARENA: usize = 256 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((&make, steps)) = input.split_first() else { return };
    let arena = Layout::from_size_align(ARENA, 64).unwrap();
    // SAFETY: allocated and freed with one layout; the heaps are gone before.
    unsafe {
        let memory = NonNull::new(alloc(arena)).expect("memory");
        match make % 4 {
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
                assert_eq!((heap.stats().allocated_bytes, audit.used_blocks, audit.broken), (0, 0, 0));
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

/// Four bytes a step: what, which or how aligned, and a size.
fn run(heap: &impl GlobalAlloc, steps: &[u8]) {
    let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
    for step in steps.chunks_exact(4) {
        let size = 1 + usize::from(u16::from_le_bytes([step[2], step[3]])) >> (step[0] >> 4 & 7);
        let size = size.max(1);
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
                    let moved = heap.realloc(block, layout, size);
                    let kept = if moved.is_null() { block } else { moved };
                    check(kept, layout.size().min(size), byte);
                    if !moved.is_null() {
                        assert!(moved.addr().is_multiple_of(layout.align()));
                        moved.write_bytes(byte, size);
                        blocks[which] = (moved, Layout::from_size_align(size, layout.align()).unwrap(), byte);
                    }
                }
                _ => {
                    let layout = Layout::from_size_align(size, 1 << (step[1] % 12)).unwrap();
                    let block = heap.alloc(layout);
                    if !block.is_null() {
                        assert!(block.addr().is_multiple_of(layout.align()));
                        let byte = blocks.len() as u8 ^ step[3];
                        block.write_bytes(byte, size);
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
