//! What writes: one batch at a time, each flushed before anything builds on it.
//!
//! In each round the runner writes what is pending, if there is room for it, and then does one step of what makes room, if
//! that is wanted: it [moves](crate::moving) what lives in one part of a segment, or [saves](crate::saving) a part of the
//! index. A step is one read and two writes of a batch at most. So a put waits for one step beside its own batch; where
//! the disk is nearly full it waits until a segment has become free, which is bounded by the number of segments.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use crate::batch::{Batch, MOST_RECORDS};
use crate::chain::{Position, Window};
use crate::disk::{Disk, SECTOR_BYTES};
use crate::error::{Reason, State};
use crate::format::{LOG, Place, Superblock};
use crate::moving::Moving;
use crate::saving::Saving;
use crate::segments::Use;
use crate::shared::{Shared, apply};

/// What makes a store run: a future that is spawned, in the executor whose tasks use the store.
pub struct Runner<D: Disk> {
    pub(crate) shared: Rc<Shared<D>>,
    pub(crate) work: Work<D::Buffer>,
}

/// What the runner has to itself.
pub(crate) struct Work<B> {
    /// Takes the pending batch's place while that is written.
    pub spare: Option<Batch<B>>,
    /// What is moved, or saved, is put together here.
    pub output: Batch<B>,
    pub window: Window<B>,
    pub superblock: Superblock,
    pub moving: Option<Moving>,
    pub saving: Option<Saving>,
    /// A copy of the superblock is to be written again.
    pub is_save_wanted: bool,
    /// Bytes of log behind the saved index, or the one that is being saved.
    pub tail_bytes: u64,
    /// The segments of the saved index.
    pub saved: Vec<u32>,
    /// Whether a step that makes room is next.
    pub is_turn: bool,
}

/// The index is saved when there is so much log behind the saved one, in bytes; or half of what the index has, if that is
/// more: to read the log takes about as long then as to read the index.
const LEAST_TAIL: u64 = 4 << 20;
/// But not more than such a part of the disk: what is dead in the tail cannot be given up.
const TAIL_PART: u64 = 8;

enum Step {
    Commit,
    Move,
    Save,
    Close,
    /// Records wait, and no room can be made.
    Refuse,
    Wait,
    End,
}

impl<D: Disk> Runner<D> {
    pub(crate) fn new(shared: Rc<Shared<D>>, work: Work<D::Buffer>) -> Runner<D> {
        Runner { shared, work }
    }

    /// Runs until the store is closed, or there is no handle any more; then it ends the log as
    /// [`close`](crate::Store::close) does.
    pub async fn run(mut self) {
        loop {
            let step = poll_fn(|context| match self.step() {
                Step::Wait => {
                    let mut inner = self.shared.inner.borrow_mut();
                    inner.runner = Some(context.waker().clone());
                    // Some who were called did not come.
                    inner.room.call_all();
                    Poll::Pending
                }
                step => Poll::Ready(step),
            });
            let step = step.await;
            self.work.is_turn = matches!(step, Step::Commit);
            let done = match step {
                Step::Commit => self.commit().await,
                Step::Move => self.move_some().await,
                Step::Save => self.save_some().await,
                Step::Close => self.close().await,
                Step::Refuse => Err(Reason::Space),
                Step::Wait | Step::End => break,
            };
            if let Err(reason) = done {
                self.shared.inner.borrow_mut().fail(reason);
            }
            // Whoever was woken may put something again: it comes into the next batch.
            yield_once().await;
        }
    }

    fn step(&self) -> Step {
        let inner = self.shared.inner.borrow();
        let is_ending = inner.is_closing || Rc::strong_count(&self.shared) == 1;
        if inner.state != State::ReadWrite {
            return if is_ending { Step::End } else { Step::Wait };
        }
        let saved_bytes = inner.index.saved_bytes();
        let free = inner.segments.free();
        let has_pending = !inner.pending.is_empty();
        // The batch may need another segment.
        let has_room = free > inner.segments.reserve(saved_bytes);
        let is_low = free <= inner.segments.low(saved_bytes);
        let disk_bytes = self.shared.geometry.sectors() * SECTOR_BYTES as u64;
        let longest = LEAST_TAIL.max(saved_bytes / 2).min(disk_bytes / TAIL_PART);
        let is_long = self.work.tail_bytes > longest;
        let maintenance = if self.work.saving.is_some() || is_long || self.work.is_save_wanted {
            Some(Step::Save)
        } else if self.work.moving.is_some() || is_low && inner.segments.victim().is_some() {
            Some(Step::Move)
        } else if is_low && inner.segments.tail.len() > 1 {
            // What is dead is in the tail.
            Some(Step::Save)
        } else {
            None
        };
        match maintenance {
            Some(step) if !has_pending || !has_room || self.work.is_turn => step,
            _ if has_pending && has_room => Step::Commit,
            _ if has_pending => Step::Refuse,
            _ if is_ending => Step::Close,
            _ => Step::Wait,
        }
    }
}

/// Lets the other tasks have their turn.
async fn yield_once() {
    let mut was_polled = false;
    poll_fn(|context| {
        if core::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<D: Disk> Runner<D> {
    /// Writes what is pending, and tells who waits for it.
    async fn commit(&mut self) -> Result<(), Reason> {
        let (mut batch, number) = {
            let inner = &mut *self.shared.inner.borrow_mut();
            let spare = self.work.spare.take().ok_or(Reason::NoMemory)?;
            inner.is_writing = true;
            inner.number += 1;
            let batch = core::mem::replace(&mut inner.pending, spare);
            inner.room.call(MOST_RECORDS as usize);
            (batch, inner.number - 1)
        };
        let done = self.write_records(&mut batch, false).await;
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.is_writing = false;
        if done.is_ok() {
            inner.committed = number;
            inner.stats.commits += 1;
        }
        for waker in batch.wakers.drain(..) {
            waker.wake();
        }
        inner.ended.call_all();
        inner.changes.wake();
        batch.clear();
        self.work.spare = Some(batch);
        done
    }

    /// Writes a batch of the log, and changes the index when it is durable.
    pub(crate) async fn write_records(
        &mut self,
        batch: &mut Batch<D::Buffer>,
        are_moved: bool,
    ) -> Result<(), Reason> {
        let shared = &*self.shared;
        let geometry = &shared.geometry;
        let whole = geometry.whole_blocks(batch.len);
        let to = self.next_position(whole).await?;
        let buffer = batch.seal(&shared.disk, geometry, LOG, to.sequence, to.next);
        let buffer = buffer.ok_or(Reason::NoMemory)?;
        let buffer = self.write(to, buffer).await?;
        batch.unseal(&shared.disk, geometry, buffer);
        self.flush().await?;
        self.work.tail_bytes += whole as u64;
        let inner = &mut *shared.inner.borrow_mut();
        for (at, record) in batch.records() {
            let place =
                |value: &[u8]| Place::new(geometry.byte(to.segment, to.at + at), value.len());
            let place = record.value.map(place);
            apply(&mut inner.index, &mut inner.segments, record.key, place)
                .map_err(|_| Reason::NoMemory)?;
            if !are_moved {
                inner.stats.puts += 1;
                inner.stats.deletes += u64::from(place.is_none());
                inner.changes.add(&record);
            }
        }
        Ok(())
    }

    /// Where a batch of the log goes that has so many bytes.
    async fn next_position(&self, whole: usize) -> Result<Position, Reason> {
        loop {
            if let Some(position) = self.try_next_position(whole)? {
                return Ok(position);
            }
            // All that are free are still being read from. Each reading ends.
            yield_once().await;
        }
    }

    /// The same; in the next segment if there is no room in this one. `None` if none can be taken for the one behind that now.
    fn try_next_position(&self, whole: usize) -> Result<Option<Position>, Reason> {
        let inner = &mut *self.shared.inner.borrow_mut();
        if inner.head.at + whole > self.shared.geometry.segment_bytes {
            let Some(next) = inner.segments.take(Use::Tail) else {
                return if inner.segments.free() == 0 { Err(Reason::Space) } else { Ok(None) };
            };
            let segment = inner.head.next;
            inner.segments.push_tail(segment).map_err(|_| Reason::NoMemory)?;
            inner.head = Position { segment, at: 0, next, ..inner.head };
        }
        let position = inner.head;
        inner.head.at += whole;
        inner.head.sequence = inner.head.sequence.wrapping_add(1);
        Ok(Some(position))
    }

    pub(crate) async fn write(&self, to: Position, buffer: D::Buffer) -> Result<D::Buffer, Reason> {
        let bytes = buffer.len() as u64;
        let sector = self.shared.geometry.sector(to.segment, to.at);
        let written = self.shared.disk.write(sector, buffer).await.map_err(Reason::WriteFailed)?;
        self.shared.inner.borrow_mut().stats.written_bytes += bytes;
        Ok(written)
    }

    /// Makes durable what has been written. If that fails, all of it may be lost, whatever a later flush says: the runner
    /// writes nothing any more then.
    pub(crate) async fn flush(&self) -> Result<(), Reason> {
        self.shared.disk.flush().await.map_err(Reason::WriteFailed)?;
        self.shared.inner.borrow_mut().stats.flushes += 1;
        Ok(())
    }

    /// Writes a batch of nothing.
    pub(crate) async fn write_mark(&mut self) -> Result<(), Reason> {
        let mut batch = self.work.spare.take().ok_or(Reason::NoMemory)?;
        let done = self.write_records(&mut batch, true).await;
        self.work.spare = Some(batch);
        done
    }

    /// Ends the log with a batch of nothing: it shows that the one before was whole.
    async fn close(&mut self) -> Result<(), Reason> {
        self.write_mark().await?;
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.state = State::Closed;
        inner.end();
        Ok(())
    }
}

impl<D: Disk> Drop for Runner<D> {
    fn drop(&mut self) {
        let inner = &mut *self.shared.inner.borrow_mut();
        if inner.state == State::ReadWrite {
            inner.state = State::Closed;
        }
        inner.end();
    }
}
