//! The handle.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use crate::disk::{Disk, DiskError, SECTOR_BYTES};
use crate::error::{Error, OpenError, Reason, State};
use crate::format::{Place, Record, record_bytes};
use crate::open;
use crate::options::{KEY_BYTES, Options, Stats};
use crate::runner::Runner;
use crate::shared::Shared;
use crate::watch::Watch;

/// A handle of a store. It is cloned for each user, and stays in the executor that it was made in.
pub struct Store<D: Disk>(pub(crate) Rc<Shared<D>>);

impl<D: Disk> Clone for Store<D> {
    fn clone(&self) -> Self {
        Store(Rc::clone(&self.0))
    }
}

impl<D: Disk> Drop for Store<D> {
    fn drop(&mut self) {
        // This one and the runner's: which ends then.
        if Rc::strong_count(&self.0) <= 2 {
            self.0.inner.borrow_mut().wake_runner();
        }
    }
}

/// Buffers for readings that are not longer than this, in bytes, are kept.
const KEPT_BYTES: usize = 4096;
/// And so many of them.
const KEPT: usize = 8;

impl<D: Disk> Store<D> {
    /// Opens the store on a disk, or makes one, as `options` say: a handle, and what must run for it.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says. Damage is none of them if something can be told of it: see [`state`](Self::state).
    pub async fn open(disk: D, options: Options) -> Result<(Store<D>, Runner<D>), OpenError> {
        let (shared, work) = open::open(disk, options).await?;
        let shared = Rc::new(shared);
        Ok((Store(Rc::clone(&shared)), Runner::new(shared, work)))
    }

    /// The value of a key, if it has one: what was acknowledged last, never what is not durable yet.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        check_key(key)?;
        let shared = &*self.0;
        let place = {
            let mut inner = shared.inner.borrow_mut();
            if inner.state == State::Closed {
                return Err(Error::Closed);
            }
            let place = inner.index.get(key);
            if let Some(reason) = inner.incomplete
                && (!inner.salvage || place.is_none())
            {
                return Err(Error::Damaged(reason));
            }
            let Some(place) = place else { return Ok(None) };
            if !inner.segments.begin_reading(place) {
                return Err(Error::NoMemory);
            }
            place
        };
        let _reading = Reading { shared, place };
        shared.read(key, place).await.map(Some)
    }

    /// Gives a key this value. When it returns, that is durable. Puts of many tasks at once share a write and a flush.
    ///
    /// A future that is dropped before leaves open whether it is done, as a crash does.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        check_key(key)?;
        let most = self.value_bytes();
        if value.len() > most {
            return Err(Error::ValueLength { most });
        }
        self.write(&Record { key, value: Some(value) }).await
    }

    /// Takes a key out; whether it was there. When it returns, that is durable.
    ///
    /// # Errors
    ///
    /// As [`Error`] says. A full disk is none.
    pub async fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        check_key(key)?;
        let shared = &*self.0;
        let mut tickets = [None; 2];
        let add = poll_fn(|context| {
            let inner = &mut *shared.inner.borrow_mut();
            inner.poll_add_deletion(&shared.geometry, key, &mut tickets, context)
        });
        let (number, was_there) = add.await?;
        if let Some(number) = number {
            shared.committed(number).await?;
        }
        Ok(was_there)
    }

    async fn write(&self, record: &Record<'_>) -> Result<(), Error> {
        let shared = &*self.0;
        let mut ticket = None;
        let add = poll_fn(|context| {
            let inner = &mut *shared.inner.borrow_mut();
            inner.poll_add(&shared.geometry, record, &mut ticket, context)
        });
        shared.committed(add.await?).await
    }

    /// Up to `limit` keys that begin with `prefix`, in the order of their bytes, from the first behind `after` on. They stand
    /// in memory: the disk is not read.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let inner = self.0.inner.borrow();
        if inner.state == State::Closed {
            return Err(Error::Closed);
        }
        if let Some(reason) = inner.incomplete
            && !inner.salvage
        {
            return Err(Error::Damaged(reason));
        }
        // What is before the prefix does not begin with it.
        let after = after.filter(|&after| after >= prefix);
        let keys = inner.index.from(after.unwrap_or(prefix), after.is_none());
        let mut listed = Vec::new();
        for (key, _) in keys.take_while(|(key, _)| key.starts_with(prefix)).take(limit) {
            let mut copy = Vec::new();
            let taken = copy.try_reserve_exact(key.len()).and_then(|()| listed.try_reserve(1));
            taken.map_err(|_| Error::NoMemory)?;
            copy.extend_from_slice(key);
            listed.push(copy);
        }
        Ok(listed)
    }

    /// Sees changes, from now on, of keys that begin with `prefix`. It never holds up who writes: a slow one misses
    /// changes, and is told.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn watch(&self, prefix: &[u8]) -> Result<Watch<D>, Error> {
        Watch::new(self.clone(), prefix)
    }

    /// What it has and has done.
    pub fn stats(&self) -> Stats {
        let inner = self.0.inner.borrow();
        let segment = self.0.geometry.segment_bytes as u64;
        let free = u64::from(inner.segments.free()) * segment;
        Stats {
            keys: inner.index.keys(),
            live_bytes: inner.segments.live_bytes(),
            used_bytes: u64::from(self.0.geometry.segments) * segment - free,
            free_bytes: free,
            room_bytes: inner.room_bytes(),
            index_bytes: inner.index.heap_bytes(),
            ..inner.stats
        }
    }

    /// Whether it can be written to, and why not.
    pub fn state(&self) -> State {
        self.0.inner.borrow().state
    }

    /// The longest value that it takes, in bytes.
    pub fn value_bytes(&self) -> usize {
        self.0.geometry.value_bytes()
    }

    /// Writes what is under way, marks the log as ended, and ends the [`Runner`]. Then nothing is read or written any more.
    ///
    /// # Errors
    ///
    /// As [`Error`] says: it could not be written.
    pub async fn close(&self) -> Result<(), Error> {
        {
            let mut inner = self.0.inner.borrow_mut();
            inner.is_closing = true;
            inner.wake_runner();
            // Whoever waits for room is told.
            inner.room.call_all();
        }
        let mut ticket = None;
        poll_fn(|context| {
            let mut inner = self.0.inner.borrow_mut();
            match inner.state {
                State::Closed => Poll::Ready(Ok(())),
                State::ReadOnly(reason) => Poll::Ready(Err(Error::ReadOnly(reason))),
                State::ReadWrite => {
                    inner.ended.wait(&mut ticket, context);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

fn check_key(key: &[u8]) -> Result<(), Error> {
    let is_good = (1..=KEY_BYTES).contains(&key.len());
    is_good.then_some(()).ok_or(Error::KeyLength)
}

/// As long as it is there, the segment is not written to.
struct Reading<'a, D: Disk> {
    shared: &'a Shared<D>,
    place: Place,
}

impl<D: Disk> Drop for Reading<'_, D> {
    fn drop(&mut self) {
        self.shared.inner.borrow_mut().segments.end_reading(self.place);
    }
}

impl<D: Disk> Shared<D> {
    /// Waits until the batch of that number is durable.
    async fn committed(&self, number: u64) -> Result<(), Error> {
        let mut ticket = None;
        poll_fn(|context| self.inner.borrow_mut().poll_committed(number, &mut ticket, context))
            .await
    }

    /// The value of the record there, which is of this key.
    async fn read(&self, key: &[u8], place: Place) -> Result<Vec<u8>, Error> {
        let geometry = &self.geometry;
        let block = geometry.block_bytes as u64;
        let start = place.byte() / block * block;
        let offset = (place.byte() - start) as usize;
        let bytes = record_bytes(key.len(), place.value_len());
        let len = geometry.whole_blocks(offset + bytes);
        let buffer = self.reading_buffer(len).ok_or(Error::NoMemory)?;
        let read = self.disk.read(start / SECTOR_BYTES as u64, buffer).await;
        let buffer = read.map_err(Error::Disk)?;
        let value = self.value(key, &buffer[offset..offset + bytes], place);
        self.keep(buffer);
        value
    }

    fn value(&self, key: &[u8], bytes: &[u8], place: Place) -> Result<Vec<u8>, Error> {
        let record = Record::read(bytes).filter(|record| record.is_whole(self.geometry.id, bytes));
        let value = record.filter(|record| record.key == key).and_then(|record| record.value);
        let Some(value) = value else {
            let reason = Reason::Record { sector: place.byte() / SECTOR_BYTES as u64 };
            self.inner.borrow_mut().fail(reason);
            return Err(Error::Damaged(reason));
        };
        let mut copy = Vec::new();
        copy.try_reserve_exact(value.len()).map_err(|_| Error::NoMemory)?;
        copy.extend_from_slice(value);
        Ok(copy)
    }

    fn reading_buffer(&self, len: usize) -> Option<D::Buffer> {
        if len > KEPT_BYTES {
            return self.disk.buffer(len);
        }
        let kept = self.inner.borrow_mut().buffers.pop();
        let mut buffer = kept.or_else(|| self.disk.buffer(KEPT_BYTES))?;
        self.disk.resize(&mut buffer, len);
        Some(buffer)
    }

    fn keep(&self, buffer: D::Buffer) {
        let buffers = &mut self.inner.borrow_mut().buffers;
        if buffer.len() <= KEPT_BYTES && buffers.len() < KEPT && buffers.try_reserve(1).is_ok() {
            buffers.push(buffer);
        }
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Error {
        Error::Disk(error)
    }
}
