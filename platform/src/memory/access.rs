//! Access rights of a page, and the errors with which a change of the page tables is refused.

use core::fmt;

/// What may be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and executing.
    ReadExecute,
}

/// Why a change of the page tables was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Not a range of whole pages with addresses that can be mapped.
    BadRange,
    /// Page 0 or the guard page of a stack is in the range.
    Guarded,
    /// Memory would be writable under one address and executable under another.
    Aliased,
    /// Something is mapped there already, or a device where memory is meant.
    Occupied,
    /// Nothing is mapped there, or not everywhere.
    NotMapped,
    /// These addresses are RAM, or firmware's, and not a device.
    Ram,
    /// There is no memory for tables.
    OutOfMemory,
    /// The interrupted code is changing the page tables: try later.
    Busy,
    /// Before `main` page tables cannot be changed.
    TooEarly,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapError::BadRange => "not whole pages at addresses that can be mapped",
            MapError::Guarded => "page 0, or the guard page of a stack, must stay unmapped",
            MapError::Aliased => "memory would be writable here and executable there",
            MapError::Occupied => "something else is mapped there",
            MapError::NotMapped => "nothing is mapped there",
            MapError::Ram => "these addresses are memory, not a device",
            MapError::OutOfMemory => "no memory for page tables",
            MapError::Busy => "the map is being changed by code that this interrupts",
            MapError::TooEarly => "the kernel has not started yet",
        })
    }
}

impl core::error::Error for MapError {}
