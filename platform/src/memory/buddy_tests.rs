//! The allocator against a set of frames.

use std::alloc::{Layout, alloc};
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Memory for `frames` frames, filled with what nobody should rely on.
fn memory(frames: u64) -> *mut u8 {
    let bytes = (frames * FRAME) as usize;
    let layout = Layout::from_size_align(bytes, FRAME as usize).unwrap();
    // SAFETY: not of size 0; it stays for ever.
    unsafe {
        let start = alloc(layout);
        start.write_bytes(0xa5, bytes);
        start
    }
}

/// The allocator, and the truth.
struct Pair {
    buddy: Buddy,
    free: BTreeSet<u64>,
    runs: BTreeMap<u64, u64>,
}

impl Pair {
    fn new(regions: &[(u64, u64)]) -> Pair {
        let mut pair = Pair { buddy: Buddy::new(), free: BTreeSet::new(), runs: BTreeMap::new() };
        for &(base, frames) in regions {
            // SAFETY: memory of this test, as long as the region.
            unsafe { pair.buddy.add(base, base + frames, memory(frames.max(1))) };
            let mut parts = std::vec![(base, base + frames)];
            if base < FOUR_GIB && FOUR_GIB < base + frames {
                parts = std::vec![(base, FOUR_GIB), (FOUR_GIB, base + frames)];
            }
            for (start, end) in parts {
                let own = (end - start).div_ceil(FRAME);
                pair.free.extend(start + own.min(end - start)..end);
            }
        }
        pair
    }

    fn fits(&self, count: u64, align: u64, low: bool) -> bool {
        // A run must begin at a multiple of the power of two that holds it.
        let size = count.max(align).next_power_of_two();
        self.free.iter().any(|&start| {
            let end = start + size;
            start % size == 0
                && (!low || end <= FOUR_GIB)
                && self.free.range(start..end).count() as u64 == size
                // Not across a border of regions.
                && (start < FOUR_GIB) == (end <= FOUR_GIB)
        })
    }

    fn take(&mut self, count: u64, align: u64, zone: Zone) -> Option<u64> {
        let fits = self.fits(count, align, zone == Zone::Low);
        let got = self.buddy.take(count, align, zone);
        assert_eq!(got.is_some(), fits, "{count} frames, align {align}, {zone:?}");
        let start = got?;
        assert_eq!(start % align, 0);
        assert!(zone == Zone::Any || start + count <= FOUR_GIB);
        for frame in start..start + count {
            assert!(self.free.remove(&frame), "frame {frame:#x} is not free");
        }
        self.runs.insert(start, count);
        Some(start)
    }

    fn give_back(&mut self, start: u64, count: u64) {
        // SAFETY: nobody uses the memory of this test.
        let done = unsafe { self.buddy.give_back(start, count) };
        match self.runs.get(&start) {
            Some(&len) if len == count => {
                assert_eq!(done, Ok(()));
                self.runs.remove(&start);
                self.free.extend(start..start + count);
            }
            Some(_) => assert_eq!(done, Err(FreeError::OtherLength)),
            None => assert_eq!(done, Err(FreeError::NotTaken)),
        }
    }

    fn compare(&self) {
        let stats = self.buddy.stats();
        assert_eq!(stats.free, self.free.len() as u64);
        assert_eq!(stats.free_low, self.free.range(..FOUR_GIB).count() as u64);
        assert_eq!(stats.total - stats.free, self.runs.values().sum::<u64>());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(u64, u64, Zone),
    /// The run with this number among those that are taken.
    GiveBack(usize),
    /// Any frames at all.
    Wrong(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let count = prop_oneof![4 => 1..20_u64, 1 => 1..700_u64];
    let align = prop_oneof![4 => Just(1_u64), 1 => prop::sample::select(std::vec![2, 16, 512])];
    let zone = prop_oneof![Just(Zone::Any), Just(Zone::Low)];
    let step = prop_oneof![
        5 => (count, align, zone).prop_map(|(count, align, zone)| Step::Take(count, align, zone)),
        4 => any::<usize>().prop_map(Step::GiveBack),
        1 => (0..1200_u64, 1..9_u64).prop_map(|(start, count)| Step::Wrong(start, count)),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]

    #[test]
    fn frames_are_handed_out_once_and_found_when_there(steps in steps()) {
        // Unaligned, tiny, empty, and across 4 GiB.
        let regions = [(3, 1), (17, 777), (1000, 0), (2048, 1024), (FOUR_GIB - 300, 700)];
        let mut pair = Pair::new(&regions);
        for step in steps {
            match step {
                Step::Take(count, align, zone) => drop(pair.take(count, align, zone)),
                Step::GiveBack(number) => {
                    let run = pair.runs.iter().nth(number % pair.runs.len().max(1));
                    if let Some((&start, &count)) = run {
                        pair.give_back(start, count);
                        // Twice is once too often.
                        pair.give_back(start, count);
                    }
                }
                Step::Wrong(start, count) => pair.give_back(start, count),
            }
            pair.compare();
        }
        // In the end all is one again.
        for (start, count) in pair.runs.clone() {
            pair.give_back(start, count);
        }
        prop_assert_eq!(pair.buddy.longest(), 512);
        prop_assert!(pair.take(512, 512, Zone::Any).is_some());
    }
}

#[test]
fn a_terabyte_is_taken_over_without_touching_it() {
    let frames = (1 << 40) / FRAME;
    let own = frames.div_ceil(FRAME);
    // Room for a byte per frame and for the first two blocks; beyond it is what the host has unmapped,
    // or somebody else's.
    let layout = Layout::from_size_align(((own + 512) * FRAME) as usize, FRAME as usize).unwrap();
    let mut buddy = Buddy::new();
    // SAFETY: the layout is not empty. The rest of the region is not touched, which is the point.
    unsafe { buddy.add(FOUR_GIB, FOUR_GIB + frames, alloc(layout)) };
    assert_eq!(buddy.longest(), 1 << (ORDERS - 1));
    assert_eq!(buddy.take(1, 1, Zone::Any), Some(FOUR_GIB + own));
    assert_eq!(buddy.regions[0].fresh, FOUR_GIB + own + (1 << CUT));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut pair = Pair::new(&[(1, 2000)]);
    for (count, align) in [(0, 1), (1, 0), (1, 3), (u64::MAX, 1), (1 << 19, 1), (1, 1 << 40)] {
        assert_eq!(pair.buddy.take(count, align, Zone::Any), None, "{count} {align}");
    }
    for start in [0, 1, 5, 2001, u64::MAX] {
        pair.give_back(start, 1);
    }
    assert_eq!(pair.buddy.stats().free, 1999);
}

#[test]
fn too_many_regions_are_counted_and_left() {
    let regions: Vec<_> = (0..MAX_REGIONS as u64 + 5).map(|n| (n * 100, 10)).collect();
    let pair = Pair::new(&regions);
    assert_eq!(pair.buddy.stats().regions_left_out, 5);
    assert_eq!(pair.buddy.stats().free, 9 * MAX_REGIONS as u64);
}
