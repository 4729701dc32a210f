//! The page tables in use: the tree of tables that CR3 points to, changed under a lock.
//!
//! Code that interrupts the lock's holder and wants to change the tables gets an error instead of waiting for ever. Code that
//! only reads takes the lock too, so that no handler frees a table while it reads. If the lock is taken, a reader reads all
//! the same: it has interrupted the holder between two writes, each of which leaves the tables valid.
//!
//! Every change passes [`change`], which refuses what would break a promise, whoever asks.
//!
//! Memory for tables comes from what the boot code left over, then from free frames. A table that is no longer needed is
//! kept for later use.

use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::super::cpu;
use super::editor::{Change, OutOfTables, Surroundings, Tree};
use super::format::{CODE, CONSTANTS, DEVICE, ENTRIES, Flags, VARIABLES, child, translate as walk};
use super::initial;
use crate::image::image;
use crate::lock::Lock;
use crate::memory::access::{Access, MapError};
use crate::memory::address::{PAGE_SIZE, PhysAddr};
use crate::memory::frames::Frames;
use crate::memory::stack;
use crate::stacks;

/// Of the tree.
static TREE: Lock<()> = Lock::new(());

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
            return initial::take_table().or_else(|| {
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

/// Whether the interrupted code is changing the page tables, so that nothing can be mapped until it goes on.
pub(crate) fn is_busy() -> bool {
    TREE.is_taken()
}

/// Works on the tree, if nobody does; then on what handlers had to leave because of that.
fn with<R>(work: impl FnOnce(&mut Tree<Here>) -> Result<R, MapError>) -> Result<R, MapError> {
    let done = alone(work);
    stack::give_back_dropped();
    done
}

/// Works on the tree, if nobody does.
fn alone<R>(work: impl FnOnce(&mut Tree<Here>) -> Result<R, MapError>) -> Result<R, MapError> {
    let done = TREE.with(|()| {
        let root = child(cpu::table_root());
        // SAFETY: the tables of the boot code and ours, mapped at their physical addresses; the lock is ours.
        work(&mut unsafe { Tree::new(root, Here) })
    });
    done.unwrap_or(Err(MapError::Busy))
}

/// Looks at the tables in use; none is freed meanwhile. Can be called in any context: code that changes them and is
/// interrupted by this has left them valid, and goes on afterwards.
pub(super) fn look<R>(at: impl FnOnce(*const u64) -> R) -> R {
    let seen = TREE.look(|| at(child(cpu::table_root())));
    stack::give_back_dropped();
    seen
}

const fn flags(access: Access) -> Flags {
    match access {
        Access::Read => CONSTANTS,
        Access::ReadWrite => VARIABLES,
        Access::ReadExecute => CODE,
    }
}

/// The end of the physical addresses that this processor has (Intel SDM volume 2, CPUID 0x8000_0008).
pub fn highest_physical() -> u64 {
    let [bits, ..] = cpu::cpuid(0x8000_0008, 0);
    1 << (bits & 0xff).clamp(32, PhysAddr::BITS)
}

/// The one way into the tables.
fn change(tree: &mut Tree<Here>, pages: Range<u64>, change: Change) -> Result<(), MapError> {
    check(tree, &pages, change)?;
    if makes_code(change) {
        HAS_MORE_CODE.store(true, Ordering::Relaxed);
    }
    Ok(tree.change(pages, change)?)
}

/// Refuses, whoever asks:
///
/// - page 0, and what guards a stack: they stay unmapped;
/// - what would make memory writable under one address and executable under another.
///
/// Nothing can ask for both under one address: neither [`Access`] nor [`DEVICE`] can say it.
fn check(tree: &Tree<Here>, pages: &Range<u64>, change: Change) -> Result<(), MapError> {
    if pages.start < PAGE_SIZE || stacks::guarded(pages.clone()).is_some() {
        return Err(MapError::Guarded);
    }
    let clashes = |memory: Range<u64>| {
        if makes_code(change) {
            tree.leads_to(memory, pages, |flags| flags.contains(Flags::WRITABLE))
        } else {
            may_be_code(&memory)
                && tree.leads_to(memory, pages, |flags| !flags.contains(Flags::NO_EXECUTE))
        }
    };
    let is_aliased = match change {
        Change::Map { flags, .. } | Change::Protect(flags) if flags == CONSTANTS => false,
        Change::Unmap => false,
        Change::Map { offset, .. } => {
            clashes(pages.start.wrapping_add(offset)..pages.end.wrapping_add(offset))
        }
        // Where each page leads stays as it is.
        Change::Protect(_) => !tree.visit(pages.clone(), &mut |page| {
            let part = page.at.max(pages.start)..(page.at + page.len).min(pages.end);
            !clashes(page.to + (part.start - page.at)..page.to + (part.end - page.at))
        }),
    };
    if is_aliased { Err(MapError::Aliased) } else { Ok(()) }
}

fn makes_code(change: Change) -> bool {
    matches!(change, Change::Map { flags, .. } | Change::Protect(flags) if !flags.contains(Flags::NO_EXECUTE))
}

/// Whether there ever was code outside the image. While there is none, memory outside the image is no code, which
/// spares most changes a walk through the whole tree.
static HAS_MORE_CODE: AtomicBool = AtomicBool::new(false);

fn may_be_code(memory: &Range<u64>) -> bool {
    let image = image().pages();
    let is_outside = memory.end <= image.start || image.end <= memory.start;
    !is_outside || HAS_MORE_CODE.load(Ordering::Relaxed)
}

/// See [`crate::memory::map_mmio`]. `pages` are no RAM.
pub fn map_device(pages: Range<u64>) -> Result<(), MapError> {
    /// Mapped as RAM is, and may be a device's: where PCs have their screens, and the memory of expansion cards.
    const CARDS: Range<u64> = 0xa_0000..0xe_0000;
    let not_meaning = Flags::ACCESSED | Flags::DIRTY | Flags::HUGE;
    let is_enough = |flags| flags - not_meaning == DEVICE;
    map_identity(pages, DEVICE, is_enough, |at, there| match there {
        // The firmware's tables are read through references, which nobody may write under.
        Some(flags) if !flags.contains(Flags::CACHE_DISABLED) && !CARDS.contains(&at) => {
            Err(MapError::Occupied)
        }
        _ => Ok(there.map(|_| Change::Protect(DEVICE))),
    })
}

/// See [`crate::memory::map_firmware`]. What `is_ram` says of a page counts where nothing is mapped.
pub fn map_firmware(pages: Range<u64>, is_ram: impl Fn(u64) -> bool) -> Result<(), MapError> {
    let is_enough = |flags: Flags| !flags.contains(Flags::CACHE_DISABLED);
    map_identity(pages, CONSTANTS, is_enough, |at, there| match there {
        None if is_ram(at) => Err(MapError::Ram),
        Some(flags) if flags.contains(Flags::CACHE_DISABLED) => Err(MapError::Occupied),
        _ => Ok(None),
    })
}

/// Maps those of `pages` that are not mapped at their own addresses, unless all are, with flags of which `is_enough` says that
/// nothing is to be done. `decide` is asked for each page first, with the
/// flags of what is there: whether it may be, and what becomes of a page that is there.
fn map_identity(
    pages: Range<u64>,
    flags: Flags,
    is_enough: impl Fn(Flags) -> bool,
    decide: impl Fn(u64, Option<Flags>) -> Result<Option<Change>, MapError>,
) -> Result<(), MapError> {
    let map = Change::Map { offset: 0, flags };
    let each = || pages.clone().step_by(PAGE_SIZE as usize);
    with(|tree| {
        if are_there(tree, pages.clone(), is_enough) {
            return Ok(());
        }
        check(tree, &pages, map)?;
        for at in each() {
            match found(tree, at) {
                Some((to, _)) if to != at => return Err(MapError::Occupied),
                there => decide(at, there.map(|(_, flags)| flags))?,
            };
        }
        if is_free(tree, pages.clone()) {
            return change(tree, pages.clone(), map);
        }
        for at in each() {
            let wanted = match found(tree, at) {
                None => Some(map),
                Some((_, flags)) => decide(at, Some(flags))?,
            };
            wanted.map_or(Ok(()), |wanted| change(tree, at..at + PAGE_SIZE, wanted))?;
        }
        Ok(())
    })
}

/// The physical address that the page at `at` is mapped to, and its flags.
fn found(tree: &Tree<Here>, at: u64) -> Option<(u64, Flags)> {
    let mut found = None;
    tree.visit(at..at + PAGE_SIZE, &mut |page| {
        found = Some((page.to + (at - page.at), page.flags));
        true
    });
    found
}

/// See [`crate::memory::map`].
pub fn map(pages: Range<u64>, to: u64, access: Access) -> Result<(), MapError> {
    with(|tree| map_free(tree, pages, to, flags(access)))
}

/// Puts the guard page of a stack back that is in no list any more. What else waits for this stays: this is part of it.
pub fn map_guard(page: Range<u64>) -> Result<(), MapError> {
    let to = page.start;
    alone(|tree| map_free(tree, page, to, VARIABLES))
}

fn map_free(
    tree: &mut Tree<Here>,
    pages: Range<u64>,
    to: u64,
    flags: Flags,
) -> Result<(), MapError> {
    if !is_free(tree, pages.clone()) {
        return Err(MapError::Occupied);
    }
    let map = Change::Map { offset: to.wrapping_sub(pages.start), flags };
    change(tree, pages, map)
}

/// See [`crate::memory::unmap`].
pub fn unmap(pages: Range<u64>) -> Result<(), MapError> {
    with(|tree| change(tree, pages, Change::Unmap))
}

/// See [`crate::memory::protect`].
pub fn protect(pages: Range<u64>, access: Access) -> Result<(), MapError> {
    with(|tree| {
        let (mut mapped, mut is_device) = (0, false);
        tree.visit(pages.clone(), &mut |page| {
            let part = page.at.max(pages.start)..(page.at + page.len).min(pages.end);
            mapped += part.end - part.start;
            is_device |= page.flags.contains(Flags::CACHE_DISABLED);
            true
        });
        if mapped < pages.end - pages.start {
            check(tree, &pages, Change::Unmap)?;
            return Err(MapError::NotMapped);
        }
        if is_device {
            return Err(MapError::Occupied);
        }
        change(tree, pages, Change::Protect(flags(access)))
    })
}

/// See [`crate::memory::translate`].
pub fn translate(address: u64) -> Option<(PhysAddr, Access)> {
    // SAFETY: the tables in use, which stay.
    let (to, flags) = look(|root| unsafe { walk(root, address) })?;
    let access = match flags {
        _ if flags.contains(Flags::WRITABLE) => Access::ReadWrite,
        _ if flags.contains(Flags::NO_EXECUTE) => Access::Read,
        _ => Access::ReadExecute,
    };
    Some((PhysAddr::new(to), access))
}

/// Whether all of them are mapped at their own addresses, with flags that are enough: for who asks for the same again, as
/// whoever reads ACPI's tables or walks through PCI's buses does.
fn are_there(tree: &Tree<Here>, pages: Range<u64>, is_enough: impl Fn(Flags) -> bool) -> bool {
    let mut at = pages.start;
    let are_there = tree.visit(pages.clone(), &mut |page| {
        let is_there = page.at <= at && page.to == page.at && is_enough(page.flags);
        at = page.at.saturating_add(page.len);
        is_there
    });
    are_there && at >= pages.end
}

fn is_free(tree: &Tree<Here>, pages: Range<u64>) -> bool {
    tree.visit(pages, &mut |_| false)
}
