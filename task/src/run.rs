//! The loop of an executor: a round of tasks, then idling until there is a reason for the next.

use core::cell::Cell;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

use alloc::sync::Arc;
use alloc::task::Wake;

use crate::executor::{Executor, NANOSECONDS};
use crate::platform::Platform;
use crate::timer::wheel::Wheel;

impl<P: Platform> Executor<P> {
    /// Runs the tasks, and `main`, until `main` is ready, and gives its output. The other tasks stay as they are, and go on
    /// with the next call.
    ///
    /// # Panics
    ///
    /// In another context than the one that used the executor first, in a handler, and in a task of this executor.
    pub fn run<F: Future>(&'static self, main: F) -> F::Output {
        assert!(self.enter(), "an executor runs in the context that used it first");
        assert!(!self.is_running().replace(true), "the executor runs already: await this instead");
        let _running = Running(self.is_running());
        let mut main = pin!(main);
        let woken = Arc::new(Woken(AtomicBool::new(true), self));
        let waker = Waker::from(woken.clone());
        loop {
            if woken.0.swap(false, Ordering::Acquire) {
                let polled = main.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = polled {
                    return output;
                }
            }
            self.round();
            let has_more = self.has_queued() || woken.0.load(Ordering::Relaxed);
            if !has_more {
                let until = self.with_timers(Wheel::next_deadline);
                let until = until.map(|at| at.saturating_mul(NANOSECONDS));
                P::idle(until, || self.has_empty_inbox() && !woken.0.load(Ordering::Acquire));
            }
        }
    }
}

/// `main`'s waker: it may be kept for ever.
struct Woken<P: Platform>(AtomicBool, &'static Executor<P>);

impl<P: Platform> Wake for Woken<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
        if let Some(owner) = self.1.owner() {
            P::wake_up(owner);
        }
    }
}

struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
