//! [`TlsStream`]: a stream of plaintext over a stream of TLS records.
//!
//! Nothing here has a limit of time: who calls has one around the call. A call that is dropped before its end has lost no
//! bytes, and the next one goes on, as far as that holds for the stream below.

use alloc::sync::Arc;

use embedded_io_async::{ErrorType, Read, Write};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, CommonState, ServerConfig};

use crate::error::Error;
use crate::record::{self, Failure, MOST_PLAINTEXT, Next, Records};
use crate::side::{Client, Server, Side};

/// A connection by TLS 1.2 or 1.3 over the stream `S`, whose handshake is over; `C` is [`Client`] or [`Server`].
///
/// It holds 18 KiB for a record from the peer, for long chains of certificates up to
/// [`MOST_INCOMING`](Self::MOST_INCOMING), and the record that it sends. What has been written is sent by the next write, by
/// a read that waits, and by `flush`.
pub struct TlsStream<S, C> {
    stream: S,
    records: Records<C>,
    failure: Option<Failure>,
    closed: bool,
    /// Whether the stream below has something that has not been flushed.
    unflushed: bool,
}

impl<S: Read + Write> TlsStream<S, Client> {
    /// Connects to a server that has a certificate for `name`.
    ///
    /// # Errors
    ///
    /// As [`Error`] says: [`Error::Tls`] if the certificate is not accepted.
    pub async fn connect(
        stream: S,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error<S::Error>> {
        Self::handshake(stream, Client::new(config, name)).await
    }
}

impl<S: Read + Write> TlsStream<S, Server> {
    /// Accepts a client.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn accept(stream: S, config: Arc<ServerConfig>) -> Result<Self, Error<S::Error>> {
        Self::handshake(stream, Server::new(config)).await
    }
}

impl<S: Read + Write, C: Side> TlsStream<S, C> {
    /// How many bytes from the peer are held, at most: a message of 64 KiB and a record.
    pub const MOST_INCOMING: usize = record::MOST_INCOMING;

    async fn handshake(stream: S, side: Result<C, rustls::Error>) -> Result<Self, Error<S::Error>> {
        let records = Records::new(side.map_err(Error::Tls)?);
        let mut tls = TlsStream { stream, records, failure: None, closed: false, unflushed: false };
        loop {
            match tls.step(record::Write::Nothing).await? {
                Next::Step | Next::Written => {}
                Next::Receive if tls.connection().is_handshaking() => tls.receive().await?,
                Next::Receive => break,
                Next::PeerClosed => return Err(Error::Truncated),
            }
        }
        tls.flush().await?;
        Ok(tls)
    }

    /// What has been agreed on: the version, the cipher suite, who the peer is.
    pub fn connection(&self) -> &CommonState {
        self.records.side.common()
    }

    /// Tells the peer that nothing more will come from here, by the alert `close_notify`. The peer may still send: its end
    /// is read as usual. The stream below stays open.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn close(&mut self) -> Result<(), Error<S::Error>> {
        while !self.closed {
            match self.step(record::Write::CloseNotify).await? {
                Next::Step => {}
                Next::Written | Next::Receive | Next::PeerClosed => self.closed = true,
            }
        }
        self.flush().await
    }

    /// The stream below, with whatever is under way in it.
    pub fn into_inner(self) -> S {
        self.stream
    }

    async fn step(&mut self, write: record::Write<'_>) -> Result<Next, Error<S::Error>> {
        if self.failure.is_none() {
            match self.records.step(write) {
                Ok(next) => return Ok(next),
                Err(failure) => self.failure = Some(failure),
            }
        }
        // The alert. Why it cannot be sent matters less than why it must be.
        let _ = self.flush().await;
        Err(match &self.failure {
            Some(Failure::Tls(error)) => Error::Tls(error.clone()),
            Some(Failure::Exhausted) | None => Error::Exhausted,
        })
    }

    /// Sends what there is for the peer.
    async fn send(&mut self) -> Result<(), Error<S::Error>> {
        while !self.records.outgoing().is_empty() {
            let count = self.stream.write(self.records.outgoing()).await.map_err(Error::Stream)?;
            self.records.sent(count);
            self.unflushed = true;
        }
        Ok(())
    }

    /// Sends what there is for the peer, then waits for what it sends.
    async fn receive(&mut self) -> Result<(), Error<S::Error>> {
        self.flush().await?;
        let room = self.records.room();
        if room.is_empty() {
            return Err(Error::TooLarge);
        }
        let count = self.stream.read(room).await.map_err(Error::Stream)?;
        self.records.received(count);
        if count == 0 { Err(Error::Truncated) } else { Ok(()) }
    }
}

impl<S: Read + Write, C: Side> ErrorType for TlsStream<S, C> {
    type Error = Error<S::Error>;
}

impl<S: Read + Write, C: Side> Read for TlsStream<S, C> {
    /// 0 after the peer's `close_notify`; [`Error::Truncated`] if the stream below ends before it.
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.records.take_plaintext(bytes);
            if count > 0 {
                return Ok(count);
            }
            match self.step(record::Write::Nothing).await? {
                Next::Step | Next::Written => {}
                Next::Receive => self.receive().await?,
                Next::PeerClosed => return Ok(0),
            }
        }
    }
}

impl<S: Read + Write, C: Side> Write for TlsStream<S, C> {
    /// Takes as much as a record holds, when the record before it has been sent.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.send().await?;
        let bytes = &bytes[..bytes.len().min(MOST_PLAINTEXT)];
        loop {
            if self.closed {
                return Err(Error::Closed);
            }
            match self.step(record::Write::Bytes(bytes)).await? {
                Next::Step => {}
                Next::Written => return Ok(bytes.len()),
                Next::Receive | Next::PeerClosed => return Err(Error::Closed),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.send().await?;
        // A read that is tried again and again would else begin with this each time, and may never come to its own part.
        if self.unflushed {
            self.stream.flush().await.map_err(Error::Stream)?;
            self.unflushed = false;
        }
        Ok(())
    }
}
