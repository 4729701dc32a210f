//! A disk: requests that wait for it together, without a copy.
//!
//! A [`Disk`] is a handle that is cloned for each user. A request owns its buffer and gives it back when the device has
//! answered. A request that is dropped before is not undone: the driver keeps its buffer until the device has answered.
//!
//! # Order
//!
//! Requests under way at the same time are done in any order, also those for the same sectors: who needs an order awaits
//! one before it begins the next. [`Disk::flush`] makes durable what was written by requests that had *ended* before it
//! began. A disk [without a cache](Properties::has_cache) is write-through: what it says it has written is durable.
//!
//! # How it waits
//!
//! A request that is alone rings the bell itself, and the device's interrupt wakes its task. When there are several, a
//! [`Runner`] does both for all of them: it rings once for what all tasks of a round have submitted, takes what the device
//! has done, and wakes who waits for it. While it has work, interrupts are not asked for. It also sees requests that are not
//! answered, and a device that is gone. So it must run, in the executor whose tasks use the disk: a handle stays in the
//! context that it was made in.
//!
//! # Errors
//!
//! An [error](Error) of one request is that request's only. A device that lies, answers too late or is gone is reset and
//! used no more, and all requests end. If it does not even answer the reset, it may still write to the buffers that it has:
//! they are never freed, and [not given back](Failed::buffer).
//!
//! Source: VIRTIO 1.2, 5.2.

use alloc::boxed::Box;
use alloc::rc::Rc;

use crate::interrupt::{Attention, Messages};
use crate::memory::Memory;
use crate::transport::{self, Transport};

#[cfg(feature = "block-device")]
mod blocks;
mod buffer;
mod config;
mod request;
mod runner;
mod shared;
mod slots;
#[cfg(feature = "embedded-io")]
mod stream;

#[cfg(feature = "block-device")]
pub use blocks::Blocks;
pub use buffer::{Buffer, PageBuffer};
pub use config::{Properties, SECTOR_BYTES};
pub use request::Request;
pub use runner::Runner;
#[cfg(feature = "embedded-io")]
pub use stream::Stream;

use request::Command;
use shared::Shared;

/// The disk's number (5.2.1).
pub const KIND: u32 = 2;

/// Why a request has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The disk could not do it.
    Io,
    /// The disk does not do such things.
    Unsupported,
    /// The disk cannot be written to.
    ReadOnly,
    /// There are no such sectors.
    OutOfRange,
    /// It does not begin, or end, with a [block](Properties::block_bytes), or there is nothing in it.
    Uneven,
    /// The device does not see the buffer in one piece.
    Scattered,
    /// The device has said what cannot be, or asks to be reset. It is used no more.
    Lying,
    /// A request was not answered in time. The device is used no more.
    TimedOut,
    /// The device is not there any more.
    Unplugged,
    /// The disk's [`Runner`] has been dropped.
    Stopped,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Error::Io => "the disk could not do it",
            Error::Unsupported => "the disk does not do such things",
            Error::ReadOnly => "the disk cannot be written to",
            Error::OutOfRange => "the disk has no such sectors",
            Error::Uneven => "not a whole number of the disk's blocks",
            Error::Scattered => "the disk does not see the buffer in one piece",
            Error::Lying => "the disk says what cannot be",
            Error::TimedOut => "the disk did not answer in time",
            Error::Unplugged => "the disk is not there any more",
            Error::Stopped => "the disk's runner has been dropped",
        })
    }
}

impl core::error::Error for Error {}

/// A request that has failed.
pub struct Failed<B> {
    /// Why.
    pub error: Error,
    /// The request's buffer, whose content is anything. `None` if a device that is used no more may still write to it.
    pub buffer: Option<B>,
}

impl<B> core::fmt::Debug for Failed<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(&self.error, f)
    }
}

impl<B> core::fmt::Display for Failed<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.error, f)
    }
}

impl<B> core::error::Error for Failed<B> {}

impl<B> From<Failed<B>> for Error {
    fn from(failed: Failed<B>) -> Error {
        failed.error
    }
}

/// What a driver has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Requests that the device was given.
    pub requests: u64,
    /// How many times it was told to look.
    pub notifications: u64,
}

/// A handle of a disk.
pub struct Disk<T: Transport, M: Memory>(Rc<Shared<T, M>>);

impl<T: Transport, M: Memory> Clone for Disk<T, M> {
    fn clone(&self) -> Self {
        Disk(Rc::clone(&self.0))
    }
}

impl<T: Transport, M: Memory> Drop for Disk<T, M> {
    fn drop(&mut self) {
        // This one and the runner's: which ends then.
        if Rc::strong_count(&self.0) <= 2 {
            self.0.call_runner();
        }
    }
}

/// What [`Disk::new`] gives: a handle, and what must run for it.
pub type Opened<T, M> = Result<(Disk<T, M>, Runner<T, M>), transport::Error>;

/// Of a range of sectors (5.2.6).
const RANGE_BYTES: usize = 16;
/// How long the name is that a disk gives itself (5.2.6).
const IDENTITY_BYTES: usize = 20;

impl<T: Transport, M: Memory> Disk<T, M> {
    /// Brings a disk up. `is_over` ends the wait for the device. Requests are answered only while the [`Runner`] runs.
    ///
    /// # Errors
    ///
    /// It is no disk, refuses what it must take, does not answer, says of itself what cannot be, or there is no memory.
    pub fn new(
        device: T,
        attention: &'static Attention,
        messages: Messages,
        is_over: impl FnMut() -> bool,
    ) -> Opened<T, M> {
        let shared = Rc::new(Shared::new(device, attention, messages, is_over)?);
        Ok((Disk(Rc::clone(&shared)), Runner::new(shared)))
    }

    /// How many [sectors](SECTOR_BYTES) it has now.
    pub fn sectors(&self) -> u64 {
        self.0.sectors()
    }

    /// What it is.
    pub fn properties(&self) -> &Properties {
        self.0.properties()
    }

    /// Why the device is not used any more, if it is not.
    pub fn error(&self) -> Option<Error> {
        self.0.error()
    }

    /// What was seen.
    pub fn statistics(&self) -> Statistics {
        self.0.statistics()
    }

    /// Fills `buffer` from that sector on.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    #[inline]
    pub fn read<B: Buffer>(&self, sector: u64, buffer: B) -> Request<'_, T, M, B> {
        Request::new(&self.0, Command::Read, sector, buffer)
    }

    /// Writes `buffer` from that sector on. It may be lost until a [flush](Self::flush), if power is.
    ///
    /// # Errors
    ///
    /// As [`Error`] says. Some of it may have been written.
    #[inline]
    pub fn write<B: Buffer>(&self, sector: u64, buffer: B) -> Request<'_, T, M, B> {
        Request::new(&self.0, Command::Write, sector, buffer)
    }

    /// Makes durable what was written by requests that have ended. On a disk without a cache there is nothing to do.
    ///
    /// # Errors
    ///
    /// As [`Error`] says. What was written before may be lost then, whatever a later flush says.
    pub async fn flush(&self) -> Result<(), Error> {
        if !self.properties().has_cache {
            return self.error().map_or(Ok(()), Err);
        }
        Ok(Request::new(&self.0, Command::Flush, 0, ()).await?)
    }

    /// Says that nobody needs the content of these sectors: what is read from them is anything, until they are written.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; `Unsupported` if the disk does not offer it.
    pub async fn discard(&self, sector: u64, count: u64) -> Result<(), Error> {
        self.ranges(Command::Discard, self.properties().most_discarded, sector, count).await
    }

    /// Writes zeroes, which the disk makes itself.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; `Unsupported` if the disk does not offer it.
    pub async fn write_zeroes(&self, sector: u64, count: u64) -> Result<(), Error> {
        self.ranges(Command::WriteZeroes, self.properties().most_zeroed, sector, count).await
    }

    async fn ranges(
        &self,
        command: Command,
        most: u32,
        sector: u64,
        count: u64,
    ) -> Result<(), Error> {
        if most == 0 {
            return Err(Error::Unsupported);
        }
        let block = u64::from(self.properties().block_bytes) / SECTOR_BYTES as u64;
        // In whole blocks.
        let most = (u64::from(most) / block * block).max(block);
        self.0.check_writable()?;
        self.0.check_range(sector, count)?;
        let (mut sector, mut left) = (sector, count);
        while left != 0 {
            let some = left.min(most);
            let mut range = Box::new([0; RANGE_BYTES]);
            range[..8].copy_from_slice(&sector.to_le_bytes());
            range[8..12].copy_from_slice(&(some as u32).to_le_bytes());
            Request::new(&self.0, command, 0, range).await?;
            sector += some;
            left -= some;
        }
        Ok(())
    }

    /// The name that the disk was given, a serial number mostly: up to 20 bytes of ASCII, filled up with zeroes.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; `Unsupported` if it has none.
    pub async fn identity(&self) -> Result<[u8; IDENTITY_BYTES], Error> {
        let name = Box::new([0; IDENTITY_BYTES]);
        Ok(*Request::new(&self.0, Command::Identity, 0, name).await?)
    }
}

#[cfg(all(test, feature = "block-device", feature = "embedded-io"))]
mod adapter_tests;
#[cfg(test)]
mod tests;
