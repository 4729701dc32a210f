//! Where the record of each key is: all keys in their order, packed, in memory.
//!
//! ```text
//! order   a number for each leaf, by its first key          4 bytes a leaf
//! slabs   16 leaves of 2 KiB each, in no order
//! leaf    entries one behind the other, by their keys: place (8 bytes), length of the key (2), key
//! ```
//!
//! A key takes 10 bytes beside its own, over how full leaves are: those of a saved index are full, and half full when they were
//! split. Where memory is out, all are [filled up](Index::squeeze): so what was there once fits again when the store is opened.
//! `alloc`'s `BTreeMap` would take a block of the heap for each key and end the kernel where there is no memory;
//! here room is taken before a batch is written, and an insertion that was [provided for](Index::reserve) cannot fail.
//!
//! A leaf is searched from its beginning: some 40 keys, half of which are looked at.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::error::Error;
use crate::format::Place;
use crate::options::KEY_BYTES;

const LEAF_BYTES: usize = 2048;
const ROOM: usize = LEAF_BYTES - size_of::<u16>();
/// Leaves that are taken from the heap at once.
const SLAB: usize = 16;
/// Of an entry, beside its key: its place, and the key's length.
const ENTRY: usize = 10;

// Two entries fit in half a leaf each, so a leaf that is split has room for any other in both halves.
const _: () = assert!(3 * (ENTRY + KEY_BYTES) <= ROOM);

struct Leaf {
    used: u16,
    bytes: [u8; ROOM],
}

/// An entry of a leaf.
#[derive(Clone, Copy)]
struct Entry<'a> {
    place: Place,
    key: &'a [u8],
    /// Where it is in its leaf.
    at: usize,
}

impl Entry<'_> {
    fn end(&self) -> usize {
        self.at + ENTRY + self.key.len()
    }
}

/// The entry that these bytes begin with, which is at `at` of a leaf.
fn entry_of(bytes: &[u8], at: usize) -> Option<Entry<'_>> {
    let (head, rest) = bytes.split_first_chunk::<ENTRY>()?;
    let [a, b, c, d, e, f, g, h, low, high] = *head;
    let place = Place::from_bits(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    let key = rest.get(..usize::from(u16::from_le_bytes([low, high])))?;
    Some(Entry { place, key, at })
}

/// The order of two keys. Most differ in their first eight bytes, which takes a tenth of a call of `memcmp`.
#[inline]
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    if let (Some(one), Some(other)) = (one.first_chunk::<8>(), other.first_chunk::<8>())
        && one != other
    {
        return u64::from_be_bytes(*one).cmp(&u64::from_be_bytes(*other));
    }
    one.cmp(other)
}

impl Leaf {
    #[inline]
    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        entry_of(&self.bytes[at..usize::from(self.used)], at)
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let entry = self.entry(at)?;
            at = entry.end();
            Some(entry)
        })
    }

    fn first(&self) -> &[u8] {
        self.entry(0).map_or(&[], |entry| entry.key)
    }

    /// The entry of the key, or where it belongs.
    fn find(&self, key: &[u8]) -> Result<Entry<'_>, usize> {
        for entry in self.entries() {
            match compare(entry.key, key) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(entry),
                Ordering::Greater => return Err(entry.at),
            }
        }
        Err(self.used.into())
    }

    fn has_room(&self, key: &[u8]) -> bool {
        usize::from(self.used) + ENTRY + key.len() <= ROOM
    }

    fn insert(&mut self, at: usize, key: &[u8], place: Place) {
        let (used, size) = (usize::from(self.used), ENTRY + key.len());
        self.bytes.copy_within(at..used, at + size);
        self.set_place(at, place);
        self.bytes[at + 8..at + ENTRY].copy_from_slice(&(key.len() as u16).to_le_bytes());
        self.bytes[at + ENTRY..at + size].copy_from_slice(key);
        self.used += size as u16;
    }

    fn set_place(&mut self, at: usize, place: Place) {
        self.bytes[at..at + 8].copy_from_slice(&place.to_bits().to_le_bytes());
    }

    fn remove(&mut self, at: usize, end: usize) {
        self.bytes.copy_within(end..usize::from(self.used), at);
        self.used -= (end - at) as u16;
    }
}

/// The index.
#[derive(Default)]
pub(crate) struct Index {
    slabs: Vec<Vec<Leaf>>,
    /// Leaves that hold nothing.
    spare: Vec<u32>,
    order: Vec<u32>,
    keys: u64,
    /// What all entries have, in bytes.
    bytes: u64,
    /// The most memory, in bytes.
    limit: Option<usize>,
}

impl Index {
    /// From now on it takes no more of the heap than so many bytes, if there is a limit, or than it has.
    pub fn set_limit(&mut self, limit: Option<usize>) {
        self.limit = limit;
    }

    /// An empty one, which takes so many bytes of the heap at most, if there is a limit.
    pub fn new(limit: Option<usize>) -> Index {
        Index { limit, ..Index::default() }
    }

    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// What it takes in a saved index, in bytes.
    pub fn saved_bytes(&self) -> u64 {
        self.bytes
    }

    /// What a key of that length adds to it.
    pub fn saved_bytes_of(key: &[u8]) -> u64 {
        (ENTRY + key.len()) as u64
    }

    /// What it has of the heap, in bytes.
    pub fn heap_bytes(&self) -> u64 {
        (self.slabs.len() * SLAB * LEAF_BYTES
            + (self.order.capacity() + self.spare.capacity()) * size_of::<u32>()) as u64
    }

    fn leaf(&self, number: u32) -> &Leaf {
        &self.slabs[number as usize / SLAB][number as usize % SLAB]
    }

    fn leaf_mut(&mut self, number: u32) -> &mut Leaf {
        &mut self.slabs[number as usize / SLAB][number as usize % SLAB]
    }

    /// Takes memory for so many insertions, with so many bytes of keys: none of them fails then.
    pub fn reserve(&mut self, insertions: usize, key_bytes: usize) -> Result<(), Error> {
        // Each leaf may be split by its first insertion, and again when what was added fills the room that a split has left.
        let added = insertions * ENTRY + key_bytes;
        let again = added / (ROOM / 2 - ENTRY - KEY_BYTES);
        let splits = insertions.min(self.order.len() + again + 1);
        while self.spare.len() < splits {
            self.make_spare(splits)?;
        }
        self.order.try_reserve(splits).map_err(|_| Error::NoMemory)
    }

    /// Makes more leaves spare, of which `needed` are wanted: by new ones, else by filling the others up.
    fn make_spare(&mut self, needed: usize) -> Result<(), Error> {
        if self.grow().is_ok() {
            return Ok(());
        }
        let Some(entry) = self.bytes.checked_div(self.keys) else { return Err(Error::NoMemory) };
        // At the end of a leaf there is room for less than an entry.
        let filled = self.bytes / (ROOM as u64 - entry) + 1;
        let gain = (self.order.len() as u64).saturating_sub(filled) as usize;
        // It looks at all keys: not for every leaf that is wanted.
        if gain < (self.order.len() / 16).max(needed.saturating_sub(self.spare.len())) {
            return Err(Error::NoMemory);
        }
        let before = self.spare.len();
        self.squeeze();
        if self.spare.len() > before { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// Fills leaves up, from the first on; those that are empty then are spare.
    fn squeeze(&mut self) {
        let mut to = 0;
        for from in 1..self.order.len() {
            let source = self.order[from];
            loop {
                let target = self.order[to];
                if target == source {
                    break;
                }
                let room = ROOM - usize::from(self.leaf(target).used);
                let leaf = self.leaf(source);
                let fits = leaf.entries().map(|entry| entry.end()).take_while(|&end| end <= room);
                let count = fits.last().unwrap_or(0);
                let mut moved = [0; ROOM];
                moved[..count].copy_from_slice(&leaf.bytes[..count]);
                let target = self.leaf_mut(target);
                let used = usize::from(target.used);
                target.bytes[used..used + count].copy_from_slice(&moved[..count]);
                target.used += count as u16;
                self.leaf_mut(source).remove(0, count);
                if self.leaf(source).used == 0 {
                    break;
                }
                to += 1;
            }
        }
        while self.order.last().is_some_and(|&number| self.leaf(number).used == 0) {
            // Room for all leaves was taken when they were made.
            self.spare.extend(self.order.pop());
        }
    }

    fn grow(&mut self) -> Result<(), Error> {
        let count = (self.slabs.len() + 1) * SLAB;
        u32::try_from(count).map_err(|_| Error::NoMemory)?;
        if self.limit.is_some_and(|limit| count * LEAF_BYTES > limit) {
            return Err(Error::NoMemory);
        }
        let mut slab = Vec::new();
        // All leaves may be spare once.
        let spare = count - self.spare.len();
        let taken = self.spare.try_reserve(spare).and_then(|()| self.slabs.try_reserve(1));
        taken.and_then(|()| slab.try_reserve_exact(SLAB)).map_err(|_| Error::NoMemory)?;
        slab.extend((0..SLAB).map(|_| Leaf { used: 0, bytes: [0; ROOM] }));
        self.slabs.push(slab);
        self.spare.extend((count - SLAB..count).rev().map(|number| number as u32));
        Ok(())
    }

    /// Where in `order` the leaf is that the key is in, or belongs to. There is one.
    fn slot(&self, key: &[u8]) -> usize {
        let is_before =
            |&number: &u32| compare(self.leaf(number).first(), key) != Ordering::Greater;
        let behind = self.order.partition_point(is_before);
        behind.saturating_sub(1)
    }

    pub fn get(&self, key: &[u8]) -> Option<Place> {
        let &number = self.order.get(self.slot(key))?;
        self.leaf(number).find(key).ok().map(|entry| entry.place)
    }

    /// Sets the place of a key; gives the one that it had.
    pub fn insert(&mut self, key: &[u8], place: Place) -> Result<Option<Place>, Error> {
        if self.order.is_empty() {
            self.add_leaf(0)?;
        }
        let (slot, at) = loop {
            let slot = self.slot(key);
            let number = self.order[slot];
            let leaf = self.leaf_mut(number);
            let at = match leaf.find(key) {
                Ok(Entry { at, place: old, .. }) => {
                    leaf.set_place(at, place);
                    return Ok(Some(old));
                }
                Err(at) => at,
            };
            if leaf.has_room(key) {
                leaf.insert(at, key, place);
                self.count(key);
                return Ok(None);
            }
            if !self.spare.is_empty() {
                break (slot, at);
            }
            // This may move all keys.
            self.make_spare(1)?;
        };
        let used = usize::from(self.leaf(self.order[slot]).used);
        let is_last = at == used && slot + 1 == self.order.len();
        self.split(slot, if is_last { at } else { ROOM / 2 })?;
        let slot = self.slot_of_two(slot, key);
        let leaf = self.leaf_mut(self.order[slot]);
        let at = leaf.find(key).map_or_else(|at| at, |entry| entry.at);
        leaf.insert(at, key, place);
        self.count(key);
        Ok(None)
    }

    fn count(&mut self, key: &[u8]) {
        self.keys += 1;
        self.bytes += Index::saved_bytes_of(key);
    }

    fn slot_of_two(&self, slot: usize, key: &[u8]) -> usize {
        let second = self.leaf(self.order[slot + 1]);
        // An empty one was made for a key behind all others.
        if second.used == 0 || second.first() <= key { slot + 1 } else { slot }
    }

    fn add_leaf(&mut self, slot: usize) -> Result<u32, Error> {
        if self.spare.is_empty() {
            self.make_spare(1)?;
        }
        self.order.try_reserve(1).map_err(|_| Error::NoMemory)?;
        let number = self.spare.pop().ok_or(Error::NoMemory)?;
        self.order.insert(slot, number);
        Ok(number)
    }

    /// Moves what begins at `at` or behind to a new leaf.
    fn split(&mut self, slot: usize, at: usize) -> Result<(), Error> {
        let new = self.add_leaf(slot + 1)?;
        let old = self.leaf_mut(self.order[slot]);
        let at = old.entries().map(|entry| entry.at).find(|&start| start >= at);
        let (start, end) = (at.unwrap_or(old.used.into()), usize::from(old.used));
        let mut moved = [0; ROOM];
        let moved = &mut moved[..end - start];
        moved.copy_from_slice(&old.bytes[start..end]);
        old.used = start as u16;
        let leaf = self.leaf_mut(new);
        leaf.bytes[..moved.len()].copy_from_slice(moved);
        leaf.used = moved.len() as u16;
        Ok(())
    }

    /// Takes a key out; gives the place that it had.
    pub fn remove(&mut self, key: &[u8]) -> Option<Place> {
        let slot = self.slot(key);
        let &number = self.order.get(slot)?;
        let leaf = self.leaf_mut(number);
        let entry = leaf.find(key).ok()?;
        let (place, at, end) = (entry.place, entry.at, entry.end());
        leaf.remove(at, end);
        self.keys -= 1;
        self.bytes -= Index::saved_bytes_of(key);
        self.join(slot);
        // The leaf before may have room for what is left too.
        if slot > 0 && slot < self.order.len() {
            self.join(slot - 1);
        }
        Some(place)
    }

    /// Gives a leaf up that is empty, or the one behind it if both fit well into one.
    fn join(&mut self, slot: usize) {
        let number = self.order[slot];
        let used = usize::from(self.leaf(number).used);
        if used == 0 {
            self.order.remove(slot);
            // Room for all leaves was taken when they were made.
            self.spare.push(number);
            return;
        }
        let Some(&next) = self.order.get(slot + 1) else { return };
        let more = usize::from(self.leaf(next).used);
        // Not if the next insertion would split it again.
        if used + more > ROOM * 3 / 4 {
            return;
        }
        let mut moved = [0; ROOM];
        moved[..more].copy_from_slice(&self.leaf(next).bytes[..more]);
        let leaf = self.leaf_mut(number);
        leaf.bytes[used..used + more].copy_from_slice(&moved[..more]);
        leaf.used += more as u16;
        self.leaf_mut(next).used = 0;
        self.order.remove(slot + 1);
        self.spare.push(next);
    }

    /// Adds the entries of a part of a saved index, `count` of them, behind all others, and hands each to `seen`. `false` if they
    /// are not in order, or `seen` says so.
    pub fn extend(
        &mut self,
        mut bytes: &[u8],
        count: u32,
        mut seen: impl FnMut(&[u8], Place) -> bool,
    ) -> Result<bool, Error> {
        let mut left = count;
        while left != 0 {
            let number = match self.order.last() {
                Some(&number)
                    if self.leaf(number).has_room(entry_of(bytes, 0).map_or(&[], |it| it.key)) =>
                {
                    number
                }
                _ => self.add_leaf(self.order.len())?,
            };
            // As many as fit, in one piece.
            let room = ROOM - usize::from(self.leaf(number).used);
            let mut last = self.last_key(number);
            let (mut end, mut count) = (0, 0);
            while count != left {
                let Some(entry) = entry_of(&bytes[end..], end) else { return Ok(false) };
                if entry.end() > room {
                    break;
                }
                let is_next = last.is_none_or(|last| compare(last, entry.key) == Ordering::Less);
                if !is_next || entry.key.len() > KEY_BYTES || !seen(entry.key, entry.place) {
                    return Ok(false);
                }
                (last, end, count) = (Some(entry.key), entry.end(), count + 1);
            }
            if count == 0 {
                // Longer than a key can be.
                return Ok(false);
            }
            let leaf = self.leaf_mut(number);
            let used = usize::from(leaf.used);
            leaf.bytes[used..used + end].copy_from_slice(&bytes[..end]);
            leaf.used += end as u16;
            self.bytes += end as u64;
            self.keys += u64::from(count);
            left -= count;
            bytes = &bytes[end..];
        }
        Ok(true)
    }

    /// The last key of the last leaf, or of the one before that.
    fn last_key(&self, number: u32) -> Option<&[u8]> {
        let of = |number| self.leaf(number).entries().last().map(|entry| entry.key);
        of(number).or_else(|| of(*self.order.get(self.order.len().checked_sub(2)?)?))
    }

    /// The keys from `start` on, in order; without `start` itself, unless it is to be with it.
    pub fn from<'a>(
        &'a self,
        start: &[u8],
        with_start: bool,
    ) -> impl Iterator<Item = (&'a [u8], Place)> {
        let mut slot = self.slot(start);
        let mut at =
            self.order.get(slot).map_or(0, |&number| match self.leaf(number).find(start) {
                Ok(entry) if with_start => entry.at,
                Ok(entry) => entry.end(),
                Err(at) => at,
            });
        core::iter::from_fn(move || {
            loop {
                let leaf = self.leaf(*self.order.get(slot)?);
                if let Some(entry) = leaf.entry(at) {
                    at = entry.end();
                    return Some((entry.key, entry.place));
                }
                (slot, at) = (slot + 1, 0);
            }
        })
    }
}
