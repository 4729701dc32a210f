//! One slot in a registry of handlers: a function and the word that is passed to it. All registries of handlers use it.
//!
//! A handler is always called with the word that it was registered with, even if an NMI or a single step interrupts a
//! registration and registers another handler. Registration takes three steps: claim the slot, which leaves it without a
//! function for a moment; write the word; write the function. Code that finds the slot claimed has interrupted a
//! registration. It leaves the slot as it is: its own registration counts as replaced at once by the one it interrupted.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// See the module.
pub(crate) struct Slot {
    /// Null for none; [`CLAIMED`] while somebody registers.
    function: AtomicPtr<()>,
    word: AtomicUsize,
}

/// No function is there.
const CLAIMED: *mut () = ptr::without_provenance_mut(1);

impl Slot {
    /// Nothing is registered.
    pub const fn empty() -> Slot {
        Slot { function: AtomicPtr::new(ptr::null_mut()), word: AtomicUsize::new(0) }
    }

    /// Registers, in place of whatever was.
    pub fn set(&self, function: *mut (), word: usize) {
        if self.function.swap(CLAIMED, Ordering::Acquire) != CLAIMED {
            self.word.store(word, Ordering::Release);
            self.function.store(function, Ordering::Release);
        }
    }

    /// Registers if nothing is registered; whether it has.
    pub fn claim(&self, function: *mut (), word: usize) -> bool {
        let order = Ordering::Relaxed;
        let is_ours =
            self.function.compare_exchange(ptr::null_mut(), CLAIMED, order, order).is_ok();
        if is_ours {
            self.word.store(word, Ordering::Relaxed);
            self.function.store(function, Ordering::Release);
        }
        is_ours
    }

    /// Nothing is registered any more.
    pub fn clear(&self) {
        if self.function.swap(CLAIMED, Ordering::Acquire) != CLAIMED {
            self.function.store(ptr::null_mut(), Ordering::Release);
        }
    }

    /// The function and its word.
    #[inline]
    pub fn get(&self) -> Option<(*mut (), usize)> {
        loop {
            let function = self.function.load(Ordering::Acquire);
            if function <= CLAIMED {
                return None;
            }
            let word = self.word.load(Ordering::Acquire);
            // An NMI may have come in between, whose handler registered another one.
            if self.function.load(Ordering::Relaxed) == function {
                return Some((function, word));
            }
        }
    }

    /// A number that is another one when another function is registered, or another word.
    pub fn number(&self) -> u64 {
        let (function, word) = self.get().unwrap_or((ptr::null_mut(), 0));
        function.addr() as u64 ^ (word as u64).rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(number: usize) -> *mut () {
        ptr::without_provenance_mut(0x1000 + number)
    }

    #[test]
    fn what_is_registered_is_found_with_its_word() {
        let slot = Slot::empty();
        assert_eq!((slot.get(), slot.number()), (None, 0));
        assert!(slot.claim(function(1), 7) && !slot.claim(function(2), 8));
        assert_eq!(slot.get(), Some((function(1), 7)));
        let number = slot.number();
        slot.set(function(1), 8);
        assert_eq!(slot.get(), Some((function(1), 8)));
        assert_ne!(slot.number(), number);
        slot.set(function(3), 8);
        assert_eq!(slot.get(), Some((function(3), 8)));
        slot.clear();
        assert_eq!(slot.get(), None);
        assert!(slot.claim(function(2), 0));
    }

    #[test]
    fn in_the_midst_of_a_registration_nothing_is_there() {
        let slot = Slot::empty();
        slot.function.store(CLAIMED, Ordering::Relaxed);
        assert_eq!((slot.get(), slot.number()), (None, 0));
        assert!(!slot.claim(function(1), 1));
        // Else the one that is interrupted would put its function beside this word.
        slot.set(function(1), 9);
        slot.clear();
        assert_eq!(slot.function.load(Ordering::Relaxed), CLAIMED);
        assert_eq!(slot.word.load(Ordering::Relaxed), 0);
    }
}
