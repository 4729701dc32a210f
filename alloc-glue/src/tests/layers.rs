//! What can be put on a heap: pages beside it, C functions and collections on it.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use std::vec::Vec;

use super::{Arena, Block, KIB, MIB, Random};
use crate::pages::PAGE;
use crate::{Cached, Checked, Heap, OneCpu, PageBitmap, PageProvider, Paged, c};

#[test]
fn page_aligned_blocks_come_from_the_provider_and_all_others_from_the_heap() {
    let arena = Arena::new(2 * MIB);
    let both = Paged::new(Cached::<OneCpu>::new(), PageBitmap::<64>::new());
    arena.lend(both.heap().heap(), 0, MIB);
    // SAFETY: the second half is nobody else's.
    assert_eq!(unsafe { both.pages().give(arena.start.add(MIB), MIB) }, 256);
    let in_pages = |block: &Block| block.address() >= arena.start.addr().get() + MIB;
    for (size, align, paged) in
        [(100, 8, false), (4096, 2048, false), (1, 4096, true), (9000, 8192, true)]
    {
        let mut block = Block::new(&both, size, align);
        assert_eq!(in_pages(&block), paged, "{size} at {align}");
        for size in [size + 1, size * 3, size] {
            assert!(block.try_resize(&both, size));
            assert_eq!(in_pages(&block), paged);
        }
        block.free(&both);
    }
    // Every page can be had, and comes back.
    for _ in 0..2 {
        let pages: Vec<_> = core::iter::from_fn(|| Block::try_new(&both, PAGE, PAGE, 3)).collect();
        assert_eq!(pages.len(), 256);
        pages.into_iter().for_each(|page| page.free(&both));
    }
}

#[test]
fn runs_of_pages_are_aligned_apart_and_found_wherever_they_are() {
    let arena = Arena::new(MIB);
    let pages = PageBitmap::<4>::new();
    // SAFETY: the arena is nobody else's. From its second page on, so that the alignment is one of addresses.
    assert_eq!(unsafe { pages.give(arena.start.add(100), MIB - 100) }, 255);
    let mut random = Random(9);
    let mut live: Vec<(NonNull<u8>, usize)> = Vec::new();
    for _ in 0..20_000 {
        if random.below(2) == 0 && !live.is_empty() {
            let (start, count) = live.swap_remove(random.below(live.len()));
            // SAFETY: handed out with this count, freed once.
            unsafe { pages.free(start, count) };
            continue;
        }
        let (count, align) = (1 + random.below(9), PAGE << random.below(4));
        if let Some(start) = pages.allocate(count, align) {
            let address = start.addr().get();
            assert!(address.is_multiple_of(align) && arena.contains(address, count * PAGE));
            for &(other, pages) in &live {
                let other = other.addr().get();
                assert!(address + count * PAGE <= other || other + pages * PAGE <= address);
            }
            live.push((start, count));
        } else {
            let used: usize = live.iter().map(|&(_, count)| count).sum();
            assert!(used > 80, "{count} pages at {align} refused with {used} in use");
        }
    }
    assert!(pages.allocate(usize::MAX, PAGE).is_none());
    assert!(pages.allocate(1, 1 << 63).is_none());
}

#[test]
fn checked_pages_pass_through() {
    let arena = Arena::new(MIB);
    let heap = Checked::<Heap>::new(Heap::new(), |misuse| panic!("{misuse}"));
    arena.lend(heap.inner(), 0, MIB);
    let mut block = Block::new(&heap, 5000, 4096);
    assert!(block.try_resize(&heap, 10_000));
    block.free(&heap);
    assert_eq!(heap.inner().stats().allocated_bytes, 0);
}

#[test]
fn the_functions_of_c_do_what_c_says() {
    let arena = Arena::new(MIB);
    let heap = Checked::<Cached<OneCpu>>::new(Cached::new(), |misuse| panic!("{misuse}"));
    arena.lend(heap.inner().heap(), 0, MIB);
    // SAFETY: each block is used inside its size and freed once.
    unsafe {
        for size in [0, 1, 15, 16, 100, 1000, 10_000] {
            let block = c::malloc(&heap, size);
            assert!(!block.is_null() && block.addr().is_multiple_of(16));
            assert_eq!(c::usable_size(block), size);
            block.write_bytes(7, size);
            let block = c::realloc(&heap, block, size * 2 + 1);
            assert_eq!(c::usable_size(block), size * 2 + 1);
            assert!(core::slice::from_raw_parts(block, size).iter().all(|&byte| byte == 7));
            c::free(&heap, block);
            let block = c::calloc(&heap, 3, size);
            assert!(core::slice::from_raw_parts(block, 3 * size).iter().all(|&byte| byte == 0));
            c::free(&heap, block);
        }
        for align in (0..13).map(|log2| 1 << log2) {
            let block = c::aligned_alloc(&heap, align, 48);
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            let block = c::realloc(&heap, block, 5000);
            assert!(block.addr().is_multiple_of(align), "realloc keeps the alignment");
            c::free(&heap, block);
        }
        c::free(&heap, core::ptr::null_mut());
        assert_eq!(c::usable_size(core::ptr::null_mut()), 0);
        let block = c::realloc(&heap, core::ptr::null_mut(), 5);
        let empty = c::realloc(&heap, block, 0);
        assert!(!empty.is_null());
        assert!(c::realloc(&heap, empty, usize::MAX).is_null(), "and the block stays");
        c::free(&heap, empty);
        assert!(c::malloc(&heap, 2 * MIB).is_null());
        assert!(c::malloc(&heap, usize::MAX).is_null());
        assert!(c::calloc(&heap, usize::MAX / 2, 3).is_null());
        assert!(c::aligned_alloc(&heap, 48, 48).is_null());
        assert!(c::aligned_alloc(&heap, 0, 48).is_null());
    }
    assert_eq!(heap.audit().live, 0);
}

#[cfg(feature = "allocator-api2")]
#[test]
fn collections_of_allocator_api2_live_in_a_heap() {
    use crate::In;

    let (arena, heap) = (Arena::new(MIB), Heap::<crate::SpinLock>::new());
    arena.lend(&heap, 0, MIB);
    {
        let mut numbers = allocator_api2::vec::Vec::new_in(In(&heap));
        numbers.extend(0..10_000_u32);
        numbers.truncate(100);
        numbers.shrink_to_fit();
        assert_eq!(numbers.iter().sum::<u32>(), 4950);
        let number = allocator_api2::boxed::Box::new_in(5, In(&heap));
        assert_eq!(*number, 5);
        let nothing = allocator_api2::boxed::Box::new_in((), In(&heap));
        assert_eq!(heap.audit().used_blocks, 2);
        drop(nothing);
        let mut more = allocator_api2::vec::Vec::<u8, _>::new_in(In(&heap));
        assert!(more.try_reserve(10 * MIB).is_err());
        assert!(more.try_reserve(10 * KIB).is_ok());
    }
    assert_eq!(heap.stats().allocated_bytes, 0);
}

#[test]
fn try_reserve_fails_politely_where_memory_ends() {
    let (arena, heap) = (Arena::new(64 * KIB), Cached::<OneCpu>::new());
    arena.lend(heap.heap(), 0, 64 * KIB);
    let layout = Layout::from_size_align(MIB, 8).unwrap();
    // SAFETY: the size is not 0.
    assert!(unsafe { heap.alloc(layout) }.is_null());
    Block::new(&heap, 40 * KIB, 8).free(&heap);
}

/// Memory of a fixed address, or `None` where something else is there.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn memory_at(address: usize, len: usize) -> Option<NonNull<u8>> {
    const READ_WRITE: i32 = 3;
    const PRIVATE: i32 = 2;
    const ANONYMOUS: i32 = 0x20;
    const FIXED_NOREPLACE: i32 = 0x10_0000;
    unsafe extern "C" {
        fn mmap(at: *mut u8, len: usize, access: i32, flags: i32, fd: i32, from: i64) -> *mut u8;
    }
    let at = core::ptr::without_provenance_mut(address);
    // SAFETY: the C library's function; nothing that is mapped is replaced.
    let got = unsafe { mmap(at, len, READ_WRITE, PRIVATE | ANONYMOUS | FIXED_NOREPLACE, -1, 0) };
    NonNull::new(got).filter(|got| got.addr().get() == address)
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_region_across_4_gib_becomes_two_and_devices_get_the_lower() {
    use crate::pool::FOUR_GIB;

    let Some(start) = memory_at(FOUR_GIB - MIB, 3 * MIB) else {
        std::println!("SKIPPED: something else lies at 4 GiB");
        return;
    };
    let heap: Heap<crate::SpinLock, crate::Zones> = Heap::new();
    // SAFETY: just mapped, and nobody else's.
    let taken = unsafe { heap.add_region(start, 3 * MIB) };
    assert_eq!((taken, heap.stats().regions), (3 * MIB, 2));
    let fresh = heap.stats().free_bytes;
    // What does not care leaves the lower part alone as long as it can.
    let anywhere = Block::new(&heap, MIB, 64);
    assert!(anywhere.address() >= FOUR_GIB);
    let layout = Layout::from_size_align(600 * KIB, 4096).unwrap();
    let low = NonNull::new(heap.alloc_below_4g(layout)).expect("a MiB lies below");
    assert!(low.addr().get() + layout.size() <= FOUR_GIB);
    assert!(heap.alloc_below_4g(layout).is_null(), "and no more than that");
    let rest: Vec<_> = core::iter::from_fn(|| Block::try_new(&heap, 100 * KIB, 8, 1)).collect();
    assert!(rest.iter().any(|block| block.address() < FOUR_GIB), "in need it is used");
    assert_eq!((heap.audit().broken, heap.audit().used_blocks), (0, rest.len() + 2));
    rest.into_iter().for_each(|block| block.free(&heap));
    anywhere.free(&heap);
    // SAFETY: allocated above with this layout.
    unsafe { heap.dealloc(low.as_ptr(), layout) };
    assert_eq!(heap.stats().free_bytes, fresh);
}
