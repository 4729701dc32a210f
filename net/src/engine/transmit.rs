//! What connections send: answers, data, what time demands, and the last words.

use core::task::Context;

use embassy_net_driver::Driver;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};

use super::Engine;
use crate::connection::{Connection, Phase};
use crate::device::{Outgoing, Sender};
use crate::error::Error;
use crate::pool::Key;

/// Segments that a connection sends before it is the next one's turn: half of what Freestone's driver has buffers for, so that
/// another finds room in the same round. A device that cuts segments is given them as one: bulk over a tap took 0.78 of QEMU's
/// processor time with 48 that it took with 16.
const BURST: usize = 32;

/// When to ask again if smoltcp wants to send at once, but does not. It has no such case that is known.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// When smoltcp repeats a segment at the earliest (RFC 6298 2.4). Asked sooner than it wants to be, it does nothing.
const SOONEST_REPETITION: Duration = Duration::from_secs(1);

impl Engine {
    /// Sends for the first `count` of the list. Returns whether the driver had room for all.
    pub(crate) fn flush<D: Driver>(
        &mut self,
        count: usize,
        driver: &mut D,
        context: &mut Context<'_>,
        now: Instant,
    ) -> bool {
        for _ in 0..count {
            let Some(key) = self.dirty.pop_front() else { break };
            if !self.send(key, driver, context, now) {
                // It keeps its turn.
                self.dirty.rotate_right(1);
                return false;
            }
        }
        true
    }

    /// Lets one connection send what it wants to. `false`: the driver had no room, and the connection is last in the list.
    fn send<D: Driver>(
        &mut self,
        key: Key,
        driver: &mut D,
        context: &mut Context<'_>,
        now: Instant,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return true };
        connection.dirty = false;
        if !connection.linked {
            return true;
        }
        if connection.phase == Phase::Orphan {
            discard(connection);
        }
        if connection.stalls(now) || connection.is_gone(now) {
            connection.abort(Error::TimedOut);
            self.counts.timed_out += 1;
        }
        let mut outgoing = Outgoing { sent: connection.sent, ..Outgoing::default() };
        let mut next = None;
        let mut again = true;
        for _ in 0..BURST {
            let before = outgoing.frames;
            let mut device = Sender {
                driver,
                context,
                header: connection.header,
                outgoing: &mut outgoing,
                capabilities: &self.capabilities,
            };
            self.interface.poll_egress(now, &mut device, &mut connection.sockets);
            if outgoing.frames != before && connection.has_sent_all(outgoing.payload) {
                (next, again) = (Some(now + SOONEST_REPETITION), false);
                break;
            }
            next = self.interface.poll_at(now, &connection.sockets);
            again = next.is_some_and(|at| at <= now);
            if !again || outgoing.exhausted {
                break;
            }
            if outgoing.frames == before {
                (next, again) = (Some(now + ASK_AGAIN), false);
                break;
            }
        }
        connection.sent = outgoing.sent;
        if outgoing.exhausted || again {
            connection.dirty = true;
            self.dirty.push_back(key);
        } else if next.is_none() && connection.is_over() {
            if connection.end.is_none() {
                // Only time ends a connection while it sends: `TcpStream::set_timeout`.
                connection.end = Some(Error::TimedOut);
                self.counts.timed_out += 1;
            }
            self.end(key);
        } else if connection.socket().state() == State::TimeWait {
            self.retire(key, now);
        } else if let Some(at) =
            next.into_iter().chain(connection.deadline).chain(connection.silence_ends()).min()
        {
            self.timers.arm(key.index, at);
        }
        self.count(&outgoing);
        !outgoing.exhausted
    }

    /// The deadline of the connection at `index` has come.
    pub(crate) fn expire(&mut self, index: u32, now: Instant) {
        let Some(key) = self.connections.key_at(index) else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.deadline.is_some_and(|deadline| deadline <= now) {
            if connection.phase == Phase::HalfOpen {
                // Whoever has not answered gets no reset either: it may be the victim of a forged SYN.
                self.counts.half_open_expired += 1;
                return self.remove(key);
            }
            connection.deadline = None;
            self.counts.timed_out += 1;
            connection.abort(Error::TimedOut);
        }
        self.mark(key);
    }

    /// All is sent and acknowledged on both sides: a record remains.
    fn retire(&mut self, key: Key, now: Instant) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let what = (connection.tuple, connection.sent, connection.header.peer());
        if self.time_wait.add(what, now, &mut self.table).is_err() {
            // Without memory there is no record. Answers to a repeated FIN come from embassy-net then: resets.
            return self.end(key);
        }
        self.end(key);
    }
}

/// Nobody will read what an orphan receives. Its window stays open, so that the peer's FIN comes through.
fn discard(connection: &mut Connection) {
    let socket = connection.socket();
    while socket.can_recv() {
        if socket.recv(|bytes| (bytes.len(), ())).is_err() {
            return;
        }
    }
}
