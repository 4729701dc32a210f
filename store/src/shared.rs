//! What the handles and the runner share.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::{Context, Poll, Waker};

use crate::batch::{Batch, MOST_RECORDS};
use crate::chain::Position;
use crate::disk::Disk;
use crate::error::{Error, Reason, State};
use crate::format::{Geometry, Place, Record};
use crate::index::Index;
use crate::line::{Line, Ticket};
use crate::options::Stats;
use crate::segments::Segments;
use crate::watch::Changes;

pub(crate) struct Shared<D: Disk> {
    pub disk: D,
    pub geometry: Geometry,
    pub inner: RefCell<Inner<D::Buffer>>,
}

/// Never borrowed across an `await`.
pub(crate) struct Inner<B> {
    pub state: State,
    /// Why the index may lack changes, if it may.
    pub incomplete: Option<Reason>,
    pub salvage: bool,
    pub index: Index,
    pub segments: Segments,
    /// Where the log goes on.
    pub head: Position,
    /// What is put together, and its number.
    pub pending: Batch<B>,
    pub number: u64,
    /// The number of the last batch that is durable.
    pub committed: u64,
    /// Whether a batch is being written.
    pub is_writing: bool,
    pub is_closing: bool,
    /// Tasks that wait for room in the pending batch.
    pub room: Line,
    /// Tasks that wait for the end of what is being written.
    pub ended: Line,
    pub runner: Option<Waker>,
    pub changes: Changes,
    /// Buffers for short readings.
    pub buffers: Vec<B>,
    pub stats: Stats,
}

impl<B> Inner<B> {
    pub fn wake_runner(&mut self) {
        if let Some(waker) = self.runner.take() {
            waker.wake();
        }
    }

    /// Nothing is written from now on.
    pub fn fail(&mut self, reason: Reason) {
        if self.state == State::ReadWrite {
            self.state = State::ReadOnly(reason);
        }
        self.end();
    }

    /// Whoever waits learns of the state.
    pub fn end(&mut self) {
        for waker in self.pending.wakers.drain(..) {
            waker.wake();
        }
        self.pending.clear();
        self.room.call_all();
        self.ended.call_all();
        self.changes.wake();
    }

    /// Whether it can be written to.
    pub fn check_writable(&self) -> Result<(), Error> {
        match self.state {
            State::ReadWrite if self.is_closing => Err(Error::Closed),
            State::ReadWrite => Ok(()),
            State::ReadOnly(reason) => Err(Error::ReadOnly(reason)),
            State::Closed => Err(Error::Closed),
        }
    }

    /// Bytes of a saved index, with what is pending.
    fn saved_bytes(&self) -> u64 {
        self.index.saved_bytes() + self.pending.saved_bytes
    }

    /// Bytes of records that can still be put.
    pub fn room_bytes(&self) -> u64 {
        self.segments.room_bytes(self.saved_bytes()).saturating_sub(self.pending.put_bytes)
    }
}

/// Adds a task to those that are to be woken. Where there is no memory it is woken at once, and asks again.
pub(crate) fn add_waker(wakers: &mut Vec<Waker>, waker: &Waker) {
    if wakers.iter().any(|it| it.will_wake(waker)) {
        return;
    }
    match wakers.try_reserve(1) {
        Ok(()) => wakers.push(waker.clone()),
        Err(_) => waker.wake_by_ref(),
    }
}

impl<B: core::ops::DerefMut<Target = [u8]>> Inner<B> {
    /// Adds a record to the pending batch: the batch's number. Waits while that is full.
    pub fn poll_add(
        &mut self,
        geometry: &Geometry,
        record: &Record,
        ticket: &mut Ticket,
        context: &Context,
    ) -> Poll<Result<u64, Error>> {
        self.check_writable()?;
        if record.value.is_some() {
            self.check_room(record)?;
        }
        let has_room = self.pending.has_room(record.bytes(), geometry.batch_bytes());
        // Who comes now is behind those who wait.
        let is_late = ticket.is_none() && !self.room.is_empty();
        if !has_room || self.pending.count == MOST_RECORDS || is_late {
            self.room.wait(ticket, context);
            return Poll::Pending;
        }
        if record.value.is_some() {
            let key_bytes = self.pending.key_bytes + record.key.len();
            self.index.reserve(self.pending.puts + 1, key_bytes)?;
        }
        self.pending.push(geometry.id, record)?;
        self.wake_runner();
        Poll::Ready(Ok(self.number))
    }

    /// Adds the deletion of a key to the pending batch: the batch's number, and whether the key is there. Nothing is added if
    /// it is not.
    pub fn poll_add_deletion(
        &mut self,
        geometry: &Geometry,
        key: &[u8],
        [ended, room]: &mut [Ticket; 2],
        context: &Context,
    ) -> Poll<Result<(Option<u64>, bool), Error>> {
        self.check_writable()?;
        let pending = self.pending.records().filter(|(_, record)| record.key == key).last();
        let was_there = match pending {
            Some((_, record)) => record.value.is_some(),
            // What is being written may be of that key. This could not be written before in any case.
            None if self.is_writing => {
                self.ended.wait(ended, context);
                return Poll::Pending;
            }
            None if self.index.get(key).is_none() => return Poll::Ready(Ok((None, false))),
            None => true,
        };
        let added = self.poll_add(geometry, &Record { key, value: None }, room, context);
        added.map_ok(|number| (Some(number), was_there))
    }

    fn check_room(&self, record: &Record) -> Result<(), Error> {
        let saved = self.saved_bytes() + Index::saved_bytes_of(record.key);
        let pending = self.pending.put_bytes + record.bytes() as u64;
        let old = self.index.get(record.key).map_or(0, |place| {
            crate::format::record_bytes(record.key.len(), place.value_len()) as u64
        });
        // What takes no more room than what it replaces may always be put.
        let is_larger = record.bytes() as u64 > old;
        if is_larger && self.segments.room_bytes(saved) + old < pending {
            return Err(Error::Full);
        }
        Ok(())
    }

    /// Waits until the batch of that number is durable.
    pub fn poll_committed(
        &mut self,
        number: u64,
        ticket: &mut Ticket,
        context: &Context,
    ) -> Poll<Result<(), Error>> {
        if self.committed >= number {
            return Poll::Ready(Ok(()));
        }
        match self.state {
            State::ReadWrite => {}
            State::ReadOnly(reason) => return Poll::Ready(Err(Error::ReadOnly(reason))),
            State::Closed => return Poll::Ready(Err(Error::Closed)),
        }
        if number == self.number {
            add_waker(&mut self.pending.wakers, context.waker());
        } else {
            // It is being written; its wakers were taken along, but this task has been polled for another reason.
            self.ended.wait(ticket, context);
        }
        Poll::Pending
    }
}

/// A record is durable there, or `None`: its key is deleted.
pub(crate) fn apply(
    index: &mut Index,
    segments: &mut Segments,
    key: &[u8],
    place: Option<Place>,
) -> Result<(), Error> {
    let old = match place {
        Some(place) => {
            segments.add(key.len(), place);
            index.insert(key, place)?
        }
        None => index.remove(key),
    };
    if let Some(old) = old {
        segments.subtract(key.len(), old);
    }
    Ok(())
}
