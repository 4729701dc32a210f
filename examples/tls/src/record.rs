//! The state of a connection without its stream: bytes from the peer, bytes for it, and plaintext.
//!
//! [`Records::step`] has rustls look at what has been received. It never waits, so a caller that stops waiting for the stream
//! leaves nothing half done.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError};

use crate::side::Side;

/// A record's plaintext at most (RFC 8446, section 5.1).
pub(crate) const MOST_PLAINTEXT: usize = 1 << 14;

/// A record: header, plaintext, and what encryption adds in TLS 1.2 at most (RFC 5246, section 6.2.3).
const MOST_RECORD: usize = 5 + MOST_PLAINTEXT + 2048;

/// The longest message of the handshake that rustls reads, 64 KiB, and the record that it ends in.
pub(crate) const MOST_INCOMING: usize = (1 << 16) + MOST_RECORD;

/// What a step writes if the connection is ready for it.
#[derive(Clone, Copy)]
pub(crate) enum Write<'a> {
    Nothing,
    /// [`MOST_PLAINTEXT`] bytes at most, which become one record.
    Bytes(&'a [u8]),
    /// That nothing more will come from here.
    CloseNotify,
}

/// What must be done before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: there is more to do here.
    Step,
    /// Receive.
    Receive,
    /// Nothing: [`Write`] has been written.
    Written,
    /// The peer will send nothing more.
    PeerClosed,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Tls(rustls::Error),
    Exhausted,
}

pub(crate) struct Records<C> {
    pub(crate) side: C,
    incoming: Vec<u8>,
    /// How much of `incoming` has been received.
    received: usize,
    outgoing: Vec<u8>,
    /// How much of `outgoing` has been sent.
    sent: usize,
    plaintext: VecDeque<u8>,
    peer_closed: bool,
}

impl<C: Side> Records<C> {
    pub(crate) fn new(side: C) -> Records<C> {
        Records {
            side,
            incoming: vec![0; MOST_RECORD],
            received: 0,
            outgoing: Vec::new(),
            sent: 0,
            plaintext: VecDeque::new(),
            peer_closed: false,
        }
    }

    /// Bytes for the peer.
    pub(crate) fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Room for bytes from the peer; empty if a message is too long.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.received == self.incoming.len() {
            let len = (2 * self.received).min(MOST_INCOMING);
            self.incoming.resize(len, 0);
        }
        &mut self.incoming[self.received..]
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.received += count;
    }

    /// Moves decrypted bytes to `bytes`, and says how many.
    pub(crate) fn take_plaintext(&mut self, bytes: &mut [u8]) -> usize {
        let from = self.plaintext.as_slices().0;
        let count = from.len().min(bytes.len());
        bytes[..count].copy_from_slice(&from[..count]);
        self.plaintext.drain(..count);
        count
    }

    /// One step of the protocol. What it decrypts is not more than what has been received.
    pub(crate) fn step(&mut self, write: Write<'_>) -> Result<Next, Failure> {
        let status = self.side.process(&mut self.incoming[..self.received]);
        let discard = status.discard;
        let next = match status.state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(&mut self.outgoing, |room| encoded(data.encode(room))).map(|()| Next::Step)
            }
            // Whatever is sent later comes after it.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Next::Step)
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut next = Ok(Next::Step);
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => self.plaintext.extend(record.payload),
                        Err(error) => next = Err(Failure::Tls(error)),
                    }
                }
                next
            }
            Ok(ConnectionState::PeerClosed) => {
                self.peer_closed = true;
                Ok(Next::Step)
            }
            Ok(ConnectionState::Closed) => Ok(Next::PeerClosed),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let written = match write {
                    Write::Nothing => None,
                    Write::Bytes(bytes) => Some(append(&mut self.outgoing, |room| {
                        encrypted(traffic.encrypt(bytes, room))
                    })),
                    Write::CloseNotify => Some(append(&mut self.outgoing, |room| {
                        encrypted(traffic.queue_close_notify(room))
                    })),
                };
                match written {
                    Some(written) => written.map(|()| Next::Written),
                    None if self.peer_closed => Ok(Next::PeerClosed),
                    None => Ok(Next::Receive),
                }
            }
            // Early data is never asked for.
            Ok(_) => Ok(Next::Receive),
            Err(error) => Err(Failure::Tls(error)),
        };
        self.incoming.copy_within(discard..self.received, 0);
        self.received -= discard;
        if next.is_err() {
            self.encode_alert();
        }
        next
    }

    /// After a failure, what rustls has to say to the peer about it.
    ///
    /// It says that before it looks at what has been received. A second look would fail anew, and rustls (0.23.46) asserts in
    /// debug builds that this does not happen.
    fn encode_alert(&mut self) {
        let status = self.side.process(&mut self.incoming[..self.received]);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // The failure is known already, and there is no other.
            let _ = append(&mut self.outgoing, |room| encoded(data.encode(room)));
        }
    }
}

type Appended = Result<Result<usize, Failure>, InsufficientSizeError>;

fn encoded(result: Result<usize, EncodeError>) -> Appended {
    match result {
        Ok(count) => Ok(Ok(count)),
        Err(EncodeError::InsufficientSize(size)) => Err(size),
        // It is encoded once, and then no longer there.
        Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
    }
}

fn encrypted(result: Result<usize, EncryptError>) -> Appended {
    match result {
        Ok(count) => Ok(Ok(count)),
        Err(EncryptError::InsufficientSize(size)) => Err(size),
        Err(EncryptError::EncryptExhausted) => Ok(Err(Failure::Exhausted)),
    }
}

/// Appends what `write` writes, in as much room as it asks for.
fn append(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Appended,
) -> Result<(), Failure> {
    let end = outgoing.len();
    let mut room = 0;
    loop {
        outgoing.resize(end + room, 0);
        match write(&mut outgoing[end..]) {
            Ok(written) => {
                let count = written.as_ref().copied().unwrap_or(0);
                outgoing.truncate(end + count);
                return written.map(drop);
            }
            Err(InsufficientSizeError { required_size }) => room = required_size,
        }
    }
}
