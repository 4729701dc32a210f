//! The two ends of a connection, for [`TlsStream`](crate::TlsStream).
//!
//! rustls has a type for each, whose methods have the same names but no trait in common.

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::UnbufferedStatus;

/// The end that connects.
pub type Client = UnbufferedClientConnection;

/// The end that accepts.
pub type Server = UnbufferedServerConnection;

/// One of the two ends: [`Client`] or [`Server`].
pub trait Side: sealed::Sealed {
    /// What rustls keeps for this end.
    type Data;

    /// Looks at the received bytes, up to the next thing that the caller must do.
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// What has been agreed on.
    fn common(&self) -> &CommonState;
}

impl Side for Client {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

impl Side for Server {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Client {}
    impl Sealed for super::Server {}
}
