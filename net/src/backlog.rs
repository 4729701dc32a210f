//! What the engine keeps for a listener: connections on their way to `accept`, and tasks that wait in it.

use alloc::collections::VecDeque;
use core::task::Waker;

use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use crate::options::Limits;
use crate::pool::{Key, OutOfMemory};

pub(crate) struct Backlog {
    pub(crate) endpoint: IpListenEndpoint,
    pub(crate) limits: Limits,
    /// Complete, in the order in which they were completed.
    queue: VecDeque<Key>,
    /// Half-open, oldest first, and some keys of connections that are so no longer.
    half_open: VecDeque<Key>,
    pub(crate) half_open_count: usize,
    /// In any state.
    pub(crate) connections: usize,
    /// Tasks in `accept`, in the order in which they came: the first gets the first of `queue`, and so on.
    waiting: VecDeque<(Ticket, Waker)>,
    next_ticket: u64,
}

/// Which call of `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Backlog {
    pub(crate) fn new(endpoint: IpListenEndpoint, limits: Limits) -> Result<Backlog, OutOfMemory> {
        let (mut queue, mut half_open) = (VecDeque::new(), VecDeque::new());
        queue.try_reserve_exact(limits.backlog).map_err(|_| OutOfMemory)?;
        half_open.try_reserve_exact(2 * limits.backlog + 1).map_err(|_| OutOfMemory)?;
        Ok(Backlog {
            endpoint,
            limits,
            queue,
            half_open,
            half_open_count: 0,
            connections: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
        })
    }

    /// Whether it listens there.
    pub(crate) fn accepts(&self, local: &IpEndpoint) -> bool {
        self.endpoint.port == local.port && self.endpoint.addr.is_none_or(|addr| addr == local.addr)
    }

    /// Whether there is something that both listen to.
    pub(crate) fn meets(&self, other: &IpListenEndpoint) -> bool {
        self.endpoint.port == other.port
            && self.endpoint.addr.zip(other.addr).is_none_or(|(own, other)| own == other)
    }

    /// No room: everything waits to be accepted.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.limits.backlog
    }

    /// No room, unless a half-open one gives way.
    pub(crate) fn is_crowded(&self) -> bool {
        self.queue.len() + self.half_open_count >= self.limits.backlog
            || self.connections >= self.limits.max_connections
    }

    /// Adds a half-open connection. `is_half_open` says what a key stands for today.
    pub(crate) fn begin(&mut self, key: Key, is_half_open: impl Fn(Key) -> bool) {
        if self.half_open.len() > 2 * self.limits.backlog {
            // Half of them or more are outdated; clearing them away costs each addition a constant on average.
            self.half_open.retain(|&key| is_half_open(key));
        }
        self.half_open.push_back(key);
        self.half_open_count += 1;
        self.connections += 1;
    }

    /// Takes out the oldest key that was half-open once.
    pub(crate) fn oldest_half_open(&mut self) -> Option<Key> {
        self.half_open.pop_front()
    }

    /// A connection is complete. Wakes who gets it.
    pub(crate) fn complete(&mut self, key: Key) {
        self.queue.push_back(key);
        self.wake();
    }

    /// A complete connection has ended before it was accepted. Linear in the backlog.
    pub(crate) fn withdraw(&mut self, key: Key) {
        self.queue.retain(|&other| other != key);
    }

    /// One call of `accept` asks for its connection.
    pub(crate) fn accept(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<Key> {
        let place =
            ticket.and_then(|ticket| self.waiting.iter().position(|waiting| waiting.0 == ticket));
        let before = place.unwrap_or(self.waiting.len());
        if before < self.queue.len() {
            if let Some(place) = place {
                self.waiting.remove(place);
            }
            *ticket = None;
            // The first of the queue: those before this one have not come yet to take theirs, and lose nothing.
            return self.queue.pop_front();
        }
        match place {
            Some(place) => self.waiting[place].1.clone_from(waker),
            None => {
                let new = Ticket(self.next_ticket);
                self.next_ticket += 1;
                self.waiting.push_back((new, waker.clone()));
                *ticket = Some(new);
            }
        }
        None
    }

    /// A call of `accept` was cancelled: who waits behind it moves up.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.0 != ticket);
        self.wake();
    }

    /// The listener goes: takes out what waits to be accepted.
    pub(crate) fn drain(&mut self) -> VecDeque<Key> {
        core::mem::take(&mut self.queue)
    }

    /// Wakes the last of those that have a connection in the queue; the ones before were woken when theirs came.
    fn wake(&mut self) {
        if let Some((_, waker)) =
            self.queue.len().checked_sub(1).and_then(|last| self.waiting.get(last))
        {
            waker.wake_by_ref();
        }
    }
}
