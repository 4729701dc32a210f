//! A stream in two halves, for who reads and writes at the same time.

use alloc::rc::Rc;
use core::fmt;
use core::ops::Deref;

use embassy_net::IpEndpoint;
use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};

use super::TcpStream;
use crate::error::Error;

/// Reads from a stream; see [`TcpStream::split`].
pub type ReadHalf<'a> = Reading<&'a TcpStream>;
/// Writes to a stream; see [`TcpStream::split`].
pub type WriteHalf<'a> = Writing<&'a TcpStream>;
/// Reads from a stream; see [`TcpStream::into_split`].
pub type OwnedReadHalf = Reading<Rc<TcpStream>>;
/// Writes to a stream; see [`TcpStream::into_split`].
pub type OwnedWriteHalf = Writing<Rc<TcpStream>>;

/// The half of a stream that reads.
pub struct Reading<S>(S);

/// The half of a stream that writes.
pub struct Writing<S>(S);

pub(super) fn borrowed(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (Reading(stream), Writing(stream))
}

pub(super) fn owned(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Rc::new(stream);
    (Reading(stream.clone()), Writing(stream))
}

impl<S: Deref<Target = TcpStream>> Reading<S> {
    /// The peer's address and port.
    pub fn peer(&self) -> IpEndpoint {
        self.0.peer
    }

    /// As [`TcpStream::read_with`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn read_with<R>(&mut self, f: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, Error> {
        self.0.do_read_with(f).await
    }
}

impl<S: Deref<Target = TcpStream>> Writing<S> {
    /// The peer's address and port.
    pub fn peer(&self) -> IpEndpoint {
        self.0.peer
    }

    /// As [`TcpStream::write_with`].
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn write_with<R>(
        &mut self,
        f: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, Error> {
        self.0.do_write_with(f).await
    }

    /// As [`TcpStream::shutdown`].
    pub fn shutdown(&mut self) {
        self.0.do_shutdown();
    }

    /// As [`TcpStream::acknowledged`].
    ///
    /// # Errors
    ///
    /// If the connection has ended before that: see [`Error`].
    pub async fn acknowledged(&mut self) -> Result<(), Error> {
        self.0.do_acknowledged().await
    }
}

impl<S> ErrorType for Reading<S> {
    type Error = Error;
}

impl<S: Deref<Target = TcpStream>> Read for Reading<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.do_read(buffer).await
    }
}

impl<S: Deref<Target = TcpStream>> ReadReady for Reading<S> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        self.0.can_read()
    }
}

impl<S> ErrorType for Writing<S> {
    type Error = Error;
}

impl<S: Deref<Target = TcpStream>> Write for Writing<S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.do_write(bytes).await
    }

    /// Returns at once, as the stream's.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<S: Deref<Target = TcpStream>> WriteReady for Writing<S> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        self.0.can_write()
    }
}

impl<S: Deref<Target = TcpStream>> fmt::Debug for Reading<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&*self.0).finish()
    }
}

impl<S: Deref<Target = TcpStream>> fmt::Debug for Writing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writing").field(&*self.0).finish()
    }
}
