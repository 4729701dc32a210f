//! A handler that interrupts an operation at every moment at which one can come: before and after each critical section.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem::forget;
use core::task::Poll;
use std::thread_local;

use super::super::broadcast::{self, Missed};
use super::super::{Closed, Event, Mutex, Semaphore, channel, oneshot, watch};
use super::Task;

type Handler = Box<dyn FnOnce()>;

thread_local! {
    /// After how many more moments the handler is called.
    static MOMENTS: Cell<usize> = const { Cell::new(0) };
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
}

/// A moment at which interrupts are enabled.
pub fn may_come() {
    if MOMENTS.get() > 0 {
        return MOMENTS.set(MOMENTS.get() - 1);
    }
    // It is not interrupted itself.
    let handler = HANDLER.try_with(|handler| handler.take()).ok().flatten();
    if let Some(handler) = handler {
        handler();
    }
}

/// Does `work`, which `handler` interrupts after so many moments. Whether that came before the end of `work`.
fn interrupted(moments: usize, handler: impl FnOnce() + 'static, work: impl FnOnce()) -> bool {
    HANDLER.set(Some(Box::new(handler)));
    MOMENTS.set(moments);
    work();
    MOMENTS.set(0);
    let late = HANDLER.take();
    let came = late.is_none();
    if let Some(handler) = late {
        handler();
    }
    came
}

/// A wait that a handler ends: what came of it, for each moment at which the handler can come. It may be over at the first
/// poll; if not, it was woken, and is over at the second.
fn every_end<T: 'static, F: Future<Output = T> + 'static, H: FnOnce() + 'static>(
    case: impl Fn() -> (F, H),
) -> Vec<T> {
    let mut ends = Vec::new();
    for moments in 0.. {
        let (wait, handler) = case();
        let mut task = Task::new(wait);
        let mut first = Poll::Pending;
        let came = interrupted(moments, handler, || first = task.poll());
        if first.is_pending() {
            assert_eq!(task.wakes(), 1, "a lost wake-up, {moments}");
            first = task.poll();
        }
        let Poll::Ready(end) = first else { panic!("woken for nothing, {moments}") };
        ends.push(end);
        if !came {
            break;
        }
    }
    assert!(ends.len() > 2, "nothing was interrupted");
    ends
}

#[test]
fn a_wait_is_ended_by_a_handler_at_any_moment() {
    // An end of a channel that is forgotten is not gone: it does not wake anybody in its turn.
    let received = every_end(|| {
        let (sender, receiver) = channel(1);
        (async move { receiver.recv().await }, move || {
            sender.try_send(7).unwrap();
            forget(sender);
        })
    });
    assert!(received.iter().all(|end| *end == Some(7)));
    let closed = every_end(|| {
        let (sender, receiver) = channel::<u8>(1);
        (async move { receiver.recv().await }, move || drop(sender))
    });
    assert!(closed.iter().all(Option::is_none));
    let sent = every_end(|| {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        (async move { sender.send(2).await }, move || {
            assert_eq!(receiver.try_recv(), Ok(Some(1)));
            forget(receiver);
        })
    });
    assert!(sent.iter().all(Result::is_ok));
    let returned = every_end(|| {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        (async move { sender.send(2).await }, move || drop(receiver))
    });
    assert!(returned.iter().all(|end| *end == Err(Closed(2))));

    let received = every_end(|| {
        let (sender, mut receiver) = broadcast::channel(1);
        (async move { receiver.recv().await }, move || {
            sender.send(7);
            forget(sender);
        })
    });
    assert!(received.iter().all(|end| *end == Ok(7)));
    let closed = every_end(|| {
        let (sender, mut receiver) = broadcast::channel::<u8>(1);
        (async move { receiver.recv().await }, move || drop(sender))
    });
    assert!(closed.iter().all(|end| *end == Err(Missed::Closed)));
    let seen = every_end(|| {
        let (sender, mut receiver) = watch::channel(0);
        (async move { receiver.changed().await }, move || {
            sender.send(7);
            forget(sender);
        })
    });
    assert!(seen.iter().all(|end| *end == Ok(7)));
    let closed = every_end(|| {
        let (sender, mut receiver) = watch::channel(0);
        (async move { receiver.changed().await }, move || drop(sender))
    });
    assert!(closed.iter().all(|end| *end == Err(Closed(()))));
    let received = every_end(|| {
        let (sender, receiver) = oneshot::channel();
        (receiver, move || sender.send(7).unwrap())
    });
    assert!(received.iter().all(|end| *end == Ok(7)));
    let closed = every_end(|| {
        let (sender, receiver) = oneshot::channel::<u8>();
        (receiver, move || drop(sender))
    });
    assert!(closed.iter().all(|end| *end == Err(Closed(()))));

    every_end(|| {
        let event: &'static Event = Box::leak(Box::default());
        (event.wait(), || event.set())
    });
    every_end(|| {
        let event: &'static Event = Box::leak(Box::default());
        (event.wait(), || event.pulse())
    });
    every_end(|| {
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
        (async { semaphore.acquire(2).await.map(drop) }, || semaphore.add(1))
    });
}

#[test]
fn a_handler_may_do_anything_while_permits_are_handed_out() {
    for handler in 0..4 {
        for moments in 0.. {
            let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
            let mut tasks = [0; 3].map(|_| Some(Task::new(semaphore.acquire(1))));
            assert!(tasks.iter_mut().flatten().all(|task| task.poll().is_pending()));
            let middle = tasks[1].take();
            let act = move || match handler {
                0 => drop(middle),
                1 => {
                    forget(middle);
                    semaphore.add(1);
                }
                2 => {
                    forget(middle);
                    assert!(
                        semaphore.try_acquire(1).is_none(),
                        "all that there is belongs to others"
                    );
                }
                _ => {
                    forget(middle);
                    semaphore.close();
                }
            };
            let came = interrupted(moments, act, || semaphore.add(2));
            let mut granted = 0;
            for task in tasks.iter_mut().flatten().filter(|task| task.wakes() > 0) {
                let Poll::Ready(permit) = task.poll() else { panic!("woken for nothing") };
                if let Ok(permit) = permit {
                    permit.forget();
                    granted += 1;
                }
            }
            // Two were added: both of the two others get one, if the middle one went, or a third was added.
            let (least, most) = [(2, 2), (2, 2), (1, 1), (0, 1)][handler];
            assert!((least..=most).contains(&granted), "{handler}, {moments}: {granted}");
            assert_eq!(if handler == 3 { 0 } else { semaphore.available() }, 0);
            if !came {
                break;
            }
        }
    }
}

#[test]
fn a_handler_that_tries_a_mutex_never_keeps_it_from_those_who_wait() {
    for moments in 0.. {
        let mutex: &'static Mutex<u8> = Box::leak(Box::new(Mutex::new(0)));
        let held = mutex.try_lock().unwrap();
        let mut waits = Task::new(mutex.lock());
        assert!(waits.poll().is_pending());
        let try_it = || assert!(mutex.try_lock().is_none());
        let came = interrupted(moments, try_it, || drop(held));
        assert_eq!(waits.wakes(), 1);
        assert!(waits.poll().is_ready());
        assert!(mutex.try_lock().is_some());
        if !came {
            break;
        }
    }
}
