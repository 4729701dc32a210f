//! The same work for each executor.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use freestone_task::{Executor, Platform};

/// How many tasks are spawned before they run.
const BATCH: usize = 50;

/// How often, and how long it took.
pub type Measured = (usize, Duration);

#[derive(Clone, Copy)]
pub enum Case {
    YieldOne,
    YieldEight,
    PingPong,
    Handler,
    Spawn,
    Timer,
}

impl Case {
    pub const ALL: [Case; 6] =
        [Case::YieldOne, Case::YieldEight, Case::PingPong, Case::Handler, Case::Spawn, Case::Timer];

    pub fn name(self) -> &'static str {
        match self {
            Case::YieldOne => "wake and poll, one task",
            Case::YieldEight => "the same, eight tasks in turn",
            Case::PingPong => "two tasks that wake each other",
            Case::Handler => "woken outside of the executor, and poll",
            Case::Spawn => "spawn and finish",
            Case::Timer => "timer set and fired, 10,000 others set",
        }
    }
}

/// Runs tasks of one type to their end.
trait Run {
    fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>);
}

/// So many tasks that yield, each as often as it says.
fn yielding<R: Run>(tasks: usize, each: usize) {
    R::run((0..tasks).map(|_| yields(each)).collect());
}

/// Two tasks that wake each other, each so often.
fn playing<R: Run>(each: usize) {
    let ball = Rc::new(Ball::default());
    R::run([0, 1].map(|side| play(ball.clone(), side, each)).into());
}

pub struct Contender {
    pub name: &'static str,
    yielding: fn(usize, usize),
    playing: fn(usize),
    /// Spawns so many, and runs them to their end.
    spawn: Option<fn(usize) -> Duration>,
    timer: Option<fn(usize) -> Duration>,
    /// Spawns so many that wait for ever; what must be kept for them to stay.
    pub park: Option<fn(usize) -> Box<dyn Any>>,
    handler: Option<fn(usize) -> Duration>,
}

struct Freestone;

impl Run for Freestone {
    fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>) {
        let executor = executor();
        let all: Vec<_> = tasks.into_iter().map(|task| executor.spawn(task)).collect();
        executor.run(async {
            for task in all {
                task.await.unwrap();
            }
        });
    }
}

struct Edge;

impl Run for Edge {
    fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>) {
        let executor: edge_executor::LocalExecutor = Default::default();
        let all: Vec<_> = tasks.into_iter().map(|task| executor.spawn(task)).collect();
        edge_executor::block_on(executor.run(async {
            for task in all {
                task.await;
            }
        }));
    }
}

struct Async;

impl Run for Async {
    fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>) {
        let executor = async_executor::LocalExecutor::new();
        let all: Vec<_> = tasks.into_iter().map(|task| executor.spawn(task)).collect();
        futures_lite::future::block_on(executor.run(async {
            for task in all {
                task.await;
            }
        }));
    }
}

struct Tokio;

impl Run for Tokio {
    fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>) {
        let (runtime, local) = tokio();
        local.block_on(&runtime, async {
            let all: Vec<_> = tasks.into_iter().map(tokio::task::spawn_local).collect();
            for task in all {
                task.await.unwrap();
            }
        });
    }
}

pub const ALL: &[Contender] = &[
    Contender {
        name: "freestone",
        yielding: yielding::<Freestone>,
        playing: playing::<Freestone>,
        spawn: Some(|count| {
            let executor = executor();
            timed(|| {
                for _ in 0..count / BATCH {
                    (0..BATCH).for_each(|_| drop(executor.spawn(async {})));
                    executor.run(yields(2));
                }
            })
        }),
        timer: Some(|count| {
            let executor = executor();
            for far in 0..10_000 {
                executor.spawn(executor.sleep(Duration::from_secs(100 + far)));
            }
            executor.run(yields(200));
            timed(|| {
                executor.run(async {
                    for round in 0..count {
                        executor.sleep(Duration::from_micros(1 + round as u64 % 999)).await;
                    }
                })
            })
        }),
        park: Some(|count| {
            let executor: &'static Executor<Bench> = Box::leak(Box::default());
            (0..count).for_each(|_| drop(executor.spawn(pending::<()>())));
            executor.run(yields(2 + count / 64));
            Box::new(())
        }),
        handler: Some(|count| {
            let executor = executor();
            let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
            let put = waker.clone();
            executor.spawn(poll_fn(move |context| {
                if put.borrow().is_none() {
                    *put.borrow_mut() = Some(context.waker().clone());
                }
                Poll::<()>::Pending
            }));
            executor.run(yields(2));
            let waker = waker.take().expect("it was polled");
            // Whether there is more to do is what each round looks at, whoever is woken.
            timed(|| {
                let mut left = count;
                executor.run(poll_fn(|context| {
                    if left == 0 {
                        return Poll::Ready(());
                    }
                    left -= 1;
                    IN_HANDLER.store(true, Ordering::Relaxed);
                    waker.wake_by_ref();
                    IN_HANDLER.store(false, Ordering::Relaxed);
                    context.waker().wake_by_ref();
                    Poll::Pending
                }))
            })
        }),
    },
    Contender {
        name: "embassy raw",
        yielding: yielding::<embassy::Embassy>,
        playing: playing::<embassy::Embassy>,
        spawn: None,
        timer: None,
        park: None,
        handler: None,
    },
    Contender {
        name: "edge-executor",
        yielding: yielding::<Edge>,
        playing: playing::<Edge>,
        spawn: None,
        timer: None,
        park: None,
        handler: None,
    },
    Contender {
        name: "async-executor",
        yielding: yielding::<Async>,
        playing: playing::<Async>,
        spawn: Some(|count| {
            let executor = async_executor::LocalExecutor::new();
            timed(|| {
                for _ in 0..count / BATCH {
                    (0..BATCH).for_each(|_| executor.spawn(async {}).detach());
                    while executor.try_tick() {}
                }
            })
        }),
        timer: None,
        park: Some(|count| {
            let executor = Box::new(async_executor::LocalExecutor::new());
            (0..count).for_each(|_| executor.spawn(pending::<()>()).detach());
            while executor.try_tick() {}
            Box::new(executor)
        }),
        handler: None,
    },
    Contender {
        name: "tokio current_thread",
        yielding: yielding::<Tokio>,
        playing: playing::<Tokio>,
        spawn: Some(|count| {
            let (runtime, local) = tokio();
            local.block_on(&runtime, async {
                let begin = Instant::now();
                for _ in 0..count / BATCH {
                    let tasks = [(); BATCH].map(|()| tokio::task::spawn_local(async {}));
                    let [.., last] = tasks;
                    last.await.unwrap();
                }
                begin.elapsed()
            })
        }),
        timer: Some(|count| {
            let (runtime, local) = tokio();
            local.block_on(&runtime, async {
                tokio::time::pause();
                for far in 0..10_000 {
                    tokio::task::spawn_local(tokio::time::sleep(Duration::from_secs(100 + far)));
                }
                tokio::task::yield_now().await;
                let begin = Instant::now();
                for round in 0..count {
                    // It has no deadlines between milliseconds.
                    tokio::time::sleep(Duration::from_millis(1 + round as u64 % 9)).await;
                }
                begin.elapsed()
            })
        }),
        park: Some(|count| {
            let (runtime, local) = tokio();
            local.block_on(&runtime, async {
                (0..count).for_each(|_| drop(tokio::task::spawn_local(pending::<()>())));
                tokio::task::yield_now().await;
            });
            Box::new((runtime, local))
        }),
        handler: None,
    },
];

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn tokio() -> (tokio::runtime::Runtime, tokio::task::LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    (runtime.expect("a runtime"), tokio::task::LocalSet::new())
}

impl Contender {
    pub fn of(&self, case: Case) -> Option<Box<dyn Fn() -> Measured + '_>> {
        const POLLS: usize = 100_000;
        Some(match case {
            Case::YieldOne => Box::new(|| (POLLS, timed(|| (self.yielding)(1, POLLS)))),
            Case::YieldEight => Box::new(|| (POLLS, timed(|| (self.yielding)(8, POLLS / 8)))),
            Case::PingPong => Box::new(|| (POLLS, timed(|| (self.playing)(POLLS / 2)))),
            Case::Handler => match self.handler {
                Some(handler) => Box::new(move || (POLLS, handler(POLLS))),
                // It has one way for all wakers.
                None => return None,
            },
            Case::Spawn => {
                let spawn = self.spawn?;
                const TASKS: usize = 10_000;
                Box::new(move || (TASKS, spawn(TASKS)))
            }
            Case::Timer => {
                let timer = self.timer?;
                const TIMERS: usize = 20_000;
                Box::new(move || (TIMERS, timer(TIMERS)))
            }
        })
    }
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

#[derive(Default)]
struct Ball {
    side: Cell<usize>,
    wakers: [RefCell<Option<Waker>>; 2],
}

/// Waits for its turn, then gives it to the other.
async fn play(ball: Rc<Ball>, own: usize, count: usize) {
    let mut left = count;
    poll_fn(|context| {
        let mut slot = ball.wakers[own].borrow_mut();
        if !slot.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *slot = Some(context.waker().clone());
        }
        if ball.side.get() == own {
            ball.side.set(1 - own);
            left -= 1;
            if let Some(waker) = &*ball.wakers[1 - own].borrow() {
                waker.wake_by_ref();
            }
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// As in a kernel: which context runs is a load of a static; the clock stands still until there is nothing to do.
struct Bench;

static IN_HANDLER: AtomicBool = AtomicBool::new(false);
static NOW: AtomicU64 = AtomicU64::new(0);

// SAFETY: there is one thread, and the handler of `Case::Handler` calls a waker and nothing else.
unsafe impl Platform for Bench {
    #[inline]
    fn context() -> Option<NonZeroUsize> {
        if IN_HANDLER.load(Ordering::Relaxed) { None } else { NonZeroUsize::new(1) }
    }

    fn now() -> u64 {
        NOW.load(Ordering::Relaxed)
    }

    fn idle(until: Option<u64>, is_idle: impl Fn() -> bool) {
        if is_idle() {
            NOW.store(until.expect("something is waited for"), Ordering::Relaxed);
        }
    }

    fn wake_up(_: NonZeroUsize) {}
}

fn executor() -> &'static Executor<Bench> {
    Box::leak(Box::default())
}

mod embassy {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use embassy_executor::raw::{Executor, TaskStorage};

    use super::Run;

    static PENDING: AtomicBool = AtomicBool::new(false);

    #[unsafe(export_name = "__pender")]
    fn pender(_: *mut ()) {
        PENDING.store(true, Ordering::Release);
    }

    pub struct Embassy;

    impl Run for Embassy {
        fn run<F: Future<Output = ()> + 'static>(tasks: Vec<F>) {
            let executor: &'static Executor =
                Box::leak(Box::new(Executor::new(std::ptr::null_mut())));
            let left: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(tasks.len())));
            for task in tasks {
                let storage: &'static TaskStorage<_> = Box::leak(Box::new(TaskStorage::new()));
                let token = storage.spawn(move || async move {
                    task.await;
                    left.fetch_sub(1, Ordering::Relaxed);
                });
                executor.spawner().spawn(token.expect("a new storage"));
            }
            while left.load(Ordering::Relaxed) != 0 {
                PENDING.store(false, Ordering::Relaxed);
                // SAFETY: it was made here, and is polled here only.
                unsafe { executor.poll() };
            }
        }
    }
}
