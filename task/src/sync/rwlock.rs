//! A value that many tasks read at a time, or one changes, also across `await`.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::{Permit, Semaphore};

/// A value for many readers or one writer, who may hold it across `await`. It is a [`Semaphore`]: a reader takes one
/// permit, a writer all.
///
/// - **Cancellation.** A pending [`read`](Self::read) or [`write`](Self::write) that is dropped leaves the line; what it had
///   been given goes to the next.
/// - **Fairness.** First come, first served. A reader that comes while a writer waits goes behind it, so writers do not
///   starve; nor do readers. A task that reads, and calls `read` again while a writer waits, waits for itself for ever.
/// - **In an interrupt handler**: [`try_read`](Self::try_read), [`try_write`](Self::try_write), and dropping guards.
/// - **Memory**: none is allocated.
pub struct RwLock<T: ?Sized> {
    permits: Semaphore,
    value: UnsafeCell<T>,
}

/// What a writer takes.
const ALL: usize = Semaphore::MAX_PERMITS;

// SAFETY: a writer has the value alone, as if it were sent; readers share it on several threads.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Unlocked.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { permits: Semaphore::new(ALL), value: UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and nobody waits to.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        let permit = self.permits.acquire_open(1).await;
        ReadGuard { lock: self, _permit: permit, _value: PhantomData }
    }

    /// Waits until nobody else has it.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        let permit = self.permits.acquire_open(ALL).await;
        WriteGuard { lock: self, _permit: permit, _value: PhantomData }
    }

    /// To read it, if nobody writes, and nobody waits.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let permit = self.permits.try_acquire(1)?;
        Some(ReadGuard { lock: self, _permit: permit, _value: PhantomData })
    }

    /// To write it, if nobody has it, and nobody waits.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        let permit = self.permits.try_acquire(ALL)?;
        Some(WriteGuard { lock: self, _permit: permit, _value: PhantomData })
    }

    /// The value, of somebody who has the lock alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(value) => f.debug_tuple("RwLock").field(&&*value).finish(),
            None => f.write_str("RwLock(locked)"),
        }
    }
}

/// The value of a [`RwLock`], to read. The lock has one reader fewer when this is dropped.
#[must_use = "a lock whose guard is dropped is unlocked"]
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _permit: Permit<'a>,
    /// What it stands for: whether it may be sent and shared is as for this.
    _value: PhantomData<&'a T>,
}

/// The value of a [`RwLock`], to change. The lock is unlocked when this is dropped.
#[must_use = "a lock whose guard is dropped is unlocked"]
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _permit: Permit<'a>,
    /// What it stands for: whether it may be sent and shared is as for this.
    _value: PhantomData<&'a mut T>,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard has a permit, so there is no writer, who would have all.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard has all permits, so nobody else refers to the value.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and nobody refers to the guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
