//! What the store asks of a disk.
//!
//! Buffers are the disk's own, so that it can write from where the store has put a record together, and they are handed
//! over, so that a future that is dropped frees nothing under the device.

use core::fmt;
use core::ops::DerefMut;

/// The unit of sector numbers, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// A disk. What was written by writes that had ended before a [`flush`](Self::flush) began is durable when that has ended;
/// until then any of its sectors may be lost, and others not. A sector is written whole or not at all.
pub trait Disk {
    /// Memory of requests.
    type Buffer: DerefMut<Target = [u8]>;

    /// How many sectors it has.
    fn sectors(&self) -> u64;

    /// The unit that it writes without touching what lies beside, in bytes: a power of two, 512 or more.
    fn block_bytes(&self) -> usize;

    /// Whether it cannot be written to.
    fn is_read_only(&self) -> bool;

    /// A buffer of that length, which is a multiple of [`SECTOR_BYTES`]. `None` if there is no memory.
    fn buffer(&self, bytes: usize) -> Option<Self::Buffer>;

    /// Makes requests take the buffer's first `bytes` only, and [`DerefMut`] show these; up to the length it was made with.
    fn resize(&self, buffer: &mut Self::Buffer, bytes: usize);

    /// Fills the buffer from that sector on.
    ///
    /// # Errors
    ///
    /// As [`DiskError`] says.
    fn read(
        &self,
        sector: u64,
        buffer: Self::Buffer,
    ) -> impl Future<Output = Result<Self::Buffer, DiskError>>;

    /// Writes the buffer from that sector on.
    ///
    /// # Errors
    ///
    /// As [`DiskError`] says.
    fn write(
        &self,
        sector: u64,
        buffer: Self::Buffer,
    ) -> impl Future<Output = Result<Self::Buffer, DiskError>>;

    /// Makes durable what has been written.
    ///
    /// # Errors
    ///
    /// As [`DiskError`] says. The store believes no later flush then.
    fn flush(&self) -> impl Future<Output = Result<(), DiskError>>;
}

/// Why a disk has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// It could not do it.
    Io,
    /// It did not answer in time, and is used no more.
    TimedOut,
    /// It is not there any more, or has said what cannot be.
    Gone,
    /// It cannot be written to.
    ReadOnly,
    /// It has no such sectors, or was asked for what it does not do.
    Refused,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskError::Io => "the disk could not do it",
            DiskError::TimedOut => "the disk did not answer in time",
            DiskError::Gone => "the disk is not there any more",
            DiskError::ReadOnly => "the disk cannot be written to",
            DiskError::Refused => "the disk does not do that",
        })
    }
}

impl core::error::Error for DiskError {}
