//! A picture of the heap, and a check of it, which both walk over all blocks.
//!
//! Both hold the lock for as long as the walk takes, some nanoseconds a block: they are for debugging, not for a
//! system in use. The picture is drawn after the lock has been released.

use core::fmt;

use lock_api::RawMutex;

use crate::heap::{Heap, Walk};
use crate::pool::{Block, BlockState, Pool};

/// Cells of a picture, and how many stand in a row.
const CELLS: usize = 1024;
const COLUMNS: usize = 64;

/// How full each part of the heap is; from [`Heap::map`]. `Display` writes it as SVG.
#[derive(Clone, Debug)]
pub struct Map {
    /// Bytes in use in each cell.
    used: [u32; CELLS],
    cell_bytes: usize,
    cells: usize,
}

/// What [`Heap::audit`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Blocks and objects in use, those in magazines among them.
    pub used_blocks: usize,
    /// Their bytes, as the pool has rounded them up.
    pub used_bytes: usize,
    /// Free blocks and free objects in spans.
    pub free_blocks: usize,
    /// Their bytes.
    pub free_bytes: usize,
    /// The largest free block.
    pub largest_free: usize,
    /// Blocks that reach beyond their region or overlap the one before: the heap's own data has been overwritten.
    pub broken: usize,
}

impl<L: RawMutex, P: Pool> Heap<L, P> {
    /// A picture of the heap: all regions in a row, in up to 1024 cells.
    pub fn map(&self) -> Map {
        let cell_bytes = self.stats().capacity_bytes.div_ceil(CELLS).next_multiple_of(64).max(64);
        let mut map = Map { used: [0; CELLS], cell_bytes, cells: 0 };
        // Where the region that is walked begins: in memory, and in the picture.
        let (mut start, mut first, mut next) = (0, 0, 0);
        self.walk(&mut |event| match event {
            Walk::Region(region) => {
                (start, first) = (region.addr().get(), next);
                next += region.len().div_ceil(cell_bytes) * cell_bytes;
            }
            Walk::Block(block) if block.state == BlockState::Used => {
                map.fill(block.start.addr().get() - start + first, block.len);
            }
            Walk::Block(_) => {}
        });
        map.cells = (next / cell_bytes).min(CELLS);
        map
    }

    /// Walks over every block and counts. In a sound heap nothing is broken, and `used_blocks` is what was allocated and not freed.
    ///
    /// A heap whose own data has been overwritten may lead the walk astray; it ends at each region's end.
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        let (mut at, mut end) = (0, 0);
        self.walk(&mut |event| match event {
            Walk::Region(region) => {
                (at, end) = (region.addr().get(), region.addr().get() + region.len())
            }
            Walk::Block(block) => {
                let start = block.start.addr().get();
                let inside =
                    start >= at && start.checked_add(block.len).is_some_and(|last| last <= end);
                audit.broken += usize::from(!inside);
                // The objects of a span lie inside it.
                at = if block.state == BlockState::Span {
                    start
                } else {
                    start.saturating_add(block.len)
                };
                audit.count(block);
            }
        });
        audit
    }
}

impl Audit {
    fn count(&mut self, block: Block) {
        match block.state {
            BlockState::Span => {}
            BlockState::Used => {
                self.used_blocks += 1;
                self.used_bytes += block.len;
            }
            BlockState::Free => {
                self.free_blocks += 1;
                self.free_bytes += block.len;
                self.largest_free = self.largest_free.max(block.len);
            }
        }
    }
}

impl Map {
    fn fill(&mut self, mut at: usize, mut len: usize) {
        while len > 0 {
            let part = (self.cell_bytes - at % self.cell_bytes).min(len);
            if let Some(cell) = self.used.get_mut(at / self.cell_bytes) {
                *cell += part as u32;
            }
            at += part;
            len -= part;
        }
    }
}

/// An SVG picture, 640 units wide: a square for each cell, from white (free) to dark blue (full).
impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = self.cells.div_ceil(COLUMNS) * 10;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" stroke=\"#ccc\">",
            COLUMNS * 10
        )?;
        writeln!(f, "<title>{} bytes a square</title>", self.cell_bytes)?;
        for (number, &used) in self.used[..self.cells].iter().enumerate() {
            let (x, y) = (number % COLUMNS * 10, number / COLUMNS * 10);
            let shade = 255 - (used as usize * 215 / self.cell_bytes).min(215);
            writeln!(
                f,
                "<rect x=\"{x}\" y=\"{y}\" width=\"10\" height=\"10\" fill=\"rgb({shade},{shade},255)\"/>"
            )?;
        }
        writeln!(f, "</svg>")
    }
}
