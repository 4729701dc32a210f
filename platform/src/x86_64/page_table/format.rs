//! Page tables as the processor reads them: the format, and the walk.
//!
//! Source: Intel SDM volume 3, 5.5 (4-level paging), 5.6 (access rights), 13.12 (memory types by PAT).

use core::cell::UnsafeCell;
use core::ops::Range;

use bitflags::bitflags;

use crate::memory::address::PAGE_SIZE;

bitflags! {
    /// The bits of a page table entry that are not the address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u64 {
        /// The entry means something.
        const PRESENT = 1 << 0;
        /// Writes are allowed.
        const WRITABLE = 1 << 1;
        /// Write-through. Together with the next one: not cached at all, whatever the PAT's reset
        /// value is combined with.
        const WRITE_THROUGH = 1 << 3;
        /// Not cached.
        const CACHE_DISABLED = 1 << 4;
        /// Set by the processor on first use.
        const ACCESSED = 1 << 5;
        /// Set by the processor on the first write.
        const DIRTY = 1 << 6;
        /// The entry maps a 2 MiB or 1 GiB page instead of naming a table.
        const HUGE = 1 << 7;
        /// Instructions must not be fetched.
        const NO_EXECUTE = 1 << 63;
    }
}

/// Code.
pub const CODE: Flags = Flags::PRESENT;
/// Constants.
pub const CONSTANTS: Flags = Flags::PRESENT.union(Flags::NO_EXECUTE);
/// Variables, stacks, RAM.
pub const VARIABLES: Flags = CONSTANTS.union(Flags::WRITABLE);
/// Registers of devices.
pub const DEVICE: Flags = VARIABLES.union(Flags::WRITE_THROUGH).union(Flags::CACHE_DISABLED);
/// An entry that names a table: the entries in it decide.
pub const TABLE: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// The address in an entry.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Entries in a table.
pub const ENTRIES: usize = 512;

/// The level of the root.
pub const TOP: u32 = 4;

/// Four levels of tables reach this far with positive addresses.
pub const HIGHEST: u64 = 1 << 47;

/// All addresses that four levels can say.
pub const EVERYTHING: Range<u64> = 0..1 << 48;

/// One table of any level.
#[repr(C, align(4096))]
pub struct Table(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: only the code that builds the map writes tables, one at a time; the processor reads them.
unsafe impl Sync for Table {}

impl Table {
    pub(crate) const fn new() -> Table {
        Table(UnsafeCell::new([0; ENTRIES]))
    }

    /// Its first entry.
    pub(super) fn entries(&self) -> *mut u64 {
        self.0.get().cast()
    }
}

/// Binary logarithm of [`span`].
pub const fn shift(level: u32) -> u32 {
    PAGE_SIZE.trailing_zeros() + 9 * (level - 1)
}

/// Bytes that one entry of a table covers, per level: 1 is the lowest.
pub const fn span(level: u32) -> u64 {
    1 << shift(level)
}

/// Which entry of a table on `level` is about `address`: below [`ENTRIES`].
pub const fn index(address: u64, level: u32) -> usize {
    (address >> shift(level)) as usize & (ENTRIES - 1)
}

/// Whether an entry on `level` maps a page, rather than naming a table.
pub const fn is_page(entry: u64, level: u32) -> bool {
    level == 1 || entry & Flags::HUGE.bits() != 0
}

/// The table that an entry names.
pub const fn child(entry: u64) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut((entry & ADDRESS) as usize)
}

/// A page as the processor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its virtual address.
    pub at: u64,
    /// How long it is.
    pub len: u64,
    /// Its physical address.
    pub to: u64,
    /// What all levels together allow, and the page's memory type.
    pub flags: Flags,
}

/// Calls `visit` with every mapped page that touches `range`, in order, until it says stop (`false`).
/// Returns whether it was never said.
///
/// # Safety
///
/// - `root` is the root of a tree of tables that can be read, and nobody changes it meanwhile.
pub unsafe fn visit(
    root: *const u64,
    range: Range<u64>,
    visit: &mut dyn FnMut(Page) -> bool,
) -> bool {
    let all = Flags::WRITABLE;
    // SAFETY: the caller's promise.
    unsafe { visit_table(root, TOP, range, all, visit) }
}

/// `allowed` is what the levels above allow: WRITABLE if all do, NO_EXECUTE if one forbids.
///
/// # Safety
///
/// - As for [`visit`], for the part of the tree below `table`.
unsafe fn visit_table(
    table: *const u64,
    level: u32,
    range: Range<u64>,
    allowed: Flags,
    visit: &mut dyn FnMut(Page) -> bool,
) -> bool {
    let mut at = range.start & !(span(level) - 1);
    while at < range.end {
        // SAFETY: an index below 512 in a table of the tree.
        let entry = unsafe { table.add(index(at, level)).read() };
        let own = Flags::from_bits_truncate(entry);
        if own.contains(Flags::PRESENT) {
            let writable = allowed & own & Flags::WRITABLE;
            let flags = writable | (allowed | own) & Flags::NO_EXECUTE;
            let goes_on = if is_page(entry, level) {
                let to = entry & ADDRESS & !(span(level) - 1);
                let rest = Flags::WRITABLE | Flags::NO_EXECUTE;
                visit(Page { at, len: span(level), to, flags: (own - rest) | flags })
            } else {
                let part = range.start.max(at)..range.end.min(at.saturating_add(span(level)));
                // SAFETY: the entry names a table of the tree.
                unsafe { visit_table(child(entry), level - 1, part, flags, visit) }
            };
            if !goes_on {
                return false;
            }
        }
        at = at.saturating_add(span(level));
    }
    true
}

/// What the processor would find for `address`.
///
/// # Safety
///
/// - As for [`visit`].
pub unsafe fn translate(root: *const u64, address: u64) -> Option<(u64, Flags)> {
    let mut found = None;
    // SAFETY: the caller's promise.
    unsafe {
        visit(root, address..address.saturating_add(1), &mut |page| {
            found = Some((page.to + (address - page.at), page.flags));
            true
        })
    };
    found
}
