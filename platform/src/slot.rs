//! One slot in a registry of handlers: a function and the word that is passed to it. All registries of handlers use it.
//!
//! A handler is always called with the word that it was registered with, even if NMIs or single steps interrupt a
//! registration, or a call, and register others. There are two pairs and a version, which says which of the two counts. A
//! registration fills the other one and then raises the version. A call reads the version before and after the pair, and
//! reads again if it has changed. A registration that interrupts another one is left out: it counts as replaced at once.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// See the module.
pub(crate) struct Slot {
    version: AtomicUsize,
    /// Whether somebody registers.
    is_claimed: AtomicBool,
    pairs: [Pair; 2],
}

struct Pair {
    /// Null for none.
    function: AtomicPtr<()>,
    word: AtomicUsize,
}

/// What a version differs from the one before it by. In the way to every handler this makes the choice of the pair one
/// instruction.
const STEP: usize = size_of::<Pair>();

impl Slot {
    /// Nothing is registered.
    pub const fn empty() -> Slot {
        let pairs = [const {
            Pair { function: AtomicPtr::new(ptr::null_mut()), word: AtomicUsize::new(0) }
        }; 2];
        Slot { version: AtomicUsize::new(0), is_claimed: AtomicBool::new(false), pairs }
    }

    fn pair(&self, version: usize) -> &Pair {
        &self.pairs[version / STEP % 2]
    }

    /// Registers if `may` says so of the function that is there; whether it has.
    fn change(&self, function: *mut (), word: usize, may: impl FnOnce(*mut ()) -> bool) -> bool {
        if self.is_claimed.swap(true, Ordering::Acquire) {
            return false;
        }
        let version = self.version.load(Ordering::Relaxed);
        let is_allowed = may(self.pair(version).function.load(Ordering::Relaxed));
        if is_allowed {
            let next = version.wrapping_add(STEP);
            let pair = self.pair(next);
            // A reader that sees one of these sees the version of the change before it too.
            pair.word.store(word, Ordering::Release);
            pair.function.store(function, Ordering::Release);
            self.version.store(next, Ordering::Release);
        }
        self.is_claimed.store(false, Ordering::Release);
        is_allowed
    }

    /// Registers, in place of whatever was.
    pub fn set(&self, function: *mut (), word: usize) {
        self.change(function, word, |_| true);
    }

    /// Registers if nothing is registered; whether it has.
    pub fn claim(&self, function: *mut (), word: usize) -> bool {
        self.change(function, word, <*mut ()>::is_null)
    }

    /// Nothing is registered any more.
    pub fn clear(&self) {
        self.set(ptr::null_mut(), 0);
    }

    /// The function and its word.
    #[inline]
    pub fn get(&self) -> Option<(*mut (), usize)> {
        let version = self.version.load(Ordering::Acquire);
        let pair = self.pair(version);
        let function = pair.function.load(Ordering::Acquire);
        let word = pair.word.load(Ordering::Acquire);
        if self.version.load(Ordering::Relaxed) != version {
            return self.get_again();
        }
        if function.is_null() { None } else { Some((function, word)) }
    }

    /// Somebody has registered in between, in a handler.
    #[cold]
    fn get_again(&self) -> Option<(*mut (), usize)> {
        self.get()
    }

    /// Function and word as numbers, zeros for none.
    pub fn numbers(&self) -> [u64; 2] {
        self.get().map_or([0; 2], |(function, word)| [function.addr() as u64, word as u64])
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
        assert_eq!((slot.get(), slot.numbers()), (None, [0, 0]));
        assert!(slot.claim(function(1), 7) && !slot.claim(function(2), 8));
        assert_eq!(slot.get(), Some((function(1), 7)));
        slot.set(function(1), 8);
        assert_eq!(slot.get(), Some((function(1), 8)));
        assert_eq!(slot.numbers(), [0x1001, 8]);
        slot.set(function(3), 8);
        assert_eq!(slot.get(), Some((function(3), 8)));
        slot.clear();
        assert_eq!(slot.get(), None);
        assert!(slot.claim(function(2), 0));
    }

    #[test]
    fn in_the_midst_of_a_registration_the_one_before_counts() {
        let slot = Slot::empty();
        slot.set(function(1), 1);
        let is_done = slot.change(function(2), 2, |_| {
            // Whoever interrupts it here is left out.
            slot.set(function(3), 3);
            slot.clear();
            assert!(!slot.claim(function(3), 3));
            assert_eq!(slot.get(), Some((function(1), 1)));
            true
        });
        assert_eq!((is_done, slot.get()), (true, Some((function(2), 2))));
        assert!(!slot.change(function(4), 4, |_| false));
        assert_eq!(slot.get(), Some((function(2), 2)));
        slot.set(function(5), 5);
        assert_eq!(slot.get(), Some((function(5), 5)), "and it is free again");
    }

    /// A thread is stricter than a handler: both run at once.
    #[test]
    fn no_function_is_seen_with_the_word_of_another() {
        let slot = Slot::empty();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..200_000).for_each(|number| slot.set(function(number), number)));
            let mut last = 0;
            while last < 199_999 {
                let Some((found, word)) = slot.get() else { continue };
                assert_eq!(found, function(word));
                assert!(word >= last, "{word} after {last}");
                last = word;
            }
        });
    }
}
