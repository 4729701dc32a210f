//! Physical memory: what the machine has, and what of it is free.

mod map;

pub use map::{Free, Kind, MAX_REGIONS, MemoryMap, Region};

/// The smallest unit of mapping, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// The range of whole pages that covers `range`.
pub fn covering_pages(range: core::ops::Range<u64>) -> core::ops::Range<u64> {
    let mask = PAGE_SIZE - 1;
    (range.start & !mask)..(range.end.saturating_add(mask) & !mask)
}
