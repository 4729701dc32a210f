//! A value that one task at a time uses, also across `await`.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::{Permit, Semaphore};

/// A value for one task at a time, which may hold it across `await`. It is a [`Semaphore`] of one permit.
///
/// - **Cancellation.** A pending [`lock`](Self::lock) that is dropped leaves the line; if it had been given the mutex, the
///   next one gets it.
/// - **Fairness.** First come, first served. [`try_lock`](Self::try_lock) never overtakes those who wait.
/// - **In an interrupt handler**: `try_lock`, and dropping the guard. If the interrupted task holds the mutex, a handler
///   gets `None`, and can only leave the work to a task.
/// - **Memory**: none is allocated.
///
/// A task that locks it twice waits for itself for ever. No panic poisons it: kernels do not unwind.
pub struct Mutex<T: ?Sized> {
    permit: Semaphore,
    value: UnsafeCell<T>,
}

// SAFETY: whoever holds the one permit has the value alone, on whichever thread: as if the value were sent there.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { permit: Semaphore::new(1), value: UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until nobody else has it.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.permit.acquire_open(1).await)
    }

    /// Takes it if nobody has it, and nobody waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.permit.try_acquire(1).map(|permit| self.guard(permit))
    }

    /// The value, of somebody who has the mutex alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn guard<'a>(&'a self, permit: Permit<'a>) -> MutexGuard<'a, T> {
        MutexGuard { mutex: self, _permit: permit, _value: PhantomData }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => f.debug_tuple("Mutex").field(&&*value).finish(),
            None => f.write_str("Mutex(locked)"),
        }
    }
}

/// The value of a [`Mutex`], which is unlocked when this is dropped.
#[must_use = "a mutex whose guard is dropped is unlocked"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    _permit: Permit<'a>,
    /// What it stands for: whether it may be sent and shared is as for this.
    _value: PhantomData<&'a mut T>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard has the one permit, so nobody else refers to the value.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and nobody refers to the guard.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
