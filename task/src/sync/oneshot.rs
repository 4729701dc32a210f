//! One value, from one sender to one receiver, which is a future of it.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::mem::replace;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::Closed;
use super::guarded::Guarded;

/// A channel for one value.
///
/// - **Cancellation.** The receiver is the future. Polled by reference, it keeps its value until it is polled again; dropped,
///   it drops the value.
/// - **Fairness.** One waits.
/// - **In an interrupt handler**: everything but to wait.
/// - **Memory** is allocated here, once; if there is none, that ends as for any `Box`. The end that is dropped last frees it.
///
/// ```no_run
/// use freestone_task::sync::oneshot;
///
/// let (sender, mut receiver) = oneshot::channel();
/// assert_eq!(receiver.try_recv(), Ok(None));
/// sender.send(7).unwrap();
/// assert_eq!(receiver.try_recv(), Ok(Some(7)));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Guarded::new(State::Empty(None)));
    (Sender { shared: shared.clone() }, Receiver { shared })
}

enum State<T> {
    /// Nothing was sent; perhaps the receiver waits.
    Empty(Option<Waker>),
    Sent(T),
    /// Nothing will be received any more: it was, or an end is gone.
    Over,
}

/// Sends the value.
pub struct Sender<T> {
    shared: Arc<Guarded<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends. The value comes back if the receiver is gone.
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        self.finish(State::Sent(value)).map_err(|unsent| match unsent {
            State::Sent(value) => Closed(value),
            State::Empty(_) | State::Over => unreachable!("another state than was to be"),
        })
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.with(|state| matches!(state, State::Over))
    }

    /// From `Empty` to `last`; from any other state it does not go, and returns `last`.
    fn finish(&self, last: State<T>) -> Result<(), State<T>> {
        let empty = self.shared.with(|state| match state {
            State::Empty(_) => Ok(replace(state, last)),
            State::Sent(_) | State::Over => Err(last),
        })?;
        if let State::Empty(Some(waker)) = empty {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // If it has sent, the value stays.
        let _ = self.finish(State::Over);
    }
}

/// A future of the value, or of [`Closed`] if the sender is dropped before it sends. Once ready, it is closed.
#[must_use = "a future does nothing until it is polled"]
pub struct Receiver<T> {
    shared: Arc<Guarded<State<T>>>,
}

impl<T> Receiver<T> {
    /// The value, `Ok(None)` if it has not been sent yet.
    pub fn try_recv(&mut self) -> Result<Option<T>, Closed> {
        self.shared.with(|state| match state {
            State::Empty(_) => Ok(None),
            State::Sent(_) | State::Over => match replace(state, State::Over) {
                State::Sent(value) => Ok(Some(value)),
                State::Empty(_) | State::Over => Err(Closed(())),
            },
        })
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Registered first: a value that comes after this wakes the task.
        let _stale = self.shared.with(|state| match state {
            State::Empty(Some(waker)) if waker.will_wake(context.waker()) => None,
            State::Empty(waker) => waker.replace(context.waker().clone()),
            State::Sent(_) | State::Over => None,
        });
        match self.try_recv() {
            Ok(Some(value)) => Poll::Ready(Ok(value)),
            Ok(None) => Poll::Pending,
            Err(closed) => Poll::Ready(Err(closed)),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What was sent, and the waker, are dropped after the section.
        let _unseen = self.shared.with(|state| replace(state, State::Over));
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
