//! The executor on the host: by a clock that jumps to the next deadline, and by threads.

mod threads;
mod timers;

use core::cell::{Cell, RefCell};
use core::future::{Future, pending, poll_fn, ready};
use core::num::NonZeroUsize;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, thread};

use crate::{Cancelled, Executor, JoinHandle, Platform, Refusal, block_on};
use host::Host;

#[path = "../examples/host.rs"]
#[expect(dead_code, reason = "its main")]
mod host;

/// One thread's code is a context, but for what runs in [`in_handler`]. Time stands still, and goes on when nothing is to
/// be done.
struct Jumping;

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static IDLED: Cell<u32> = const { Cell::new(0) };
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
    /// What interrupts the next idling.
    static INTERRUPT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn in_handler<R>(handler: impl FnOnce() -> R) -> R {
    IN_HANDLER.set(true);
    let done = handler();
    IN_HANDLER.set(false);
    done
}

// SAFETY: numbers are those of threads, and a handler has none. It interrupts the thread that runs it.
unsafe impl Platform for Jumping {
    fn context() -> Option<NonZeroUsize> {
        Host::context().filter(|_| !IN_HANDLER.get())
    }

    fn stands_still(context: NonZeroUsize) -> bool {
        Host::context() == Some(context)
    }

    fn now() -> u64 {
        NOW.get()
    }

    fn ticks() -> u64 {
        NOW.get()
    }

    fn idle(until: Option<u64>, is_idle: impl Fn() -> bool) {
        if !is_idle() {
            return;
        }
        IDLED.set(IDLED.get() + 1);
        if let Some(interrupt) = INTERRUPT.take() {
            return in_handler(interrupt);
        }
        NOW.set(until.expect("nothing is waited for, for ever"));
    }

    fn wake_up(_: NonZeroUsize) {}
}

fn panics(work: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err()
}

fn executor() -> &'static Executor<Jumping> {
    Box::leak(Box::default())
}

/// Pending `count` times, and woken at once each time.
async fn yields(count: usize) {
    let mut left = count;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Says when it is dropped.
struct Dropped(Rc<Cell<u32>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn tasks_run_in_turn_and_give_their_outputs() {
    let executor = executor();
    let said = Rc::new(RefCell::new(String::new()));
    let tasks: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let said = said.clone();
            executor.spawn(async move {
                for _ in 0..3 {
                    said.borrow_mut().push_str(name);
                    yields(1).await;
                }
                name.to_string()
            })
        })
        .into();
    let outputs = executor.run(async {
        let mut outputs = Vec::new();
        for task in tasks {
            outputs.push(task.await.unwrap());
        }
        outputs
    });
    assert_eq!(outputs, ["a", "b", "c"]);
    assert_eq!(*said.borrow(), "abcabcabc");
}

#[test]
fn the_executor_goes_on_where_it_stopped() {
    let executor = executor();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    let task = executor.spawn(async move {
        for _ in 0..1000 {
            counted.set(counted.get() + 1);
            yields(1).await;
        }
    });
    executor.run(yields(2));
    assert!((1..1000).contains(&count.get()) && !task.is_finished());
    assert_eq!(executor.run(task), Ok(()));
    assert_eq!(count.get(), 1000);
}

#[test]
fn several_futures_share_a_task() {
    use crate::{join::join, select, yield_now};
    let executor = executor();
    let task = executor.spawn(async {
        let both = join(
            async {
                yields(3).await;
                1
            },
            async {
                yield_now().await;
                2
            },
        )
        .await;
        let first = select::select(pending::<()>(), yields(2)).await;
        (both, matches!(first, select::Either::Second(())))
    });
    assert_eq!(executor.run(task), Ok(((1, 2), true)));
}

#[test]
fn a_cancelled_task_is_dropped_once_and_at_once() {
    let executor = executor();
    let dropped = Rc::new(Cell::new(0));
    for (polls, waits) in [(0, false), (1, false), (1, true), (3, false)] {
        dropped.set(0);
        let guard = Dropped(dropped.clone());
        let task = executor.spawn(async move {
            let _guard = guard;
            if waits { pending().await } else { yields(1 << 20).await }
        });
        if polls != 0 {
            executor.run(yields(polls));
        }
        task.cancel();
        assert_eq!(dropped.get(), 1, "{polls}");
        task.cancel();
        assert!(task.is_finished());
        assert_eq!(executor.run(task), Err(Cancelled));
        executor.run(yields(3));
        assert_eq!(dropped.get(), 1);
    }
    assert_eq!(executor.tasks(), []);
}

#[test]
fn a_task_may_cancel_itself_and_drop_its_own_handle() {
    let executor = executor();
    let dropped = Rc::new(Cell::new(0));
    for cancels in [true, false] {
        dropped.set(0);
        let own: Rc<RefCell<Option<JoinHandle<(), Jumping>>>> = Rc::default();
        let (guard, handle) = (Dropped(dropped.clone()), own.clone());
        let task = executor.spawn(async move {
            let _guard = guard;
            let own = handle.take().unwrap();
            if cancels {
                own.cancel();
                assert!(!own.is_finished());
            }
            drop(own);
            yields(1).await;
            assert!(!cancels, "it yields no more");
        });
        *own.borrow_mut() = Some(task);
        executor.run(yields(5));
        assert_eq!(dropped.get(), 1);
    }
}

#[test]
fn a_future_that_runs_the_executor_as_it_is_dropped_is_let_go() {
    struct Runs(&'static Executor<Jumping>);
    impl Drop for Runs {
        fn drop(&mut self) {
            self.0.run(yields(3));
        }
    }
    let executor = executor();
    for polls in [0, 1] {
        let runs = Runs(executor);
        let task = executor.spawn(async move {
            let _runs = runs;
            pending::<()>().await;
        });
        if polls != 0 {
            executor.run(yields(2));
        }
        task.cancel();
        assert_eq!(executor.run(task), Err(Cancelled));
        assert!(executor.is_idle() && executor.tasks().is_empty());
    }
}

#[test]
fn a_future_whose_drop_panics_is_gone_and_known_to_be() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("as it is to");
        }
    }
    let executor = executor();
    let bad = Panics;
    let task = executor.spawn(async move {
        let _bad = bad;
        pending::<()>().await;
    });
    executor.run(yields(2));
    assert!(panics(|| task.cancel()));
    assert!(task.is_finished() && executor.tasks().is_empty());
    assert_eq!(executor.run(task), Err(Cancelled));
}

#[test]
fn the_last_waker_of_a_task_gives_no_memory_back_in_a_handler() {
    let executor = executor();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keep = kept.clone();
    let task = executor.spawn(poll_fn(move |context| {
        *keep.borrow_mut() = Some(context.waker().clone());
        Poll::<()>::Pending
    }));
    executor.run(yields(2));
    task.cancel();
    drop(task);
    in_handler(|| drop(kept.take()));
    assert!(!executor.is_idle(), "it waits to be given back");
    executor.run(yields(2));
    assert!(executor.is_idle());
}

#[test]
fn outputs_are_dropped_once_whoever_wants_them() {
    let executor = executor();
    let dropped = Rc::new(Cell::new(0));
    let output = || Dropped(dropped.clone());
    // Dropped before it runs, after it has run, and taken.
    let value = output();
    drop(executor.spawn(async { value }));
    executor.run(yields(2));
    assert_eq!(dropped.get(), 1);
    let value = output();
    let task = executor.spawn(async { value });
    executor.run(yields(2));
    assert_eq!(dropped.get(), 1);
    drop(task);
    assert_eq!(dropped.get(), 2);
    let value = output();
    let task = executor.spawn(async { value });
    let taken = executor.run(task).unwrap();
    assert_eq!(dropped.get(), 2);
    drop(taken);
    assert_eq!(dropped.get(), 3);
}

#[test]
fn wakers_outlive_tasks_and_wake_nothing_then() {
    let executor = executor();
    let kept: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let keep = kept.clone();
    let task = executor.spawn(poll_fn(move |context| {
        keep.borrow_mut().push(context.waker().clone());
        if keep.borrow().len() == 3 { Poll::Ready(()) } else { Poll::Pending }
    }));
    for _ in 0..2 {
        executor.run(yields(2));
        let waker = kept.borrow()[0].clone();
        waker.wake();
    }
    assert_eq!(executor.run(task), Ok(()));
    for waker in kept.take() {
        waker.wake_by_ref();
        in_handler(|| waker.wake_by_ref());
        let other = waker.clone();
        thread::spawn(move || other.wake()).join().unwrap();
        executor.run(yields(2));
        waker.wake();
    }
    assert!(executor.is_idle());
}

#[test]
fn a_task_that_wakes_itself_while_it_ends_is_let_go() {
    let executor = executor();
    for in_a_handler in [false, true, false, true] {
        let task = executor.spawn(poll_fn(move |context| {
            context.waker().wake_by_ref();
            if in_a_handler {
                in_handler(|| context.waker().wake_by_ref());
            }
            Poll::Ready(7)
        }));
        assert_eq!(executor.run(task), Ok(7));
        executor.run(yields(3));
    }
    assert!(executor.is_idle());
    assert_eq!(executor.tasks(), []);
}

#[test]
fn a_handler_wakes_a_task_that_waits() {
    let executor = executor();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (put, is_set) = (waker.clone(), Rc::new(Cell::new(false)));
    let (seen, polls) = (is_set.clone(), Rc::new(Cell::new(0)));
    let polled = polls.clone();
    let task = executor.spawn(poll_fn(move |context| {
        polled.set(polled.get() + 1);
        *put.borrow_mut() = Some(context.waker().clone());
        if seen.get() { Poll::Ready(()) } else { Poll::Pending }
    }));
    let interrupt = move || {
        is_set.set(true);
        let waker = waker.take().expect("it waits");
        (0..3).for_each(|_| waker.wake_by_ref());
        waker.wake();
    };
    INTERRUPT.set(Some(Box::new(interrupt)));
    assert_eq!(executor.run(task), Ok(()));
    assert_eq!(polls.get(), 2, "several wake-ups are one poll");
}

#[test]
fn what_does_not_belong_in_a_handler_is_refused() {
    let executor = executor();
    executor.run(yields(1));
    let refused = in_handler(|| executor.try_spawn(ready(5)));
    let error = refused.map(|_| ()).unwrap_err();
    assert_eq!((error.reason, block_on::<Jumping, _>(error.future)), (Refusal::Elsewhere, 5));
    let elsewhere =
        thread::spawn(move || executor.try_spawn(async {}).map(|_| ()).unwrap_err().reason);
    assert_eq!(elsewhere.join().unwrap(), Refusal::Elsewhere);
    assert!(thread::spawn(move || executor.run(async {})).join().is_err());
    assert!(panics(|| in_handler(|| executor.run(async {}))));
    IN_HANDLER.set(false);
    // Inside itself.
    let task = executor.spawn(async move { panics(|| executor.run(async {})) });
    assert_eq!(executor.run(task), Ok(true));
}

#[test]
fn a_task_that_panics_is_gone_and_the_others_go_on() {
    let executor = executor();
    let dropped = Rc::new(Cell::new(0));
    let guard = Dropped(dropped.clone());
    let bad = executor.spawn(async move {
        let _guard = guard;
        yields(1).await;
        panic!("as it is to");
    });
    let good = executor.spawn(async { yields(3).await });
    assert!(panics(|| _ = executor.run(good)));
    assert_eq!((dropped.get(), bad.is_finished()), (1, true));
    assert_eq!(executor.run(bad), Err(Cancelled));
    assert_eq!(executor.running(), None);
    let task = executor.spawn(async { 1 });
    assert_eq!(executor.run(task), Ok(1));
}

#[test]
fn tasks_are_listed_with_names_and_counts() {
    let executor = executor();
    assert_eq!(executor.tasks(), []);
    let named = executor.try_spawn_named("network", async {
        for _ in 0..4 {
            NOW.set(NOW.get() + 10);
            yields(1).await;
        }
        pending::<()>().await;
    });
    let (line, unnamed) = (line!(), executor.spawn(pending::<()>()));
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let (see, running) = (seen.clone(), Rc::new(Cell::new(None)));
    let run = running.clone();
    let looker = executor.spawn(async move {
        yields(9).await;
        in_handler(|| {
            run.set(executor.running());
            see.borrow_mut().extend(executor.tasks().iter().map(|task| format!("{task}")));
        });
    });
    executor.run(looker).unwrap();
    let place = format!("{}:{line}", file!());
    assert_eq!(seen.borrow()[1..], [format!("{place}: 1 polls"), "network: 5 polls".into()]);
    assert!(seen.borrow()[0].ends_with("10 polls, running"), "{seen:?}");
    let (shown, _since) = running.take().unwrap();
    assert!((shown.is_running, shown.polls) == (true, 10));
    let ticks: Vec<_> = executor.tasks().iter().map(|task| task.ticks).collect();
    assert_eq!(ticks, [0, 40]);
    // From a thread that the executor does not wait for.
    let elsewhere = thread::spawn(move || (executor.tasks(), executor.running()));
    assert_eq!(elsewhere.join().unwrap(), (std::vec![], None));
    named.unwrap().cancel();
    unnamed.cancel();
    assert_eq!(executor.tasks(), []);
}

#[test]
fn a_task_takes_little_more_than_its_future() {
    use crate::header::whole_bytes;
    assert!(whole_bytes::<Jumping, core::future::Ready<u64>>() <= 128 + 16);
    let mut future = core::pin::pin!(pending::<()>());
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(whole_bytes::<Jumping, core::future::Pending<()>>() <= 128);
}
