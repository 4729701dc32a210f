//! A disk as a row of bytes, for file systems that take the traits of `embedded-io-async`.
//!
//! It has a window of some blocks in memory. What is written goes to the window, and to the disk when the window moves or the
//! stream is flushed; a stream that is dropped before has not written it.

use alloc::vec::Vec;

use embedded_io_async::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

use super::{Disk, Error, SECTOR_BYTES};
use crate::memory::Memory;
use crate::transport::Transport;

/// A disk as a row of bytes.
pub struct Stream<T: Transport, M: Memory> {
    disk: Disk<T, M>,
    position: u64,
    /// The content of the window, and where it begins, in bytes; `None` if it has no content.
    window: Vec<u8>,
    start: Option<u64>,
    /// It has what the disk has not.
    is_dirty: bool,
}

/// How long the window is, in bytes, unless the disk's blocks are longer.
const WINDOW_BYTES: u64 = 4096;

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::Unsupported => ErrorKind::Unsupported,
            Error::ReadOnly => ErrorKind::PermissionDenied,
            Error::OutOfRange | Error::Uneven | Error::Scattered => ErrorKind::InvalidInput,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Io | Error::Lying | Error::Unplugged | Error::Stopped => ErrorKind::Other,
        }
    }
}

impl<T: Transport, M: Memory> ErrorType for Stream<T, M> {
    type Error = Error;
}

impl<T: Transport, M: Memory> Stream<T, M> {
    /// Of this disk, from its first byte on.
    pub fn new(disk: Disk<T, M>) -> Self {
        Stream { disk, position: 0, window: Vec::new(), start: None, is_dirty: false }
    }

    fn len(&self) -> u64 {
        self.disk.sectors() * SECTOR_BYTES as u64
    }

    async fn write_back(&mut self) -> Result<(), Error> {
        let Some(start) = self.start.filter(|_| self.is_dirty) else { return Ok(()) };
        // If this future is dropped, the window is not known to be the disk's.
        self.start = None;
        let window = core::mem::take(&mut self.window);
        match self.disk.write(start / SECTOR_BYTES as u64, window).await {
            Ok(window) => (self.window, self.start, self.is_dirty) = (window, Some(start), false),
            Err(failed) => {
                // It stays to be written.
                if let Some(window) = failed.buffer {
                    (self.window, self.start) = (window, Some(start));
                }
                return Err(failed.error);
            }
        }
        Ok(())
    }

    /// Has the window be where the position is. What of it lies behind the position; empty at the end of the disk.
    async fn at_position(&mut self) -> Result<&mut [u8], Error> {
        let len = self.len();
        if self.position >= len {
            return Ok(&mut []);
        }
        let unit = WINDOW_BYTES.max(self.disk.properties().block_bytes.into());
        let start = self.position / unit * unit;
        if self.start != Some(start) {
            self.write_back().await?;
            self.start = None;
            let mut window = core::mem::take(&mut self.window);
            window.resize(unit.min(len - start) as usize, 0);
            self.window = self.disk.read(start / SECTOR_BYTES as u64, window).await?;
            (self.start, self.is_dirty) = (Some(start), false);
        }
        Ok(self.window.get_mut((self.position - start) as usize..).unwrap_or_default())
    }
}

impl<T: Transport, M: Memory> Read for Stream<T, M> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        let there = self.at_position().await?;
        let len = there.len().min(bytes.len());
        bytes[..len].copy_from_slice(&there[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl<T: Transport, M: Memory> Write for Stream<T, M> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.disk.properties().is_read_only {
            return Err(Error::ReadOnly);
        }
        let there = self.at_position().await?;
        let len = there.len().min(bytes.len());
        there[..len].copy_from_slice(&bytes[..len]);
        self.is_dirty |= len != 0;
        self.position += len as u64;
        if len == 0 && !bytes.is_empty() { Err(Error::OutOfRange) } else { Ok(len) }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.write_back().await?;
        self.disk.flush().await
    }
}

impl<T: Transport, M: Memory> Seek for Stream<T, M> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = to.ok_or(Error::OutOfRange)?;
        Ok(self.position)
    }
}
