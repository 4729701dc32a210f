//! The two rules, in every short sequence of polls, drops and changes, against models without pointers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use super::super::{Closed, Event, Mutex, Permit, RwLock, Semaphore};
use super::{Task, every_sequence};

/// What a semaphore should do.
#[derive(Debug, Default)]
pub struct Model {
    pub free: usize,
    is_closed: bool,
    /// Who waits, and for how many permits.
    line: Vec<(usize, usize)>,
    /// Who has been told but has not looked: permits, or that it is closed.
    told: Vec<(usize, Result<usize, Closed>)>,
}

impl Model {
    pub fn new(free: usize) -> Model {
        Model { free, ..Model::default() }
    }

    pub fn poll(&mut self, who: usize, want: usize) -> Poll<Result<(), Closed>> {
        if let Some(told) = self.told.iter().position(|told| told.0 == who) {
            return Poll::Ready(self.told.remove(told).1.map(|_| ()));
        }
        if self.is_closed {
            return Poll::Ready(Err(Closed(())));
        }
        if self.line.is_empty() && self.free >= want {
            self.free -= want;
            return Poll::Ready(Ok(()));
        }
        if !self.line.iter().any(|waiting| waiting.0 == who) {
            self.line.push((who, want));
        }
        Poll::Pending
    }

    pub fn try_acquire(&mut self, want: usize) -> Poll<Result<(), Closed>> {
        let granted = self.poll(usize::MAX, want);
        self.line.retain(|waiting| waiting.0 != usize::MAX);
        granted
    }

    pub fn add(&mut self, permits: usize) {
        self.free += permits;
        while let Some(&(who, want)) = self.line.first()
            && want <= self.free
        {
            self.free -= want;
            self.line.remove(0);
            self.told.push((who, Ok(want)));
        }
    }

    pub fn cancel(&mut self, who: usize) {
        self.line.retain(|waiting| waiting.0 != who);
        let told = self.told.iter().position(|told| told.0 == who);
        let returned = told.map_or(0, |told| self.told.remove(told).1.unwrap_or(0));
        self.add(returned);
    }

    pub fn close(&mut self) {
        self.is_closed = true;
        self.told.extend(self.line.drain(..).map(|(who, _)| (who, Err(Closed(())))));
    }

    /// Whether `who` was told, and so should be woken, since it was last pending.
    pub fn has_told(&self, who: usize) -> bool {
        self.told.iter().any(|told| told.0 == who)
    }
}

#[test]
fn a_semaphore_is_as_its_model_in_every_short_sequence() {
    const WANTS: [usize; 3] = [1, 2, 1];
    // To poll or drop one of three, to add one, to try.
    every_sequence(8, 6, |sequence| {
        let semaphore = Semaphore::new(1);
        let mut model = Model::new(1);
        let mut tasks = WANTS.map(|want| Some(Task::new(semaphore.acquire(want))));
        for &step in sequence {
            let who = step % 3;
            match step {
                0..3 => {
                    let Some(task) = &mut tasks[who] else { continue };
                    let got = task.poll().map_ok(Permit::forget);
                    assert_eq!(got, model.poll(who, WANTS[who]), "{sequence:?}");
                    if got.is_ready() {
                        tasks[who] = None;
                    }
                }
                3..6 => {
                    tasks[who] = None;
                    model.cancel(who);
                }
                6 => {
                    semaphore.add(1);
                    model.add(1);
                }
                _ => {
                    let got = semaphore.try_acquire(1).map(Permit::forget).is_some();
                    assert_eq!(got, model.try_acquire(1).is_ready(), "{sequence:?}");
                }
            }
            assert_eq!(semaphore.available(), model.free, "{sequence:?}");
            for (who, task) in tasks.iter().enumerate() {
                let wakes = task.as_ref().map_or(0, Task::wakes);
                assert_eq!(wakes, model.has_told(who).into(), "task {who} in {sequence:?}");
            }
        }
    });
}

#[test]
fn an_event_is_as_its_model_in_every_short_sequence() {
    // To poll one of three, to drop it and start anew, to set, to reset, to pulse.
    every_sequence(9, 5, |sequence| {
        let event = Event::new();
        let mut is_set = false;
        let mut tasks = [0; 3].map(|_| Some(Task::new(event.wait())));
        let mut has_happened = [false; 3];
        let mut waits = [false; 3];
        for &step in sequence {
            let who = step % 3;
            match step {
                0..3 => {
                    let Some(task) = &mut tasks[who] else { continue };
                    let may_go = is_set || has_happened[who];
                    assert_eq!(task.poll().is_ready(), may_go, "{sequence:?}");
                    waits[who] = !may_go;
                    if may_go {
                        tasks[who] = None;
                    }
                }
                3..6 => {
                    tasks[who] = Some(Task::new(event.wait()));
                    (has_happened[who], waits[who]) = (false, false);
                }
                6 => event.set(),
                7 => event.reset(),
                _ => event.pulse(),
            }
            is_set = (is_set || step == 6) && step != 7;
            has_happened = has_happened.map(|has| has || step == 6 || step == 8);
            assert_eq!(event.is_set(), is_set);
            for (who, task) in tasks.iter().enumerate() {
                let Some(task) = task else { continue };
                let woken = waits[who] && has_happened[who];
                assert_eq!(task.wakes(), woken.into(), "task {who} in {sequence:?}");
            }
        }
    });
}

#[test]
fn close_ends_every_wait_and_every_later_one() {
    let semaphore = Semaphore::new(0);
    let mut tasks = [1, 2, 3].map(|want| Task::new(semaphore.acquire(want)));
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    semaphore.close();
    assert!(semaphore.is_closed());
    for task in &mut tasks {
        assert_eq!(task.wakes(), 1);
        assert!(matches!(task.poll(), Poll::Ready(Err(Closed(())))));
    }
    semaphore.add(1);
    assert!(semaphore.try_acquire(1).is_none());
    assert!(matches!(Task::new(semaphore.acquire(1)).poll(), Poll::Ready(Err(_))));
}

#[test]
fn a_mutex_is_handed_on_in_order() {
    let mutex = Mutex::new(Vec::new());
    let held = mutex.try_lock().unwrap();
    let [mut first, mut second, mut third, mut fourth] = [0, 1, 2, 3].map(|who| {
        let mutex = &mutex;
        Task::new(async move { mutex.lock().await.push(who) })
    });
    for task in [&mut first, &mut second, &mut third, &mut fourth] {
        assert!(task.poll().is_pending());
    }
    drop(held);
    assert!(mutex.try_lock().is_none(), "it belongs to the first that waits");
    // The first is cancelled after it was granted, the third before.
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    drop(third);
    assert_eq!((second.wakes(), fourth.wakes()), (1, 0));
    assert!(fourth.poll().is_pending() && second.poll().is_ready() && fourth.poll().is_ready());
    drop((second, fourth));
    assert_eq!(mutex.into_inner(), [1, 3]);
}

#[test]
fn readers_share_and_a_writer_is_not_overtaken() {
    let lock = RwLock::new(0);
    let (first, second) = (lock.try_read().unwrap(), lock.try_read().unwrap());
    let mut writer = Task::new(lock.write());
    let mut readers = [0; 2].map(|_| Task::new(lock.read()));
    assert!(writer.poll().is_pending() && readers.iter_mut().all(|it| it.poll().is_pending()));
    assert!(lock.try_read().is_none(), "a writer waits");
    drop(first);
    assert_eq!(writer.wakes(), 0);
    drop(second);
    let Poll::Ready(mut written) = writer.poll() else { panic!("not granted") };
    *written = 7;
    assert!(lock.try_write().is_none() && readers[0].poll().is_pending());
    drop(written);
    for reader in &mut readers {
        assert_eq!(reader.wakes(), 1);
        assert!(matches!(reader.poll(), Poll::Ready(it) if *it == 7));
    }
    assert!(lock.try_write().is_some());
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_go() {
    let lock = RwLock::new(());
    let held = lock.try_read().unwrap();
    let mut writer = Task::new(lock.write());
    let mut reader = Task::new(lock.read());
    assert!(writer.poll().is_pending() && reader.poll().is_pending());
    drop(writer);
    assert_eq!(reader.wakes(), 1);
    assert!(reader.poll().is_ready());
    drop(held);
}

#[test]
fn a_waker_may_use_what_it_waited_for_when_it_is_dropped() {
    static SEMAPHORE: Semaphore = Semaphore::new(0);

    /// As if it were the last reference to a task, with which everything goes that the task has.
    struct Last;
    impl Wake for Last {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Last {
        fn drop(&mut self) {
            SEMAPHORE.add(1);
        }
    }

    let mut waits = Box::pin(SEMAPHORE.acquire(9));
    for _ in 0..3 {
        let waker = Arc::new(Last).into();
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(SEMAPHORE.available(), 2, "the third is still needed");
    drop(waits);
    assert_eq!(SEMAPHORE.available(), 3);
}
