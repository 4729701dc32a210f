//! A lock that never waits: a value that one piece of code at a time can use.
//!
//! There is one core so far ([`cores`](crate::cores)). Code that finds a lock taken has therefore interrupted the code that
//! holds it, and would wait for ever. So [`Lock::with`] returns `None` instead of waiting, and the caller reports that to
//! its own caller. With more cores, `with` would wait for holders on other cores only.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value, for one at a time.
pub(crate) struct Lock<T> {
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through `with` only, whose flag lets one in at a time, whichever core it is on.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub const fn new(value: T) -> Lock<T> {
        Lock { is_taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Works on the value. `None`, and nothing done, for code that interrupts somebody's work on it.
    #[inline]
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: the flag was false, and is true until this reference is gone.
        let done = work(unsafe { &mut *self.value.get() });
        self.is_taken.store(false, Ordering::Release);
        Some(done)
    }
}

/// Of something that lies elsewhere, in atomics, and is whole after every change.
impl Lock<()> {
    /// Looks at it while nobody changes it, in any context: if the lock is taken, its holder is interrupted by this, and
    /// goes on afterwards.
    #[inline]
    pub fn look<R>(&self, look: impl FnOnce() -> R) -> R {
        let was_taken = self.is_taken.swap(true, Ordering::Acquire);
        let seen = look();
        self.is_taken.store(was_taken, Ordering::Release);
        seen
    }

    /// Whether this interrupts a change, or a look.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_keeps_changes_out_and_leaves_the_lock_as_it_was() {
        let lock = Lock::new(());
        assert_eq!(lock.look(|| (lock.is_taken(), lock.with(|()| ()))), (true, None));
        assert!(!lock.is_taken());
        let looked = lock.with(|()| (lock.look(|| 1), lock.is_taken()));
        assert_eq!((looked, lock.is_taken()), (Some((1, true)), false));
    }

    #[test]
    fn who_comes_while_it_is_taken_gets_nothing() {
        let lock = Lock::new(1);
        assert_eq!(
            lock.with(|value| (lock.with(|_| ()), core::mem::replace(value, 2))),
            Some((None, 1))
        );
        assert_eq!(lock.with(|value| *value), Some(2));
    }
}
