//! (being written)
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::disk::Disk;

/// A change that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of this key.
    pub key: Vec<u8>,
    /// Whether it was deleted; else it was put.
    pub is_deleted: bool,
}

/// Why there is no next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchError {
    /// So many changes, of any keys, have been lost, for this watcher was too slow. The next call goes on behind them.
    Lagged(u64),
    /// The store has been closed.
    Closed,
}

impl core::fmt::Display for WatchError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WatchError::Lagged(count) => write!(f, "{count} changes were missed"),
            WatchError::Closed => f.write_str("the store has been closed"),
        }
    }
}

impl core::error::Error for WatchError {}

/// Sees the changes of keys that begin in one way.
pub struct Watch<D: Disk>(pub(crate) PhantomData<D>);

impl<D: Disk> Watch<D> {
    /// The next change. Cancel-safe: a future that is dropped has taken none.
    ///
    /// # Errors
    ///
    /// As [`WatchError`] says.
    pub async fn next(&mut self) -> Result<Change, WatchError> {
        core::future::pending().await
    }
}
