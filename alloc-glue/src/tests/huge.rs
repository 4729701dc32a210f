//! Requests that no heap can meet, up to the largest layout there is: each returns null, by every function and on every type of
//! heap, and the heap works afterwards.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::misuse::{note, reports};
use super::{Arena, Block, KIB, MIB};
use crate::checked::{Kind, Nowhere};
use crate::pages::PAGE;
use crate::{
    Cached, Checked, Heap, OneCpu, PageBitmap, Paged, Slabs, SpinLock, Stats, Tlsf, Zones, c,
};

/// What each heap here has.
const ARENA: usize = MIB;

/// No address of a program is a multiple of an alignment from here on.
const TOO_ALIGNED_LOG2: u32 = 47;

/// The largest size with this alignment.
const fn most(align: usize) -> usize {
    isize::MAX as usize - (align - 1)
}

/// Sizes that no arena has, with this alignment: around powers of two that somebody may count with, and around the end, where what
/// a layer adds overflows.
fn too_large(align: usize) -> impl Iterator<Item = usize> {
    let powers = [22, 31, 32, 37, 47, 48, 57, 58, 61, 62]
        .into_iter()
        .flat_map(|log2| [(1 << log2) - 1, 1 << log2, (1 << log2) + 1]);
    let last = [0, 1, 7, 8, 9, 15, 16, 17, 24, 25, 32, 40, 48];
    let ends = last.into_iter().chain((6..13).flat_map(|log2| {
        let align = 1 << log2;
        [align - 1, align, align + 24, 2 * align]
    }));
    let ends = ends.map(move |less| most(align).saturating_sub(less));
    powers.chain(ends).filter(move |&size| (2 * ARENA..=most(align)).contains(&size))
}

/// Asks for all of it. Returns how often.
fn refuses_the_huge(heap: &dyn GlobalAlloc) -> u64 {
    let mut asked = 0;
    for align in (0..63).map(|log2| 1_usize << log2) {
        let is_too_aligned = align.ilog2() >= TOO_ALIGNED_LOG2;
        let small = [1, 8, PAGE + 1].into_iter().filter(|_| is_too_aligned);
        for size in too_large(align).chain(small) {
            let layout = Layout::from_size_align(size, align).expect("a valid layout");
            // SAFETY: no size is 0.
            unsafe {
                assert!(heap.alloc(layout).is_null(), "{layout:?}");
                assert!(heap.alloc_zeroed(layout).is_null(), "{layout:?}");
            }
            asked += 2;
        }
    }
    // A block of every kind: in a span, of a class, of none, larger than what is copied under the lock.
    for align in [1, 8, 16, 32, 256, 2048, PAGE] {
        for size in [1, 256, 300, 3000, 20 * KIB] {
            let mut block = Block::new(heap, size, align);
            for size in too_large(align) {
                assert!(!block.try_resize(heap, size), "{size} at {align}");
                asked += 1;
            }
            assert!(block.try_resize(heap, size + 100), "it is as good as before");
            block.free(heap);
        }
    }
    asked
}

/// The same through the functions of C, whose sizes need not be valid ones.
fn refuses_the_huge_to_c(heap: &impl GlobalAlloc) {
    let sizes = too_large(1).step_by(4).chain((0..100).step_by(13).map(|less| usize::MAX - less));
    for size in sizes {
        assert!(c::malloc(heap, size).is_null());
        for count in [1, 2, 3, 1 << 32, usize::MAX] {
            assert!(
                c::calloc(heap, count, size).is_null() && c::calloc(heap, size, count).is_null()
            );
        }
        for align in (0..64).map(|log2| 1 << log2) {
            assert!(c::aligned_alloc(heap, align, size).is_null(), "{size} at {align}");
        }
        // SAFETY: live blocks of this heap, which are as they were after each refusal.
        unsafe {
            assert!(c::realloc(heap, core::ptr::null_mut(), size).is_null());
            for (align, small) in [(16, 0), (16, 100), (16, 3000), (64, 1), (1024, 9), (4096, 9)] {
                let block = c::aligned_alloc(heap, align, small);
                assert!(c::realloc(heap, block, size).is_null());
                assert_eq!(c::usable_size(block), small);
                c::free(heap, block);
            }
        }
    }
    for align in (TOO_ALIGNED_LOG2..64).map(|log2| 1 << log2) {
        assert!(
            c::aligned_alloc(heap, align, 0).is_null()
                && c::aligned_alloc(heap, align, 1).is_null()
        );
    }
}

fn all_entries(heap: &impl GlobalAlloc, stats: impl Fn() -> Stats) {
    let before = stats();
    let asked = refuses_the_huge(heap);
    assert!(asked > 5000, "{asked}");
    assert_eq!(stats().failures, before.failures + asked, "each is counted");
    refuses_the_huge_to_c(heap);
    assert_eq!(stats().allocated_bytes, before.allocated_bytes);
    for size in [8, 100, 1000, 100 * KIB] {
        Block::new(heap, size, 16).free(heap);
    }
}

#[test]
fn heaps_of_every_pool_refuse_the_huge() {
    let arena = Arena::new(3 * ARENA);
    let (tlsf, slabs) = (Heap::<SpinLock>::new(), Heap::<SpinLock, Slabs>::new());
    let zones = Heap::<SpinLock, Zones<Slabs<Tlsf<20, 8>>>>::new();
    arena.lend(&tlsf, 0, ARENA);
    arena.lend(&slabs, ARENA, ARENA);
    arena.lend(&zones, 2 * ARENA, ARENA);
    all_entries(&tlsf, || tlsf.stats());
    all_entries(&slabs, || slabs.stats());
    all_entries(&zones, || zones.stats());
    assert_eq!((tlsf.audit().broken, slabs.audit().broken, zones.audit().broken), (0, 0, 0));
}

#[test]
fn magazines_refuse_the_huge_with_and_without_spans() {
    let arena = Arena::new(2 * ARENA);
    let (slabs, bare) = (Cached::<OneCpu>::new(), Cached::<OneCpu, 1, SpinLock, Tlsf>::new());
    arena.lend(slabs.heap(), 0, ARENA);
    arena.lend(bare.heap(), ARENA, ARENA);
    all_entries(&slabs, || slabs.stats());
    all_entries(&slabs.direct(), || slabs.stats());
    all_entries(&bare, || bare.stats());
    assert_eq!((slabs.heap().audit().broken, bare.heap().audit().broken), (0, 0));
}

#[test]
fn checked_heaps_refuse_the_huge() {
    let arena = Arena::new(2 * ARENA);
    let heap = Checked::<Heap>::new(Heap::new(), |misuse| panic!("{misuse}"));
    let cached =
        Checked::<Cached<OneCpu>, Nowhere, 4>::new(Cached::new(), |misuse| panic!("{misuse}"));
    arena.lend(heap.inner(), 0, ARENA);
    arena.lend(cached.inner().heap(), ARENA, ARENA);
    all_entries(&heap, || heap.stats());
    // What waits in quarantine is allocated.
    let stats = || Stats { allocated_bytes: 0, ..cached.stats() };
    all_entries(&cached, stats);
    assert_eq!((heap.audit().live, cached.audit().live), (0, 0));
}

#[test]
fn pages_refuse_the_huge() {
    let arena = Arena::new(2 * ARENA);
    let both = Paged::new(Cached::<OneCpu>::new(), PageBitmap::<4>::new());
    arena.lend(both.heap().heap(), 0, ARENA);
    // SAFETY: the second half is nobody else's.
    assert_eq!(unsafe { both.pages().give(arena.start.add(ARENA), ARENA) }, 256);
    // Pages have no counters.
    refuses_the_huge(&both);
    refuses_the_huge_to_c(&both);
    assert_eq!(both.heap().stats().allocated_bytes, 0);
    Block::new(&both, ARENA, PAGE).free(&both);
}

#[cfg(feature = "allocator-api2")]
#[test]
fn collections_are_refused_the_huge() {
    use crate::In;

    let arena = Arena::new(ARENA);
    let heap = Checked::<Cached<OneCpu>>::new(Cached::new(), |misuse| panic!("{misuse}"));
    arena.lend(heap.inner().heap(), 0, ARENA);
    for live in [0, 1, 100, 5000] {
        let mut bytes = allocator_api2::vec::Vec::<u8, _>::new_in(In(&heap));
        let mut lines = allocator_api2::vec::Vec::<Line, _>::new_in(In(&heap));
        bytes.resize(live, 7);
        lines.extend((0..live / 64).map(|_| Line([7; 64])));
        for less in 0..5000 {
            assert!(bytes.try_reserve_exact(isize::MAX as usize - live - less).is_err());
            assert!(
                lines.try_reserve_exact(isize::MAX as usize / 64 - lines.len() - less).is_err()
            );
        }
        assert!(bytes.iter().chain(lines.iter().flat_map(|line| &line.0)).all(|&byte| byte == 7));
    }
    assert_eq!(heap.audit().live, 0);
}

#[cfg(feature = "allocator-api2")]
#[repr(align(64))]
struct Line([u8; 64]);

/// What a layer and the heap add to a request does not wrap round to little.
#[test]
fn growth_is_asked_for_no_less_than_was_wanted() {
    static LEAST: AtomicUsize = AtomicUsize::new(usize::MAX);
    fn grow(bytes: usize) -> Option<core::ptr::NonNull<[u8]>> {
        LEAST.fetch_min(bytes, Ordering::Relaxed);
        None
    }
    let arena = Arena::new(ARENA);
    let heap = Checked::<Cached<OneCpu>>::new(Cached::new(), |misuse| panic!("{misuse}"));
    arena.lend(heap.inner().heap(), 0, ARENA);
    // SAFETY: returns no region.
    unsafe { heap.inner().heap().grow_with(grow) };
    all_entries(&heap, || heap.stats());
    assert!(LEAST.load(Ordering::Relaxed) > 2 * ARENA, "{LEAST:?}");
}

/// A size that differs in its upper bits only, which a record has no room for.
#[test]
fn a_huge_wrong_size_is_reported_and_nothing_is_read_there() {
    let arena = Arena::new(ARENA);
    let heap = Checked::<Heap, Nowhere, 2>::new(Heap::new(), note);
    arena.lend(heap.inner(), 0, ARENA);
    for align in (0..12).map(|log2| 1 << log2) {
        let block = Block::new(&heap, 100, align);
        for size in too_large(align).chain((48..63).map(|log2| (1 << log2) + 100)) {
            let Ok(wrong) = Layout::from_size_align(size, align) else { continue };
            // SAFETY: what `Checked` promises to survive is what is tested.
            unsafe {
                heap.dealloc(block.start.as_ptr(), wrong);
                assert!(heap.realloc(block.start.as_ptr(), wrong, 200).is_null());
            }
            for found in reports() {
                assert_eq!((found.kind, found.given), (Kind::WrongLayout, wrong));
                assert_eq!(found.recorded, Some(block.layout));
            }
        }
        block.free(&heap);
        assert!(reports().is_empty());
    }
}
