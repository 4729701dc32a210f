//! Names of functions, from a compact table in the image.
//!
//! `cargo freestone` makes the table out of the linked image's symbols, names demangled, and puts it into a
//! segment of its own; without one, reports show addresses. What follows is the format. Its reader
//! checks everything: when a report is made, memory may be damaged already. All numbers are little-endian.
//!
//! ```text
//!  0  8  "FSNAMES" and the version, 1
//!  8  4  length of the table in bytes, all of it
//! 12  4  check: FNV-1a, 32 bits, over all bytes from 16 on
//! 16  8  base: where the first function begins
//! 24  4  span: from there to the end of the last one
//! 28  258  for each of 128 words, where it begins in the text of words; and where the last one ends (129 × 2)
//! 286 …  text of words
//!   …    for each function, by address:
//!          3  how far behind the one before it begins; 0 for the first
//!          1  length of the name in codes
//!          …  the name: a code below 128 is that ASCII character, from 128 on a word
//! ```

use core::fmt;

pub use freestone_protocol::names::{MAGIC, TEXT_AT, WORDS, WORDS_AT};

/// A table that has been looked at.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    table: &'a [u8],
    base: u64,
    span: u32,
}

impl<'a> Symbols<'a> {
    /// The table that `bytes` begin with; what is behind it is ignored. `None` if there is none, or a
    /// broken one.
    #[inline(never)]
    pub fn new(bytes: &'a [u8]) -> Option<Symbols<'a>> {
        if bytes.first_chunk() != Some(&MAGIC) {
            return None;
        }
        let table = bytes.get(..word(bytes, 8)? as usize)?;
        let good = word(table, 12)? == check(table.get(16..)?);
        let (low, high) = (word(table, 16)?, word(table, 20)?);
        let base = u64::from(high) << 32 | u64::from(low);
        good.then_some(Symbols { table, base, span: word(table, 24)? })
    }

    /// The function that holds `address`.
    #[inline(never)]
    pub fn find(&self, address: u64) -> Option<Symbol<'a>> {
        let inside = address.checked_sub(self.base).filter(|&at| at < u64::from(self.span))?;
        let words = usize::from(half(self.table, TEXT_AT - 2)?);
        let mut rest = self.table.get(TEXT_AT + words..)?;
        let mut start = 0;
        let mut found = None;
        while let Some((head, behind)) = rest.split_first_chunk() {
            let head = u32::from_le_bytes(*head);
            start += u64::from(head & 0x00ff_ffff);
            let (codes, next) = behind.split_at_checked((head >> 24) as usize)?;
            if start > inside {
                break;
            }
            found = Some(Symbol { table: self.table, codes, offset: inside - start });
            rest = next;
        }
        found
    }
}

/// A name, and how far behind the function's beginning the address was.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'a> {
    table: &'a [u8],
    codes: &'a [u8],
    /// In bytes.
    pub offset: u64,
}

impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for code in self.codes {
            let text = match code.checked_sub(128) {
                None => core::slice::from_ref(code),
                Some(number) => self.word(number.into()).unwrap_or_default(),
            };
            // Nothing else is ever in a table; and `core`'s check for UTF-8 is larger than this reader.
            if text.iter().all(|&byte| byte < 128) {
                // SAFETY: it is ASCII.
                f.write_str(unsafe { str::from_utf8_unchecked(text) })?;
            }
        }
        Ok(())
    }
}

impl Symbol<'_> {
    fn word(&self, number: usize) -> Option<&[u8]> {
        let place = |number| Some(usize::from(half(self.table, WORDS_AT + 2 * number)?));
        self.table.get(TEXT_AT + place(number)?..TEXT_AT + place(number + 1)?)
    }
}

/// FNV-1a with 32 bits (Fowler, Noll, Vo).
pub fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
