//! Why a connection ended, why there is no listener, and what a network lacks.

use core::fmt;

use embedded_io_async::ErrorKind;

/// Why a [`TcpStream`](crate::TcpStream) gives no more data or takes none.
///
/// The peer's orderly end (a FIN) is no error: a read returns 0 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer sent a reset (RFC 9293 3.5.2). Data that it had not acknowledged may be lost.
    Reset,
    /// The peer acknowledged nothing for too long: see [`Options::stall_limit`](crate::Options) and
    /// [`TcpStream::set_timeout`](crate::TcpStream::set_timeout).
    TimedOut,
    /// This side has ended the connection, or at least its own direction of it.
    Closed,
    /// The address on which the connection was accepted does not belong to this machine any more.
    AddressLost,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Reset => "the peer has reset the connection",
            Error::TimedOut => "the peer has acknowledged nothing for too long",
            Error::Closed => "the connection is closed on this side",
            Error::AddressLost => "the connection's local address has gone",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::Reset => ErrorKind::ConnectionReset,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Closed => ErrorKind::NotConnected,
            Error::AddressLost => ErrorKind::ConnectionAborted,
        }
    }
}

/// Why [`Net::listen`](crate::Net::listen) gives no listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenError {
    /// Port 0 is no port that a peer could connect to.
    PortZero,
    /// Another listener has this port at this address, or at all addresses.
    InUse,
    /// A number in the options is outside of its range: see [`Options`](crate::Options).
    BadOptions,
    /// The heap has no room for the listener's queues.
    OutOfMemory,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListenError::PortZero => "port 0 cannot be listened on",
            ListenError::InUse => "another listener has this port",
            ListenError::BadOptions => "a number in the listener's options is out of range",
            ListenError::OutOfMemory => "no memory for the listener's queues",
        })
    }
}

impl core::error::Error for ListenError {}

/// What a network lacks that did not come up in time: see [`Net::wait_up_within`](crate::Net::wait_up_within).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotUp {
    /// The device says that it has no link.
    NoLink,
    /// No server has given an address: there is none, or what it grants is refused. Where there is no server, a static address
    /// takes its place: [`Config::from_ip_parameter`](crate::Config::from_ip_parameter).
    NoAddress,
}

impl fmt::Display for NotUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotUp::NoLink => "the network has no link: its cable is not plugged in",
            NotUp::NoAddress => "no DHCP server has given the network an address; ip= sets one",
        })
    }
}

impl core::error::Error for NotUp {}
