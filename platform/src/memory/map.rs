//! The memory map: the regions that the boot loader reports, and the ranges reserved from them.
//!
//! A memory map is a list of [`Region`]s as the firmware reported them (in x86 terms, the E820 list) and a
//! list of ranges reserved since: the image, the boot data, page tables. [`MemoryMap::free`] is the
//! usable regions minus the reserved ranges. Both lists have a small fixed size, because they are needed
//! before there is a heap. A loader's list is not trusted: regions that are empty or run past the end of the address space
//! are dropped, and memory is usable only if every region that covers it says so.

use core::fmt;
use core::ops::Range;

/// What a region of physical memory is good for. Numbers as in ACPI 6.5, table 15.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RAM, free to use (type 1).
    Usable,
    /// Not to be touched (type 2 and every unknown type).
    Reserved,
    /// ACPI tables, RAM again once they are read (type 3).
    AcpiTables,
    /// ACPI firmware storage (type 4).
    AcpiStorage,
    /// RAM with errors (type 5).
    Defective,
}

impl From<u32> for Kind {
    fn from(number: u32) -> Kind {
        match number {
            1 => Kind::Usable,
            3 => Kind::AcpiTables,
            4 => Kind::AcpiStorage,
            5 => Kind::Defective,
            _ => Kind::Reserved,
        }
    }
}

/// A range of physical addresses of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What is there.
    pub kind: Kind,
}

impl Region {
    /// All zeros, so that an empty map is made by one fill.
    const NOTHING: Region = Region { start: 0, end: 0, kind: Kind::Usable };

    /// Length in bytes.
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether the region has no bytes. A [`MemoryMap`] holds none of those.
    pub const fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#014x}..{:#014x} {:?}", self.start, self.end, self.kind)
    }
}

/// How many regions are kept; firmware in the field reports at most a few dozen.
pub const MAX_REGIONS: usize = 64;

/// How many ranges can be reserved.
const MAX_RESERVED: usize = 48;

/// The regions of a machine, and the ranges taken from them.
#[derive(Debug)]
pub struct MemoryMap {
    regions: [Region; MAX_REGIONS],
    region_count: usize,
    reserved: [(u64, u64); MAX_RESERVED],
    reserved_count: usize,
}

impl MemoryMap {
    /// A map of nothing.
    pub(crate) const fn new() -> MemoryMap {
        MemoryMap {
            regions: [Region::NOTHING; MAX_REGIONS],
            region_count: 0,
            reserved: [(0, 0); MAX_RESERVED],
            reserved_count: 0,
        }
    }

    /// Adds what the loader reported as `len` bytes at `start`. Returns whether the memory map can be trusted
    /// after that: usable memory that does not fit, wraps around or is empty is dropped, which is less
    /// memory; a region of another kind that does not fit might lie on usable memory, which then would
    /// be wrong memory.
    #[must_use]
    #[inline(never)] // Called in loops over lists, from two places; not what booting costs.
    pub(crate) fn add(&mut self, start: u64, len: u64, kind: Kind) -> bool {
        let end = match kind {
            Kind::Usable => start.checked_add(len),
            _ => Some(start.saturating_add(len)),
        };
        let Some(end) = end.filter(|&end| start < end) else { return true };
        let slot = self.regions.get_mut(self.region_count);
        let kept = slot.map(|slot| *slot = Region { start, end, kind }).is_some();
        self.region_count += usize::from(kept);
        kept || kind == Kind::Usable
    }

    /// Takes `range` out of what [`free`](Self::free) yields. Returns whether there was room to
    /// remember it; an empty range needs none.
    #[must_use]
    #[inline(never)] // As `add`.
    pub(crate) fn reserve(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return true;
        }
        let slot = self.reserved.get_mut(self.reserved_count);
        let kept = slot.map(|slot| *slot = (range.start, range.end)).is_some();
        self.reserved_count += usize::from(kept);
        kept
    }

    /// The regions as reported, in the loader's order.
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.region_count).unwrap_or_default()
    }

    /// Total bytes of RAM reported as usable, whether taken or not.
    pub fn usable_bytes(&self) -> u64 {
        self.regions().iter().filter(|region| region.kind == Kind::Usable).map(Region::len).sum()
    }

    /// Whether one usable region holds all of `range`, reserved or not.
    #[inline(never)] // Called in a loop that the optimiser unrolls.
    pub fn is_usable(&self, range: &Range<u64>) -> bool {
        for region in self.regions() {
            let inside = region.start <= range.start && range.end <= region.end;
            if inside && region.kind == Kind::Usable {
                return true;
            }
        }
        false
    }

    /// Usable memory that nobody has reserved: disjoint ranges, in the loader's order.
    pub fn free(&self) -> Free<'_> {
        Free { map: self, index: 0, cursor: 0 }
    }

    /// The first part of `within`, a piece of region `index`, that nothing blocks; empty if none.
    #[inline(never)]
    fn gap(&self, index: usize, within: Range<u64>) -> Range<u64> {
        let mut start = within.start;
        // Each round steps over at least one blocker, so there are no more rounds than blockers.
        loop {
            let (mut moved, mut next) = (false, within.end);
            self.blockers(index, &mut |from, to| {
                if from <= start && start < to {
                    (start, moved) = (to, true);
                } else if from > start {
                    next = next.min(from);
                }
            });
            if !moved {
                return start.min(within.end)..next;
            }
        }
    }

    /// Calls `each` with start and end of all that is not free in usable region `index`: reserved ranges,
    /// regions of another kind, and usable regions listed before it (a byte listed twice is free once).
    fn blockers(&self, index: usize, each: &mut dyn FnMut(u64, u64)) {
        for &(start, end) in self.reserved.get(..self.reserved_count).unwrap_or_default() {
            each(start, end);
        }
        for (number, region) in self.regions().iter().enumerate() {
            if number < index || region.kind != Kind::Usable {
                each(region.start, region.end);
            }
        }
    }
}

/// See [`MemoryMap::free`].
#[derive(Clone, Debug)]
pub struct Free<'a> {
    map: &'a MemoryMap,
    /// The region we are in, and how far.
    index: usize,
    cursor: u64,
}

impl Iterator for Free<'_> {
    type Item = Range<u64>;

    #[inline(never)] // Used in several places; not what booting costs.
    fn next(&mut self) -> Option<Range<u64>> {
        loop {
            let region = self.map.regions().get(self.index)?;
            if region.kind == Kind::Usable {
                let rest = self.cursor.max(region.start)..region.end;
                let gap = self.map.gap(self.index, rest);
                if !gap.is_empty() {
                    self.cursor = gap.end;
                    return Some(gap);
                }
            }
            self.index += 1;
            self.cursor = 0;
        }
    }
}

impl Default for MemoryMap {
    fn default() -> Self {
        MemoryMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const KINDS: [Kind; 3] = [Kind::Usable, Kind::Reserved, Kind::AcpiTables];

    /// Every byte of a tiny address space, by the definition.
    fn naive(regions: &[(u64, u64, Kind)], reserved: &[(u64, u64)]) -> Vec<bool> {
        let inside = |(start, end): (u64, u64), at: u64| start <= at && at < end;
        let usable = |at| {
            let mut kinds = regions.iter().filter(|r| inside((r.0, r.0 + r.1), at)).peekable();
            kinds.peek().is_some() && kinds.all(|r| r.2 == Kind::Usable)
        };
        (0..64).map(|at| usable(at) && !reserved.iter().any(|&r| inside(r, at))).collect()
    }

    #[test]
    fn free_is_usable_minus_everything_else_for_random_maps() {
        // A fixed multiplier and increment (Knuth's MMIX): the same maps on every run.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for round in 0..20_000 {
            let mut map = MemoryMap::new();
            let (mut regions, mut reserved) = (Vec::new(), Vec::new());
            for _ in 0..random(5) {
                let region = (random(60), random(20), KINDS[random(3) as usize]);
                let region = (region.0, region.1.min(64 - region.0), region.2);
                assert!(map.add(region.0, region.1, region.2));
                regions.push(region);
            }
            for _ in 0..random(5) {
                let start = random(60);
                let range = (start, start + random(20));
                assert!(map.reserve(range.0..range.1));
                reserved.push(range);
            }
            let mut got = [false; 64];
            for range in map.free() {
                assert!(!range.is_empty());
                for at in range {
                    assert!(!got[at as usize], "round {round}: byte {at} is free twice");
                    got[at as usize] = true;
                }
            }
            assert_eq!(got[..], naive(&regions, &reserved), "{regions:?} minus {reserved:?}");
        }
    }

    #[test]
    fn hostile_lists_lose_memory_and_nothing_else() {
        let mut map = MemoryMap::new();
        assert!(map.add(u64::MAX - 10, 100, Kind::Usable));
        assert!(map.add(0x1000, 0, Kind::Usable));
        assert!(map.regions().is_empty());
        for index in 0..2 * MAX_REGIONS as u64 {
            assert!(map.add(index * 0x1000, 0x800, Kind::from(1)));
        }
        assert_eq!(map.regions().len(), MAX_REGIONS);
        assert_eq!(map.usable_bytes(), MAX_REGIONS as u64 * 0x800);
        // What would take away from usable memory cannot be forgotten.
        assert!(!map.add(0x100, 0x100, Kind::Reserved));
        assert!(map.reserve(5..5));
        let kept = (0..100).filter(|&index| map.reserve(index * 16..index * 16 + 1)).count();
        assert_eq!(kept, MAX_RESERVED);
    }

    #[test]
    fn a_reserved_region_that_wraps_reaches_to_the_end() {
        let mut map = MemoryMap::new();
        assert!(map.add(0, 0x1000_0000, Kind::Usable));
        assert!(map.add(0x1000, u64::MAX, Kind::Reserved));
        let free: Vec<_> = map.free().map(|range| (range.start, range.end)).collect();
        assert_eq!(free, [(0, 0x1000)]);
    }
}
