//! The kernel's map while it runs: pages added, taken away, protected; registers of devices.
//!
//! [`Access`] cannot say "writable and executable", so nothing here makes such a page. What the boot
//! code built is the identity: all RAM at its own address. Guard pages and page 0 stay unmapped.

use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;

use super::{Kind, PAGE_SIZE, PhysAddr, VirtAddr, covering_pages};
use crate::arch::live;

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

/// Why the map stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Not a range of whole pages with addresses that can be mapped.
    BadRange,
    /// Page 0 or the guard page of a stack is in the range.
    Guarded,
    /// Something is mapped there already.
    Occupied,
    /// Nothing is mapped there, or not everywhere.
    NotMapped,
    /// These addresses are RAM, or firmware's, and not a device.
    Ram,
    /// There is no memory for tables.
    OutOfMemory,
    /// The map is being changed, by code that was interrupted: try later.
    Busy,
    /// Before `main` there is no map to change.
    TooEarly,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapError::BadRange => "not whole pages at addresses that can be mapped",
            MapError::Guarded => "page 0, or the guard page of a stack, must stay unmapped",
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

/// Makes the registers of a device reachable: `len` bytes from `start` on, uncached, not executable, at
/// their own address. Pages that are mapped so already stay; calling it twice is fine.
///
/// # Errors
///
/// [`MapError::Ram`] if the loader called any of these pages memory: that it is RAM, cached elsewhere, and
/// uncached here, is what no processor promises anything about. `BadRange`, `Guarded`, `OutOfMemory`,
/// `Busy`, `TooEarly` as they say.
pub fn map_mmio(start: PhysAddr, len: u64) -> Result<NonNull<u8>, MapError> {
    let pages = identity_pages(start, len)?;
    let known = crate::arch::boot_info().ok_or(MapError::TooEarly)?.memory().regions();
    let is_ram = known.iter().any(|region| {
        region.kind != Kind::Reserved && region.start < pages.end && pages.start < region.end
    });
    if is_ram {
        return Err(MapError::Ram);
    }
    live::map_device(pages)?;
    NonNull::new(VirtAddr::new(start.as_u64()).as_ptr()).ok_or(MapError::Guarded)
}

/// Makes tables that the firmware left outside usable RAM readable: `len` bytes from `start` on, at their own
/// address. Pages that are mapped already stay as they are.
///
/// # Errors
///
/// `BadRange`, `Guarded`, `OutOfMemory`, `Busy`; `Occupied` if a device or another address is mapped there.
pub fn map_firmware(start: PhysAddr, len: u64) -> Result<NonNull<u8>, MapError> {
    let pages = identity_pages(start, len)?;
    live::map_firmware(pages)?;
    NonNull::new(VirtAddr::new(start.as_u64()).as_ptr()).ok_or(MapError::Guarded)
}

/// The pages around `len` bytes at `start`, if they can be mapped at their own address.
fn identity_pages(start: PhysAddr, len: u64) -> Result<Range<u64>, MapError> {
    let end = start.checked_add(len).ok_or(MapError::BadRange)?;
    let pages = covering_pages(start.as_u64()..end.as_u64());
    if len == 0 || pages.end > live::highest().min(live::highest_physical()) {
        return Err(MapError::BadRange);
    }
    if pages.start == 0 { Err(MapError::Guarded) } else { Ok(pages) }
}

/// Maps `len` bytes at `at` to the physical memory from `to` on. Where both addresses allow it, in pages
/// of 2 MiB. Nothing was mapped there before; that what is there now is used well is for whoever
/// dereferences a pointer to it.
///
/// # Errors
///
/// `BadRange`, also if an address or `len` is not a multiple of [`PAGE_SIZE`]; `Guarded`; `Occupied` if any
/// page is mapped; `OutOfMemory`; `Busy`. Nothing has changed then.
pub fn map(at: VirtAddr, to: PhysAddr, len: u64, access: Access) -> Result<(), MapError> {
    let pages = whole_pages(at, len)?;
    let last = to.checked_add(len).ok_or(MapError::BadRange)?.as_u64();
    if !to.is_page() || last > live::highest_physical() {
        return Err(MapError::BadRange);
    }
    live::map(pages, to.as_u64(), access)
}

/// Takes `len` bytes at `at` out of the map; a large page that is only partly meant is split. What is not
/// mapped stays so.
///
/// # Safety
///
/// - Nobody uses the memory at these addresses until it is mapped again: no reference, no code, no stack,
///   no page table and no heap block lies there.
///
/// # Errors
///
/// `BadRange`; `OutOfMemory` if there is no table for the split; `Busy`. Nothing has changed then.
pub unsafe fn unmap(at: VirtAddr, len: u64) -> Result<(), MapError> {
    live::unmap(whole_pages(at, len)?)
}

/// Gives `len` bytes at `at`, all of them mapped, other rights. Their memory type stays what it was: not
/// for devices.
///
/// # Safety
///
/// - What code does with these addresses from now on, the new rights allow.
/// - To make pages executable: nobody can write to them under another address.
///
/// # Errors
///
/// `BadRange`; `NotMapped` if a page is not; `OutOfMemory`; `Busy`. Nothing has changed then.
pub unsafe fn protect(at: VirtAddr, len: u64, access: Access) -> Result<(), MapError> {
    live::protect(whole_pages(at, len)?, access)
}

/// Where the map leads from `at`, and whether a large page does.
pub fn translate(at: VirtAddr) -> Option<(PhysAddr, Access)> {
    live::translate(at.as_u64())
}

fn whole_pages(at: VirtAddr, len: u64) -> Result<Range<u64>, MapError> {
    let end = at.as_u64().checked_add(len).ok_or(MapError::BadRange)?;
    if len == 0 || !at.is_page() || !len.is_multiple_of(PAGE_SIZE) || end > live::highest() {
        return Err(MapError::BadRange);
    }
    if at.as_u64() == 0 {
        return Err(MapError::Guarded);
    }
    Ok(at.as_u64()..end)
}
