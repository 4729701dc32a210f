//! Sockets of `std` behind the traits of `embedded-io-async` and `embedded-nal-async`.
//!
//! Their calls block, so each conversation has a thread of its own, and [`run`] for its futures. A socket gives up after
//! [`LIMIT`].

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

pub use embassy_futures::block_on as run;
use embedded_io_async::{ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};

/// How long a call of a socket blocks at most.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub struct Blocking(TcpStream);

impl Blocking {
    /// This connection behind the traits.
    ///
    /// # Panics
    ///
    /// If it has no limits of time.
    pub fn new(stream: TcpStream) -> Blocking {
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        stream.set_write_timeout(Some(LIMIT)).expect("not zero");
        Blocking(stream)
    }
}

impl ErrorType for Blocking {
    type Error = Error;
}

impl Read for Blocking {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.0.read(bytes)
    }
}

impl Write for Blocking {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes)
    }
    async fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()
    }
}

/// The host's network.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl TcpConnect for Host {
    type Error = Error;
    type Connection<'a> = Blocking;
    async fn connect(&self, remote: SocketAddr) -> Result<Blocking, Error> {
        Ok(Blocking::new(TcpStream::connect(remote)?))
    }
}

impl Dns for Host {
    type Error = Error;
    async fn get_host_by_name(&self, host: &str, _: AddrType) -> Result<IpAddr, Error> {
        let mut found = (host, 0).to_socket_addrs()?;
        found.next().map(|address| address.ip()).ok_or(ErrorKind::NotFound.into())
    }
    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, Error> {
        Err(ErrorKind::Unsupported.into())
    }
}
