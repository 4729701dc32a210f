//! What is written at once: records are put together where the disk takes them from, by the tasks that want them written.

use alloc::vec::Vec;
use core::ops::DerefMut;
use core::task::Waker;

use crate::disk::Disk;
use crate::error::Error;
use crate::format::{
    BATCH_HEADER, BatchHeader, Geometry, Place, Record, entries, entry_bytes, records, write_entry,
};

/// The most records of one batch: so much memory is provided for what they may add to the index.
pub(crate) const MOST_RECORDS: u32 = 256;

/// A batch, and who waits for it.
pub(crate) struct Batch<B> {
    /// `None` while the disk has it, and for good if that has kept it.
    pub buffer: Option<B>,
    /// How long it is so far, in bytes.
    pub len: usize,
    pub count: u32,
    /// Of the records that put something: how many there are, what their keys have, in bytes, and what they have themselves;
    /// and what they add to a saved index at most.
    pub puts: usize,
    pub key_bytes: usize,
    pub put_bytes: u64,
    pub saved_bytes: u64,
    pub wakers: Vec<Waker>,
}

impl<B> Batch<B> {
    pub fn new(buffer: B) -> Batch<B> {
        Batch { buffer: Some(buffer), ..Batch::none() }
    }

    /// In the place of one that is elsewhere.
    pub fn none() -> Batch<B> {
        Batch {
            buffer: None,
            len: BATCH_HEADER,
            count: 0,
            puts: 0,
            key_bytes: 0,
            put_bytes: 0,
            saved_bytes: 0,
            wakers: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn clear(&mut self) {
        self.len = BATCH_HEADER;
        (self.count, self.puts, self.key_bytes) = (0, 0, 0);
        (self.put_bytes, self.saved_bytes) = (0, 0);
        self.wakers.clear();
    }
}

impl<B: DerefMut<Target = [u8]>> Batch<B> {
    /// Whether so many more bytes fit, where all may have `most`.
    pub fn has_room(&self, bytes: usize, most: usize) -> bool {
        self.len + bytes <= most
    }

    /// Adds a record, for which there is room.
    pub fn push(&mut self, id: u64, record: &Record) -> Result<(), Error> {
        let buffer = self.buffer.as_mut().ok_or(Error::NoMemory)?;
        record.write(id, &mut buffer[self.len..]);
        self.len += record.bytes();
        self.count += 1;
        if record.value.is_some() {
            self.puts += 1;
            self.key_bytes += record.key.len();
            self.put_bytes += record.bytes() as u64;
            self.saved_bytes += crate::index::Index::saved_bytes_of(record.key);
        }
        Ok(())
    }

    /// The entries of a batch of a saved index.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], Place)> {
        let bytes = self.buffer.as_deref().unwrap_or_default();
        entries(bytes.get(BATCH_HEADER..self.len).unwrap_or_default(), self.count)
    }

    /// Its records, with where they begin in the batch.
    pub fn records(&self) -> impl Iterator<Item = (usize, Record<'_>)> {
        let bytes = self.buffer.as_deref().unwrap_or_default();
        records(bytes.get(BATCH_HEADER..self.len).unwrap_or_default())
            .map(|(at, it)| (at + BATCH_HEADER, it))
    }

    /// Adds an entry of a saved index; `false` if there is no room for it.
    pub fn push_entry(&mut self, key: &[u8], place: Place) -> bool {
        let end = self.len + entry_bytes(key.len());
        // Its length is a multiple of 8.
        let room = self
            .buffer
            .as_mut()
            .and_then(|buffer| buffer.get_mut(self.len..end.next_multiple_of(8)));
        let Some(room) = room else { return false };
        room.fill(0);
        write_entry(key, place, room);
        self.len = end;
        self.count += 1;
        true
    }

    /// Completes it: the buffer that is to be written.
    pub fn seal<D: Disk<Buffer = B>>(
        &mut self,
        disk: &D,
        geometry: &Geometry,
        stream: u64,
        sequence: u64,
        next: u32,
    ) -> Option<B> {
        let mut buffer = self.buffer.take()?;
        self.len = self.len.next_multiple_of(8);
        let whole = geometry.whole_blocks(self.len);
        disk.resize(&mut buffer, whole);
        buffer[self.len..].fill(0);
        let header = BatchHeader { len: self.len, stream, sequence, count: self.count, next };
        header.write(geometry.id, &mut buffer);
        Some(buffer)
    }

    /// Takes the buffer back.
    pub fn unseal<D: Disk<Buffer = B>>(&mut self, disk: &D, geometry: &Geometry, mut buffer: B) {
        disk.resize(&mut buffer, geometry.batch_bytes());
        self.buffer = Some(buffer);
    }
}
