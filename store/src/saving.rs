//! Saves the index, so that opening the store need not read the whole log.
//!
//! The log goes on meanwhile. What is saved begins at one place of the log, and is read with all of the log behind that
//! place: so it does no harm if the index changes between two steps, for every such change stands in that log.
//!
//! The stream of a saved index is the number of the batch that the log behind it begins with. An empty batch is written
//! first, so no two have the same, and what is left of one that was not finished is never taken for a part of the next.

use alloc::vec::Vec;

use crate::chain::Position;
use crate::disk::{Disk, SECTOR_BYTES};
use crate::error::Reason;
use crate::format::{COPIES, LogStart, NONE, Superblock};
use crate::options::KEY_BYTES;
use crate::runner::Runner;
use crate::segments::Use;

/// An index that is being saved.
pub(crate) struct Saving {
    /// Where the next batch goes.
    position: Position,
    /// The last key that was saved; empty before the first.
    last: Vec<u8>,
    keys: u64,
    segments: Vec<u32>,
    log: LogStart,
    /// So many segments of the tail are before the log's beginning.
    covered: usize,
}

impl<D: Disk> Runner<D> {
    /// One step: as many keys as one batch takes, or the end.
    pub(crate) async fn save_some(&mut self) -> Result<(), Reason> {
        let mut saving = match self.work.saving.take() {
            Some(saving) => saving,
            None => {
                self.write_mark().await?;
                self.begin_saving()?
            }
        };
        {
            let inner = self.shared.inner.borrow();
            for (key, place) in inner.index.from(&saving.last, false) {
                if !self.work.output.push_entry(key, place) {
                    break;
                }
                saving.keys += 1;
            }
        }
        if self.work.output.is_empty() {
            return self.end_saving(saving).await;
        }
        self.write_entries(&mut saving).await?;
        self.work.saving = Some(saving);
        Ok(())
    }

    fn begin_saving(&mut self) -> Result<Saving, Reason> {
        // A segment that is being emptied may be used anew before this ends.
        self.work.moving = None;
        self.work.is_save_wanted = false;
        self.work.tail_bytes = 0;
        let inner = &mut *self.shared.inner.borrow_mut();
        let Position { segment, at, next, sequence } = inner.head;
        let log = LogStart { segment, at: at as u32, next, sequence };
        let (mut last, mut segments) = (Vec::new(), Vec::new());
        let taken = last.try_reserve_exact(KEY_BYTES).and_then(|()| segments.try_reserve(2));
        taken.map_err(|_| Reason::NoMemory)?;
        let [first, second] =
            [(); 2].map(|()| inner.segments.take(Use::Saved)).map(|it| it.ok_or(Reason::Space));
        segments.extend([first?, second?]);
        Ok(Saving {
            position: Position { segment: first?, at: 0, next: second?, sequence: 0 },
            last,
            keys: 0,
            segments,
            log,
            covered: inner.segments.tail.len() - 1,
        })
    }

    async fn write_entries(&mut self, saving: &mut Saving) -> Result<(), Reason> {
        let shared = &*self.shared;
        let geometry = &shared.geometry;
        let output = &mut self.work.output;
        let whole = geometry.whole_blocks(output.len.next_multiple_of(8));
        if saving.position.at + whole > geometry.segment_bytes {
            saving.segments.try_reserve(1).map_err(|_| Reason::NoMemory)?;
            let taken = shared.inner.borrow_mut().segments.take(Use::Saved);
            let next = taken.ok_or(Reason::Space)?;
            saving.segments.push(next);
            saving.position =
                Position { segment: saving.position.next, at: 0, next, ..saving.position };
        }
        let Position { next, sequence, .. } = saving.position;
        let buffer = output.seal(&shared.disk, geometry, saving.log.sequence, sequence, next);
        let buffer = buffer.ok_or(Reason::NoMemory)?;
        let buffer = self.write(saving.position, buffer).await?;
        let output = &mut self.work.output;
        output.unseal(&shared.disk, geometry, buffer);
        saving.last.clear();
        if let Some((key, _)) = output.entries().last() {
            saving.last.extend_from_slice(key);
        }
        output.clear();
        saving.position.at += whole;
        saving.position.sequence += 1;
        Ok(())
    }

    /// Has the superblock name what was saved, and gives up what it named before.
    async fn end_saving(&mut self, saving: Saving) -> Result<(), Reason> {
        let (mut used, mut saved_segment) = (saving.segments, NONE);
        let mut spare = used.split_off(used.len() - 1);
        if saving.keys == 0 {
            spare.append(&mut used);
        } else {
            saved_segment = used[0];
        }
        let superblock = Superblock {
            generation: self.work.superblock.generation.wrapping_add(1),
            saved_segment,
            saved_keys: saving.keys,
            log: saving.log,
            ..self.work.superblock
        };
        // What it names is durable before it is.
        self.flush().await?;
        // The first copy is durable before the second is written: one of them is whole at any time.
        for sector in COPIES {
            self.write_superblock(&superblock, sector).await?;
            self.flush().await?;
        }
        self.work.superblock = superblock;
        let old = core::mem::replace(&mut self.work.saved, used);
        let inner = &mut *self.shared.inner.borrow_mut();
        for segment in old.into_iter().chain(spare) {
            inner.segments.set_used(segment, Use::Free);
        }
        inner.segments.cover(saving.covered);
        inner.stats.checkpoints += 1;
        Ok(())
    }

    async fn write_superblock(
        &mut self,
        superblock: &Superblock,
        sector: u64,
    ) -> Result<(), Reason> {
        let shared = &*self.shared;
        let output = &mut self.work.output;
        let mut buffer = output.buffer.take().ok_or(Reason::NoMemory)?;
        shared.disk.resize(&mut buffer, shared.geometry.block_bytes);
        buffer.fill(0);
        superblock.write(&mut buffer[..SECTOR_BYTES]);
        let written = shared.disk.write(sector, buffer).await.map_err(Reason::WriteFailed)?;
        output.unseal(&shared.disk, &shared.geometry, written);
        Ok(())
    }
}
