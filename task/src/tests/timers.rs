//! Sleeping, intervals, limits of time.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

use super::{Dropped, IDLED, NOW, executor, yields};
use crate::Elapsed;

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines_and_not_before() {
    let executor = executor();
    let said: Rc<RefCell<Vec<(u64, u64)>>> = Rc::default();
    for micros in [30, 10, 10_000_000, 20, 0, 500, 70] {
        let said = said.clone();
        executor.spawn(async move {
            executor.sleep(Duration::from_micros(micros)).await;
            said.borrow_mut().push((micros, NOW.get() / 1000));
        });
    }
    IDLED.set(0);
    executor.run(executor.sleep(Duration::from_secs(11)));
    let expected = [0, 10, 20, 30, 70, 500, 10_000_000].map(|micros| (micros, micros));
    assert_eq!(*said.borrow(), expected);
    assert_eq!(IDLED.get(), 8, "one idling for each deadline, the last one too");
    // A fraction of a microsecond is rounded up.
    let start = NOW.get();
    executor.run(executor.sleep(Duration::from_nanos(1)));
    assert_eq!(NOW.get() - start, 1000);
}

#[test]
fn intervals_do_not_drift_and_lose_nothing() {
    let executor = executor();
    let period = Duration::from_millis(10);
    let start = NOW.get();
    let mut interval = executor.interval(period);
    executor.run(async move {
        for round in 1..=5 {
            assert_eq!(interval.tick().await, 1);
            assert_eq!(NOW.get() - start, round * 10_000_000);
            // What the work takes does not count.
            executor.sleep(Duration::from_millis(round)).await;
        }
        executor.sleep(Duration::from_millis(35)).await;
        assert_eq!(interval.tick().await, 4, "at 60, 70, 80 and 90");
        assert_eq!(NOW.get() - start, 90_000_000);
        assert_eq!(interval.tick().await, 1);
        assert_eq!(NOW.get() - start, 100_000_000);
    });
}

#[test]
fn what_takes_too_long_is_dropped() {
    let executor = executor();
    let dropped = Rc::new(Cell::new(0));
    let guard = Dropped(dropped.clone());
    let short = Duration::from_millis(1);
    let slow = async move {
        let _guard = guard;
        executor.sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(executor.run(executor.timeout(short, slow)), Err(Elapsed));
    assert_eq!(dropped.get(), 1);
    assert_eq!(executor.run(executor.timeout(short, async { 3 })), Ok(3));
    let left = executor.run(executor.timeout(Duration::from_secs(5), executor.sleep(short)));
    assert_eq!(left, Ok(()));
    // Nothing is left behind in the wheel: the next deadline is the next one's.
    let start = NOW.get();
    executor.run(executor.sleep(Duration::from_secs(2)));
    assert_eq!(NOW.get() - start, 2_000_000_000);
}

#[test]
fn a_task_that_never_waits_starves_neither_timers_nor_handlers() {
    let executor = executor();
    let busy = executor.spawn(async {
        loop {
            NOW.set(NOW.get() + 100);
            yields(1).await;
        }
    });
    executor.run(executor.sleep(Duration::from_millis(1)));
    busy.cancel();
    assert!(NOW.get() >= 1_000_000);
}

/// A future that is polled through another's waker, as combinators do.
struct Wrapped<F>(F);

impl<F: Future + Unpin> Future for Wrapped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let waker = Waker::from(std::sync::Arc::new(Through(context.waker().clone())));
        Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker))
    }
}

struct Through(Waker);

impl std::task::Wake for Through {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[test]
fn sleeping_does_not_mind_whose_waker_it_gets() {
    let executor = executor();
    let sleep = Box::pin(executor.sleep(Duration::from_secs(3)));
    executor.run(Wrapped(sleep));
    assert_eq!(NOW.get(), 3_000_000_000);
}

/// Many timers of one deadline, of which the first is cancelled again and again: what is next is not looked for among all.
#[test]
fn a_slot_with_many_timers_wakes_in_time_and_hardly_sooner() {
    let executor = executor();
    let start = NOW.get();
    let tasks: Vec<_> =
        (0..1000).map(|_| executor.spawn(executor.sleep(Duration::from_secs(60)))).collect();
    executor.run(yields(40));
    IDLED.set(0);
    tasks[0].cancel();
    executor.run(async {
        for task in tasks.into_iter().skip(1) {
            task.await.unwrap();
        }
    });
    assert_eq!(NOW.get() - start, 60_000_000_000);
    assert!(IDLED.get() <= 6, "{} wake-ups", IDLED.get());
}

#[test]
fn alarms_ring_once_for_each_waker_at_the_earliest_time_it_was_given() {
    struct Count(core::sync::atomic::AtomicU32);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        }
    }
    let executor = executor();
    let start = NOW.get();
    let counts: Vec<_> = (0..100)
        .map(|_| std::sync::Arc::new(Count(core::sync::atomic::AtomicU32::new(0))))
        .collect();
    let rung = |range: core::ops::Range<usize>| {
        let count = |one: &std::sync::Arc<Count>| one.0.load(core::sync::atomic::Ordering::Relaxed);
        counts[range].iter().map(count).sum::<u32>()
    };
    let at = |millis: u64| Duration::from_nanos(start) + Duration::from_millis(millis);
    executor.run(async {
        for count in &counts {
            let waker = Waker::from(count.clone());
            for millis in [50, 10, 30, 10] {
                executor.wake_at(at(millis), &waker);
            }
        }
        executor.sleep_until(at(9)).await;
        assert_eq!(rung(0..100), 0);
        executor.sleep_until(at(60)).await;
        assert_eq!(rung(0..100), 100);
        // Again, for some; and what has rung keeps nothing.
        for count in &counts[..20] {
            executor.wake_at(at(70), &Waker::from(count.clone()));
        }
        executor.sleep_until(at(71)).await;
        assert_eq!((rung(0..20), rung(20..100)), (40, 80));
        assert!(counts.iter().all(|count| std::sync::Arc::strong_count(count) == 1));
    });
}
