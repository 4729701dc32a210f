//! The lock around the heap: all of the crate's locking is here.
//!
//! It is a test-and-set spin lock, chosen over a ticket lock because virtual CPUs get preempted: a
//! ticket lock hands itself to the waiter whose turn it is even if that waiter is not running, and
//! was measured 2 to 20 times slower then. `SpinMutex` is named directly, as `spin::Mutex` turns
//! into a ticket lock for everybody when any crate in the graph asks for that.
//!
//! It does not mask interrupts. The interface is a closure rather than a guard so that this can
//! come without touching a caller: save and mask in front of `lock`, restore behind it.

use spin::mutex::SpinMutex;

/// A value that one CPU at a time may use.
pub struct Lock<T>(SpinMutex<T>);

impl<T> Lock<T> {
    pub const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Waits for the value and works on it. `work` must be short and must not call the heap.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock())
    }

    /// Works on the value if nobody else does right now.
    pub fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut value = self.0.try_lock()?;
        Some(work(&mut value))
    }
}
