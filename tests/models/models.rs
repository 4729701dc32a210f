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
//! | `inbox` | the executor ([`freestone-task`](../../task)) | a wake-up is lost, or a task is let go while it is in |
//! | `places` | the call sites of a checked heap ([`freestone`](../../freestone)) | a number names a trace that is not all there |
//!
//! The magazines of the heap are in `alloc-glue/src/tests/schedules.rs`. Flags that let one in at a time (`swap` with acquire, `store` with
//! release) and pointers to handlers are not tested here: with one processor they only keep an interrupt and the interrupted code apart.

#![cfg(test)]
#![expect(dead_code, reason = "the files of other crates, of which not all is used")]

use loom::sync::Arc;
use loom::thread;

/// For the files that ask for it at the root of their crate.
mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
}

#[path = "../../task/src/inbox.rs"]
mod inbox;

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

mod woken {
    use std::ptr::{self, NonNull};

    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use crate::atomic::{AtomicBool, AtomicPtr, Ordering};
    use crate::inbox::{Inbox, Letter, came_out, retire};

    struct Task {
        is_in: AtomicBool,
        next: AtomicPtr<Task>,
        /// What a wake-up is about: written before it, without any order of its own.
        work: AtomicUsize,
    }

    impl Letter for Task {
        fn is_in(&self) -> &AtomicBool {
            &self.is_in
        }

        fn next_in(&self) -> &AtomicPtr<Task> {
            &self.next
        }
    }

    fn task() -> Arc<Task> {
        let next = AtomicPtr::new(ptr::null_mut());
        Arc::new(Task { is_in: AtomicBool::new(false), next, work: AtomicUsize::new(0) })
    }

    fn pointer(task: &Arc<Task>) -> NonNull<Task> {
        NonNull::from(&**task)
    }

    fn inbox() -> Arc<Inbox<Task>> {
        Arc::new(Inbox::of(AtomicPtr::new(ptr::null_mut())))
    }

    /// Takes out what is there, and polls it: how much work each had seen.
    fn round(inbox: &Inbox<Task>) -> Vec<(NonNull<Task>, usize)> {
        let mut polled = Vec::new();
        // SAFETY: the test keeps its tasks, and is the only one that takes out.
        let mut next = unsafe { inbox.take_all() };
        while let Some(task) = NonNull::new(next) {
            // SAFETY: as above.
            let task_ref = unsafe { task.as_ref() };
            next = task_ref.next.load(Ordering::Relaxed);
            came_out(task_ref);
            polled.push((task, task_ref.work.load(Ordering::Relaxed)));
        }
        polled
    }

    /// Fails if the flag is taken back by a store, or set by a look and a store, or the idle check is left out.
    #[test]
    fn every_wake_up_is_followed_by_a_poll_that_sees_its_work() {
        // All orders with so many preemptions: without that bound it takes minutes, and was seen to hold too.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let (inbox, task) = (inbox(), task());
            // What ends the halt: an interrupt, or a token.
            let halt = Arc::new((Mutex::new(false), Condvar::new()));
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let (inbox, task, halt) = (inbox.clone(), task.clone(), halt.clone());
                    thread::spawn(move || {
                        task.work.fetch_add(1, Ordering::Relaxed);
                        // SAFETY: ours during the call.
                        if unsafe { inbox.put(pointer(&task)) } {
                            *halt.0.lock().unwrap() = true;
                            halt.1.notify_one();
                        }
                    })
                })
                .collect();
            // Idles as the executor does: after a wake-up that is lost it would halt for ever.
            let mut seen = 0;
            while seen < 2 {
                if let Some((_, work)) = round(&inbox).last() {
                    seen = *work;
                    continue;
                }
                let mut may_go_on = halt.0.lock().unwrap();
                if inbox.is_empty() {
                    while !*may_go_on {
                        may_go_on = halt.1.wait(may_go_on).unwrap();
                    }
                }
                *may_go_on = false;
            }
            for waker in wakers {
                waker.join().unwrap();
            }
        });
    }

    #[test]
    fn tasks_come_out_once_for_each_time_they_went_in() {
        loom::model(|| {
            let (inbox, tasks) = (inbox(), [task(), task()]);
            let wakers: Vec<_> = tasks
                .iter()
                .map(|task| {
                    let (inbox, task) = (inbox.clone(), task.clone());
                    // SAFETY: ours during the call.
                    thread::spawn(move || unsafe { inbox.put(pointer(&task)) })
                })
                .collect();
            let mut polled = round(&inbox);
            assert!(wakers.into_iter().all(|waker| waker.join().unwrap()));
            polled.extend(round(&inbox));
            polled.sort();
            let mut all = tasks.each_ref().map(pointer);
            all.sort();
            assert_eq!(polled.iter().map(|(task, _)| *task).collect::<Vec<_>>(), all);
        });
    }

    /// Fails if retiring is a look and a store.
    #[test]
    fn a_retired_task_is_in_at_most_once_more_and_the_executor_knows() {
        loom::model(|| {
            let (inbox, task) = (inbox(), task());
            let (other, kept) = (inbox.clone(), task.clone());
            // SAFETY: ours during the call.
            let waker = thread::spawn(move || unsafe { other.put(pointer(&kept)) });
            let is_in = retire(&*task);
            assert_eq!(waker.join().unwrap(), is_in);
            // SAFETY: the test keeps it.
            let first = unsafe { inbox.take_all() };
            assert_eq!(!first.is_null(), is_in);
        });
    }
}
