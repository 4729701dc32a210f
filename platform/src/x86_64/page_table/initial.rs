//! The final page tables: every byte of RAM at its physical address, nothing both writable and executable.
//!
//! The entry code enters long mode with page tables for the first GiB that allow everything. This file builds the page tables
//! that stay: the image by parts (constants read-only, code executable, variables and stacks writable), all other RAM
//! writable and not executable, in the largest pages that fit. Page 0 and the guard pages under the stacks are left out.
//! Devices and the firmware's tables are mapped on request, see [`active`](super::active).
//!
//! Tables come from a small pool in `.bss`, which is enough for a machine of a few GiB, and beyond it
//! from free memory. Source: Intel SDM volume 3, 5.5 (4-level paging).

use core::arch::asm;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::super::cpu;
use super::format::{
    ADDRESS, CODE, CONSTANTS, Flags, HIGHEST, TABLE, TOP, Table, VARIABLES, index, shift, span,
};
use crate::image::{Image, Segment};
use crate::memory::address::{PAGE_SIZE, covering_pages};
use crate::memory::map::{Kind, MemoryMap};
use crate::stacks;

/// What the entry code maps, and so the only memory that tables can be taken from.
pub const BOOT_MAPPED: u64 = 1 << 30;

/// Below this lie firmware data and the holes of the first PCs: mapped, never handed out.
pub const LOW_MEMORY: u64 = 1 << 20;

/// Builds one tree of tables. Physical and virtual addresses are the same throughout.
struct Mapper<F> {
    root: *mut u64,
    /// Yields zeroed tables.
    tables: F,
    gigabyte_pages: bool,
}

impl<F: FnMut() -> Option<*mut u64>> Mapper<F> {
    fn new(mut tables: F, gigabyte_pages: bool) -> Result<Self, Error> {
        let root = tables().ok_or(Error::OutOfTables)?;
        Ok(Mapper { root, tables, gigabyte_pages })
    }

    /// Maps whole pages at their own address. What a huge page covers already stays as it is.
    fn map(&mut self, range: Range<u64>, flags: Flags) -> Result<(), Error> {
        self.descend(self.root, TOP, range, flags)
    }

    /// Maps `range`, which this `table` covers. Whole entries become pages where the level has
    /// pages; the ends, or everything, go one level down.
    fn fill(
        &mut self,
        table: *mut u64,
        level: u32,
        range: Range<u64>,
        flags: Flags,
    ) -> Result<(), Error> {
        let mask = span(level) - 1;
        let pages = level <= 2 || level == 3 && self.gigabyte_pages;
        let whole = ((range.start + mask) & !mask)..(range.end & !mask);
        if !pages || whole.is_empty() {
            return self.descend(table, level, range, flags);
        }
        let leaf = if level == 1 { flags } else { flags | Flags::HUGE };
        // SAFETY: `table` is one of the tree's tables, and `range` lies in what it covers: so do the
        // entries of `whole`.
        let entries = unsafe {
            let count = (whole.end - whole.start) >> shift(level);
            core::slice::from_raw_parts_mut(table.add(index(whole.start, level)), count as usize)
        };
        // Addresses and flags do not overlap, so the next page is one addition away. This loop is most
        // of what booting costs.
        let mut value = whole.start | leaf.bits();
        for entry in entries {
            *entry = value;
            value = value.wrapping_add(span(level));
        }
        self.descend(table, level, range.start..whole.start, flags)?;
        self.descend(table, level, whole.end..range.end, flags)
    }

    /// Maps `range` through the tables one level below `table`.
    fn descend(
        &mut self,
        table: *mut u64,
        level: u32,
        range: Range<u64>,
        flags: Flags,
    ) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            let next = (at | (span(level) - 1)).wrapping_add(1).min(range.end);
            // SAFETY: the index is below 512, and `table` is one of the tree's tables.
            let entry = unsafe { table.add(index(at, level)) };
            if let Some(child) = self.child(entry)? {
                self.fill(child, level - 1, at..next, flags)?;
            }
            at = next;
        }
        Ok(())
    }

    /// The table an entry names, made if there is none; `None` if the entry is a huge page.
    fn child(&mut self, entry: *mut u64) -> Result<Option<*mut u64>, Error> {
        // SAFETY: `fill` passes entries of this tree's tables only.
        let value = unsafe { entry.read() };
        if value & Flags::HUGE.bits() != 0 {
            return Ok(None);
        }
        if value != 0 {
            return Ok(Some((value & ADDRESS) as *mut u64));
        }
        let table = (self.tables)().ok_or(Error::OutOfTables)?;
        // SAFETY: as above.
        unsafe { entry.write(table as u64 | TABLE.bits()) };
        Ok(Some(table))
    }
}

/// Enough for an image of a few MiB and RAM in a handful of regions below a few GiB. What is left is
/// for changes made later.
const POOL: usize = 16;
static TABLES: [Table; POOL] = [const { Table::new() }; POOL];
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A table of the pool, zeroed, if one is left.
pub(super) fn take_table() -> Option<*mut u64> {
    let table = TABLES.get(TAKEN.load(Ordering::Relaxed))?;
    TAKEN.fetch_add(1, Ordering::Relaxed);
    Some(table.entries())
}

/// No more tables than this are needed to map the image and `memory`: for each range two partial tables
/// on each lower level, for RAM one per GiB, for the image and its small pages one per 2 MiB.
fn tables_needed(image: Range<u64>, memory: &MemoryMap) -> u64 {
    const ALWAYS: u64 = 4;
    let usable = memory.regions().iter().filter(|region| region.kind == Kind::Usable);
    let for_ram = usable.map(|region| 4 + region.len() / span(3)).sum::<u64>();
    ALWAYS + for_ram + (image.end - image.start) / span(2) + 2
}

/// Finds, and reserves, room for `count` tables that the entry code's map reaches.
fn reserve_tables(memory: &mut MemoryMap, count: u64) -> Option<u64> {
    let bytes = count * PAGE_SIZE;
    let room = memory.free().find_map(|free| {
        let start = covering_pages(free.start.max(LOW_MEMORY)..0).start;
        let start = if start < free.start { start + PAGE_SIZE } else { start };
        (start + bytes <= free.end.min(BOOT_MAPPED)).then_some(start)
    })?;
    memory.reserve(room..room + bytes).then_some(room)
}

/// Why the final page tables cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There was no memory left for a table.
    OutOfTables,
    /// The image has code and variables, or two parts, on one page.
    Inseparable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::OutOfTables => "no memory left for page tables",
            Error::Inseparable => {
                "the image has parts of different permissions on one page: use freestone's linker script"
            }
        })
    }
}

/// Builds the final page tables and switches to them.
///
/// # Safety
///
/// - Ring 0, called once, on the entry code's map, with NX and WP enabled.
/// - The code that runs is part of `image`.
pub unsafe fn protect(image: &Image, memory: &mut MemoryMap) -> Result<(), Error> {
    if !image.is_separable() {
        return Err(Error::Inseparable);
    }
    let needed = tables_needed(image.pages(), memory);
    let mut extra = if needed > POOL as u64 {
        let start = reserve_tables(memory, needed).ok_or(Error::OutOfTables)?;
        start..start + needed * PAGE_SIZE
    } else {
        0..0
    };
    let tables = || {
        take_table().or_else(|| {
            let table = extra.start as *mut u64;
            (!extra.is_empty()).then(|| {
                extra.start += PAGE_SIZE;
                // SAFETY: the page was free and is now reserved; the entry code's map reaches it.
                unsafe { table.write_bytes(0, 512) };
                table
            })
        })
    };
    let mut mapper = Mapper::new(tables, has_gigabyte_pages())?;
    mapper.map(PAGE_SIZE..LOW_MEMORY, VARIABLES)?;
    for segment in image.segments() {
        let flags = match segment {
            Segment { executable: true, .. } => CODE,
            Segment { writable: true, .. } => VARIABLES,
            _ => CONSTANTS,
        };
        let mut at = segment.start;
        while at < segment.end {
            let guard = stacks::next_guard(at);
            mapper.map(at..guard.start.min(segment.end), flags)?;
            at = guard.end;
        }
    }
    let image = image.pages();
    for region in memory.regions().iter().filter(|region| region.kind == Kind::Usable) {
        let start = region.start.max(LOW_MEMORY);
        let region = covering_pages(start..region.end.min(HIGHEST));
        mapper.map(region.start..region.end.min(image.start), VARIABLES)?;
        mapper.map(region.start.max(image.end)..region.end, VARIABLES)?;
    }
    // SAFETY: the new map holds the code that runs, the stack and every table at the addresses they
    // have now; the caller promised NX and WP.
    unsafe {
        asm!("mov cr3, {}", in(reg) mapper.root, options(nostack, preserves_flags));
    }
    Ok(())
}

/// CPUID 0x8000_0001, EDX bit 26 (Intel SDM volume 2, CPUID).
fn has_gigabyte_pages() -> bool {
    cpu::cpuid(0x8000_0001, 0)[3] & 1 << 26 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn leaked() -> Option<*mut u64> {
        Some(Box::leak(Box::new(Table::new())).entries())
    }

    /// What the processor would find for `address`, by the manual's table walk.
    fn translate(root: *mut u64, address: u64) -> Option<(u64, Flags)> {
        let mut table = root;
        for level in (1..=TOP).rev() {
            // SAFETY: tables of a tree under test, index below 512.
            let entry = unsafe { table.add(index(address, level)).read() };
            let flags = Flags::from_bits_truncate(entry);
            if !flags.contains(Flags::PRESENT) {
                return None;
            }
            if level == 1 || flags.contains(Flags::HUGE) {
                let inside = address % span(level);
                return Some(((entry & ADDRESS & !(span(level) - 1)) + inside, flags));
            }
            table = (entry & ADDRESS) as *mut u64;
        }
        None
    }

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn every_page_maps_to_itself_with_its_flags_and_nothing_else_is_mapped() {
        for gigabyte_pages in [false, true] {
            let mut mapper = Mapper::new(leaked, gigabyte_pages).unwrap();
            let ranges = [
                (0x1000..MIB, VARIABLES),
                (MIB..MIB + 0x3000, CONSTANTS),
                (MIB + 0x3000..MIB + 0x9000, CODE),
                (MIB + 0x9000..16 * MIB - 0x20000, VARIABLES),
                (4 * GIB - 3 * PAGE_SIZE..6 * GIB + 2 * MIB + PAGE_SIZE, VARIABLES),
            ];
            for (range, flags) in &ranges {
                mapper.map(range.clone(), *flags).unwrap();
            }
            let expected = |page: u64| {
                let found = ranges.iter().find(|(range, _)| range.contains(&page));
                found.map(|(_, flags)| (page, *flags))
            };
            let near = |edge: u64| edge.saturating_sub(64 * PAGE_SIZE)..edge + 64 * PAGE_SIZE;
            let edges: Vec<u64> = ranges.iter().flat_map(|(r, _)| [r.start, r.end]).collect();
            let pages = edges.into_iter().flat_map(near).step_by(PAGE_SIZE as usize);
            let coarse = (0..8 * GIB).step_by(MIB as usize / 2);
            for page in pages.chain(coarse).chain(0..1).map(|page| page & !(PAGE_SIZE - 1)) {
                let got = translate(mapper.root, page);
                let got = got.map(|(to, flags)| (to, flags - Flags::HUGE));
                assert_eq!(got, expected(page), "page {page:#x}");
            }
        }
    }

    #[test]
    fn huge_pages_are_used_where_they_fit_and_not_overwritten() {
        let mut mapper = Mapper::new(leaked, true).unwrap();
        mapper.map(GIB..3 * GIB, VARIABLES).unwrap();
        mapper.map(GIB + 0x1000..GIB + 0x5000, CODE).unwrap();
        let (_, flags) = translate(mapper.root, GIB + 0x1000).unwrap();
        assert_eq!(flags, VARIABLES | Flags::HUGE);
    }

    #[test]
    fn running_out_of_tables_is_an_error() {
        for available in 0..4 {
            let mut left = available;
            let tables = || {
                left -= 1;
                if left >= 0 { leaked() } else { None }
            };
            let mapped = Mapper::new(tables, false)
                .and_then(|mut mapper| mapper.map(0x1000..0x2000, VARIABLES));
            assert_eq!(mapped, Err(Error::OutOfTables), "{available} tables");
        }
    }

    #[test]
    fn the_estimate_covers_what_mapping_takes() {
        for region in [(MIB, 15 * MIB), (MIB + 4096, 3 * GIB), (4 * GIB - 4096, 100 * GIB + 8192)] {
            let mut memory = MemoryMap::new();
            assert!(memory.add(0, 640 << 10, Kind::Usable));
            assert!(memory.add(region.0, region.1, Kind::Usable));
            let mut taken = 0;
            let tables = || {
                taken += 1;
                leaked()
            };
            let mut mapper = Mapper::new(tables, false).unwrap();
            mapper.map(0x1000..MIB, VARIABLES).unwrap();
            mapper.map(region.0..region.0 + region.1, VARIABLES).unwrap();
            assert!(taken <= tables_needed(MIB..MIB, &memory), "{taken} for {region:x?}");
        }
    }

    /// Maps the pieces of a large range as `protect` maps a segment around the guard pages.
    #[test]
    fn holes_stay_unmapped_in_large_ranges() {
        let holes = [2 * MIB, 5 * MIB + 7 * PAGE_SIZE, 31 * MIB, 32 * MIB - PAGE_SIZE];
        let mut mapper = Mapper::new(leaked, true).unwrap();
        let mut at = MIB;
        for hole in holes {
            mapper.map(at..hole, VARIABLES).unwrap();
            at = hole + PAGE_SIZE;
        }
        for page in (0..48 * MIB).step_by(PAGE_SIZE as usize) {
            let mapped = (MIB..32 * MIB).contains(&page) && !holes.contains(&page);
            assert_eq!(translate(mapper.root, page).is_some(), mapped, "page {page:#x}");
        }
    }

    #[test]
    fn the_estimate_covers_large_images_with_small_pages() {
        let pages = MIB..100 * MIB;
        let mut taken = 0;
        let tables = || {
            taken += 1;
            leaked()
        };
        let mut mapper = Mapper::new(tables, false).unwrap();
        mapper.map(PAGE_SIZE..LOW_MEMORY, VARIABLES).unwrap();
        // A hole in every MiB, so that there is no huge page.
        for mib in 1..100 {
            mapper.map(mib * MIB..(mib + 1) * MIB - PAGE_SIZE, VARIABLES).unwrap();
        }
        assert!(taken <= tables_needed(pages, &MemoryMap::new()), "{taken}");
    }

    #[test]
    fn tables_are_taken_from_free_memory_within_reach() {
        let mut memory = MemoryMap::new();
        assert!(memory.add(0, 640 << 10, Kind::Usable));
        assert!(memory.add(MIB, GIB, Kind::Usable));
        assert!(memory.reserve(MIB..2 * MIB + 5));
        assert_eq!(reserve_tables(&mut memory, 100), Some(2 * MIB + PAGE_SIZE));
        assert_eq!(reserve_tables(&mut memory, 100), Some(2 * MIB + 101 * PAGE_SIZE));
        assert_eq!(reserve_tables(&mut memory, GIB / PAGE_SIZE), None);
    }
}
