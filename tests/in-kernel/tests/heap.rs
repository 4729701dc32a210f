//! The heap's magazines in machine code: a trap after every single instruction, whose handler uses them too; and
//! timer interrupts that allocate, as real handlers do. And requests that no heap can meet, to every type of heap.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use core::time::Duration;

use freestone::alloc_glue::{Cached, Interrupts, OneCpu, Paged, SpinLock};
use freestone::heap::{
    Cached as KernelCached, Checked, FramePages, KernelHeap, MaskInterrupts, grow_from_frames,
};
use freestone::traps::{self, Frame, Outcome};
use freestone::{interrupts, time, timer};

freestone_harness::harness!();

/// The debug exception (#DB), which comes after each instruction while the trap flag is set.
const DEBUG: u8 = 1;

/// Masks the steps as the interrupt flag masks interrupts, and that as well.
struct Steps;

static MASKED: AtomicBool = AtomicBool::new(false);

// SAFETY: the handler does nothing while it is masked.
unsafe impl Interrupts for Steps {
    fn mask() -> usize {
        let before = MASKED.swap(true, Ordering::Relaxed);
        usize::from(before) | MaskInterrupts::mask() << 1
    }

    unsafe fn restore(before: usize) {
        // SAFETY: from the matching `mask`.
        unsafe { MaskInterrupts::restore(before >> 1) };
        MASKED.store(before & 1 == 1, Ordering::Relaxed);
    }
}

type Heap = Cached<OneCpu, 1, SpinLock<Steps>>;

static HEAP: Heap = Heap::new();

freestone::alloc_glue::c_allocator!(HEAP);

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn realloc(block: *mut u8, size: usize) -> *mut u8;
    fn free(block: *mut u8);
}

const ARENA_BYTES: usize = 1 << 20;

fn give_memory() {
    let arena = Vec::<u8>::with_capacity(ARENA_BYTES).leak().as_mut_ptr();
    // SAFETY: leaked, so nobody else's and there for ever.
    let taken = unsafe { HEAP.heap().add_region(NonNull::new(arena).unwrap(), ARENA_BYTES) };
    assert!(taken > ARENA_BYTES - 100);
}

static STEPS: AtomicUsize = AtomicUsize::new(0);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// What the handler holds on to for a while.
static HELD: [AtomicPtr<u8>; 12] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 12];

/// Takes from the handler what it holds: the next test in the same boot begins with nothing.
fn held() -> impl Iterator<Item = *mut u8> {
    HELD.iter().map(|slot| slot.swap(core::ptr::null_mut(), Ordering::Relaxed))
}

const HELD_LAYOUT: Layout = Layout::new::<[u64; 12]>();

fn on_step(_frame: &mut Frame, _word: usize) -> Outcome {
    let step = STEPS.fetch_add(1, Ordering::Relaxed);
    if !MASKED.load(Ordering::Relaxed) {
        INSIDE.fetch_add(1, Ordering::Relaxed);
        // Now more come than go, now more go than come: the magazine runs empty and full.
        let slot = &HELD[step % HELD.len()];
        let held = slot.load(Ordering::Relaxed);
        if held.is_null() && step % 100 < 60 {
            slot.store(filled(), Ordering::Relaxed);
        } else if !held.is_null() {
            slot.store(core::ptr::null_mut(), Ordering::Relaxed);
            emptied(held);
        }
    }
    Outcome::Handled
}

/// A block whose first and last words are its address.
fn filled() -> *mut u8 {
    // SAFETY: the size is not 0; the words are the block's first and last.
    unsafe {
        let block = HEAP.alloc(HELD_LAYOUT);
        assert!(!block.is_null());
        block.cast::<usize>().write(block.addr());
        block.cast::<usize>().add(11).write(block.addr());
        block
    }
}

fn emptied(block: *mut u8) {
    // SAFETY: from `filled`, given back once.
    unsafe {
        assert_eq!(block.cast::<usize>().read(), block.addr(), "somebody else has this block too");
        assert_eq!(block.cast::<usize>().add(11).read(), block.addr());
        HEAP.dealloc(block, HELD_LAYOUT);
    }
}

/// Runs `work` with a trap after each of its instructions.
fn step_through(work: impl FnOnce()) {
    traps::handle(DEBUG, on_step, 0);
    // SAFETY: sets the trap flag (bit 8), which the handler survives; the stack is used through push and pop alone.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    work();
    // SAFETY: clears it.
    unsafe { asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
}

const TICKS_WANTED: usize = 2_000;

static TICKS: AtomicUsize = AtomicUsize::new(0);

/// Blocks that the interrupted code has taken, and how many the last interrupt saw.
static DONE: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);

/// In nanoseconds, from one interrupt to the next.
static DELAY: AtomicUsize = AtomicUsize::new(20_000);

/// Too large for the magazines: takes the lock each time.
fn large() {
    let layout = Layout::new::<[u64; 2000]>();
    // SAFETY: the size is not 0; given back once.
    unsafe {
        let block = HEAP.alloc(layout);
        assert!(!block.is_null());
        HEAP.dealloc(block, layout);
    }
}

/// Uses both heaps, and comes back after a while that never is the same twice running: long enough for the
/// interrupted code to get on, or all interrupts would find it at one place.
fn on_tick(_: usize) {
    let tick = TICKS.fetch_add(1, Ordering::Relaxed);
    let slot = &HELD[tick % HELD.len()];
    let held = slot.swap(core::ptr::null_mut(), Ordering::Relaxed);
    if held.is_null() {
        slot.store(filled(), Ordering::Relaxed);
    } else {
        emptied(held);
    }
    large();
    let ours = Vec::from([tick as u8; 200]);
    assert!(core::hint::black_box(&ours).iter().all(|&byte| byte == tick as u8));
    if tick < TICKS_WANTED {
        // Where an interrupt takes longer than the delay, as on an emulated Xen, nothing else would run.
        let (done, before) = (DONE.load(Ordering::Relaxed), SEEN.load(Ordering::Relaxed));
        SEEN.store(done, Ordering::Relaxed);
        let delay = DELAY.load(Ordering::Relaxed);
        let delay = if done == before { delay * 2 } else { delay - delay / 16 };
        let delay = delay.clamp(20_000, 50_000_000);
        DELAY.store(delay, Ordering::Relaxed);
        let delay = Duration::from_nanos((delay + delay * (tick * 7919 % 100) / 100) as u64);
        timer::after(delay, on_tick, 0).expect("there is room for one timer");
    }
}

/// Asks for all that an address space cannot have, by every entry, also in place of a small block.
fn refuses_the_huge(heap: &impl GlobalAlloc) {
    for align in (0..63).map(|log2| 1_usize << log2) {
        let most = isize::MAX as usize - (align - 1);
        let ends = [0, 1, 8, 16, 24, 64, 88, 4096].map(|less| most.saturating_sub(less));
        let powers = [1 << 40, 1 << 48, 1 << 58, 1 << 62];
        for size in ends.into_iter().chain(powers).filter(|size| (1 << 40..=most).contains(size)) {
            let huge = Layout::from_size_align(size, align).unwrap();
            // SAFETY: no size is 0; the small block is freed once, with its layout.
            unsafe {
                assert!(
                    heap.alloc(huge).is_null() && heap.alloc_zeroed(huge).is_null(),
                    "{huge:?}"
                );
                if align <= 4096 {
                    let small = Layout::from_size_align(100, align).unwrap();
                    let block = heap.alloc(small);
                    block.write_bytes(7, 100);
                    assert!(heap.realloc(block, small, size).is_null(), "{huge:?}");
                    assert_eq!((*block, *block.add(99)), (7, 7));
                    heap.dealloc(block, small);
                }
            }
        }
        let far = Layout::from_size_align(1, align).unwrap();
        // SAFETY: the size is not 0. RAM does not reach so far.
        assert!(align < 1 << 40 || unsafe { heap.alloc(far) }.is_null(), "{far:?}");
    }
}

/// A heap as `entry!` would stamp it, with a megabyte.
fn lend(heap: &impl KernelHeap) {
    let arena = Vec::<u8>::with_capacity(ARENA_BYTES).leak().as_mut_ptr();
    // SAFETY: leaked, so nobody else's and there for ever.
    assert!(unsafe { heap.base().add_region(NonNull::new(arena).unwrap(), ARENA_BYTES) } > 0);
}

freestone_harness::tests! {
    fn every_heap_refuses_the_huge_and_goes_on() {
        static PLAIN: freestone::heap::Heap = KernelHeap::NEW;
        static CHECKED: Checked = KernelHeap::NEW;
        static CACHED: KernelCached = KernelHeap::NEW;
        static PAGED: Paged<KernelCached, FramePages> = Paged::new(KernelHeap::NEW, FramePages);
        lend(&PLAIN);
        lend(&CHECKED);
        lend(&CACHED);
        lend(PAGED.heap());
        refuses_the_huge(&PLAIN);
        refuses_the_huge(&CHECKED);
        refuses_the_huge(&CACHED);
        refuses_the_huge(&CACHED.direct());
        refuses_the_huge(&PAGED);
        CACHED.drain();
        PAGED.heap().drain();
        let audits = [PLAIN.audit(), CHECKED.inner().audit(), CACHED.heap().audit()];
        for audit in audits.into_iter().chain([PAGED.heap().heap().audit()]) {
            assert_eq!((audit.used_blocks, audit.broken), (0, 0));
        }
    }

    fn a_vector_of_the_whole_address_space_is_an_error() {
        #[repr(align(64))]
        struct Line(#[expect(dead_code, reason = "it takes up room")] [u8; 64]);

        for len in [0, 1, 100, 5000] {
            let (mut bytes, mut lines) = (alloc::vec![7_u8; len], Vec::new());
            lines.extend((0..len / 64).map(|_| Line([7; 64])));
            for less in 0..200 {
                let most = isize::MAX as usize - less;
                assert!(bytes.try_reserve_exact(most - bytes.len()).is_err());
                assert!(lines.try_reserve_exact(most / 64 - lines.len()).is_err());
            }
            assert!(bytes.iter().all(|&byte| byte == 7));
        }
        // SAFETY: what is null is not used.
        unsafe {
            assert!(malloc(isize::MAX as usize).is_null() && malloc(usize::MAX).is_null());
            assert!(realloc(core::ptr::null_mut(), usize::MAX - 16).is_null());
        }
        assert_eq!((0..10_000).collect::<Vec<u64>>().iter().sum::<u64>(), 49_995_000);
    }

    fn timer_interrupts_allocate_while_the_kernel_does() {
        give_memory();
        // Its limit is the harness's, which does not count what the machine is busy with otherwise.
        timer::after(Duration::from_micros(5), on_tick, 0).expect("the machine has a timer");
        interrupts::enable();
        let (mut blocks, mut rounds) = ([core::ptr::null_mut::<u8>(); 40], 0_usize);
        while TICKS.load(Ordering::Relaxed) < TICKS_WANTED {
            for (at, block) in blocks.iter_mut().enumerate() {
                if (at + rounds) % 3 > 0 || block.is_null() {
                    if !block.is_null() {
                        emptied(*block);
                    }
                    *block = filled();
                    DONE.fetch_add(1, Ordering::Relaxed);
                }
            }
            large();
            // The kernel's own heap, growing.
            let numbers: Vec<usize> = (0..rounds % 300).collect();
            assert!(core::hint::black_box(numbers).iter().enumerate().all(|(at, &n)| at == n));
            rounds += 1;
        }
        timer::sleep(Duration::from_millis(1));
        interrupts::disable();
        freestone::println!("{} interrupts in {rounds} rounds", TICKS.load(Ordering::Relaxed));
        assert!(rounds > 20, "the interrupts left no time for anything else");
        for block in blocks.into_iter().chain(held()) {
            if !block.is_null() {
                emptied(block);
            }
        }
        HEAP.drain();
        assert_eq!(HEAP.heap().audit().used_blocks, 0);
        assert_eq!(HEAP.heap().audit().broken, 0);
        assert_eq!(interrupts::unexpected(), 0);
    }

    fn a_handler_may_allocate_after_every_instruction_of_the_allocator() {
        give_memory();
        step_through(|| {
            let mut blocks = [core::ptr::null_mut::<u8>(); 40];
            for round in 0..4 {
                for (at, block) in blocks.iter_mut().enumerate() {
                    if (at + round) % 3 > 0 || block.is_null() {
                        if !block.is_null() {
                            emptied(*block);
                        }
                        *block = filled();
                    }
                }
                HEAP.drain();
            }
            for block in blocks {
                emptied(block);
            }
        });
        let (steps, inside) = (STEPS.load(Ordering::Relaxed), INSIDE.load(Ordering::Relaxed));
        freestone::println!("{steps} steps, the handler used the heap after {inside} of them");
        assert!(steps > 10_000 && inside > 5_000 && inside < steps);
        held().filter(|held| !held.is_null()).for_each(emptied);
        HEAP.drain();
        assert!(HEAP.classes().all(|class| class.live == 0 && class.cached == 0));
        assert_eq!(HEAP.heap().audit().used_blocks, 0);
        assert_eq!(HEAP.heap().audit().broken, 0);
    }

    fn a_breakpoint_handler_may_allocate_from_the_global_heap() {
        fn on_breakpoint(_frame: &mut Frame, _word: usize) -> Outcome {
            // The code that hit the breakpoint is not inside the allocator, so no lock is held.
            let numbers: Vec<u64> = (0..100).collect();
            assert_eq!(numbers.iter().sum::<u64>(), 4950);
            Outcome::Handled
        }
        traps::handle(traps::BREAKPOINT, on_breakpoint, 0);
        for size in 1..200 {
            let kept = alloc::vec![size as u8; size];
            traps::breakpoint();
            assert!(kept.iter().all(|&byte| byte == size as u8));
        }
    }

    fn the_functions_of_c_are_there() {
        give_memory();
        // SAFETY: used inside their sizes, freed once.
        unsafe {
            let block = malloc(100);
            block.write_bytes(3, 100);
            let block = realloc(block, 5000);
            assert!(!block.is_null() && *block.add(99) == 3);
            free(block);
        }
        assert_eq!(HEAP.heap().stats().failures, 0);
    }

    fn pages_are_frames_and_a_heap_grows_from_frames() {
        static PAGED: Paged<Heap, FramePages> = Paged::new(Heap::new(), FramePages);
        let free = || freestone::memory::stats().unwrap().0.free;
        // SAFETY: what `grow_from_frames` returns is the heap's alone from then on.
        unsafe { PAGED.heap().heap().grow_with(grow_from_frames) };
        let before = free();
        let page = Layout::from_size_align(4096, 4096).unwrap();
        let large = Layout::from_size_align(300_000, 8).unwrap();
        // SAFETY: written to inside, freed once with the same layout.
        unsafe {
            let block = PAGED.alloc(page);
            assert!(!block.is_null() && block.addr().is_multiple_of(4096));
            block.write_bytes(1, 4096);
            assert_eq!(free(), before - 1);
            PAGED.dealloc(block, page);
            assert_eq!(free(), before);
            let block = PAGED.alloc(large);
            assert!(!block.is_null());
            block.write_bytes(2, large.size());
            assert_eq!(free(), before - 256);
            PAGED.dealloc(block, large);
        }
        assert_eq!(PAGED.heap().heap().stats().regions, 1);
    }

    fn interrupts_are_as_they_were_after_the_lock() {
        let flags = || {
            let flags: u64;
            // SAFETY: reads the flags through the stack.
            unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
            flags & 1 << 9
        };
        let before = flags();
        let mask = MaskInterrupts::mask();
        assert_eq!(flags(), 0);
        let inner = MaskInterrupts::mask();
        // SAFETY: in the opposite order.
        unsafe {
            MaskInterrupts::restore(inner);
            assert_eq!(flags(), 0);
            MaskInterrupts::restore(mask);
        }
        assert_eq!(flags(), before);
    }
}
