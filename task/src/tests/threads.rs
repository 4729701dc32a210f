//! Wake-ups by other threads, and waiting without an executor.

use core::future::{poll_fn, ready};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::sync::Mutex;
use std::thread;
use std::vec::Vec;

use super::host::Host;
use crate::{Executor, block_on};

#[test]
fn threads_wake_tasks_and_none_is_lost() {
    let executor: &'static Executor<Host> = Box::leak(Box::default());
    const TASKS: usize = 8;
    const ROUNDS: usize = 20_000;
    struct Slot(Mutex<Option<Waker>>, AtomicUsize);
    let slots: &'static [Slot] =
        Vec::leak((0..TASKS).map(|_| Slot(Mutex::default(), AtomicUsize::new(0))).collect());
    let tasks: Vec<_> = slots
        .iter()
        .map(|slot| {
            let mut seen = 0;
            executor.spawn(poll_fn(move |context| {
                *slot.0.lock().unwrap() = Some(context.waker().clone());
                let now = slot.1.load(Ordering::Acquire);
                assert!(now >= seen);
                seen = now;
                if now == ROUNDS { Poll::Ready(()) } else { Poll::Pending }
            }))
        })
        .collect();
    thread::scope(|scope| {
        for half in slots.chunks(TASKS / 2) {
            scope.spawn(move || {
                for (_, slot) in
                    (0..ROUNDS).flat_map(|round| half.iter().map(move |slot| (round, slot)))
                {
                    slot.1.fetch_add(1, Ordering::Release);
                    let waker = slot.0.lock().unwrap().clone();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
            });
        }
        executor.run(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn a_future_is_waited_for_without_an_executor() {
    assert_eq!(block_on::<Host, _>(ready(3)), 3);
    let flag: &'static (AtomicBool, Mutex<Option<Waker>>) = Box::leak(Box::default());
    let other = thread::spawn(move || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(2));
            if let Some(waker) = &*flag.1.lock().unwrap() {
                waker.wake_by_ref();
            }
        }
        flag.0.store(true, Ordering::Release);
        let waker = flag.1.lock().unwrap().take();
        waker.expect("it waits").wake();
    });
    block_on::<Host, _>(poll_fn(|context| {
        *flag.1.lock().unwrap() = Some(context.waker().clone());
        if flag.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }));
    other.join().unwrap();
}
