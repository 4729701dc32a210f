//! Memory: the memory map, frames, stacks, and changes of the page tables.
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

pub(crate) mod access;
pub(crate) mod address;
pub(crate) mod buddy;
pub(crate) mod frames;
pub(crate) mod map;
pub(crate) mod mapping;
pub(crate) mod stack;

pub use crate::arch::page_table::audit::{Audit, Violation, audit, audit_at_exit};
pub use access::{Access, MapError};
pub use address::{PAGE_SIZE, PhysAddr, VirtAddr, covering_pages};
pub use buddy::{FrameStats, FreeError, Zone};
pub use frames::{Frames, OutOfFrames, heap_share, stats};
pub use map::{Free, Kind, MAX_REGIONS, MemoryMap, Region};
pub use mapping::{map, map_firmware, map_mmio, protect, translate, unmap};
pub use stack::{KernelStack, StackError};
