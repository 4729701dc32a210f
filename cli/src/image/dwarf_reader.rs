//! Reads debug information for `gimli`, within limits.
//!
//! A file of a hundred kilobytes can hold a thousand units that share one table of lines, or entries that refer to each
//! other in circles: reading it would take for ever. All reading goes through a [`Reader`], which counts
//! it. When a limit is reached the reader reports the end of the data, and the place in the source stays unknown.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::cell::Cell;

use gimli::{EndianSlice, Error, Format, LittleEndian, ReaderOffsetId, Result};

/// How often each byte may be read on average, in all questions together. A hundred and fifty different ones about this
/// tool itself, 54 MB with its debugging information, take a quarter.
const SHARED: u64 = 8;
/// For small files, in bytes.
const LEAST: u64 = 16 << 20;

/// What is read to open one unit is kept while it is open: its abbreviations and the names of its files, some hundred
/// bytes of memory for each step of reading. The largest that compilers make have some ten thousand.
const OPENING: u64 = 256 << 10;

/// What is left to spend: each read costs one, and one more for each byte.
#[derive(Debug)]
pub struct Budget {
    left: Cell<u64>,
    /// The same for what is being opened.
    now: Cell<u64>,
}

impl Budget {
    /// For reading a file of this size. Kept, as its bytes are, for the tool's short life.
    pub fn new(bytes: usize) -> &'static Budget {
        let left = SHARED.saturating_mul(bytes as u64).max(LEAST);
        Box::leak(Box::new(Budget { left: Cell::new(left), now: Cell::new(u64::MAX) }))
    }

    /// One more file of this size is to be read.
    pub fn add(&self, bytes: usize) {
        let more = SHARED.saturating_mul(bytes as u64);
        self.left.set(self.left.get().saturating_add(more));
    }

    /// Takes so much; `false` if that is not left.
    pub fn spend(&self, cost: u64) -> bool {
        let of = |left: &Cell<u64>| left.get().checked_sub(cost);
        match (of(&self.left), of(&self.now)) {
            (Some(left), Some(now)) => {
                self.left.set(left);
                self.now.set(now);
                true
            }
            _ => false,
        }
    }

    /// Whether nothing is left, or as good as that.
    pub fn is_spent(&self) -> bool {
        self.left.get() < 1 << 10
    }

    /// Does what keeps in memory what it reads.
    pub fn opening<T>(&self, read: impl FnOnce() -> T) -> T {
        self.now.set(OPENING);
        let read = read();
        self.now.set(u64::MAX);
        read
    }
}

/// Numbers that count or index what is in a file are far below. `gimli` adds to larger ones, and multiplies them by the
/// size of a word, without looking.
const LARGEST: u64 = 1 << 56;

/// A piece of a section.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    piece: EndianSlice<'static, LittleEndian>,
    budget: &'static Budget,
}

impl Reader {
    pub fn new(bytes: &'static [u8], budget: &'static Budget) -> Reader {
        Reader { piece: EndianSlice::new(bytes, LittleEndian), budget }
    }

    /// Its first bytes, so many at most.
    pub fn begin(&self, most: usize) -> &'static [u8] {
        let bytes = self.piece.slice();
        let bytes = &bytes[..bytes.len().min(most)];
        if self.spend(bytes.len()).is_ok() { bytes } else { &[] }
    }

    /// Whether so many bytes may still be looked at. A step costs something even if it is over no bytes.
    fn spend(&self, bytes: usize) -> Result<()> {
        match self.budget.spend((bytes as u64).saturating_add(1)) {
            true => Ok(()),
            false => Err(Error::UnexpectedEof(gimli::Reader::offset_id(self))),
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

    fn read_uleb128(&mut self) -> Result<u64> {
        let number = gimli::leb128::read::unsigned(self)?;
        if number <= LARGEST { Ok(number) } else { Err(Error::BadUnsignedLeb128) }
    }

    fn read_sleb128(&mut self) -> Result<i64> {
        let number = gimli::leb128::read::signed(self)?;
        // It has no opposite.
        if number > i64::MIN { Ok(number) } else { Err(Error::BadSignedLeb128) }
    }

    fn read_word(&mut self, format: Format) -> Result<usize> {
        let number = match format {
            Format::Dwarf32 => self.read_u32()?.into(),
            Format::Dwarf64 => self.read_u64()?,
        };
        if number > LARGEST {
            return Err(Error::UnsupportedOffset);
        }
        usize::try_from(number).map_err(|_| Error::UnsupportedOffset)
    }
}
