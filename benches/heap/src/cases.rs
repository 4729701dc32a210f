//! The cases: each runs on any heap and returns nanoseconds per operation.
//!
//! Every block is written to and read back, as a program would; a heap that hands memory out twice is detected.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Instant;

use crate::contenders::be_cpu;
use crate::latency::{self, Latency};
use crate::memory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Hot,
    Random8k,
    Random512,
    Regrow,
    Larson1,
    Larson2,
    Pipe2,
}

pub const CASES: [(Case, &str, &str); 7] = [
    (Case::Hot, "hot pair", "one block of 64 bytes, allocated and freed"),
    (Case::Random8k, "random mix", "8192 places, each either filled or emptied, at random"),
    (Case::Random512, "cache-warm", "the same with 512 places"),
    (Case::Regrow, "regrow", "64 buffers doubled from 32 bytes to 64 KiB by `realloc`"),
    (Case::Larson1, "larson, 1 thread", "1024 places, each replaced at random"),
    (
        Case::Larson2,
        "larson, 2 threads",
        "the same twice; the threads swap their blocks each round",
    ),
    (Case::Pipe2, "cross-thread free", "one thread allocates, the other frees"),
];

/// A heap that cases can run on.
pub trait Run: Sync {
    /// Nanoseconds per operation; an allocation and a free are one each.
    fn run(&self, case: Case, trace: &Trace) -> f64;
    fn latency(&self, trace: &Trace, replays: usize) -> Latency;
    fn fill(&self, what: memory::Fill) -> f64;
}

impl<G: GlobalAlloc + Sync> Run for G {
    fn run(&self, case: Case, trace: &Trace) -> f64 {
        match case {
            Case::Hot => hot(self),
            Case::Random8k => random(self, trace, 8192, 100_000),
            Case::Random512 => random(self, trace, 512, 60_000),
            Case::Regrow => regrow(self),
            Case::Larson1 => larson(self, trace, 1),
            Case::Larson2 => larson(self, trace, 2),
            Case::Pipe2 => pipe(self, trace),
        }
    }

    fn latency(&self, trace: &Trace, replays: usize) -> Latency {
        latency::measure(self, trace, replays)
    }

    fn fill(&self, what: memory::Fill) -> f64 {
        memory::fill(self, what)
    }
}

/// Sizes and places, drawn before the clock runs.
pub struct Trace {
    pub sizes: Vec<u16>,
    pub places: Vec<u16>,
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    /// Small-heavy: six of ten up to 128 bytes, three of a hundred above 2 KiB; about 430 bytes on average.
    pub fn size(&mut self) -> usize {
        match self.below(100) {
            0..60 => 8 + self.below(121),
            60..85 => 129 + self.below(384),
            85..97 => 513 + self.below(1536),
            _ => 2049 + self.below(6144),
        }
    }
}

impl Trace {
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let sizes = (0..1 << 16).map(|_| random.size() as u16).collect();
        let places = (0..1 << 18).map(|_| random.next() as u16).collect();
        Self { sizes, places }
    }

    fn size(&self, at: usize) -> usize {
        self.sizes[at & (self.sizes.len() - 1)].into()
    }

    fn place(&self, at: usize) -> usize {
        self.places[at & (self.places.len() - 1)].into()
    }
}

pub fn layout(size: usize) -> Layout {
    // SAFETY: a power of two; sizes are small.
    unsafe { Layout::from_size_align_unchecked(size, 8) }
}

/// A block and its size; the size stands in the block as well.
#[derive(Clone, Copy)]
struct Slot(*mut u8, usize);

// SAFETY: whoever has a slot has the block.
unsafe impl Send for Slot {}

impl Slot {
    const EMPTY: Self = Self(std::ptr::null_mut(), 0);

    #[inline]
    fn fill<G: GlobalAlloc>(heap: &G, size: usize) -> Self {
        // SAFETY: the size is 8 or more.
        let block = unsafe { heap.alloc(layout(size)) };
        assert!(!block.is_null(), "the arena is large enough");
        // SAFETY: a new block of 8 bytes or more, aligned to 8.
        unsafe { block.cast::<usize>().write(size) };
        Self(block, size)
    }

    #[inline]
    fn empty<G: GlobalAlloc>(&mut self, heap: &G) {
        // SAFETY: filled with this size, and emptied once.
        unsafe {
            assert_eq!(self.0.cast::<usize>().read(), self.1, "the block was handed out twice");
            heap.dealloc(self.0, layout(self.1));
        }
        *self = Self::EMPTY;
    }
}

fn per_operation(start: Instant, operations: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / operations as f64
}

fn hot<G: GlobalAlloc>(heap: &G) -> f64 {
    const PAIRS: usize = 50_000;
    let start = Instant::now();
    for _ in 0..PAIRS {
        let layout = black_box(layout(64));
        // SAFETY: allocated and freed with the same layout.
        unsafe {
            let block = heap.alloc(layout);
            heap.dealloc(black_box(block), layout);
        }
    }
    per_operation(start, 2 * PAIRS)
}

fn random<G: GlobalAlloc>(heap: &G, trace: &Trace, places: usize, operations: usize) -> f64 {
    let mut slots = vec![Slot::EMPTY; places];
    // Half full before the clock runs.
    for at in (0..places).step_by(2) {
        slots[at] = Slot::fill(heap, trace.size(at));
    }
    let start = Instant::now();
    for at in 0..operations {
        let slot = &mut slots[trace.place(at) & (places - 1)];
        if slot.0.is_null() {
            *slot = Slot::fill(heap, trace.size(at));
        } else {
            slot.empty(heap);
        }
    }
    let time = per_operation(start, operations);
    for slot in &mut slots {
        if !slot.0.is_null() {
            slot.empty(heap);
        }
    }
    time
}

fn regrow<G: GlobalAlloc>(heap: &G) -> f64 {
    let mut buffers = vec![(std::ptr::null_mut::<u8>(), 0); 64];
    let mut random = Random(77);
    let operations = 6000;
    let start = Instant::now();
    for _ in 0..operations {
        let (block, size) = &mut buffers[random.below(64)];
        // SAFETY: each block has the layout of its size.
        unsafe {
            if block.is_null() {
                (*block, *size) = (heap.alloc(layout(32)), 32);
            } else if *size == 64 << 10 {
                heap.dealloc(*block, layout(*size));
                *block = std::ptr::null_mut();
            } else {
                *block = heap.realloc(*block, layout(*size), *size * 2);
                *size *= 2;
            }
        }
    }
    let time = per_operation(start, operations);
    for (block, size) in buffers {
        if !block.is_null() {
            // SAFETY: as above.
            unsafe { heap.dealloc(block, layout(size)) };
        }
    }
    time
}

/// Both the work of one round and what the threads swap.
fn larson<G: GlobalAlloc + Sync>(heap: &G, trace: &Trace, threads: usize) -> f64 {
    const PLACES: usize = 1024;
    const ROUNDS: usize = 8;
    const REPLACED: usize = 6000;
    let arrays: Vec<_> = (0..threads)
        .map(|at| {
            let slots =
                (0..PLACES).map(|i| Slot::fill(heap, trace.size(i + at * 7))).collect::<Vec<_>>();
            std::sync::Mutex::new(slots)
        })
        .collect();
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        be_cpu(thread);
        barrier.wait();
        let start = Instant::now();
        for round in 0..ROUNDS {
            let mut slots = arrays[(thread + round) % threads].lock().unwrap();
            for at in 0..REPLACED {
                let at = at + round * REPLACED + thread * 31_337;
                let slot = &mut slots[trace.place(at) & (PLACES - 1)];
                slot.empty(heap);
                *slot = Slot::fill(heap, trace.size(at));
            }
            drop(slots);
            barrier.wait();
        }
        per_operation(start, 2 * ROUNDS * REPLACED)
    };
    let time = if threads == 1 {
        work(0)
    } else {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || work(thread))).collect::<Vec<_>>();
            running.into_iter().map(|thread| thread.join().unwrap()).sum::<f64>() / threads as f64
        })
    };
    be_cpu(0);
    for slots in arrays {
        slots.into_inner().unwrap().iter_mut().for_each(|slot| slot.empty(heap));
    }
    time
}

fn pipe<G: GlobalAlloc + Sync>(heap: &G, trace: &Trace) -> f64 {
    const BLOCKS: usize = 20_000;
    const RING: usize = 512;
    let ring: Vec<_> = (0..RING).map(|_| AtomicPtr::new(std::ptr::null_mut::<u8>())).collect();
    let (sent, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            be_cpu(0);
            barrier.wait();
            let start = Instant::now();
            for at in 0..BLOCKS {
                while at - taken.load(Ordering::Acquire) >= RING {
                    spin_loop();
                }
                let slot = Slot::fill(heap, trace.size(at));
                ring[at % RING].store(slot.0, Ordering::Relaxed);
                sent.store(at + 1, Ordering::Release);
            }
            while taken.load(Ordering::Acquire) < BLOCKS {
                spin_loop();
            }
            per_operation(start, 2 * BLOCKS)
        });
        scope.spawn(|| {
            be_cpu(1);
            barrier.wait();
            for at in 0..BLOCKS {
                while sent.load(Ordering::Acquire) <= at {
                    spin_loop();
                }
                let block = ring[at % RING].load(Ordering::Relaxed);
                Slot(block, trace.size(at)).empty(heap);
                taken.store(at + 1, Ordering::Release);
            }
        });
        producer.join().unwrap()
    })
}
