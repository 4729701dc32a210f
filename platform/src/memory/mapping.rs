//! Changes of the page tables while the kernel runs: mapping, unmapping, protecting, and the registers of devices.
//!
//! The boot code maps all RAM at its physical address. Safe functions only add devices and firmware's tables, outside RAM.
//! The others are `unsafe`: a second address for memory, the loss of an address, or other rights concern every pointer in
//! the kernel. Two rules hold for every caller, with `unsafe` or without, because every change passes one check:
//!
//! - nothing is writable and executable: [`Access`] cannot express it, and memory that is writable under one address does
//!   not become executable under another, nor the other way round;
//! - page 0 and the guard page of each stack stay unmapped, and a guard page stays its stack's.

use core::ops::Range;
use core::ptr::NonNull;

use super::access::{Access, MapError};
use super::address::{PAGE_SIZE, PhysAddr, VirtAddr, covering_pages};
use super::map::{Kind, Region};
use crate::arch::page_table::active;
use crate::arch::page_table::format::HIGHEST;
use crate::boot_info::boot_info;

/// Makes the registers of a device reachable: `len` bytes from `start` on, uncached, not executable, at
/// their own address. Pages that are mapped so already stay; calling it twice is fine.
///
/// *Keeps:* what the loader called memory, the image, and tables of the firmware that were [read](map_firmware) keep
/// their rights and stay cached.
///
/// # Errors
///
/// [`MapError::Occupied`] where tables of the firmware are mapped. [`MapError::Ram`] if the loader called any of these pages memory: that it is RAM, cached elsewhere, and
/// uncached here, is what no processor promises anything about. `BadRange`, `Guarded`, `OutOfMemory`,
/// `Busy`, `TooEarly` as they say; `BadRange` also for more than 1 GiB: map that in parts.
pub fn map_mmio(start: PhysAddr, len: u64) -> Result<NonNull<u8>, MapError> {
    let pages = identity_pages(start, len)?;
    let boot = boot_info().ok_or(MapError::TooEarly)?;
    let touches = |start: u64, end: u64| start < pages.end && pages.start < end;
    let mut known = boot.memory().regions().iter();
    let is_ram = known.any(|one| one.kind != Kind::Reserved && touches(one.start, one.end));
    if is_ram || touches(boot.image().start, boot.image().end) {
        return Err(MapError::Ram);
    }
    active::map_device(pages)?;
    NonNull::new(VirtAddr::new(start.as_u64()).as_ptr()).ok_or(MapError::Guarded)
}

/// Makes tables that the firmware left outside usable RAM readable: `len` bytes from `start` on, at their own
/// address. Pages that are mapped already stay as they are.
///
/// *Keeps:* nothing that is mapped changes, and usable RAM that somebody has unmapped stays so.
///
/// # Errors
///
/// `Ram` for usable RAM that is not mapped; `BadRange`, `Guarded`, `OutOfMemory`, `Busy`, `TooEarly`; `Occupied` if
/// a device or another address is mapped there.
pub fn map_firmware(start: PhysAddr, len: u64) -> Result<NonNull<u8>, MapError> {
    let pages = identity_pages(start, len)?;
    let known = boot_info().ok_or(MapError::TooEarly)?.memory().regions();
    let is_ram = |page: u64| {
        let touches = |one: &Region| one.start < page + PAGE_SIZE && page < one.end;
        known.iter().any(|one| one.kind == Kind::Usable && touches(one))
    };
    active::map_firmware(pages, is_ram)?;
    NonNull::new(VirtAddr::new(start.as_u64()).as_ptr()).ok_or(MapError::Guarded)
}

/// Each page of a device, or of the firmware's, is looked at by itself, with the page tables locked: for 1 GiB that is bearable.
const LONGEST_IDENTITY: u64 = 1 << 30;

/// The pages around `len` bytes at `start`, if they can be mapped at their own address.
fn identity_pages(start: PhysAddr, len: u64) -> Result<Range<u64>, MapError> {
    let end = start.checked_add(len).ok_or(MapError::BadRange)?;
    let pages = covering_pages(start.as_u64()..end.as_u64());
    let is_too_long = len > LONGEST_IDENTITY;
    if len == 0 || is_too_long || pages.end > HIGHEST.min(active::highest_physical()) {
        return Err(MapError::BadRange);
    }
    if pages.start == 0 { Err(MapError::Guarded) } else { Ok(pages) }
}

/// Maps `len` bytes at `at` to the physical memory from `to` on. Where both addresses allow it, in pages
/// of 2 MiB. Nothing was mapped there before.
///
/// *Keeps:* no memory is writable and executable, under this address and any other; what is mapped stays.
///
/// # Safety
///
/// - Until the range is unmapped, `to` is memory, not a device, and the caller's: frames that it has and does not
///   give back, or memory that nobody else frees.
/// - Accesses through this address respect references to the memory under other addresses: nothing is written
///   that such a reference relies on to stay unchanged.
/// - The addresses are the caller's: no other code has unmapped them for its own use.
///
/// # Errors
///
/// `BadRange`, also if an address or `len` is not a multiple of [`PAGE_SIZE`]; `Guarded`; `Occupied` if any
/// page is mapped; `Aliased`; `OutOfMemory`; `Busy`. Nothing has changed then.
pub unsafe fn map(at: VirtAddr, to: PhysAddr, len: u64, access: Access) -> Result<(), MapError> {
    let pages = whole_pages(at, len)?;
    let last = to.checked_add(len).ok_or(MapError::BadRange)?.as_u64();
    if !to.is_page() || last > active::highest_physical() {
        return Err(MapError::BadRange);
    }
    active::map(pages, to.as_u64(), access)
}

/// Unmaps `len` bytes at `at`; a large page that is only partly in the range is split. Pages that are not
/// mapped stay so. When this returns, the processor has no translation of the range cached.
///
/// *Keeps:* guard pages stay their stacks'.
///
/// # Safety
///
/// - No code uses the memory at these addresses until it is mapped again: no reference, no code, no stack,
///   no page table and no heap block lies there.
///
/// # Errors
///
/// `BadRange`; `Guarded`; `OutOfMemory` if there is no table for the split; `Busy`. Nothing has changed then.
pub unsafe fn unmap(at: VirtAddr, len: u64) -> Result<(), MapError> {
    active::unmap(whole_pages(at, len)?)
}

/// Gives `len` bytes at `at`, all of them mapped, other rights. Not for devices. When this returns, the
/// processor has no old rights cached.
///
/// *Keeps:* as [`map`]; devices stay uncached.
///
/// # Safety
///
/// - From now on code accesses these addresses only as the new rights allow, and writes nothing that a reference
///   relies on to stay unchanged.
///
/// # Errors
///
/// `BadRange`; `Guarded`; `NotMapped` if a page is not; `Occupied` if one is a device's; `Aliased` also where the
/// memory of code can be written under another address; `OutOfMemory`; `Busy`. Nothing has changed then.
pub unsafe fn protect(at: VirtAddr, len: u64, access: Access) -> Result<(), MapError> {
    active::protect(whole_pages(at, len)?, access)
}

/// The physical address that `at` is mapped to, and the access rights there.
///
/// *Keeps:* it only reads.
pub fn translate(at: VirtAddr) -> Option<(PhysAddr, Access)> {
    active::translate(at.as_u64())
}

fn whole_pages(at: VirtAddr, len: u64) -> Result<Range<u64>, MapError> {
    let end = at.as_u64().checked_add(len).ok_or(MapError::BadRange)?;
    if len == 0 || !at.is_page() || !len.is_multiple_of(PAGE_SIZE) || end > HIGHEST {
        return Err(MapError::BadRange);
    }
    if at.as_u64() == 0 {
        return Err(MapError::Guarded);
    }
    Ok(at.as_u64()..end)
}
