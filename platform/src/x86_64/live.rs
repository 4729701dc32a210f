//! The map in use: the tree of tables that CR3 names, changed under a lock.
//!
//! The lock is taken by who comes first; whoever interrupts him and wants it too is told so instead of
//! waiting for ever. Tables come from what the boot code left over, then from free frames; a table that
//! is no longer needed is kept for the next who needs one.

use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::table::{
    ADDRESS, CODE, CONSTANTS, DEVICE, ENTRIES, Flags, HIGHEST, Page, VARIABLES, child,
    translate as walk,
};
use super::tree::{Change, OutOfTables, Surroundings, Tree};
use super::{cpu, paging, stacks};
use crate::memory::{Access, Frames, MapError, PAGE_SIZE, PhysAddr};

static BUSY: AtomicBool = AtomicBool::new(false);

/// Tables that were given back; each one's first entry is the address of the next.
static SPARE: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());

impl From<OutOfTables> for MapError {
    fn from(_: OutOfTables) -> MapError {
        MapError::OutOfMemory
    }
}

/// This processor, and the memory that tables come from.
struct Here;

impl Surroundings for Here {
    fn take(&mut self) -> Option<*mut u64> {
        let spare = SPARE.load(Ordering::Relaxed);
        if spare.is_null() {
            return paging::take_table().or_else(|| {
                let table: *mut u64 = Frames::take(1).ok()?.into_raw().0.as_ptr();
                // SAFETY: a frame of ours, mapped at its own address.
                unsafe { table.write_bytes(0, ENTRIES) };
                Some(table)
            });
        }
        // SAFETY: a table that was given back, and is ours under the lock.
        unsafe {
            SPARE.store(spare.read() as *mut u64, Ordering::Relaxed);
            spare.write_bytes(0, ENTRIES);
        }
        Some(spare)
    }

    fn give_back(&mut self, table: *mut u64) {
        let next = SPARE.swap(table, Ordering::Relaxed);
        // SAFETY: nothing refers to the table any more, in memory or in the processor, which was told
        // to forget before.
        unsafe { table.write(next as u64) };
    }

    fn forget(&mut self, address: u64) {
        // SAFETY: what the processor forgets it reads again from the tables. No `nomem`: what was
        // written to the tables must be written by now.
        unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
    }

    fn forget_everything(&mut self) {
        // Writing CR3 does (Intel SDM volume 3, 5.10.4.1), but for global pages, of which there are none: no entry
        // has that bit, and the entry code leaves CR4.PGE off.
        // SAFETY: the same root as before; otherwise as in `forget`.
        unsafe {
            asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags))
        }
    }
}

/// Whether the code that this interrupts is changing the map, so that nothing can be mapped until it goes on.
pub(crate) fn is_busy() -> bool {
    BUSY.load(Ordering::Relaxed)
}

/// Works on the tree, if nobody does.
fn with<R>(work: impl FnOnce(&mut Tree<Here>) -> Result<R, MapError>) -> Result<R, MapError> {
    if BUSY.swap(true, Ordering::Acquire) {
        return Err(MapError::Busy);
    }
    let root = child(cpu::table_root());
    // SAFETY: the tables of the boot code and ours, mapped at their physical addresses; the lock is ours.
    let mut tree = unsafe { Tree::new(root, Here) };
    let done = work(&mut tree);
    BUSY.store(false, Ordering::Release);
    done
}

const fn flags(access: Access) -> Flags {
    match access {
        Access::Read => CONSTANTS,
        Access::ReadWrite => VARIABLES,
        Access::ReadExecute => CODE,
    }
}

/// The end of the virtual addresses that can be mapped.
pub const fn highest() -> u64 {
    HIGHEST
}

/// The end of the physical addresses that this processor has (Intel SDM volume 2, CPUID 0x8000_0008).
pub fn highest_physical() -> u64 {
    let [bits, ..] = cpu::cpuid(0x8000_0008, 0);
    1 << (bits & 0xff).clamp(32, PhysAddr::BITS)
}

/// See [`crate::memory::map_mmio`]. `pages` are no RAM.
pub fn map_device(pages: Range<u64>) -> Result<(), MapError> {
    // A page below 1 MiB is mapped as RAM is, and may be a device's.
    map_identity(pages, DEVICE, |tree, page| {
        Ok(tree.change(page.at..page.at + PAGE_SIZE, Change::Protect(DEVICE))?)
    })
}

/// See [`crate::memory::map_firmware`].
pub fn map_firmware(pages: Range<u64>) -> Result<(), MapError> {
    map_identity(pages, CONSTANTS, |_, page| match page.flags.contains(Flags::CACHE_DISABLED) {
        true => Err(MapError::Occupied),
        false => Ok(()),
    })
}

/// Maps `pages` at their own addresses. What `there` makes of a page (4 KiB) that is there already counts.
fn map_identity(
    pages: Range<u64>,
    flags: Flags,
    there: impl Fn(&mut Tree<Here>, Page) -> Result<(), MapError>,
) -> Result<(), MapError> {
    let map = Change::Map { offset: 0, flags };
    with(|tree| {
        if is_free(tree, pages.clone()) {
            return Ok(tree.change(pages, map)?);
        }
        for at in pages.step_by(PAGE_SIZE as usize) {
            let mut found = None;
            tree.visit(at..at + PAGE_SIZE, &mut |page| {
                found = Some(Page { at, len: PAGE_SIZE, to: page.to + (at - page.at), ..page });
                true
            });
            match found {
                None => tree.change(at..at + PAGE_SIZE, map)?,
                Some(page) if page.to == at => there(tree, page)?,
                Some(_) => return Err(MapError::Occupied),
            }
        }
        Ok(())
    })
}

/// See [`crate::memory::map`].
pub fn map(pages: Range<u64>, to: u64, access: Access) -> Result<(), MapError> {
    if stacks::guarded(pages.clone()).is_some() {
        return Err(MapError::Guarded);
    }
    let change = Change::Map { offset: to.wrapping_sub(pages.start), flags: flags(access) };
    with(|tree| match is_free(tree, pages.clone()) {
        true => Ok(tree.change(pages, change)?),
        false => Err(MapError::Occupied),
    })
}

/// See [`crate::memory::unmap`].
pub fn unmap(pages: Range<u64>) -> Result<(), MapError> {
    with(|tree| Ok(tree.change(pages, Change::Unmap)?))
}

/// See [`crate::memory::protect`].
pub fn protect(pages: Range<u64>, access: Access) -> Result<(), MapError> {
    with(|tree| {
        let mut mapped = 0;
        tree.visit(pages.clone(), &mut |page| {
            let part = page.at.max(pages.start)..(page.at + page.len).min(pages.end);
            mapped += part.end - part.start;
            true
        });
        if mapped < pages.end - pages.start {
            return Err(MapError::NotMapped);
        }
        Ok(tree.change(pages, Change::Protect(flags(access)))?)
    })
}

/// See [`crate::memory::translate`].
pub fn translate(address: u64) -> Option<(PhysAddr, Access)> {
    let root = cpu::table_root() & ADDRESS;
    // SAFETY: the tables in use; changes are made by one processor, this one.
    let (to, flags) = unsafe { walk(child(root), address) }?;
    let access = match flags {
        _ if flags.contains(Flags::WRITABLE) => Access::ReadWrite,
        _ if flags.contains(Flags::NO_EXECUTE) => Access::Read,
        _ => Access::ReadExecute,
    };
    Some((PhysAddr::new(to), access))
}

fn is_free(tree: &Tree<Here>, pages: Range<u64>) -> bool {
    tree.visit(pages, &mut |_| false)
}
