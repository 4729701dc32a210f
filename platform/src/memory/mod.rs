//! Memory: what the machine has, what of it is free, and what is mapped how.

mod address;
mod buddy;
mod frames;
mod map;
mod mapping;
pub(crate) mod stack;

pub use crate::arch::{Audit, Violation, audit, audit_at_exit};
pub use address::{PhysAddr, VirtAddr};
pub use buddy::{FrameStats, FreeError, Zone};
pub use frames::{Frames, OutOfFrames, heap_share, stats};
pub use map::{Free, Kind, MAX_REGIONS, MemoryMap, Region};
pub use mapping::{Access, MapError, map, map_firmware, map_mmio, protect, translate, unmap};
pub use stack::{KernelStack, StackError};

/// The smallest unit of mapping, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// The range of whole pages that covers `range`.
pub fn covering_pages(range: core::ops::Range<u64>) -> core::ops::Range<u64> {
    let mask = PAGE_SIZE - 1;
    (range.start & !mask)..(range.end.saturating_add(mask) & !mask)
}
