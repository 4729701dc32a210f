//! The executor of one context: its queue, the task that runs, and what happens when nothing is to be done.
//!
//! Tasks wait in two places. Those that were woken in the executor's own context stand in a queue that nobody else
//! touches, so that a wake-up and the way to the poll are a few plain stores and loads. Those that were woken elsewhere are in
//! the [inbox](crate::inbox). A task may be in both, and is polled once more then, which does no harm.
//!
//! A round takes over the inbox, wakes those whose time has come, and polls [`ROUND`] tasks at most: so a task that wakes
//! itself again and again holds up neither timers nor handlers.

use core::cell::{Cell, UnsafeCell};
use core::num::NonZeroUsize;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Waker};

use crate::header::{Header, State, Task, borrowed_waker};
use crate::inbox::{Inbox, came_out, retire};
use crate::platform::Platform;
use crate::timer::alarms::Alarms;
use crate::timer::wheel::Wheel;

/// How many tasks are polled before timers and inbox are looked at again.
const ROUND: usize = 64;

/// Runs tasks, one after the other, in the context that uses it first. It is there for ever from then on: a `static`, or
/// leaked.
pub struct Executor<P: Platform> {
    /// The number of the context that it belongs to; 0 before it is used.
    owner: AtomicUsize,
    inbox: Inbox<Header<P>>,
    /// The task that is polled, or was until a moment ago: it has not ended.
    current: AtomicPtr<Header<P>>,
    /// The counter when that began.
    since: AtomicU64,
    /// All tasks that have not ended.
    first: AtomicPtr<Header<P>>,
    own: Own<P>,
}

/// What only the owner's code touches.
struct Own<P: Platform> {
    head: Cell<*mut Header<P>>,
    tail: Cell<*mut Header<P>>,
    is_running: Cell<bool>,
    timers: UnsafeCell<Wheel>,
    alarms: UnsafeCell<Alarms>,
}

// SAFETY: `own`, and the fields of tasks that are no atomics, are used in the owner's context only, as `is_here` has seen or
// a `JoinHandle`, which stays there, shows; by `Platform`'s promise that is one piece of code after the other. The
// rest are atomics. Futures are polled and dropped in that context too.
unsafe impl<P: Platform> Sync for Executor<P> {}

impl<P: Platform> Executor<P> {
    /// Without tasks. It belongs to the context that first spawns a task or runs it.
    pub const fn new() -> Executor<P> {
        Executor {
            owner: AtomicUsize::new(0),
            inbox: Inbox::of(AtomicPtr::new(ptr::null_mut())),
            current: AtomicPtr::new(ptr::null_mut()),
            since: AtomicU64::new(0),
            first: AtomicPtr::new(ptr::null_mut()),
            own: Own {
                head: Cell::new(ptr::null_mut()),
                tail: Cell::new(ptr::null_mut()),
                is_running: Cell::new(false),
                timers: UnsafeCell::new(Wheel::new()),
                alarms: UnsafeCell::new(Alarms::new()),
            },
        }
    }

    /// Whether the caller is in the owner's context.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        P::context().is_some_and(|here| here.get() == self.owner.load(Ordering::Relaxed))
    }

    /// Whether the caller is in the owner's context, which it becomes if there is none.
    pub(crate) fn enter(&self) -> bool {
        let Some(here) = P::context() else { return false };
        let order = Ordering::Relaxed;
        self.is_here() || self.owner.compare_exchange(0, here.get(), order, order).is_ok()
    }

    pub(crate) fn owner(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.owner.load(Ordering::Relaxed))
    }

    /// The first of all tasks.
    pub(crate) fn first(&self) -> &AtomicPtr<Header<P>> {
        &self.first
    }

    /// The task that is polled.
    pub(crate) fn current(&self) -> *mut Header<P> {
        self.current.load(Ordering::Relaxed)
    }

    /// The flag of [`run`](Self::run). In the owner's context.
    pub(crate) fn is_running(&self) -> &Cell<bool> {
        &self.own.is_running
    }

    /// Whether nothing came from elsewhere.
    pub(crate) fn has_empty_inbox(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Whether tasks are to be polled. In the owner's context.
    pub(crate) fn has_queued(&self) -> bool {
        !self.own.head.get().is_null()
    }

    /// Whether nothing is queued, and nothing in the inbox.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.own.head.get().is_null()
    }

    pub(crate) fn current_since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Works with the timers.
    ///
    /// # Panics
    ///
    /// In another context.
    pub(crate) fn with_timers<R>(&self, work: impl FnOnce(&mut Wheel) -> R) -> R {
        assert!(self.is_here(), "timers are used where their executor runs");
        // SAFETY: in the owner's context; no `work` of this crate calls other code.
        work(unsafe { &mut *self.own.timers.get() })
    }

    /// Works with timers and alarms.
    ///
    /// # Panics
    ///
    /// In another context.
    pub(crate) fn with_alarms<R>(&self, work: impl FnOnce(&mut Alarms, &mut Wheel) -> R) -> R {
        // SAFETY: in the owner's context, as `with_timers` has seen; no `work` of this crate calls other code.
        self.with_timers(|timers| work(unsafe { &mut *self.own.alarms.get() }, timers))
    }

    /// Puts a task into the list of all. Here and in `unlink`: each store leaves the list whole for a handler.
    ///
    /// # Safety
    ///
    /// - A task that is in no list, in the owner's context.
    pub(crate) unsafe fn link(&self, task: Task<P>) {
        let first = self.first.load(Ordering::Relaxed);
        // SAFETY: the caller's promise; what is in the list has not ended, so the executor's reference keeps it.
        unsafe {
            task.as_ref().next.store(first, Ordering::Relaxed);
            if let Some(first) = NonNull::new(first) {
                first.as_ref().previous.set(task.as_ptr());
            }
        }
        self.first.store(task.as_ptr(), Ordering::Release);
    }

    /// # Safety
    ///
    /// - A task that is in the list, in the owner's context.
    unsafe fn unlink(&self, task: Task<P>) {
        // SAFETY: as in `link`.
        unsafe {
            let (next, previous) = (&task.as_ref().next, task.as_ref().previous.get());
            let next = next.load(Ordering::Relaxed);
            match NonNull::new(previous) {
                Some(previous) => previous.as_ref().next.store(next, Ordering::Release),
                None => self.first.store(next, Ordering::Release),
            }
            if let Some(next) = NonNull::new(next) {
                next.as_ref().previous.set(previous);
            }
        }
    }

    /// Wakes a task, in any context.
    ///
    /// # Safety
    ///
    /// - A reference keeps it during the call.
    #[inline]
    pub(crate) unsafe fn wake(&self, task: Task<P>) {
        if self.is_here() {
            // SAFETY: the caller's promise; here.
            unsafe { self.queue(task) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.wake_from_elsewhere(task) };
        }
    }

    /// Has a task's memory given back in the owner's context: the heap need not allow it where the last reference went.
    ///
    /// # Safety
    ///
    /// - Nobody refers to the task any more; it is over, and in no place.
    #[cold]
    pub(crate) unsafe fn bury(&self, task: Task<P>) {
        // SAFETY: the caller's promise: it is the caller's alone.
        unsafe {
            task.as_ref().keep();
            task.as_ref().places.set(1);
            self.inbox.put_retired(task);
        }
    }

    #[cold]
    unsafe fn wake_from_elsewhere(&self, task: Task<P>) {
        // SAFETY: the caller's promise: see `wake`.
        let is_new = unsafe { self.inbox.put(task) };
        if let Some(owner) = self.owner().filter(|_| is_new) {
            P::wake_up(owner);
        }
    }

    /// Puts a task at the end of the queue, unless it is in it or has been retired.
    ///
    /// # Safety
    ///
    /// - In the owner's context; a reference keeps the task.
    #[inline]
    pub(crate) unsafe fn queue(&self, task: Task<P>) {
        // SAFETY: the caller's promise. What is in the queue is kept by the executor: see `end`.
        unsafe {
            let header = task.as_ref();
            if header.is_queued.replace(true) {
                return;
            }
            header.next_queued.set(ptr::null_mut());
            match NonNull::new(self.own.tail.replace(task.as_ptr())) {
                Some(last) => last.as_ref().next_queued.set(task.as_ptr()),
                None => self.own.head.set(task.as_ptr()),
            }
        }
    }

    /// The next task to be polled. In the owner's context.
    #[inline]
    fn next(&self) -> Option<Task<P>> {
        let task = NonNull::new(self.own.head.get())?;
        // SAFETY: as in `queue`.
        let header = unsafe { task.as_ref() };
        let next = header.next_queued.get();
        self.own.head.set(next);
        if next.is_null() {
            self.own.tail.set(next);
        }
        header.is_queued.set(false);
        Some(task)
    }

    /// Takes over the inbox, wakes whose time has come, and polls. In the owner's context.
    pub(crate) fn round(&self) {
        // SAFETY: the executor's reference keeps what is in it: see `end`.
        let mut arrived = unsafe { self.inbox.take_all() };
        while let Some(task) = NonNull::new(arrived) {
            // SAFETY: the executor's reference keeps what is in the inbox: see `end`.
            unsafe {
                let header = task.as_ref();
                arrived = header.next_in_inbox.load(Ordering::Relaxed);
                if header.is_over() {
                    // It has been retired: the flag stays.
                    self.let_go(task);
                } else {
                    came_out(header);
                    self.queue(task);
                }
            }
        }
        if !self.with_timers(|timers| timers.is_empty()) {
            let now = P::now() / NANOSECONDS;
            while let Some(waker) = self.with_timers(|timers| timers.expire(now)) {
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
        for _ in 0..ROUND {
            let Some(task) = self.next() else { break };
            // SAFETY: from the queue, in the owner's context.
            unsafe { self.poll(task) };
        }
        self.current.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// - A task from the queue, in the owner's context; no other is polled.
    #[inline]
    unsafe fn poll(&self, task: Task<P>) {
        // SAFETY: the executor keeps what is in its queue; nobody else polls or empties a task that is not over.
        unsafe {
            let header = task.as_ref();
            if header.is_over() {
                header.is_queued.set(true);
                return self.let_go(task);
            }
            self.current.store(task.as_ptr(), Ordering::Relaxed);
            let add = |counter: &AtomicU64, more: u64| {
                let sum = counter.load(Ordering::Relaxed).wrapping_add(more);
                counter.store(sum, Ordering::Relaxed);
            };
            add(&header.polls, 1);
            let started = P::ticks();
            // As below: where nothing counts it costs nothing.
            if started != 0 {
                self.since.store(started, Ordering::Relaxed);
            }
            let panicked = Panicked(self, task);
            let waker = borrowed_waker(task);
            let is_done = Header::poll(task, &mut Context::from_waker(&waker));
            core::mem::forget(panicked);
            let took = P::ticks().wrapping_sub(started);
            if took != 0 {
                add(&header.ticks, took);
            }
            if is_done || !header.is_alive() {
                self.current.store(ptr::null_mut(), Ordering::Relaxed);
                self.end(task, if is_done { State::Done } else { State::Cancelled });
            }
        }
    }

    /// Ends a task: its future is gone afterwards, and its handle knows.
    ///
    /// # Safety
    ///
    /// - In the owner's context; the task is not over, and not being polled. [`Done`](State::Done) only if its output is
    ///   there.
    pub(crate) unsafe fn end(&self, task: Task<P>, how: State) {
        // SAFETY: the caller's promise. The executor's reference keeps the task until `let_go`.
        unsafe {
            let header = task.as_ref();
            let wants_output = how == State::Done && !header.is_detached.get();
            // All of this first: what is dropped below may do anything, run the executor too.
            header.set_state(if how == State::Done && !wants_output { State::Taken } else { how });
            self.unlink(task);
            // From now on nobody queues it. If it is queued, or in the inbox, it is let go when it comes out.
            let is_in_inbox = retire(header);
            let is_queued = header.is_queued.replace(true);
            header.places.set(u8::from(is_in_inbox) + u8::from(is_queued) + 1);
            let ended = Ended(self, task, (*header.joiner.get()).take());
            if !wants_output {
                Header::empty(task);
            }
            drop(ended);
        }
    }

    /// One place less in which the executor has a task that is over; its reference goes with the last.
    ///
    /// # Safety
    ///
    /// - In the owner's context; the task is over, and has just come out of a place.
    pub(crate) unsafe fn let_go(&self, task: Task<P>) {
        // SAFETY: the caller's promise.
        unsafe {
            let places = &task.as_ref().places;
            places.set(places.get() - 1);
            if places.get() == 0 {
                Header::release(task);
            }
        }
    }
}

impl<P: Platform> Default for Executor<P> {
    fn default() -> Executor<P> {
        Executor::new()
    }
}

/// Of a microsecond.
pub(crate) const NANOSECONDS: u64 = 1000;

/// The end of a task's end, also where dropping its future or its output panics: one place less, and whoever waits for it
/// is woken.
struct Ended<'a, P: Platform>(&'a Executor<P>, Task<P>, Option<Waker>);

impl<P: Platform> Drop for Ended<'_, P> {
    fn drop(&mut self) {
        // SAFETY: made in `end`, which has counted this place.
        unsafe { self.0.let_go(self.1) };
        if let Some(joiner) = self.2.take() {
            joiner.wake();
        }
    }
}

/// Where panics unwind, as on a host: the task whose poll has panicked is cancelled, and the panic goes on.
struct Panicked<'a, P: Platform>(&'a Executor<P>, Task<P>);

impl<P: Platform> Drop for Panicked<'_, P> {
    fn drop(&mut self) {
        self.0.current.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: made in `poll`, which has been left: the task is not being polled any more, and not over.
        unsafe { self.0.end(self.1, State::Cancelled) };
    }
}
