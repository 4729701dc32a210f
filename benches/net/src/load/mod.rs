//! The loads, from the host's side of the tap.
//!
//! A load that the guest does not serve (its port refuses connections) is an error, which leaves a gap in the tables; a
//! request that goes wrong after that is counted as failed.

pub mod bulk;
pub mod disk;
pub mod http;
pub mod ping;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Result;

/// The guest's address.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// How long anything may take before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How much work to do.
#[derive(Clone, Copy)]
pub enum Amount {
    /// As much as fits.
    For(Duration),
    /// As many units.
    Count(u64),
}

impl Amount {
    /// Whether the work is over, `done` units and some time after `start`.
    pub fn is_reached(self, done: u64, start: Instant) -> bool {
        match self {
            Amount::For(time) => start.elapsed() >= time,
            Amount::Count(count) => done >= count,
        }
    }
}

/// What a load has done.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Units that went well.
    pub done: u64,
    /// Units that did not.
    pub failed: u64,
    /// How long all took.
    pub took: Duration,
    /// How long the slowest unit took; `None` where units are not timed.
    pub longest: Option<Duration>,
}

/// As [`connect`], to a service with one connection at a time: while it ends the last one it may refuse the next, for a second.
pub fn connect_to_service(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((GUEST, port));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(20))
            }
            stream => return with_patience(stream, port),
        }
    }
    connect(port)
}

/// Connects to a port of the guest, with [`PATIENCE`] for this and for each call after it.
pub fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((GUEST, port));
    with_patience(TcpStream::connect_timeout(&address, PATIENCE), port)
}

fn with_patience(stream: std::io::Result<TcpStream>, port: u16) -> Result<TcpStream> {
    let stream = stream.map_err(|error| format!("port {port}: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
