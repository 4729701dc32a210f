//! Finds a connection by its four numbers, among one or among thousands at the same cost.
//!
//! The hash is SipHash with a secret key, so that nobody who chooses addresses and ports can make entries collide (Aumasson
//! and Bernstein, 2012). The same function, with another key, draws initial sequence numbers.

use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::pool::{Key, OutOfMemory};
use crate::segment::Tuple;

/// A secret, and what is made of it.
#[derive(Clone)]
pub(crate) struct Secret(SipHasher13);

impl Secret {
    /// The secret number `which` that grows from `seed`.
    pub(crate) fn new(seed: u64, which: u64) -> Secret {
        Secret(SipHasher13::new_with_keys(seed, which))
    }

    pub(crate) fn number(&self, tuple: &Tuple, more: u64) -> u64 {
        let mut hasher = self.0;
        for IpEndpoint { addr, port } in [&tuple.local, &tuple.remote] {
            match addr {
                // Four bytes of address and two of port in one word.
                IpAddress::Ipv4(addr) => {
                    hasher.write_u64(u64::from(addr.to_bits()) << 16 | u64::from(*port))
                }
                IpAddress::Ipv6(addr) => {
                    hasher.write(&addr.octets());
                    hasher.write_u64(u64::from(*port));
                }
            }
        }
        hasher.write_u64(more);
        hasher.finish()
    }
}

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
