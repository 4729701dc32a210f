//! A few places, each claimed once, filled once, and then readable by any code, without a lock.
//!
//! `tests/models` includes this file with atomics of its own, and tries every order that the memory model allows.

use super::sync::{AtomicBool, AtomicUsize, Ordering, UnsafeCell};

/// `N` places for a `T` each.
pub struct Registry<T, const N: usize> {
    /// How many places have been claimed.
    pub(super) claimed: AtomicUsize,
    pub(super) slots: [Slot<T>; N],
}

/// One place: written once by the context that claimed it, then only read.
pub struct Slot<T> {
    pub(super) is_ready: AtomicBool,
    pub(super) value: UnsafeCell<Option<T>>,
}

// SAFETY: `value` is written only by the one caller of `add` that was handed this slot's index, before `is_ready`
// becomes true; everybody else reads it only after seeing that. What is handed out are copies of a value that may be shared.
unsafe impl<T: Sync + Send> Sync for Slot<T> {}

impl<T: Copy, const N: usize> Registry<T, N> {
    /// Fills the next place. `None` if there is none left.
    pub fn add(&self, value: T) -> Option<()> {
        let relaxed = Ordering::Relaxed;
        let next = |claimed| (claimed < N).then_some(claimed + 1);
        let index = self.claimed.fetch_update(relaxed, relaxed, next).ok()?;
        let slot = self.slots.get(index)?;
        // SAFETY: `fetch_update` gave this index to nobody else, and nobody reads before `is_ready`.
        slot.value.with_mut(|place| unsafe { *place = Some(value) });
        slot.is_ready.store(true, Ordering::Release);
        Some(())
    }

    /// What has been added, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.slots.iter().filter(|slot| slot.is_ready.load(Ordering::Acquire)).filter_map(|slot| {
            // SAFETY: `is_ready` was set after the only write to `value`, with release ordering.
            slot.value.with(|value| unsafe { *value })
        })
    }
}
