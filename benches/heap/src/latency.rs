//! How long single operations take, without interrupts and other load.
//!
//! The same trace is replayed, and of each operation the shortest time counts: what remains is what the heap itself does,
//! a batch for a magazine for instance, which falls on the same operation every time.

use std::alloc::GlobalAlloc;
use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};

use crate::cases::{Trace, layout};

const PLACES: usize = 8192;
const OPERATIONS: usize = 200_000;

/// Counter ticks of each operation, sorted.
pub struct Latency(pub Vec<u32>);

impl Latency {
    /// The time that `share` of the operations do not exceed.
    pub fn at(&self, share: f64) -> u32 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

fn before() -> u64 {
    // SAFETY: both can always be executed.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

fn after() -> u64 {
    // SAFETY: as above.
    unsafe {
        let ticks = __rdtscp(&mut 0);
        _mm_lfence();
        ticks
    }
}

pub fn measure<G: GlobalAlloc>(heap: &G, trace: &Trace, replays: usize) -> Latency {
    let mut shortest = vec![u32::MAX; OPERATIONS];
    let mut slots = vec![(std::ptr::null_mut::<u8>(), 0_usize); PLACES];
    for _ in 0..replays {
        for (at, shortest) in shortest.iter_mut().enumerate() {
            let slot = &mut slots[usize::from(trace.places[at % trace.places.len()]) % PLACES];
            let size = usize::from(trace.sizes[at % trace.sizes.len()]);
            let start = before();
            // SAFETY: each block is freed with the layout it was allocated for.
            unsafe {
                if slot.0.is_null() {
                    *slot = (heap.alloc(layout(size)), size);
                } else {
                    heap.dealloc(slot.0, layout(slot.1));
                    slot.0 = std::ptr::null_mut();
                }
            }
            *shortest = (*shortest).min((after() - start) as u32);
        }
        for slot in &mut slots {
            if !slot.0.is_null() {
                // SAFETY: as above.
                unsafe { heap.dealloc(slot.0, layout(slot.1)) };
                slot.0 = std::ptr::null_mut();
            }
        }
    }
    shortest.sort_unstable();
    Latency(shortest)
}
