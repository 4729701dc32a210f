//! Memory: what the machine has, what of it is free, and what is mapped how.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::memory::{Frames, KernelStack, PhysAddr, Zone, map_mmio};
//!
//! # fn deep(_: u32) -> u32 { 0 }
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // 16 KiB in one piece, below 4 GiB, for a device; given back when dropped.
//! let ring = Frames::take_where(4, 4, Zone::Low)?;
//! let at = ring.start().as_u64();
//!
//! // The registers of that device.
//! let registers = map_mmio(PhysAddr::new(0xfeb0_0000), 4096)?.cast::<u64>();
//! // SAFETY: the device takes the address of its ring there, and there are 16 KiB.
//! unsafe { registers.write_volatile(at) };
//!
//! // A function that goes deep, on a stack of its own with a guard page.
//! let answer = KernelStack::new("parser", 1 << 20)?.run(|| deep(7));
//! # Ok(())
//! # }
//! ```

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
