//! Follows a chain of segments: batch by batch, as far as they are whole and numbered without a gap.

use crate::disk::{Disk, DiskError, SECTOR_BYTES};
use crate::format::{BatchHeader, Geometry, NONE};

/// Where the next batch of a chain is, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub segment: u32,
    /// In that segment, in bytes.
    pub at: usize,
    /// The segment behind it.
    pub next: u32,
    /// Number of that batch.
    pub sequence: u64,
}

/// A part of a segment, in memory.
pub(crate) struct Window<B> {
    /// `None` while the disk has it.
    buffer: Option<B>,
    segment: u32,
    start: usize,
    /// How much of it was read, in bytes; 0 is none.
    len: usize,
    /// All that was read, in bytes.
    pub read_bytes: u64,
}

impl<B: core::ops::DerefMut<Target = [u8]>> Window<B> {
    /// `buffer` has [`batch_bytes`](Geometry::batch_bytes).
    pub fn new(buffer: B) -> Window<B> {
        Window { buffer: Some(buffer), segment: NONE, start: 0, len: 0, read_bytes: 0 }
    }

    /// Has what it shows forgotten: the segment is written to.
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Bytes of that segment from `at` on, as far as they are here.
    pub fn bytes(&self, segment: u32, at: usize) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or_default();
        let shown = buffer.get(..self.len).unwrap_or_default();
        let offset = at.checked_sub(self.start).filter(|_| segment == self.segment);
        offset.and_then(|offset| shown.get(offset..)).unwrap_or_default()
    }

    /// Shows that segment from `at` on, a multiple of the block.
    pub async fn show<D: Disk<Buffer = B>>(
        &mut self,
        disk: &D,
        geometry: &Geometry,
        segment: u32,
        at: usize,
    ) -> Result<(), DiskError> {
        self.len = 0;
        let most = geometry.batch_bytes();
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            // The disk has kept the one before.
            None => disk.buffer(most).ok_or(DiskError::Refused)?,
        };
        let len = most.min(geometry.segment_bytes - at);
        disk.resize(&mut buffer, len);
        let mut buffer = disk.read(geometry.sector(segment, at), buffer).await?;
        disk.resize(&mut buffer, most);
        self.buffer = Some(buffer);
        (self.segment, self.start, self.len) = (segment, at, len);
        self.read_bytes += len as u64;
        Ok(())
    }

    /// Makes sure that all of what is at `at` is shown, if it is a batch; its header, if it begins with one.
    pub async fn batch<D: Disk<Buffer = B>>(
        &mut self,
        disk: &D,
        geometry: &Geometry,
        segment: u32,
        at: usize,
    ) -> Result<Option<BatchHeader>, DiskError> {
        if at >= geometry.segment_bytes {
            return Ok(None);
        }
        if self.bytes(segment, at).len() < SECTOR_BYTES {
            self.show(disk, geometry, segment, at).await?;
        }
        let Some(header) = BatchHeader::read(geometry.id, self.bytes(segment, at)) else {
            return Ok(None);
        };
        let end = header.len.checked_add(at).filter(|&end| end <= geometry.segment_bytes);
        if end.is_none() || header.len > geometry.batch_bytes() {
            return Ok(None);
        }
        if self.bytes(segment, at).len() < header.len {
            self.show(disk, geometry, segment, at).await?;
        }
        Ok(Some(header))
    }

    /// Goes to the next batch of the stream: its header and the segment and byte that it begins at; and `position` is behind
    /// it then. `None` if there is none that is whole.
    pub async fn follow<D: Disk<Buffer = B>>(
        &mut self,
        disk: &D,
        geometry: &Geometry,
        stream: u64,
        position: &mut Position,
    ) -> Result<Option<(BatchHeader, u32, usize)>, DiskError> {
        let here = (position.segment, position.at);
        let next = (position.next, 0);
        for (segment, at) in [here, next] {
            if segment >= geometry.segments {
                continue;
            }
            let Some(header) = self.batch(disk, geometry, segment, at).await? else { continue };
            let is_it = header.stream == stream && header.sequence == position.sequence;
            if is_it && header.body(self.bytes(segment, at)).is_some() {
                *position = Position {
                    segment,
                    at: at + geometry.whole_blocks(header.len),
                    next: header.next,
                    sequence: position.sequence.wrapping_add(1),
                };
                return Ok(Some((header, segment, at)));
            }
        }
        Ok(None)
    }

    /// Whether there is a batch of the stream, with a number behind that of `position`, where only such would be that were
    /// written after it: in the rest of its segment, and in the next one.
    pub async fn goes_on<D: Disk<Buffer = B>>(
        &mut self,
        disk: &D,
        geometry: &Geometry,
        stream: u64,
        position: &Position,
    ) -> Result<bool, DiskError> {
        for (segment, start) in [(position.segment, position.at), (position.next, 0)] {
            if segment >= geometry.segments {
                continue;
            }
            for at in (start..geometry.segment_bytes).step_by(geometry.block_bytes) {
                if self.bytes(segment, at).len() < SECTOR_BYTES {
                    self.show(disk, geometry, segment, at).await?;
                }
                let header = BatchHeader::read(geometry.id, self.bytes(segment, at));
                let is_later =
                    |it: BatchHeader| it.stream == stream && it.sequence > position.sequence;
                if header.is_some_and(is_later) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
