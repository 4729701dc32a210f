//! Where the linker put the parts of the image.
//!
//! The linker script defines the borders as symbols; the stamped entry code lays them out as a table
//! of this shape and passes its address. So this library names no symbol that only a kernel's
//! linker script has, and links on the host.

use core::ops::Range;

use crate::memory::covering_pages;

/// First byte and one past the last byte, per part, in the order of the entry code's table.
#[repr(C)]
pub struct Layout {
    rodata: [u64; 2],
    text: [u64; 2],
    data: [u64; 2],
}

impl Layout {
    /// Constants: read, neither written nor executed.
    pub fn rodata(&self) -> Range<u64> {
        covering_pages(self.rodata[0]..self.rodata[1])
    }

    /// Code: read and executed, never written.
    pub fn text(&self) -> Range<u64> {
        covering_pages(self.text[0]..self.text[1])
    }

    /// Variables and stacks: read and written, never executed.
    pub fn data(&self) -> Range<u64> {
        covering_pages(self.data[0]..self.data[1])
    }

    /// All of it.
    pub fn image(&self) -> Range<u64> {
        self.rodata().start..self.data().end
    }
}
