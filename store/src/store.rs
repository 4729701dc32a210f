//! The handle (being written: it stands in memory so far).

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::marker::PhantomData;

use crate::disk::Disk;
use crate::error::{Error, OpenError, State};
use crate::options::{KEY_BYTES, Options, Stats, VALUE_BYTES};
use crate::runner::Runner;
use crate::watch::Watch;

/// A handle of a store. It is cloned for each user, and stays in the executor that it was made in.
pub struct Store<D: Disk>(Rc<RefCell<BTreeMap<Vec<u8>, Vec<u8>>>>, PhantomData<D>);

impl<D: Disk> Clone for Store<D> {
    fn clone(&self) -> Self {
        Store(Rc::clone(&self.0), PhantomData)
    }
}

impl<D: Disk> Store<D> {
    /// Opens the store on a disk, or makes one, as `options` say: a handle, and what must run for it.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says. Damage is none of them if something can be told of it: see [`state`](Self::state).
    pub async fn open(_disk: D, _options: Options) -> Result<(Store<D>, Runner<D>), OpenError> {
        let store = Store(Rc::default(), PhantomData);
        Ok((store.clone(), Runner(store)))
    }

    /// The value of a key, if it has one: what was acknowledged last, never what is not durable yet.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.borrow().get(key).cloned())
    }

    /// Gives a key this value. When it returns, that is durable. Puts of many tasks at once share a write and a flush.
    ///
    /// A future that is dropped before leaves open whether it is done, as a crash does.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        check(key, value)?;
        self.0.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }

    /// Takes a key out; whether it was there. When it returns, that is durable.
    ///
    /// # Errors
    ///
    /// As [`Error`] says. A full disk is none.
    pub async fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        check(key, &[])?;
        Ok(self.0.borrow_mut().remove(key).is_some())
    }

    /// Up to `limit` keys that begin with `prefix`, in the order of their bytes, from the first behind `after` on. They stand
    /// in memory: the disk is not read.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let map = self.0.borrow();
        let keys = map.keys().filter(|key| key.starts_with(prefix));
        Ok(keys
            .filter(|key| after.is_none_or(|after| &key[..] > after))
            .take(limit)
            .cloned()
            .collect())
    }

    /// Sees changes, from now on, of keys that begin with `prefix`. It never holds up who writes: a slow one misses
    /// changes, and is told.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn watch(&self, _prefix: &[u8]) -> Result<Watch<D>, Error> {
        Ok(Watch(PhantomData))
    }

    /// What it has and has done.
    pub fn stats(&self) -> Stats {
        Stats { keys: self.0.borrow().len() as u64, ..Stats::default() }
    }

    /// Whether it can be written to, and why not.
    pub fn state(&self) -> State {
        State::ReadWrite
    }

    /// The longest value that it takes, in bytes.
    pub fn value_bytes(&self) -> usize {
        VALUE_BYTES
    }

    /// Writes what is under way, marks the log as ended, and ends the [`Runner`]. Then nothing is read or written any more.
    ///
    /// # Errors
    ///
    /// As [`Error`] says: it could not be written.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn check(key: &[u8], value: &[u8]) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(Error::KeyLength);
    }
    if value.len() > VALUE_BYTES {
        return Err(Error::ValueLength { most: VALUE_BYTES });
    }
    Ok(())
}
