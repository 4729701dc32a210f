//! What is on the disk: version 1.
//!
//! ```text
//! 0          first copy of the superblock          one sector
//! 32 KiB     second copy
//! 64 KiB     segment 0, segment 1, …               of `segment_bytes` each
//! ```
//!
//! All numbers are little-endian. A *block* is the unit that the disk writes without touching what lies beside it; all that
//! is written begins at one and fills it up with zeroes. Checks are XXH64 (the specification of xxHash, 0.1.1).
//!
//! **Superblock**: the geometry, and where the rest begins. The first twelve bytes and the last eight are so in all versions.
//!
//! | byte | | |
//! |---|---|---|
//! | 0 | 8 bytes | `FREESTKV` |
//! | 8 | u32 | version |
//! | 16 | u64 | id: a random number, the seed of all other checks |
//! | 24 | u64 | generation: one more each time that it is written |
//! | 32 | 3 × u32 | bytes of a segment, bytes of a block, number of segments |
//! | 44 | u32 | first segment of the saved index, or [`NONE`] |
//! | 48 | u64 | keys in the saved index |
//! | 56 | 3 × u32 | the log behind the saved index: segment, byte in it, next segment |
//! | 72 | u64 | number of its first batch |
//! | 504 | u64 | check of what is before, with seed 0 |
//!
//! **Segment**: batches one behind the other. Segments form a chain, which is called a stream: the log (0), or a saved index
//! (the generation of the superblock that it belongs to). A segment ends where no batch with the next number is; then its
//! successor, if there is one, begins with that batch. Each batch names the successor, which is chosen beforehand.
//!
//! **Batch**: what is written at once, and is there as a whole or not at all.
//!
//! | byte | | |
//! |---|---|---|
//! | 0 | u32, u32 | `FBAT`; its length in bytes, a multiple of 8 |
//! | 8 | u64, u64 | stream; its number: one more than that of the batch before |
//! | 24 | u32, u32 | how many records or entries it has; the segment behind this one, or [`NONE`] |
//! | 32 | u64 | check of what is before |
//! | 40 | u64 | check of what is behind, with the one before as its seed |
//!
//! **Record**, in batches of the log; it begins at a multiple of 8 bytes.
//!
//! | byte | | |
//! |---|---|---|
//! | 0 | u64 | check of what is behind |
//! | 8 | u32, u16, u8, u8 | bytes of the value, of the key; 1 put, 2 deleted; 0 |
//! | 16 | | key, value, zeroes |
//!
//! **Entry**, in batches of a saved index, by the order of keys: place (u64, see [`Place`]), bytes of the key (u16), key.

use twox_hash::XxHash64;

use crate::disk::SECTOR_BYTES;

pub(crate) const VERSION: u32 = 1;

/// What lies before the segments, in bytes.
pub(crate) const AREA_BYTES: u64 = 64 << 10;
/// Where the copies of the superblock are, in sectors.
pub(crate) const COPIES: [u64; 2] = [0, (AREA_BYTES / 2) / SECTOR_BYTES as u64];

/// No segment.
pub(crate) const NONE: u32 = u32::MAX;

/// The stream of the log.
pub(crate) const LOG: u64 = 0;

const MAGIC: [u8; 8] = *b"FREESTKV";
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"FBAT");
const CHECK_AT: usize = SECTOR_BYTES - 8;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |&chunk| u64::from_le_bytes(chunk))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The check of these bytes.
fn check(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// An id for a store, of a random number and what was on the disk before.
pub(crate) fn make_id(seed: u64, block: &[u8]) -> u64 {
    check(seed, block)
}

/// The first sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub id: u64,
    pub generation: u64,
    pub segment_bytes: u32,
    pub block_bytes: u32,
    pub segments: u32,
    pub saved_segment: u32,
    pub saved_keys: u64,
    pub log: LogStart,
}

/// Where a part of the log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogStart {
    pub segment: u32,
    /// In that segment, in bytes.
    pub at: u32,
    /// The segment behind that one.
    pub next: u32,
    pub sequence: u64,
}

/// What a sector is that may be a superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Superblock(Superblock),
    /// Of a later version.
    Newer(u32),
    /// One it was.
    Damaged,
    Zero,
    Foreign,
}

impl Superblock {
    pub fn write(&self, sector: &mut [u8]) {
        sector.fill(0);
        put(sector, 0, &MAGIC);
        put(sector, 8, &VERSION.to_le_bytes());
        put(sector, 16, &self.id.to_le_bytes());
        put(sector, 24, &self.generation.to_le_bytes());
        let LogStart { segment, at, next, sequence } = self.log;
        for (at, word) in [
            (32, self.segment_bytes),
            (36, self.block_bytes),
            (40, self.segments),
            (44, self.saved_segment),
            (56, segment),
            (60, at),
            (64, next),
        ] {
            put(sector, at, &word.to_le_bytes());
        }
        put(sector, 48, &self.saved_keys.to_le_bytes());
        put(sector, 72, &sequence.to_le_bytes());
        let check = check(0, &sector[..CHECK_AT]);
        put(sector, CHECK_AT, &check.to_le_bytes());
    }

    pub fn read(sector: &[u8]) -> Found {
        let sector = &sector[..SECTOR_BYTES];
        if sector.iter().all(|&byte| byte == 0) {
            return Found::Zero;
        }
        if sector[..8] != MAGIC {
            return Found::Foreign;
        }
        let version = u32_at(sector, 8);
        if u64_at(sector, CHECK_AT) != check(0, &sector[..CHECK_AT]) {
            return Found::Damaged;
        }
        if version != VERSION {
            return if version > VERSION { Found::Newer(version) } else { Found::Damaged };
        }
        Found::Superblock(Superblock {
            id: u64_at(sector, 16),
            generation: u64_at(sector, 24),
            segment_bytes: u32_at(sector, 32),
            block_bytes: u32_at(sector, 36),
            segments: u32_at(sector, 40),
            saved_segment: u32_at(sector, 44),
            saved_keys: u64_at(sector, 48),
            log: LogStart {
                segment: u32_at(sector, 56),
                at: u32_at(sector, 60),
                next: u32_at(sector, 64),
                sequence: u64_at(sector, 72),
            },
        })
    }
}

/// What a batch begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// All of it, in bytes.
    pub len: usize,
    pub stream: u64,
    pub sequence: u64,
    pub count: u32,
    /// The segment behind the one that it is in.
    pub next: u32,
}

/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER: usize = 48;
const BATCH_CHECK_AT: usize = 32;
const BODY_CHECK_AT: usize = 40;

impl BatchHeader {
    /// Completes the batch that these bytes are, whose records are there.
    pub fn write(&self, id: u64, batch: &mut [u8]) {
        put(batch, 0, &BATCH_MAGIC.to_le_bytes());
        put(batch, 4, &(self.len as u32).to_le_bytes());
        put(batch, 8, &self.stream.to_le_bytes());
        put(batch, 16, &self.sequence.to_le_bytes());
        put(batch, 24, &self.count.to_le_bytes());
        put(batch, 28, &self.next.to_le_bytes());
        let of_header = check(id, &batch[..BATCH_CHECK_AT]);
        put(batch, BATCH_CHECK_AT, &of_header.to_le_bytes());
        let of_body = check(of_header, &batch[BATCH_HEADER..self.len]);
        put(batch, BODY_CHECK_AT, &of_body.to_le_bytes());
    }

    /// What these bytes begin with, whatever of the batch is behind.
    pub fn read(id: u64, bytes: &[u8]) -> Option<BatchHeader> {
        let header = bytes.get(..BATCH_HEADER)?;
        let is_one = u32_at(header, 0) == BATCH_MAGIC
            && u64_at(header, BATCH_CHECK_AT) == check(id, &header[..BATCH_CHECK_AT]);
        let len = u32_at(header, 4) as usize;
        (is_one && len >= BATCH_HEADER).then(|| BatchHeader {
            len,
            stream: u64_at(header, 8),
            sequence: u64_at(header, 16),
            count: u32_at(header, 24),
            next: u32_at(header, 28),
        })
    }

    /// What is in the batch, if all of it is there and whole.
    pub fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let body = bytes.get(BATCH_HEADER..self.len)?;
        let seed = u64_at(bytes, BATCH_CHECK_AT);
        (u64_at(bytes, BODY_CHECK_AT) == check(seed, body)).then_some(body)
    }
}

/// Where a record is, and how long its value: 40 bits in units of 8 bytes from the disk's beginning, then 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

/// The unit of places, in bytes.
pub(crate) const UNIT: u64 = 8;
/// No store is larger, in bytes.
pub(crate) const LARGEST_STORE: u64 = (1 << 40) * UNIT;

impl Place {
    pub fn new(byte: u64, value_len: usize) -> Place {
        Place((byte / UNIT) << 24 | value_len as u64)
    }

    pub const fn from_bits(bits: u64) -> Place {
        Place(bits)
    }

    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From the disk's beginning.
    pub fn byte(self) -> u64 {
        (self.0 >> 24) * UNIT
    }

    pub fn value_len(self) -> usize {
        (self.0 & 0xff_ffff) as usize
    }
}

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub key: &'a [u8],
    /// `None` if the key was deleted.
    pub value: Option<&'a [u8]>,
}

const RECORD_HEADER: usize = 16;
const PUT: u8 = 1;
const DELETED: u8 = 2;

/// Bytes of a record.
pub(crate) const fn record_bytes(key_len: usize, value_len: usize) -> usize {
    (RECORD_HEADER + key_len + value_len).next_multiple_of(UNIT as usize)
}

impl<'a> Record<'a> {
    pub fn bytes(&self) -> usize {
        record_bytes(self.key.len(), self.value.map_or(0, <[u8]>::len))
    }

    /// To the beginning of `to`, which has room.
    pub fn write(&self, id: u64, to: &mut [u8]) {
        let value = self.value.unwrap_or_default();
        let end = RECORD_HEADER + self.key.len() + value.len();
        put(to, 8, &(value.len() as u32).to_le_bytes());
        put(to, 12, &(self.key.len() as u16).to_le_bytes());
        put(to, 14, &[if self.value.is_some() { PUT } else { DELETED }, 0]);
        put(to, RECORD_HEADER, self.key);
        put(to, RECORD_HEADER + self.key.len(), value);
        to[end..self.bytes()].fill(0);
        let check = check(id, &to[8..end]);
        put(to, 0, &check.to_le_bytes());
    }

    /// What these bytes begin with; its check is looked at by [`is_whole`](Self::is_whole).
    pub fn read(bytes: &'a [u8]) -> Option<Record<'a>> {
        let header = bytes.get(..RECORD_HEADER)?;
        let (value_len, key_len) = (u32_at(header, 8) as usize, usize::from(u16_at(header, 12)));
        let behind = &bytes[RECORD_HEADER..];
        let (key, behind) = behind.split_at_checked(key_len)?;
        let value = behind.get(..value_len)?;
        match header[14] {
            PUT => Some(Record { key, value: Some(value) }),
            DELETED if value_len == 0 => Some(Record { key, value: None }),
            _ => None,
        }
    }

    /// Whether the record that these bytes begin with is as it was written.
    pub fn is_whole(&self, id: u64, bytes: &[u8]) -> bool {
        let end = RECORD_HEADER + self.key.len() + self.value.map_or(0, <[u8]>::len);
        bytes.get(8..end).is_some_and(|behind| u64_at(bytes, 0) == check(id, behind))
    }
}

/// The records of a batch of the log, each with where it begins in the body. It ends early if one is not as it must be.
pub(crate) fn records(body: &[u8]) -> impl Iterator<Item = (usize, Record<'_>)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let start = at;
        let record = Record::read(body.get(at..)?)?;
        at += record.bytes();
        Some((start, record))
    })
}

const ENTRY_HEADER: usize = 10;

/// Bytes of an entry.
pub(crate) const fn entry_bytes(key_len: usize) -> usize {
    ENTRY_HEADER + key_len
}

/// Writes an entry to the beginning of `to`, which has room.
pub(crate) fn write_entry(key: &[u8], place: Place, to: &mut [u8]) {
    put(to, 0, &place.to_bits().to_le_bytes());
    put(to, 8, &(key.len() as u16).to_le_bytes());
    put(to, ENTRY_HEADER, key);
}

/// The entries of a batch of a saved index, `count` of them. It ends early if one is not as it must be.
pub(crate) fn entries(body: &[u8], count: u32) -> impl Iterator<Item = (&[u8], Place)> {
    let mut rest = body;
    (0..count).map_while(move |_| {
        let header = rest.get(..ENTRY_HEADER)?;
        let place = Place::from_bits(u64_at(header, 0));
        let key_len = usize::from(u16_at(header, 8));
        let (key, behind) = rest[ENTRY_HEADER..].split_at_checked(key_len)?;
        rest = behind;
        Some((key, place))
    })
}

/// So many of the longest batches are a segment.
const BATCHES: usize = 8;

/// How a store lies on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub id: u64,
    pub segment_bytes: usize,
    pub block_bytes: usize,
    pub segments: u32,
}

impl Geometry {
    /// The sector at that byte of a segment.
    pub fn sector(&self, segment: u32, at: usize) -> u64 {
        self.byte(segment, at) / SECTOR_BYTES as u64
    }

    /// Where that byte of a segment is on the disk.
    pub fn byte(&self, segment: u32, at: usize) -> u64 {
        AREA_BYTES + u64::from(segment) * self.segment_bytes as u64 + at as u64
    }

    /// The segment that a byte of the disk is in. It may not exist.
    pub fn segment_of(&self, byte: u64) -> Option<u32> {
        // A division takes an emulator, and some processors, twenty times as long.
        let segment = byte.checked_sub(AREA_BYTES)? >> self.segment_bytes.trailing_zeros();
        u32::try_from(segment).ok().filter(|&segment| segment < self.segments)
    }

    /// Up to whole blocks.
    pub fn whole_blocks(&self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.block_bytes)
    }

    /// The longest value, in bytes.
    pub fn value_bytes(&self) -> usize {
        self.segment_bytes / crate::options::SEGMENT_VALUES
    }

    /// The longest batch, in bytes. What follows a chain reads so much at once.
    pub fn batch_bytes(&self) -> usize {
        self.segment_bytes / BATCHES
    }

    /// Whether a record may be there: within a segment of this store.
    pub fn is_place(&self, key_len: usize, place: Place) -> bool {
        let end = |segment| self.byte(segment, self.segment_bytes);
        let bytes = record_bytes(key_len, place.value_len()) as u64;
        place.value_len() <= self.value_bytes()
            && self.segment_of(place.byte()).is_some_and(|it| place.byte() + bytes <= end(it))
    }

    /// What the store has on the disk, in sectors.
    pub fn sectors(&self) -> u64 {
        self.sector(self.segments, 0)
    }
}
