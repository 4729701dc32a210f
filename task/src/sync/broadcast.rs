//! A channel in which every receiver gets every value. The sender never waits: a receiver that is too slow loses the oldest
//! values, and is told how many.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::guarded::Guarded;
use super::{Closed, Event};

/// A broadcast that keeps the last `capacity` values. Receivers get what is sent after they came.
///
/// - **Cancellation.** A pending [`recv`](Receiver::recv) that is dropped takes no value with it.
/// - **Fairness.** All receivers are woken by each value, in the order in which they began to wait.
/// - **In an interrupt handler**: everything but to wait. With n tasks waiting, [`send`](Sender::send) takes n short critical
///   sections.
/// - **Memory** is allocated here, once; if there is none, that ends as for any `Vec`. Later nothing allocates.
/// - **What runs in a critical section**: the `clone` of a value. If that is not small, send an `Arc` of it. Values are
///   dropped outside, by the sender that takes their place, or with the last end.
///
/// ```no_run
/// use freestone_task::sync::broadcast::{self, Missed};
///
/// let (sender, mut receiver) = broadcast::channel(2);
/// for value in 1..=3 {
///     sender.send(value);
/// }
/// assert_eq!(receiver.try_recv(), Err(Missed::Lost(1)));
/// assert_eq!(receiver.try_recv(), Ok(Some(2)));
/// ```
///
/// # Panics
///
/// If `capacity` is 0.
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast that keeps nothing");
    let last = Last { values: VecDeque::with_capacity(capacity), sent: 0 };
    let shared = Arc::new(Shared {
        last: Guarded::new(last),
        capacity,
        sent: Event::new(),
        senders: AtomicUsize::new(1),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    last: Guarded<Last<T>>,
    capacity: usize,
    /// Happens when a value is sent, and when all senders are gone.
    sent: Event,
    senders: AtomicUsize,
}

/// The last values.
struct Last<T> {
    values: VecDeque<T>,
    /// How many there have been.
    sent: u64,
}

/// Why [`Receiver::recv`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// So many values were lost; the next call gets the oldest that is left.
    Lost(u64),
    /// All senders are gone, and everything was received.
    Closed,
}

/// Sends to all receivers. When the last one is dropped, they get what is left, and then see the end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends to all receivers there are, if any.
    pub fn send(&self, value: T) {
        let _oldest = self.shared.last.with(|last| {
            let is_full = last.values.len() == self.shared.capacity;
            let oldest = if is_full { last.values.pop_front() } else { None };
            last.values.push_back(value);
            last.sent += 1;
            oldest
        });
        self.shared.sent.pulse();
    }

    /// Another receiver, of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: self.shared.clone(), seen: self.shared.last.with(|last| last.sent) }
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
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.sent.pulse();
        }
    }
}

/// Receives every value. A clone goes on from where this one is.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// How many of the values sent it has received, lost, or come too late for.
    seen: u64,
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    pub async fn recv(&mut self) -> Result<T, Missed> {
        loop {
            // Before the look: what is sent after it ends the wait.
            let sent = self.shared.sent.wait();
            if let Some(value) = look(&self.shared, &mut self.seen)? {
                return Ok(value);
            }
            sent.await;
        }
    }

    /// The next value, `Ok(None)` if it has not been sent yet.
    pub fn try_recv(&mut self) -> Result<Option<T>, Missed> {
        look(&self.shared, &mut self.seen)
    }
}

fn look<T: Clone>(shared: &Shared<T>, seen: &mut u64) -> Result<Option<T>, Missed> {
    // Before the values: the last sender sends nothing after it is gone.
    let is_closed = shared.senders.load(Ordering::Acquire) == 0;
    shared.last.with(|last| {
        let unseen = last.sent - *seen;
        if unseen == 0 {
            return if is_closed { Err(Missed::Closed) } else { Ok(None) };
        }
        let kept = last.values.len();
        let lost = unseen.saturating_sub(kept as u64);
        if lost > 0 {
            *seen += lost;
            return Err(Missed::Lost(lost));
        }
        let value = last.values[kept - unseen as usize].clone();
        *seen += 1;
        Ok(Some(value))
    })
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missed::Lost(values) => write!(f, "{values} values were lost"),
            Missed::Closed => Closed(()).fmt(f),
        }
    }
}

impl core::error::Error for Missed {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("seen", &self.seen).finish_non_exhaustive()
    }
}
