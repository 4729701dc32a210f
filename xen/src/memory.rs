//! What memory the guest has.
//!
//! Source: `public/memory.h`, `XENMEM_*`.

use core::mem::offset_of;

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen};

/// `XENMEM_memory_map`.
const MEMORY_MAP: u64 = 9;

/// One range of guest-physical memory, as the BIOS call E820 describes it: 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct E820Entry {
    base: u64,
    len_bytes: u64,
    kind: u32,
}

const _: () = assert!(size_of::<E820Entry>() == 20);
const _: () = assert!(offset_of!(E820Entry, len_bytes) == 8 && offset_of!(E820Entry, kind) == 16);

impl E820Entry {
    /// An entry to fill a buffer with: nothing at 0.
    pub const EMPTY: Self = Self { base: 0, len_bytes: 0, kind: 0 };

    /// The guest-physical address of the first byte.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// How many bytes.
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// What they are.
    pub const fn kind(&self) -> E820Kind {
        match self.kind {
            1 => E820Kind::Ram,
            2 => E820Kind::Reserved,
            3 => E820Kind::AcpiTables,
            4 => E820Kind::AcpiStorage,
            5 => E820Kind::Unusable,
            other => E820Kind::Other(other),
        }
    }
}

/// What a range of memory is. The numbers are those of the ACPI specification, chapter "System
/// Address Map Interfaces".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum E820Kind {
    /// 1: free to use.
    Ram,
    /// 2: do not touch.
    Reserved,
    /// 3: free to use once the ACPI tables have been read.
    AcpiTables,
    /// 4: belongs to ACPI for ever.
    AcpiStorage,
    /// 5: defective.
    Unusable,
    /// Any other number.
    Other(u32),
}

/// `struct xen_memory_map`.
#[repr(C)]
pub(crate) struct MemoryMap {
    pub nr_entries: u32,
    pub buffer: u64,
}

// 32-bit guests have another layout, and no hypercalls here.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<MemoryMap>() == 16 && offset_of!(MemoryMap, buffer) == 8);

impl Xen {
    /// Fills `entries` with the guest's memory map and returns how many there are.
    ///
    /// If it fills all of `entries`, the memory map may be longer: Xen does not report that.
    ///
    /// - Since: before PVH. [`Error::ENOSYS`] if this guest was given no memory map.
    /// - Blocks: no.
    /// - Source: `public/memory.h`, `XENMEM_memory_map`.
    #[inline]
    pub fn memory_map(self, entries: &mut [E820Entry]) -> Result<usize, Error> {
        memory_map(&self.gate, entries)
    }
}

#[inline]
pub(crate) fn memory_map(via: &impl Hypercall, entries: &mut [E820Entry]) -> Result<usize, Error> {
    if entries.is_empty() {
        return Ok(0); // an empty slice has no address, and Xen may take it for a question
    }
    let room = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut map = MemoryMap { nr_entries: room, buffer: address(entries.as_mut_ptr()) };
    let args = [MEMORY_MAP, address(&raw mut map), 0, 0, 0];
    // SAFETY: Xen reads and writes `map`, which is ours, and writes at most `nr_entries` entries to
    // the buffer, which we hold the only reference to. Any bytes are a valid `E820Entry`.
    check(unsafe { via.call(number::MEMORY_OP, args) })?;
    Ok(entries.len().min(map.nr_entries as usize))
}
