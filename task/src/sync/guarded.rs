//! A value that tasks, interrupt handlers and other cores share: whoever works on it has a critical section of its own.
//!
//! The rule for everything in [`sync`](super): what runs in a section takes constant time. Nobody is woken in it, and
//! nothing of the user's is dropped in it, because both run code that this crate does not know. What does run is
//! `Waker::clone`, and the `Clone` of a value where [`broadcast`](super::broadcast) and [`watch`](super::watch) say so.

use core::cell::RefCell;

use critical_section::Mutex;

#[cfg(test)]
use super::tests::interrupts::may_come as interrupts_may_come;

/// See the [module](self).
pub(super) struct Guarded<T>(Mutex<RefCell<T>>);

impl<T> Guarded<T> {
    pub const fn new(value: T) -> Guarded<T> {
        Guarded(Mutex::new(RefCell::new(value)))
    }

    /// Works on the value. What `work` returns is dropped after the section: that is the way out for whatever must not be
    /// dropped in it.
    ///
    /// # Panics
    ///
    /// If it is called from `work`: only a waker or a value whose `clone` comes back here does that.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        interrupts_may_come();
        let done = critical_section::with(|section| work(&mut self.0.borrow_ref_mut(section)));
        interrupts_may_come();
        done
    }
}

/// Where tests have them come.
#[cfg(not(test))]
fn interrupts_may_come() {}
