//! Finds a connection by its four numbers, among one or among thousands at the same cost.
//!
//! The hash is that of `secret.rs`, so that nobody who chooses addresses and ports can make entries collide.

use hashbrown::HashTable;

use crate::pool::{Key, OutOfMemory};
use crate::secret::Secret;
use crate::segment::Tuple;

/// What a tuple leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A connection of the pool.
    Connection(Key),
    /// The record of this number in [`TimeWait`](crate::time_wait::TimeWait).
    TimeWait(u64),
}

struct Entry {
    tuple: Tuple,
    found: Found,
}

/// Tuples, each at most once.
pub(crate) struct Table {
    entries: HashTable<Entry>,
    secret: Secret,
}

impl Table {
    pub(crate) fn new(secret: Secret) -> Table {
        Table { entries: HashTable::new(), secret }
    }

    /// Makes room for one more.
    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        let secret = &self.secret;
        self.entries.try_reserve(1, |entry| secret.number(&entry.tuple, 0)).map_err(|_| OutOfMemory)
    }

    pub(crate) fn find(&self, tuple: &Tuple) -> Option<Found> {
        let hash = self.secret.number(tuple, 0);
        self.entries.find(hash, |entry| entry.tuple == *tuple).map(|entry| entry.found)
    }

    /// Lets `tuple` lead to `found`, in the place of anything that it has led to. Room was made if it is new.
    pub(crate) fn set(&mut self, tuple: Tuple, found: Found) {
        let hash = self.secret.number(&tuple, 0);
        match self.entries.find_mut(hash, |entry| entry.tuple == tuple) {
            Some(entry) => entry.found = found,
            None => {
                let secret = &self.secret;
                self.entries.insert_unique(hash, Entry { tuple, found }, |entry| {
                    secret.number(&entry.tuple, 0)
                });
            }
        }
    }

    /// Removes `tuple` if it leads to `found`.
    pub(crate) fn remove(&mut self, tuple: &Tuple, found: Found) {
        let hash = self.secret.number(tuple, 0);
        if let Ok(entry) =
            self.entries.find_entry(hash, |entry| entry.tuple == *tuple && entry.found == found)
        {
            entry.remove();
        }
    }
}
