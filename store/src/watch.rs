//! Who wants to know what changes: a ring of the last changes, in which each watcher has its own place.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use crate::disk::Disk;
use crate::error::{Error, State};
use crate::format::Record;
use crate::store::Store;

/// A change that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of this key.
    pub key: Vec<u8>,
    /// Whether it was deleted; else it was put.
    pub is_deleted: bool,
}

/// Why there is no next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchError {
    /// So many changes, of any keys, have been lost, for this watcher was too slow. The next call goes on behind them.
    Lagged(u64),
    /// The store has been closed.
    Closed,
}

impl core::fmt::Display for WatchError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WatchError::Lagged(count) => write!(f, "{count} changes were missed"),
            WatchError::Closed => f.write_str("the store has been closed"),
        }
    }
}

impl core::error::Error for WatchError {}

/// So many changes are remembered.
const REMEMBERED: usize = 256;

/// The last changes, if there is a watcher.
#[derive(Default)]
pub(crate) struct Changes {
    last: VecDeque<Change>,
    /// How many there have been.
    count: u64,
    watchers: usize,
    /// A slot for each watcher: it takes its waker along when it goes, and waiting again costs the same however many there are.
    slots: Vec<Slot>,
}

/// Where a watcher waits.
enum Slot {
    Free,
    Taken(Option<Waker>),
}

impl Changes {
    /// A record is durable.
    pub fn add(&mut self, record: &Record) {
        if self.watchers == 0 {
            return;
        }
        self.count += 1;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        let mut key = Vec::new();
        let taken = key.try_reserve_exact(record.key.len());
        if taken.and_then(|()| self.last.try_reserve(1)).is_err() {
            // All watchers have missed it, and what was before.
            self.last.clear();
            return;
        }
        key.extend_from_slice(record.key);
        self.last.push_back(Change { key, is_deleted: record.value.is_none() });
    }

    pub fn wake(&mut self) {
        for slot in &mut self.slots {
            if let Slot::Taken(waker) = slot
                && let Some(waker) = waker.take()
            {
                waker.wake();
            }
        }
    }

    /// A slot for one more watcher.
    fn enter(&mut self) -> Result<usize, Error> {
        let free = self.slots.iter().position(|slot| matches!(slot, Slot::Free));
        if free.is_none() {
            self.slots.try_reserve(1).map_err(|_| Error::NoMemory)?;
            self.slots.push(Slot::Free);
        }
        let slot = free.unwrap_or(self.slots.len() - 1);
        self.slots[slot] = Slot::Taken(None);
        self.watchers += 1;
        Ok(slot)
    }

    fn leave(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        self.watchers -= 1;
        if self.watchers == 0 {
            self.last.clear();
            self.slots = Vec::new();
        }
    }

    /// The next change behind `seen` of a key that begins so.
    fn poll_next(
        &mut self,
        slot: usize,
        seen: &mut u64,
        prefix: &[u8],
        context: &Context,
    ) -> Poll<Result<Change, WatchError>> {
        let first = self.count - self.last.len() as u64;
        if *seen < first {
            let missed = first - *seen;
            *seen = first;
            return Poll::Ready(Err(WatchError::Lagged(missed)));
        }
        while let Some(change) = self.last.get((*seen - first) as usize) {
            *seen += 1;
            if change.key.starts_with(prefix) {
                let mut key = Vec::new();
                if key.try_reserve_exact(change.key.len()).is_err() {
                    return Poll::Ready(Err(WatchError::Lagged(1)));
                }
                key.extend_from_slice(&change.key);
                return Poll::Ready(Ok(Change { key, ..*change }));
            }
        }
        self.slots[slot] = Slot::Taken(Some(context.waker().clone()));
        Poll::Pending
    }
}

/// Sees the changes of keys that begin in one way.
pub struct Watch<D: Disk> {
    store: Store<D>,
    prefix: Vec<u8>,
    slot: usize,
    seen: u64,
}

impl<D: Disk> Watch<D> {
    pub(crate) fn new(store: Store<D>, prefix: &[u8]) -> Result<Watch<D>, Error> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(prefix.len()).map_err(|_| Error::NoMemory)?;
        copy.extend_from_slice(prefix);
        let changes = &mut store.0.inner.borrow_mut().changes;
        let (slot, seen) = (changes.enter()?, changes.count);
        Ok(Watch { store: store.clone(), prefix: copy, slot, seen })
    }

    /// The next change. Cancel-safe: a future that is dropped has taken none.
    ///
    /// # Errors
    ///
    /// As [`WatchError`] says.
    pub async fn next(&mut self) -> Result<Change, WatchError> {
        let Watch { store, prefix, slot, seen } = self;
        poll_fn(|context| {
            let inner = &mut *store.0.inner.borrow_mut();
            let polled = inner.changes.poll_next(*slot, seen, prefix, context);
            if polled.is_pending() && inner.state == State::Closed {
                return Poll::Ready(Err(WatchError::Closed));
            }
            polled
        })
        .await
    }
}

impl<D: Disk> Drop for Watch<D> {
    fn drop(&mut self) {
        self.store.0.inner.borrow_mut().changes.leave(self.slot);
    }
}
