//! Makes room: what lives in a segment is written again at the log's end. The segment is free then.

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::Reason;
use crate::format::{BATCH_HEADER, LOG, Place, records};
use crate::runner::Runner;
use crate::segments::Use;

/// A segment that is being emptied.
#[derive(Clone, Copy)]
pub(crate) struct Moving {
    segment: u32,
    /// How far it has been, in bytes.
    at: usize,
    /// The number of the next batch there, when one was seen.
    sequence: Option<u64>,
}

impl<D: Disk> Runner<D> {
    /// One step: what lives in the next part of the segment, as much as one batch takes.
    pub(crate) async fn move_some(&mut self) -> Result<(), Reason> {
        let started = self.work.moving.take().or_else(|| {
            self.work.window.forget();
            let segment = self.shared.inner.borrow().segments.victim()?;
            Some(Moving { segment, at: 0, sequence: None })
        });
        let Some(mut moving) = started else { return Ok(()) };
        if self.shared.inner.borrow().segments.used(moving.segment) != Use::Covered {
            // All in it was overwritten or deleted meanwhile.
            return Ok(());
        }
        let is_over = self.collect(&mut moving).await?;
        if !self.work.output.is_empty() {
            let mut output = core::mem::replace(&mut self.work.output, Batch::none());
            let done = self.write_records(&mut output, true).await;
            output.clear();
            self.work.output = output;
            done?;
        }
        if !is_over {
            self.work.moving = Some(moving);
            return Ok(());
        }
        let inner = &mut *self.shared.inner.borrow_mut();
        inner.stats.compactions += 1;
        if inner.segments.used(moving.segment) == Use::Covered {
            // Something lives there that was not found.
            return Err(Reason::Log {
                sector: self.shared.geometry.sector(moving.segment, moving.at),
            });
        }
        Ok(())
    }

    /// Puts what lives into the output; whether the segment is at its end.
    async fn collect(&mut self, moving: &mut Moving) -> Result<bool, Reason> {
        let shared = &*self.shared;
        let geometry = &shared.geometry;
        let left = geometry.segment_bytes - shared.inner.borrow().head.at;
        let most = geometry.batch_bytes();
        // The rest of a segment is used if that is worth a batch.
        let most = if left >= most / 2 { left.min(most) } else { most };
        let read_before = self.work.window.read_bytes;
        loop {
            let Moving { segment, at, sequence } = *moving;
            let batch = self.work.window.batch(&shared.disk, geometry, segment, at).await;
            let Some(header) = batch.map_err(Reason::ReadFailed)? else { return Ok(true) };
            let is_next = sequence.is_none_or(|sequence| header.sequence == sequence);
            let body = header.body(self.work.window.bytes(segment, at));
            // From an earlier life of the segment, or never finished; or damaged, and then something is missing in the end.
            let Some(body) = body.filter(|_| header.stream == LOG && is_next) else {
                return Ok(true);
            };
            let inner = shared.inner.borrow();
            for (offset, record) in records(body) {
                let value_len = record.value.map_or(0, <[u8]>::len);
                let place =
                    Place::new(geometry.byte(segment, at + BATCH_HEADER + offset), value_len);
                if record.value.is_none() || inner.index.get(record.key) != Some(place) {
                    continue;
                }
                if !self.work.output.has_room(record.bytes(), most) {
                    // This batch once more, when the others are where they belong.
                    return Ok(false);
                }
                self.work.output.push(geometry.id, &record).map_err(|_| Reason::NoMemory)?;
            }
            moving.at = at + geometry.whole_blocks(header.len);
            moving.sequence = Some(header.sequence.wrapping_add(1));
            let is_shown = !self.work.window.bytes(segment, moving.at).is_empty();
            if !is_shown && self.work.window.read_bytes != read_before {
                return Ok(moving.at >= geometry.segment_bytes);
            }
        }
    }
}
