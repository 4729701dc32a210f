//! Changes of page tables that are in use: pages added, removed, or given other rights.
//!
//! The rules:
//!
//! - A page of 2 MiB or 1 GiB that a change covers in part is **split** first, into pages of the next size
//!   with the same meaning. All splits come before the first change, so a change that finds no memory for
//!   a table has changed no translation.
//! - A 2 MiB page is used where virtual and physical address both allow it.
//! - After a change a table whose pages could be one page is **merged** back, and one without pages is
//!   given back.
//! - Before a change returns, and before a table is given back, the processor **forgets** what it may remember of
//!   entries that were in use. That is more than what the entries say now: small pages that were merged since, each
//!   part of a large page (Intel SDM volume 3, 5.10.2.3), entries that named a table (5.10.3). So INVLPG is used
//!   only for a change of one page of 4 KiB that was one before. A change of more, or one that splits, merges or frees a
//!   table, makes the processor forget everything, once. What was not present is not remembered (5.10.4.2).
//! - An entry that names a table is written after the table is complete; so is an entry that replaces a table.
//!
//! Forgetting everything takes two instructions however many pages changed, and a kernel with all RAM in large pages
//! has few translations to find again. One INVLPG per page would be 512 for each 2 MiB, and wrong where page sizes had
//! changed.
//!
//! One processor only: with more, the caches of the others would have to be flushed too.

use core::ops::Range;
use core::sync::atomic::{Ordering, compiler_fence};

use super::format::{self, ADDRESS, ENTRIES, Flags, TABLE, TOP, child, index, is_page, span};

/// What a tree needs of its surroundings.
pub trait Surroundings {
    /// A table of zeroes that this code can reach at its physical address.
    fn take(&mut self) -> Option<*mut u64>;
    /// Takes back a table that nothing refers to any more.
    fn give_back(&mut self, table: *mut u64);
    /// The processor shall forget the page of 4 KiB at `address`, which was one before too.
    fn forget(&mut self, address: u64);
    /// The processor shall forget all pages of any size, and all tables.
    fn forget_everything(&mut self);
}

/// There was no memory for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTables;

/// What becomes of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is mapped to physical addresses that differ from its own by this much.
    Map {
        /// Physical minus virtual, modulo 2^64.
        offset: u64,
        /// Rights and memory type.
        flags: Flags,
    },
    /// What is mapped gets these flags.
    Protect(Flags),
    /// Nothing is mapped there any more.
    Unmap,
}

impl Change {
    /// The entry on `level` for the page at `at`, now `old`; `None` if a page this large cannot say it.
    fn entry(self, old: u64, at: u64, level: u32) -> Option<u64> {
        let huge = if level == 1 { Flags::empty() } else { Flags::HUGE };
        match self {
            Change::Map { offset, flags } => {
                let to = at.wrapping_add(offset);
                let fits = level <= 2 && to.is_multiple_of(span(level));
                fits.then_some(to | (flags | huge).bits())
            }
            Change::Protect(flags) => Some(old & ADDRESS | (flags | huge).bits()),
            Change::Unmap => Some(0),
        }
    }
}

/// What the processor may remember that is no longer so.
enum Stale {
    Nothing,
    /// One page of 4 KiB.
    Page(u64),
    Everything,
}

/// A tree of tables in use.
pub struct Tree<S> {
    root: *mut u64,
    surroundings: S,
    stale: Stale,
}

/// Writes an entry, after everything that was written to the tables before: processors walk them at any time.
///
/// # Safety
///
/// - `slot` is an entry of a tree, and what `entry` means is wanted.
unsafe fn set(slot: *mut u64, entry: u64) {
    compiler_fence(Ordering::Release);
    // SAFETY: the caller's promise.
    unsafe { slot.write_volatile(entry) };
}

impl<S: Surroundings> Tree<S> {
    /// The tree below `root`.
    ///
    /// # Safety
    ///
    /// - `root` and all below it are tables, readable and writable at their physical addresses; nobody else
    ///   changes them while this lives.
    pub unsafe fn new(root: *mut u64, surroundings: S) -> Tree<S> {
        Tree { root, surroundings, stale: Stale::Nothing }
    }

    /// Makes the change. `range` is whole pages in the lower half, and nothing is mapped in it if the
    /// change is to map. On an error nothing has changed.
    pub fn change(&mut self, range: Range<u64>, change: Change) -> Result<(), OutOfTables> {
        let done = self.split_at(range.start).and_then(|()| self.split_at(range.end));
        let done = done.and_then(|()| self.apply_or_undo(range.clone(), change));
        self.tidy_all(self.root, TOP, range);
        self.forget();
        done
    }

    fn apply_or_undo(&mut self, range: Range<u64>, change: Change) -> Result<(), OutOfTables> {
        let done = self.apply(self.root, TOP, range.clone(), change);
        if done.is_err() {
            // It was mapping, which alone needs tables beyond the splits: nothing was there before. Taking
            // away needs none, as nothing has been put together yet, so it cannot fail.
            let _ = self.apply(self.root, TOP, range, Change::Unmap);
        }
        done
    }

    /// Notes that the processor may remember of the page at `at` what was before.
    fn note_stale(&mut self, at: u64, level: u32) {
        self.stale = match self.stale {
            Stale::Nothing if level == 1 => Stale::Page(at),
            _ => Stale::Everything,
        };
    }

    /// The processor forgets what is stale.
    fn forget(&mut self) {
        match core::mem::replace(&mut self.stale, Stale::Nothing) {
            Stale::Nothing => {}
            Stale::Page(at) => self.surroundings.forget(at),
            Stale::Everything => self.surroundings.forget_everything(),
        }
    }

    /// Makes sure that no page lies across `address`.
    fn split_at(&mut self, address: u64) -> Result<(), OutOfTables> {
        let mut table = self.root;
        for level in (2..=TOP).rev() {
            // SAFETY: an index below 512 in a table of the tree.
            let slot = unsafe { table.add(index(address, level)) };
            // SAFETY: as above.
            let entry = unsafe { slot.read() };
            if entry == 0 || address.is_multiple_of(span(level)) && is_page(entry, level) {
                return Ok(());
            }
            if is_page(entry, level) {
                self.split(slot, level)?;
            }
            // SAFETY: it is a table's entry by now.
            table = child(unsafe { slot.read() });
        }
        Ok(())
    }

    /// Replaces the page in `slot` by a table of pages of the next size.
    fn split(&mut self, slot: *mut u64, level: u32) -> Result<(), OutOfTables> {
        let table = self.surroundings.take().ok_or(OutOfTables)?;
        // SAFETY: `slot` is an entry of the tree.
        let page = unsafe { slot.read() };
        let huge = if level == 2 { Flags::HUGE.bits() } else { 0 };
        let step = span(level - 1);
        for number in 0..ENTRIES {
            // SAFETY: a table has that many entries; this one is ours alone until it is hung in.
            unsafe { table.add(number).write((page & !huge) + number as u64 * step) };
        }
        // SAFETY: as above; every address keeps its meaning.
        unsafe { set(slot, table.expose_provenance() as u64 | TABLE.bits()) };
        self.stale = Stale::Everything;
        Ok(())
    }

    /// Changes `range`, which `table` covers, and of which no page lies across an end.
    fn apply(
        &mut self,
        table: *mut u64,
        level: u32,
        range: Range<u64>,
        change: Change,
    ) -> Result<(), OutOfTables> {
        let mut at = range.start;
        while at < range.end {
            let next = (at | (span(level) - 1)).wrapping_add(1).min(range.end);
            // SAFETY: an index below 512 in a table of the tree.
            let slot = unsafe { table.add(index(at, level)) };
            // SAFETY: as above.
            let old = unsafe { slot.read() };
            let is_whole = next - at == span(level);
            let names_table = old != 0 && !is_page(old, level);
            let new = if is_whole && !names_table { change.entry(old, at, level) } else { None };
            match (new, change) {
                // Nothing is there, and the change is about what is.
                (_, Change::Protect(_) | Change::Unmap) if old == 0 => {}
                (Some(new), _) => {
                    // SAFETY: as above. What the entry means is what the caller asks for.
                    unsafe { set(slot, new) };
                    if old != 0 {
                        self.note_stale(at, level);
                    }
                }
                (None, _) => self.apply_below(slot, level, at..next, change)?,
            }
            at = next;
        }
        Ok(())
    }

    /// Changes `range` in the table that `slot` names, which is made if there is none.
    fn apply_below(
        &mut self,
        slot: *mut u64,
        level: u32,
        range: Range<u64>,
        change: Change,
    ) -> Result<(), OutOfTables> {
        // SAFETY: `slot` is an entry of the tree.
        let old = unsafe { slot.read() };
        if old == 0 {
            let table = self.surroundings.take().ok_or(OutOfTables)?;
            // SAFETY: as above; a table of zeroes maps nothing, as before.
            unsafe { set(slot, table.expose_provenance() as u64 | TABLE.bits()) };
        } else if is_page(old, level) {
            self.split(slot, level)?;
        }
        // SAFETY: as above.
        let table = child(unsafe { slot.read() });
        self.apply(table, level - 1, range, change)
    }

    /// Tidies what the entries for `range` name, from below. Only after a change: what is put together too early, a
    /// change that fails cannot take apart again.
    fn tidy_all(&mut self, table: *mut u64, level: u32, range: Range<u64>) {
        let mut at = range.start;
        while at < range.end {
            let next = (at | (span(level) - 1)).wrapping_add(1).min(range.end);
            // SAFETY: an index below 512 in a table of the tree.
            let slot = unsafe { table.add(index(at, level)) };
            // SAFETY: as above.
            let entry = unsafe { slot.read() };
            if entry != 0 && !is_page(entry, level) {
                self.tidy_all(child(entry), level - 1, at..next);
                self.tidy(slot, level);
            }
            at = next;
        }
    }

    /// Replaces the table in `slot` by nothing or by one page, if that says the same.
    fn tidy(&mut self, slot: *mut u64, level: u32) {
        // SAFETY: `slot` is an entry of the tree that names a table.
        let (entry, table) = unsafe { (slot.read(), child(slot.read())) };
        // SAFETY: a table of the tree, which nobody changes while we look.
        let entries = unsafe { core::slice::from_raw_parts(table.cast_const(), ENTRIES) };
        let same = one_page(entries, level);
        let Some(new) = same else { return };
        debug_assert!(entry != new);
        // SAFETY: as above; every address keeps its meaning.
        unsafe { set(slot, new) };
        // At once: the table may be taken again within this change.
        self.stale = Stale::Everything;
        self.forget();
        self.surroundings.give_back(table);
    }

    /// Whether a page leads to `memory` from anywhere outside the addresses `but`, with flags for which `has` holds.
    pub fn leads_to(
        &self,
        memory: Range<u64>,
        but: &Range<u64>,
        has: impl Fn(Flags) -> bool,
    ) -> bool {
        !self.visit(format::EVERYTHING, &mut |page| {
            let same = memory.start.max(page.to)..memory.end.min(page.to + page.len);
            if same.is_empty() || !has(page.flags) {
                return true;
            }
            let at = page.at + (same.start - page.to);
            but.start <= at && at + (same.end - same.start) <= but.end
        })
    }

    /// Calls `visit` with every page that touches `range`; see [`format::visit`].
    pub fn visit(&self, range: Range<u64>, visit: &mut dyn FnMut(format::Page) -> bool) -> bool {
        // SAFETY: the tree is ours.
        unsafe { format::visit(self.root, range, visit) }
    }
}

/// The one entry on `level` that says what this table of the level below says: 0 if it is empty, a 2 MiB
/// page if its pages are in a row and alike. Larger pages are not put together again: what needs them
/// covers all RAM, and changes rarely touch all of a GiB.
fn one_page(entries: &[u64], level: u32) -> Option<u64> {
    // Set by the processor whenever it likes.
    let remembered = (Flags::ACCESSED | Flags::DIRTY).bits();
    let first = entries.first()? & !remembered;
    let step = if first == 0 { 0 } else { span(level - 1) };
    if first != 0 && (level != 2 || !(first & ADDRESS).is_multiple_of(span(level))) {
        return None;
    }
    let mut expected = first;
    for entry in entries {
        if entry & !remembered != expected {
            return None;
        }
        expected = expected.wrapping_add(step);
    }
    Some(if first == 0 { 0 } else { first | Flags::HUGE.bits() })
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
