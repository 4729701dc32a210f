//! The same on threads, as several cores would use it: nothing is lost, nothing happens twice, nobody waits for ever.

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};

use super::super::broadcast::{self, Missed};
use super::super::{Event, Mutex, RwLock, channel, watch};

const ROUNDS: u64 = 2_000;
const THREADS: u64 = 4;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls once, then drops.
fn try_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_channel_delivers_each_value_once() {
    let (sender, receiver) = channel(3);
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let sender = sender.clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let value = number * ROUNDS + round;
                    // Some give up at first; their value is not sent then.
                    if try_once(sender.reserve())
                        .is_none_or(|slot| slot.unwrap().send(value).is_err())
                    {
                        block_on(sender.send(value)).unwrap();
                    }
                }
            });
            let (receiver, sum, count) = (receiver.clone(), &sum, &count);
            scope.spawn(move || {
                let mut latest = [None; THREADS as usize];
                while let Some(value) =
                    try_once(receiver.recv()).unwrap_or_else(|| block_on(receiver.recv()))
                {
                    sum.fetch_add(value, Ordering::Relaxed);
                    count.fetch_add(1, Ordering::Relaxed);
                    let latest = &mut latest[(value / ROUNDS) as usize];
                    assert!(latest.replace(value) < Some(value), "out of order");
                }
            });
        }
        drop((sender, receiver));
    });
    let values = THREADS * ROUNDS;
    assert_eq!((count.into_inner(), sum.into_inner()), (values, values * (values - 1) / 2));
}

#[test]
fn a_mutex_lets_one_in_and_gives_up_none() {
    let (mutex, inside) = (Mutex::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let guard = try_once(mutex.lock());
                    let mut guard = guard.unwrap_or_else(|| block_on(mutex.lock()));
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    *guard += 1;
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(mutex.into_inner(), THREADS * ROUNDS);
}

#[test]
fn a_rwlock_shows_whole_values_only() {
    let lock = RwLock::new([0; 2]);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let lock = &lock;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if (number + round).is_multiple_of(3) {
                        let mut value = block_on(lock.write());
                        value[0] += 1;
                        value[1] += 1;
                    } else {
                        let value = block_on(lock.read());
                        assert_eq!(value[0], value[1]);
                    }
                }
            });
        }
    });
}

#[test]
fn a_broadcast_and_a_watch_reach_everybody() {
    let (values, receiver) = broadcast::channel(8);
    let (state, watcher) = watch::channel(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (mut receiver, mut watcher) = (receiver.clone(), watcher.clone());
            scope.spawn(move || {
                let mut seen = 0;
                loop {
                    match block_on(receiver.recv()) {
                        Ok(value) => {
                            assert_eq!(value, seen);
                            seen += 1;
                        }
                        Err(Missed::Lost(lost)) => seen += lost,
                        Err(Missed::Closed) => break,
                    }
                }
                assert_eq!(seen, ROUNDS);
            });
            scope.spawn(move || {
                let mut latest = 0;
                while let Ok(value) = block_on(watcher.changed()) {
                    assert!(value > latest);
                    latest = value;
                }
                assert_eq!(latest, ROUNDS);
            });
        }
        for value in 0..ROUNDS {
            values.send(value);
            state.send(value + 1);
        }
        drop((values, state));
    });
}

#[test]
fn an_event_lets_all_go_each_time() {
    let (event, arrived) = (Event::new(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS / 10 {
                    let happens = event.wait();
                    arrived.fetch_add(1, Ordering::AcqRel);
                    block_on(happens);
                }
            });
        }
        for round in 1..=ROUNDS / 10 {
            while arrived.load(Ordering::Acquire) < round * THREADS {
                thread::yield_now();
            }
            event.pulse();
        }
    });
}
