//! A value of which only the latest counts: a state, not a sequence. Receivers are told that it changed, not how often.

use alloc::sync::Arc;
use core::fmt;
use core::mem::replace;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::guarded::Guarded;
use super::{Closed, Event};

/// A watched value, which is `first` to begin with. No receiver has yet to hear of that one.
///
/// - **Cancellation.** A pending [`changed`](Receiver::changed) that is dropped has not seen anything: the next call sees it.
/// - **Fairness.** All receivers are woken by each change, in the order in which they began to wait.
/// - **In an interrupt handler**: everything but to wait. With n tasks waiting, [`send`](Sender::send) takes n short critical
///   sections.
/// - **Memory** is allocated here, once; if there is none, that ends as for any `Box`. Later nothing allocates.
/// - **What runs in a critical section**: the `clone` of the value. If that is not small, make the value an `Arc`. Old values
///   are dropped outside, by the sender.
///
/// ```no_run
/// use freestone_task::sync::watch;
///
/// let (sender, mut receiver) = watch::channel("cold");
/// assert_eq!((receiver.get(), receiver.try_changed()), ("cold", Ok(None)));
/// sender.send("warm");
/// sender.send("hot");
/// assert_eq!((receiver.try_changed(), receiver.try_changed()), (Ok(Some("hot")), Ok(None)));
/// ```
pub fn channel<T: Clone>(first: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        latest: Guarded::new(Latest { value: first, version: 0 }),
        changed: Event::new(),
        senders: AtomicUsize::new(1),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    latest: Guarded<Latest<T>>,
    /// Happens when a value is sent, and when all senders are gone.
    changed: Event,
    senders: AtomicUsize,
}

struct Latest<T> {
    value: T,
    /// How many values there were before it.
    version: u64,
}

/// Changes the value. When the last one is dropped, receivers get the last value, and then see the end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Makes `value` the latest. The one before it is dropped.
    pub fn send(&self, value: T) {
        let _old = self.shared.latest.with(|latest| {
            latest.version += 1;
            replace(&mut latest.value, value)
        });
        self.shared.changed.pulse();
    }

    /// Another receiver. It has seen what is the latest now.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.latest.with(|latest| latest.version);
        Receiver { shared: self.shared.clone(), seen }
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
            self.shared.changed.pulse();
        }
    }
}

/// Sees the value. A clone has seen what this one has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that it saw last.
    seen: u64,
}

impl<T: Clone> Receiver<T> {
    /// The latest value. It still counts as not seen.
    pub fn get(&self) -> T {
        self.shared.latest.with(|latest| latest.value.clone())
    }

    /// Waits until the latest value is one that this receiver has not seen, and sees it. An error if all senders are gone.
    pub async fn changed(&mut self) -> Result<T, Closed> {
        loop {
            // Before the look: what is sent after it ends the wait.
            let changed = self.shared.changed.wait();
            if let Some(value) = look(&self.shared, &mut self.seen)? {
                return Ok(value);
            }
            changed.await;
        }
    }

    /// The latest value if this receiver has not seen it, `Ok(None)` if it has.
    pub fn try_changed(&mut self) -> Result<Option<T>, Closed> {
        look(&self.shared, &mut self.seen)
    }
}

fn look<T: Clone>(shared: &Shared<T>, seen: &mut u64) -> Result<Option<T>, Closed> {
    // Before the value: the last sender sends nothing after it is gone.
    let is_closed = shared.senders.load(Ordering::Acquire) == 0;
    shared.latest.with(|latest| {
        if *seen == latest.version {
            return if is_closed { Err(Closed(())) } else { Ok(None) };
        }
        let value = latest.value.clone();
        *seen = latest.version;
        Ok(Some(value))
    })
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

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
