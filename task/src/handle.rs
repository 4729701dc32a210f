//! What spawning gives: a way to wait for a task's end, and to bring it about.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::header::{Header, State, Task};
use crate::platform::Platform;

/// A task that was spawned. To await it gives its output, or that it was cancelled.
///
/// Dropping it does not end the task: it goes on, and nobody learns its output. [`cancel`](Self::cancel) ends it.
///
/// It stays in the executor's context: it is neither `Send` nor `Sync`.
pub struct JoinHandle<T, P: Platform> {
    task: Task<P>,
    output: PhantomData<(T, *mut ())>,
}

/// The task was cancelled, and has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl core::error::Error for Cancelled {}

impl<T, P: Platform> JoinHandle<T, P> {
    /// # Safety
    ///
    /// - In the executor's context. The task's output is a `T`, and one reference to it is this handle's.
    pub(crate) unsafe fn new(task: Task<P>) -> JoinHandle<T, P> {
        JoinHandle { task, output: PhantomData }
    }

    fn header(&self) -> &Header<P> {
        // SAFETY: our reference keeps it.
        unsafe { self.task.as_ref() }
    }

    /// Ends the task: its future is dropped at once. A task that cancels itself is dropped when it yields next. What has
    /// ended stays as it is.
    pub fn cancel(&self) {
        let header = self.header();
        if header.is_over() {
            return;
        }
        if header.executor.current() == self.task.as_ptr() {
            header.set_state(State::Ending);
        } else {
            // SAFETY: in the executor's context, where handles are; not over, not being polled.
            unsafe { header.executor.end(self.task, State::Cancelled) };
        }
    }

    /// Whether the task has ended, in one way or the other.
    pub fn is_finished(&self) -> bool {
        self.header().is_over()
    }
}

impl<T, P: Platform> Future for JoinHandle<T, P> {
    type Output = Result<T, Cancelled>;

    /// # Panics
    ///
    /// If the output has been given already.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.header().state() {
            State::Alive | State::Ending => {
                let joiner = self.header().joiner.get();
                // SAFETY: in the executor's context, as is `end`, which takes it; no other code has a reference to it, and
                // comparing calls none.
                let known = unsafe { (*joiner).as_ref() };
                if !known.is_some_and(|one| one.will_wake(context.waker())) {
                    // What these two call may look at this task again.
                    let waker = context.waker().clone();
                    // SAFETY: as above.
                    drop(unsafe { (*joiner).replace(waker) });
                }
                Poll::Pending
            }
            State::Done => {
                let mut output = MaybeUninit::<T>::uninit();
                self.header().set_state(State::Taken);
                // SAFETY: in the executor's context; it was done, so its output is there, a `T` by `new`'s promise.
                unsafe {
                    Header::take(self.task, output.as_mut_ptr().cast());
                    Poll::Ready(Ok(output.assume_init()))
                }
            }
            State::Cancelled => Poll::Ready(Err(Cancelled)),
            State::Taken => panic!("the output of a task is given once"),
        }
    }
}

impl<T, P: Platform> Drop for JoinHandle<T, P> {
    fn drop(&mut self) {
        // SAFETY: in the executor's context; no other code has a reference to it.
        let joiner = unsafe { (*self.header().joiner.get()).take() };
        self.header().is_detached.set(true);
        if self.header().state() == State::Done {
            self.header().set_state(State::Taken);
            // SAFETY: over, so it is not polled; nobody else has the output.
            unsafe { Header::empty(self.task) };
        }
        // SAFETY: it was ours.
        unsafe { Header::release(self.task) };
        drop(joiner);
    }
}

impl<T, P: Platform> fmt::Debug for JoinHandle<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.header().name).finish()
    }
}
