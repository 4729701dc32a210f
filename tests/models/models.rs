//! The pieces that work without a lock, in every order that the memory model allows: loom runs each scenario with every choice of the thread that
//! goes on and of the value that a load may see. So it finds an ordering that is too weak, also on a machine that would never show it.
//!
//! A piece is the crate's own source file, included here. Its atomics come from `super::sync`: in the crate the processor's, here
//! loom's. Each scenario was seen to fail with a mistake in the piece; the comments say which.
//!
//! | piece | of | what could go wrong |
//! |---|---|---|
//! | `settled` | the hypervisor's clocks ([`freestone-xen`](../../xen)) | a record half old and half new is believed |
//! | `registry` | the consoles ([`freestone-rt`](../../rt)) | a place is read before it is filled, or given twice |
//! | `places` | the call sites of a checked heap ([`freestone`](../../freestone)) | a number names a trace that is not all there |
//!
//! The magazines of the heap are in `alloc-glue/src/tests/schedules.rs`. Flags that let one in at a time (`swap` with acquire, `store` with
//! release) and pointers to handlers are not tested here: with one processor they only keep an interrupt and the interrupted code apart.

#![cfg(test)]
#![expect(dead_code, reason = "the files of other crates, of which not all is used")]

use loom::sync::Arc;
use loom::thread;

#[path = "../../xen/src"]
mod xen {
    pub mod sync {
        pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
    }
    pub mod settled;
}

#[path = "../../rt/src"]
mod rt {
    pub mod sync {
        pub use loom::cell::UnsafeCell;
        pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    }
    pub mod registry;

    use registry::{Registry, Slot};
    use sync::{AtomicBool, AtomicUsize, UnsafeCell};

    pub fn registry<T, const N: usize>() -> Registry<T, N> {
        let slot = |_| Slot { is_ready: AtomicBool::new(false), value: UnsafeCell::new(None) };
        Registry { claimed: AtomicUsize::new(0), slots: std::array::from_fn(slot) }
    }
}

#[path = "../../freestone/src/heap"]
mod heap {
    pub mod sync {
        pub use loom::sync::atomic::{AtomicU32, Ordering};
    }
    pub mod places;

    use places::{Place, Places};
    use sync::AtomicU32;

    pub fn places<const LEN: usize, const N: usize>() -> Places<LEN, N> {
        let zero = |_| AtomicU32::new(0);
        let place = |_| Place { state: AtomicU32::new(0), words: std::array::from_fn(zero) };
        Places(std::array::from_fn(place))
    }
}

/// Fails without the reader's fence, with a relaxed first load, if the numbers are not compared, and if odd ones are believed.
#[test]
fn a_record_is_never_half_old_and_half_new() {
    use xen::settled::read_once;
    use xen::sync::{AtomicU32, Ordering, fence};

    loom::model(|| {
        let record = Arc::new([0, 10, 20].map(AtomicU32::new));
        let written = record.clone();
        let writer = thread::spawn(move || {
            let [version, first, second] = &*written;
            version.store(1, Ordering::Relaxed);
            fence(Ordering::Release);
            first.store(11, Ordering::Relaxed);
            second.store(21, Ordering::Relaxed);
            version.store(2, Ordering::Release);
        });
        let [version, first, second] = &*record;
        let both = || (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed));
        if let Some((first, second)) = read_once(version, &both) {
            assert_eq!(first + 10, second);
        }
        writer.join().unwrap();
        assert_eq!(read_once(version, &both), Some((11, 21)));
    });
}

/// Fails with a relaxed `store` of `is_ready`, and with a relaxed load.
#[test]
fn what_a_registry_shows_is_filled_and_each_place_is_somebodys() {
    loom::model(|| {
        let registry = Arc::new(rt::registry::<u32, 2>());
        let threads = [1, 2].map(|value| {
            let registry = registry.clone();
            thread::spawn(move || registry.add(value).is_some())
        });
        let seen: Vec<_> = registry.iter().collect();
        assert!(seen.iter().all(|value| [1, 2].contains(value)));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        let mut all: Vec<_> = registry.iter().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        assert_eq!(registry.add(3), None);
    });
}

/// Fails if a place is claimed by a load and a store. The orderings could be weaker: whoever is told a number has written or compared each word.
#[test]
fn a_number_names_a_whole_trace() {
    loom::model(|| {
        let places = Arc::new(heap::places::<2, 2>());
        let theirs = places.clone();
        let thread = thread::spawn(move || theirs.keep(&[5, 6]));
        let mine = places.keep(&[7, 8]);
        let numbers = [(mine, [7, 8]), (thread.join().unwrap(), [5, 6])];
        for (number, trace) in numbers {
            // There is room for both, if each looks on where the other is at it.
            let words = places.trace(number).expect("a number");
            assert_eq!(words.collect::<Vec<_>>(), trace);
        }
        assert_eq!(places.keep(&[5, 6]), numbers[1].0);
        assert_eq!((places.keep(&[1, 2]), places.trace(0).is_none()), (0, true));
    });
}
