//! Why a TLS stream failed.

use core::fmt;

use embedded_io_async::ErrorKind;

/// Why a [`TlsStream`](crate::TlsStream) failed. `E` is the error of the stream below.
#[derive(Clone, Debug, PartialEq)]
pub enum Error<E> {
    /// The stream below failed.
    Stream(E),
    /// The peer broke the protocol, sent an alert, or is not who it should be; or the configuration is no good. All further
    /// calls fail in the same way.
    Tls(rustls::Error),
    /// The stream below ended without the alert `close_notify` (RFC 8446, section 6.1): what follows may have been cut off.
    Truncated,
    /// A message of the handshake is longer than [`MOST_INCOMING`](crate::TlsStream::MOST_INCOMING).
    TooLarge,
    /// This end has been closed for writing.
    Closed,
    /// The keys have been used as often as they may be.
    Exhausted,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Stream(error) => write!(f, "the stream below TLS: {error}"),
            Error::Tls(error) => write!(f, "TLS: {error}"),
            Error::Truncated => f.write_str("TLS: the stream ended without close_notify"),
            Error::TooLarge => f.write_str("TLS: a message of the handshake is too long"),
            Error::Closed => f.write_str("TLS: closed for writing"),
            Error::Exhausted => f.write_str("TLS: the keys must not be used any longer"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for Error<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::Stream(error) => error.kind(),
            Error::Tls(_) => ErrorKind::InvalidData,
            Error::Truncated => ErrorKind::ConnectionAborted,
            Error::TooLarge => ErrorKind::OutOfMemory,
            Error::Closed => ErrorKind::BrokenPipe,
            Error::Exhausted => ErrorKind::Other,
        }
    }
}
