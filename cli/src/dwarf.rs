//! Debugging information as `addr2line` reads it, within limits.
//!
//! A file of a hundred kilobytes can hold a thousand units that share one table of lines, or functions inlined into each
//! other ten thousand deep: reading it would take for ever, or all of the stack. All reading goes through a
//! [`Reader`], so that is where it is counted. When a limit is reached the reader says that the data ends, and the
//! place in the source stays unknown.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::cell::Cell;

use addr2line::Context;
use addr2line::gimli::{
    self, Dwarf, EndianSlice, Error, LittleEndian, ReaderOffsetId, Result, SectionId,
};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

/// How often each byte may be read on average, in all questions together. Each unit is read twice, and a question
/// reads a few names.
const SHARED: u64 = 64;
/// For small files, in bytes.
const LEAST: u64 = 1 << 20;

/// How much of the stack reading may take; a thread of a test has 2 MiB.
const STACK: usize = 512 << 10;

/// What is left to spend.
#[derive(Debug)]
struct Budget {
    bytes: Cell<u64>,
    /// Where the stack was when the question was asked.
    stack: Cell<usize>,
}

/// A piece of a section.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    piece: EndianSlice<'static, LittleEndian>,
    budget: &'static Budget,
}

/// The debugging information of one file.
pub struct Debug {
    pub context: Context<Reader>,
    budget: &'static Budget,
}

impl Debug {
    /// What is in these bytes; `None` if that is nothing.
    pub fn of(bytes: &'static [u8]) -> Option<Debug> {
        let file = ElfFile64::<object::LittleEndian>::parse(bytes).ok()?;
        file.section_by_name(".debug_info")?;
        let left = SHARED.saturating_mul(bytes.len() as u64).max(LEAST);
        let budget = Budget { bytes: Cell::new(left), stack: Cell::new(0) };
        // Kept, as the bytes are, for the tool's short life.
        let budget: &'static Budget = Box::leak(Box::new(budget));
        budget.begin();
        let section = |id: SectionId| -> Result<Reader> {
            let section = file.section_by_name(id.name());
            let data = section.and_then(|section| section.data().ok()).unwrap_or_default();
            Ok(Reader { piece: EndianSlice::new(data, LittleEndian), budget })
        };
        let context = Context::from_dwarf(Dwarf::load(section).ok()?).ok()?;
        Some(Debug { context, budget })
    }

    /// To be called before each question.
    pub fn begin(&self) {
        self.budget.begin();
    }
}

impl Budget {
    fn begin(&self) {
        self.stack.set(stack_here());
    }
}

/// About where the stack is.
#[inline(never)]
fn stack_here() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

impl Reader {
    /// Whether so many bytes may still be looked at.
    fn spend(&self, bytes: usize) -> Result<()> {
        // A step costs something even if it is over no bytes.
        let cost = (bytes as u64).saturating_add(1);
        let left = self.budget.bytes.get().checked_sub(cost);
        let is_shallow = self.budget.stack.get().abs_diff(stack_here()) < STACK;
        match left.filter(|_| is_shallow) {
            Some(left) => {
                self.budget.bytes.set(left);
                Ok(())
            }
            None => Err(Error::UnexpectedEof(gimli::Reader::offset_id(self))),
        }
    }
}

impl gimli::Reader for Reader {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.piece.len()
    }

    // Stays where it is: an empty piece from elsewhere would have no offset.
    fn empty(&mut self) {
        let _ = self.piece.truncate(0);
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        self.piece.truncate(len)
    }

    fn offset_from(&self, base: &Self) -> usize {
        let (start, base) =
            (self.piece.slice().as_ptr().addr(), base.piece.slice().as_ptr().addr());
        start.saturating_sub(base)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.piece.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.piece.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let found = gimli::Reader::find(&self.piece, byte);
        self.spend(*found.as_ref().unwrap_or(&self.piece.len()))?;
        found
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        self.spend(0)?;
        self.piece.skip(len)
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        self.spend(0)?;
        Ok(Reader { piece: self.piece.split(len)?, budget: self.budget })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.spend(self.piece.len())?;
        self.piece.to_slice()
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        self.spend(self.piece.len())?;
        gimli::Reader::to_string(&self.piece)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.spend(self.piece.len())?;
        gimli::Reader::to_string_lossy(&self.piece)
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.spend(buffer.len())?;
        gimli::Reader::read_slice(&mut self.piece, buffer)
    }
}
