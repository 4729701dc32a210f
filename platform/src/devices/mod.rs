//! Devices: what is not the processor. Those of one family of machines, as `pc`, are here where that is what this is
//! built for.
//!
//! ```
//! # use freestone_platform as freestone;
//! use freestone::devices::acpi::{Memory, Tables};
//!
//! /// A machine without firmware.
//! struct Nothing;
//!
//! impl Memory for Nothing {
//!     fn bytes(&self, _address: u64, _len: usize) -> Option<&[u8]> {
//!         None
//!     }
//! }
//!
//! assert!(Tables::find(Nothing, None, 0..0).is_err());
//! ```

pub mod acpi;
pub mod pci;
pub mod virtio;

pub use crate::arch::families::*;
