//! The account of the disk's segments: what each is used for, and how much in it is alive.
//!
//! A record is alive if the index has its place. The index changes when a batch is durable, and not before: so a segment
//! without a living record may be written to again at once. Only the *tail* may not, the log behind the saved index, which is
//! what opening the store reads: there a record that says that a key was deleted counts, too.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::error::Error;
use crate::format::{Geometry, Place, record_bytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Free,
    /// The log, or what is to be its next segment.
    Tail,
    /// Log from before the index was saved: what lives in it can be moved.
    Covered,
    /// A saved index, or one that is being saved.
    Saved,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    used: Use,
    /// How many readings are under way there.
    readers: u16,
    live_bytes: u32,
}

pub(crate) struct Segments {
    geometry: Geometry,
    all: Vec<Segment>,
    free: u32,
    /// Where the search for a free one goes on.
    cursor: u32,
    live_bytes: u64,
    /// The log behind the saved index, in its order.
    pub tail: VecDeque<u32>,
}

/// Segments that are kept for what makes room: to move records to, and the log's next one.
const RESERVE: u64 = 4;

impl Segments {
    pub fn new(geometry: Geometry) -> Result<Segments, Error> {
        let mut all = Vec::new();
        let count = geometry.segments as usize;
        all.try_reserve_exact(count).map_err(|_| Error::NoMemory)?;
        all.resize(count, Segment { used: Use::Free, readers: 0, live_bytes: 0 });
        let tail = VecDeque::new();
        Ok(Segments { geometry, all, free: geometry.segments, cursor: 0, live_bytes: 0, tail })
    }

    pub fn free(&self) -> u32 {
        self.free
    }

    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub fn used(&self, segment: u32) -> Use {
        self.all[segment as usize].used
    }

    pub fn set_used(&mut self, segment: u32, used: Use) {
        let it = &mut self.all[segment as usize];
        self.free += u32::from(used == Use::Free);
        self.free -= u32::from(it.used == Use::Free);
        it.used = used;
    }

    /// Takes a free segment.
    pub fn take(&mut self, used: Use) -> Option<u32> {
        let count = self.geometry.segments;
        let mut numbers = (self.cursor..count).chain(0..self.cursor);
        let is_free = |&it: &u32| {
            let it = &self.all[it as usize];
            it.used == Use::Free && it.readers == 0
        };
        let found = numbers.find(is_free)?;
        self.cursor = (found + 1) % count;
        self.set_used(found, used);
        Some(found)
    }

    /// Takes that one for the log's next. `false` if it is not free.
    pub fn reserve_next(&mut self, segment: u32) -> bool {
        let it = self.all.get(segment as usize);
        let is_free = it.is_some_and(|it| it.used == Use::Free);
        if is_free {
            self.set_used(segment, Use::Tail);
        }
        is_free
    }

    fn of(&mut self, place: Place) -> Option<&mut Segment> {
        let segment = self.geometry.segment_of(place.byte())?;
        self.all.get_mut(segment as usize)
    }

    /// A record lives there now.
    pub fn add(&mut self, key_len: usize, place: Place) {
        let bytes = record_bytes(key_len, place.value_len()) as u32;
        self.live_bytes += u64::from(bytes);
        if let Some(it) = self.of(place) {
            it.live_bytes = it.live_bytes.saturating_add(bytes);
        }
    }

    /// The record there is dead.
    pub fn subtract(&mut self, key_len: usize, place: Place) {
        let bytes = record_bytes(key_len, place.value_len()) as u32;
        self.live_bytes = self.live_bytes.saturating_sub(bytes.into());
        if let Some(it) = self.of(place) {
            it.live_bytes = it.live_bytes.saturating_sub(bytes);
            self.free_if_dead(place);
        }
    }

    fn free_if_dead(&mut self, place: Place) {
        if let Some(segment) = self.geometry.segment_of(place.byte()) {
            let it = &self.all[segment as usize];
            if it.used == Use::Covered && it.live_bytes == 0 {
                self.set_used(segment, Use::Free);
            }
        }
    }

    /// Somebody reads there: it is not written to until [`end_reading`](Self::end_reading). `false` if too many do.
    pub fn begin_reading(&mut self, place: Place) -> bool {
        let Some(it) = self.of(place) else { return false };
        let readers = it.readers.checked_add(1);
        it.readers = readers.unwrap_or(it.readers);
        readers.is_some()
    }

    pub fn end_reading(&mut self, place: Place) {
        if let Some(it) = self.of(place) {
            it.readers -= 1;
        }
    }

    /// The log goes on in that segment.
    pub fn push_tail(&mut self, segment: u32) -> Result<(), Error> {
        self.tail.try_reserve(1).map_err(|_| Error::NoMemory)?;
        self.tail.push_back(segment);
        self.set_used(segment, Use::Tail);
        Ok(())
    }

    /// The index has been saved since the first `count` segments of the tail ended.
    pub fn cover(&mut self, count: usize) {
        for segment in self.tail.drain(..count) {
            let it = &mut self.all[segment as usize];
            it.used = Use::Covered;
            if it.live_bytes == 0 {
                it.used = Use::Free;
                self.free += 1;
            }
        }
    }

    /// After the store was opened: whatever has living records, and is no tail, is covered.
    pub fn settle(&mut self) {
        for it in &mut self.all {
            if it.used == Use::Free && it.live_bytes != 0 {
                it.used = Use::Covered;
                self.free -= 1;
            }
        }
    }

    /// The covered segment with the least in it that lives, if to move that is worth it.
    pub fn victim(&self) -> Option<u32> {
        let covered = (0..).zip(&self.all).filter(|(_, it)| it.used == Use::Covered);
        let (segment, it) = covered.min_by_key(|(_, it)| it.live_bytes)?;
        // Where values are as long as can be, a segment takes 0.84 of its length of records.
        let is_worth_it = it.live_bytes as usize <= self.geometry.segment_bytes / 4 * 3;
        is_worth_it.then_some(segment)
    }

    /// Segments that a saved index of that length takes.
    fn of_saved(&self, bytes: u64) -> u64 {
        // The end of a segment may be too short for a batch, the end of a batch for an entry.
        let geometry = &self.geometry;
        let room = geometry.segment_bytes - geometry.batch_bytes();
        bytes.div_ceil(room as u64 / 4 * 3) + 1
    }

    /// So many free segments are not for what is put: records are moved there, and the index is saved.
    pub fn reserve(&self, saved_bytes: u64) -> u32 {
        u32::try_from(RESERVE + self.of_saved(saved_bytes)).unwrap_or(u32::MAX)
    }

    /// Below so many free segments room is made.
    pub fn low(&self, saved_bytes: u64) -> u32 {
        self.reserve(saved_bytes).saturating_add((self.geometry.segments / 32).max(1))
    }

    /// Bytes of records that can still be put, when the saved index has `saved_bytes`. A quarter of the segments' room is
    /// for what is dead in them and the ends that are too short for a batch: so there is always something to be gained by
    /// moving.
    pub fn room_bytes(&self, saved_bytes: u64) -> u64 {
        // The log's segment and the next one cannot be given up.
        let kept = RESERVE + 2 + 2 * self.of_saved(saved_bytes);
        let segments = u64::from(self.geometry.segments).saturating_sub(kept);
        let geometry = &self.geometry;
        let room = (geometry.segment_bytes - geometry.batch_bytes()) as u64 * segments / 4 * 3;
        room.saturating_sub(self.live_bytes)
    }
}
