//! One connection: smoltcp's socket, alone in a set of its own, and what the engine keeps beside it.

use alloc::vec::Vec;

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};

use crate::device::Header;
use crate::error::Error;
use crate::options::Limits;
use crate::pool::{Key, OutOfMemory};
use crate::segment::{Sent, Tuple};

/// Who has the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its handshake is not complete.
    HalfOpen,
    /// It waits to be accepted.
    Queued,
    /// A [`TcpStream`](crate::TcpStream) has it.
    Held,
    /// Its stream was dropped; it is closing.
    Orphan,
}

/// How often a silent peer is asked whether it is there, and after how long again, or after the time until the first question if
/// that is shorter. As Linux does it; RFC 9293 3.8.4 leaves both open.
const QUESTIONS: u32 = 9;
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(75);

pub(crate) struct Connection {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    pub(crate) tuple: Tuple,
    /// In front of all that it sends.
    pub(crate) header: Header,
    pub(crate) listener: Key,
    pub(crate) phase: Phase,
    /// When it must have come further: out of the handshake, or closed.
    pub(crate) deadline: Option<Instant>,
    pub(crate) close_limit: Duration,
    stall_limit: Option<Duration>,
    /// What the peer has left unacknowledged, and since when.
    unacknowledged: (usize, State),
    since: Instant,
    /// After how much silence the peer is asked whether it is there, when it said something, and since when it is asked.
    keep_alive: Option<Duration>,
    heard: Instant,
    asking: Option<Instant>,
    pub(crate) sent: Sent,
    /// Why it has ended before its time.
    pub(crate) end: Option<Error>,
    /// It is in the engine's list of those that may have something to send.
    pub(crate) dirty: bool,
    /// Its tuple leads to it. Afterwards it only holds what the peer sent before the end.
    pub(crate) linked: bool,
}

impl Connection {
    /// A connection that waits for the SYN which asks for it.
    pub(crate) fn new(
        tuple: Tuple,
        header: Header,
        (listener, limits): (Key, &Limits),
        now: Instant,
    ) -> Result<Connection, OutOfMemory> {
        let mut socket = Socket::new(buffer(limits.receive_buffer)?, buffer(limits.send_buffer)?);
        socket.set_nagle_enabled(false);
        if socket.listen(tuple.local).is_err() {
            // Port 0, which `segment` refuses.
            return Err(OutOfMemory);
        }
        let mut storage = Vec::new();
        storage.try_reserve_exact(1).map_err(|_| OutOfMemory)?;
        storage.push(SocketStorage::EMPTY);
        let mut sockets = SocketSet::new(storage);
        let handle = sockets.add(socket);
        Ok(Connection {
            sockets,
            handle,
            tuple,
            header,
            listener,
            phase: Phase::HalfOpen,
            deadline: Some(now + limits.half_open),
            close_limit: limits.close,
            stall_limit: limits.stall,
            unacknowledged: (0, State::Listen),
            since: now,
            keep_alive: limits.keep_alive,
            heard: now,
            asking: None,
            sent: Sent::default(),
            end: None,
            dirty: false,
            linked: true,
        })
    }

    pub(crate) fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Whether smoltcp has nothing more to do with the peer: no answer, no reset.
    pub(crate) fn is_over(&mut self) -> bool {
        self.socket().remote_endpoint().is_none()
    }

    /// Whether the peer has not acknowledged something, and nothing new, for longer than it may.
    pub(crate) fn stalls(&mut self, now: Instant) -> bool {
        let socket = self.socket();
        let state = socket.state();
        let queue = socket.send_queue();
        let fin_sent = matches!(state, State::FinWait1 | State::Closing | State::LastAck);
        if (queue == 0 && !fin_sent) || (queue, state) != self.unacknowledged {
            self.unacknowledged = (queue, state);
            self.since = now;
            return false;
        }
        self.stall_limit.is_some_and(|limit| now >= self.since + limit)
    }

    /// A segment of the peer's has come.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.ask_no_more();
    }

    /// After how much silence the peer is asked from now on.
    pub(crate) fn set_keep_alive(&mut self, interval: Option<Duration>) {
        self.keep_alive = interval;
        self.ask_no_more();
    }

    fn ask_no_more(&mut self) {
        if self.asking.take().is_some() {
            self.socket().set_keep_alive(None);
        }
    }

    /// The time between questions. smoltcp sends them, and is told so only when the first is due: a socket with a keep-alive of
    /// its own takes more work for each segment.
    fn between_questions(&self) -> Duration {
        self.keep_alive.map_or(BETWEEN_QUESTIONS, |interval| interval.min(BETWEEN_QUESTIONS))
    }

    /// When something is to be done if the peer goes on to say nothing.
    pub(crate) fn silence_ends(&self) -> Option<Instant> {
        if !matches!(self.phase, Phase::Queued | Phase::Held) {
            return None;
        }
        match self.asking {
            Some(since) => Some(since + self.between_questions() * QUESTIONS),
            None => Some(self.heard + self.keep_alive?),
        }
    }

    /// Has the peer asked whether it is there, if it has said nothing for so long. Whether it has answered none of the questions.
    pub(crate) fn is_gone(&mut self, now: Instant) -> bool {
        if self.silence_ends().is_none_or(|end| now < end) {
            return false;
        }
        if self.asking.is_none() {
            self.asking = Some(now);
            let between = self.between_questions();
            self.socket().set_keep_alive(Some(between));
            return false;
        }
        true
    }

    /// Whether a segment with `payload` bytes, just sent, was all that there is to send, and the next deadline is the one that
    /// repeats it. smoltcp would say the same, after a longer look.
    pub(crate) fn has_sent_all(&mut self, payload: usize) -> bool {
        let socket = self.socket();
        payload > 0
            && payload == socket.send_queue()
            && socket.state() == State::Established
            && socket.timeout().is_none()
            && socket.keep_alive().is_none()
    }

    /// Ends it with a reset, which is sent when it is next its turn.
    pub(crate) fn abort(&mut self, why: Error) {
        self.end.get_or_insert(why);
        self.socket().abort();
    }
}

fn buffer(len: usize) -> Result<SocketBuffer<'static>, OutOfMemory> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| OutOfMemory)?;
    bytes.resize(len, 0_u8);
    Ok(SocketBuffer::new(bytes))
}
