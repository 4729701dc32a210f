//! A bounded channel: values go from many senders to many receivers, each to one of them.
//!
//! A ring of values, and two semaphores: `room` counts free slots, `items` counts values. To send is to take a permit of
//! `room`, put the value into the ring, and add a permit to `items`; to receive is the reverse. Who waits, waits for a permit,
//! so the [semaphore](super::Semaphore) is what makes channels fair and cancel-safe.
//!
//! If all senders are gone, `items` is closed, and the permits count no more: receivers take what is left in the ring, and
//! then see the end. If all receivers are gone, `room` is closed.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::mem;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, ready};

use futures_core::Stream;

use super::guarded::Guarded;
use super::line::{Holder, Line, Wait};
use super::semaphore::Permits;
use super::{Closed, Permit, Semaphore};

/// A channel for `capacity` values that are sent and not yet received.
///
/// - **Cancellation.** A pending [`send`](Sender::send) that is dropped did not send, and drops its value;
///   [`reserve`](Sender::reserve) waits without the value. A pending [`recv`](Receiver::recv) that is dropped leaves its
///   value in the channel, for the next.
/// - **Fairness.** Senders get room, and receivers values, in the order in which they began to wait. Values leave the
///   channel in the order in which they entered it.
/// - **In an interrupt handler**: [`try_send`](Sender::try_send), [`try_recv`](Receiver::try_recv), cloning and dropping of
///   both ends, and all that does not wait.
/// - **Memory** is allocated here, once; if there is none, that ends as for any `Vec`. Later nothing allocates, so nothing can
///   fail. The last end that is dropped frees it.
///
/// ```no_run
/// use freestone_task::sync::{TrySendError, channel};
///
/// let (sender, receiver) = channel(1);
/// assert_eq!(sender.try_send('a'), Ok(()));
/// assert_eq!(sender.try_send('b'), Err(TrySendError::Full('b')));
/// assert_eq!(receiver.try_recv(), Ok(Some('a')));
/// drop(sender);
/// assert!(receiver.try_recv().is_err());
/// ```
///
/// # Panics
///
/// If `capacity` is 0.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel without room");
    let shared = Arc::new(Shared {
        // It never grows: each value in it has a permit of `room`.
        ring: Guarded::new(Ring { values: VecDeque::with_capacity(capacity), is_closed: false }),
        room: Semaphore::new(capacity),
        items: Semaphore::new(0),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    ring: Guarded<Ring<T>>,
    room: Semaphore,
    items: Semaphore,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

struct Ring<T> {
    values: VecDeque<T>,
    /// All receivers are gone, so no value comes in.
    is_closed: bool,
}

/// Why [`Sender::try_send`] did not send. The value comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room, or what there is belongs to those who wait.
    Full(T),
    /// All receivers are gone.
    Closed(T),
}

/// Sends to a [`channel`]. When the last one is dropped, receivers get what is left, and then see the end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Waits for room and sends. The value comes back if all receivers are gone.
    pub async fn send(&self, value: T) -> Result<(), Closed<T>> {
        match self.reserve().await {
            Ok(slot) => slot.send(value),
            Err(Closed(())) => Err(Closed(value)),
        }
    }

    /// Waits for room. The slot is then this sender's: to send into it takes no waiting.
    pub async fn reserve(&self) -> Result<Slot<'_, T>, Closed> {
        let permit = self.shared.room.acquire(1).await?;
        Ok(Slot { shared: &self.shared, permit })
    }

    /// Sends, if there is room and nobody waits for it.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.shared.room.try_acquire(1) {
            Some(permit) => {
                let slot = Slot { shared: &self.shared, permit };
                slot.send(value).map_err(|Closed(value)| TrySendError::Closed(value))
            }
            None if self.is_closed() => Err(TrySendError::Closed(value)),
            None => Err(TrySendError::Full(value)),
        }
    }

    /// Whether all receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.shared.room.is_closed()
    }
}

/// Room for one value in a [`channel`], given back when this is dropped unused.
#[must_use = "room that is dropped is given back"]
pub struct Slot<'a, T> {
    shared: &'a Shared<T>,
    permit: Permit<'a>,
}

impl<T> Slot<'_, T> {
    /// Sends without waiting. The value comes back if all receivers are gone.
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        self.shared.ring.with(|ring| {
            if ring.is_closed {
                return Err(Closed(value));
            }
            ring.values.push_back(value);
            Ok(())
        })?;
        // The value has the slot now, until it is received.
        self.permit.forget();
        self.shared.items.add(1);
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // All that the other senders did happened before the last one closes.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.items.close();
        }
    }
}

/// Receives from a [`channel`]. When the last one is dropped, values that are left are dropped too, and senders get theirs
/// back.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Waits for a value; `None` if there is none left and all senders are gone.
    pub async fn recv(&self) -> Option<T> {
        let granted = self.shared.items.acquire(1).await;
        self.shared.take(granted.map(Permit::forget))
    }

    /// Receives, if there is a value and nobody waits for it; `Ok(None)` if not.
    pub fn try_recv(&self) -> Result<Option<T>, Closed> {
        match self.shared.items.line().try_grant(1) {
            None => Ok(None),
            Some(granted) => self.shared.take(granted).map(Some).ok_or(Closed(())),
        }
    }

    /// All values, until all senders are gone. To be polled it is pinned, as with `core::pin::pin!`.
    pub fn into_stream(self) -> Values<T> {
        Values { wait: Wait::new(Items(self.shared.clone()), 1), receiver: self }
    }
}

impl<T> Shared<T> {
    /// Takes a value out, with a permit of `items`, or after these are closed.
    fn take(&self, _granted: Result<(), Closed>) -> Option<T> {
        // With a permit there is a value for it. But once `items` is closed, also who has none takes one; then who comes
        // last gets `None`, and that is the end.
        let value = self.ring.with(|ring| ring.values.pop_front())?;
        self.room.add(1);
        Some(value)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { shared: self.shared.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _left = self.shared.ring.with(|ring| {
                ring.is_closed = true;
                mem::take(&mut ring.values)
            });
            self.shared.room.close();
        }
    }
}

/// The values of a [`Receiver`], as a stream.
///
/// It keeps its place in line between polls. So a value may be granted to it that it has not seen yet; if it is dropped,
/// another receiver gets that.
pub struct Values<T> {
    /// The first field, so that it gives back before the receiver goes.
    wait: Wait<Items<T>>,
    receiver: Receiver<T>,
}

/// A way to the line of `items`.
struct Items<T>(Arc<Shared<T>>);

// SAFETY: it is the line of one and the same `Shared`, which does not move.
unsafe impl<T> Holder for Items<T> {
    type Rule = Permits;
    fn line(&self) -> &Line<Permits> {
        self.0.items.line()
    }
}

impl<T> Stream for Values<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: nothing is moved out of it.
        let values = unsafe { self.get_unchecked_mut() };
        // SAFETY: whoever has `Values` pinned has `wait` pinned: it never leaves its field, and `Values` is not `Unpin`,
        // because `wait` is not.
        let wait = unsafe { Pin::new_unchecked(&mut values.wait) };
        let granted = ready!(wait.poll(context));
        Poll::Ready(values.receiver.shared.take(granted))
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

impl<T> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Slot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
