//! The lock around a heap: a spin lock that can mask interrupts while it is held.
//!
//! It is test-and-set, not a ticket lock: virtual CPUs get preempted, and a ticket lock passes itself to
//! the waiter whose turn it is even if that waiter is not running. Measured with two busy threads and
//! other load, that was 2 to 20 times slower.
//!
//! A handler that allocates after it has interrupted the lock's holder on the same CPU would wait for
//! ever. So [`SpinLock`] asks its [`Interrupts`] to mask interrupts first. The kernel implements that;
//! [`Unmasked`] does nothing, for kernels whose handlers never touch the heap.
//!
//! A heap lock is a leaf: nothing else is locked, called or printed while it is held.
//!
//! Any other lock works that implements [`lock_api::RawMutex`].

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::RawMutex;

/// How to keep interrupts from this CPU for a moment.
///
/// # Safety
///
/// - Between `mask` and its `restore` no interrupt handler runs on the CPU that called it.
/// - Both may be called on every CPU, at any time, nested: `restore` brings back what `mask` found.
pub unsafe trait Interrupts {
    /// Masks them; returns how they were, for `restore`.
    fn mask() -> usize;

    /// Puts them back as they were.
    ///
    /// # Safety
    ///
    /// - `before` is what the matching `mask` returned on this CPU.
    unsafe fn restore(before: usize);

    /// Waits a moment for another CPU: under a hypervisor, perhaps gives the time away.
    fn relax() {
        core::hint::spin_loop();
    }
}

/// Leaves interrupts alone. Right where no handler allocates or frees.
#[derive(Clone, Copy, Debug)]
pub struct Unmasked;

// SAFETY: the obligation is the user's, who chose this type for a heap that handlers do not touch.
unsafe impl Interrupts for Unmasked {
    fn mask() -> usize {
        0
    }

    unsafe fn restore(_before: usize) {}
}

/// A test-and-set spin lock that masks interrupts, by `I`, from before it is taken until it is released.
///
/// While it waits, interrupts are as they were.
pub struct SpinLock<I = Unmasked> {
    locked: AtomicBool,
    /// What the holder's `mask` returned.
    before: Cell<usize>,
    interrupts: PhantomData<fn() -> I>,
}

// SAFETY: `before` is only used by whoever holds the lock.
unsafe impl<I> Sync for SpinLock<I> {}

// SAFETY: `locked` goes from false to true for one caller at a time (compare-exchange, acquire), and back
// in `unlock` (release), which only the holder calls.
unsafe impl<I: Interrupts> RawMutex for SpinLock<I> {
    const INIT: Self =
        Self { locked: AtomicBool::new(false), before: Cell::new(0), interrupts: PhantomData };

    // The holder's CPU has the interrupt state.
    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        while !self.try_lock() {
            // Only read while it is taken, so that the line stays shared among those who wait.
            while self.locked.load(Ordering::Relaxed) {
                I::relax();
            }
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        let before = I::mask();
        if self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.before.set(before);
            return true;
        }
        // SAFETY: from `mask` just above.
        unsafe { I::restore(before) };
        false
    }

    #[inline]
    unsafe fn unlock(&self) {
        let before = self.before.get();
        self.locked.store(false, Ordering::Release);
        // SAFETY: the holder's own `mask` returned it; the guard has not left this CPU.
        unsafe { I::restore(before) };
    }
}
