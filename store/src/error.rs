//! What can go wrong, named by what one can do about it.

use core::fmt;

use crate::disk::DiskError;

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A key has 1 to [`KEY_BYTES`](crate::KEY_BYTES) bytes.
    KeyLength,
    /// A value has that many bytes at most.
    ValueLength {
        /// The most, in bytes.
        most: usize,
    },
    /// There is no room on the disk. Keys can be deleted.
    Full,
    /// There is no memory for it. Nothing has changed.
    NoMemory,
    /// Nothing is written any more. Whether this was written is open if it had begun before.
    ReadOnly(Reason),
    /// What is on the disk for this key is damaged, or may be older than what was acknowledged.
    Damaged(Reason),
    /// The disk could not be read. It may be tried again.
    Disk(DiskError),
    /// The store has been closed, or its [`Runner`](crate::Runner) dropped.
    Closed,
}

/// Why a store is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The disk cannot be written to.
    DiskIsReadOnly,
    /// A write or a flush has failed: nothing that the disk says about durability is believed any more.
    WriteFailed(DiskError),
    /// The disk could not be read when records were to be moved or the store opened.
    ReadFailed(DiskError),
    /// A record is damaged, in that sector.
    Record {
        /// Where.
        sector: u64,
    },
    /// The log lacks what later parts of it build on, from that sector on.
    Log {
        /// Where.
        sector: u64,
    },
    /// The saved index is damaged, in that sector.
    Checkpoint {
        /// Where.
        sector: u64,
    },
    /// What a segment's records add up to is not what the index says, or there is no room to move them to.
    Space,
    /// The index does not fit into memory.
    NoMemory,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::DiskIsReadOnly => f.write_str("the disk cannot be written to"),
            Reason::WriteFailed(error) => write!(f, "a write has failed: {error}"),
            Reason::ReadFailed(error) => write!(f, "a read has failed: {error}"),
            Reason::Record { sector } => write!(f, "the record in sector {sector} is damaged"),
            Reason::Log { sector } => write!(f, "the log is damaged in sector {sector}"),
            Reason::Checkpoint { sector } => {
                write!(f, "the saved index is damaged in sector {sector}")
            }
            Reason::Space => f.write_str("the account of the disk's space does not add up"),
            Reason::NoMemory => f.write_str("the index does not fit into memory"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::KeyLength => write!(f, "a key has 1 to {} bytes", crate::KEY_BYTES),
            Error::ValueLength { most } => write!(f, "a value has {most} bytes at most here"),
            Error::Full => f.write_str("the disk is full: delete something"),
            Error::NoMemory => f.write_str("there is no memory for it"),
            Error::ReadOnly(reason) => write!(f, "the store is read-only: {reason}"),
            Error::Damaged(reason) => write!(f, "the store is damaged: {reason}"),
            Error::Disk(error) => error.fmt(f),
            Error::Closed => f.write_str("the store has been closed"),
        }
    }
}

impl core::error::Error for Error {}

/// Whether a store can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    ReadWrite,
    /// It cannot. What is read is right all the same, or an error.
    ReadOnly(Reason),
    /// It has been closed.
    Closed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::ReadWrite => f.write_str("read-write"),
            State::ReadOnly(reason) => write!(f, "read-only: {reason}"),
            State::Closed => f.write_str("closed"),
        }
    }
}

/// Why a store cannot be opened. The disk has not been written to, but for [`Disk`](Self::Disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk has fewer sectors than a store needs, or than this one was made with.
    TooSmall {
        /// How many it needs.
        sectors: u64,
    },
    /// There is something else on the disk.
    Foreign,
    /// There is no store on the disk, and [`Format::Never`](crate::Format::Never) was asked for.
    Absent,
    /// A later version of this crate has made the store.
    Newer {
        /// The version of its format.
        version: u32,
    },
    /// There is a store, but both copies of its first sector are damaged.
    Damaged,
    /// The disk writes in larger units than the store was made for.
    Blocks {
        /// The disk's unit, in bytes.
        bytes: usize,
    },
    /// [`segment_bytes`](crate::Options::segment_bytes) is no power of two within the limits.
    Options,
    /// The disk is to be formatted and cannot be written to.
    ReadOnly,
    /// There is no memory for it.
    NoMemory,
    /// The disk has failed.
    Disk(DiskError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::TooSmall { sectors } => {
                write!(f, "the disk is too small: the store needs {sectors} sectors of 512 bytes")
            }
            OpenError::Foreign => f.write_str(
                "there is something else on the disk: erase its first MiB, or format it, if it is not needed",
            ),
            OpenError::Absent => f.write_str("there is no store on the disk"),
            OpenError::Newer { version } => {
                write!(f, "the store has version {version}: a later freestone-store reads it")
            }
            OpenError::Damaged => {
                f.write_str("both copies of the store's first sector are damaged: restore a backup")
            }
            OpenError::Blocks { bytes } => {
                write!(f, "the disk writes {bytes} bytes at once: the store was made for less, or they are too many")
            }
            OpenError::Options => f.write_str("a segment has a power of two of bytes, 64 KiB to 16 MiB"),
            OpenError::ReadOnly => f.write_str("the disk cannot be formatted: it is read-only"),
            OpenError::NoMemory => f.write_str("there is no memory for the store"),
            OpenError::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> OpenError {
        OpenError::Disk(error)
    }
}
