//! Those who wait for their clients, in the order in which that began: the first can be called.
//!
//! Everything is on one thread, so a call costs no critical section, of which a request would have several.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// A line.
#[derive(Debug, Default)]
pub struct Line {
    turn: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
    /// Whether the next one who comes is called at once.
    owed: Cell<bool>,
}

/// A place in the line, until it is dropped.
struct Turn<'a>(&'a Line, u64);

impl Line {
    /// Waits until it is called.
    pub async fn wait(&self) {
        let turn = Turn(self, self.turn.get());
        self.turn.set(turn.1 + 1);
        let mut is_in = false;
        poll_fn(|context| {
            let mut waiting = self.waiting.borrow_mut();
            match waiting.get_mut(&turn.1) {
                Some(waker) => waker.clone_from(context.waker()),
                None if is_in || self.owed.take() => return Poll::Ready(()),
                None => _ = waiting.insert(turn.1, context.waker().clone()),
            }
            is_in = true;
            Poll::Pending
        })
        .await;
    }

    /// Calls the one who has waited longest, or else the next who comes.
    pub fn call(&self) {
        let first = self.waiting.borrow_mut().pop_first();
        match first {
            Some((_, waker)) => waker.wake(),
            None => self.owed.set(true),
        }
    }

    /// Calls all who wait now.
    pub fn call_all(&self) {
        for waker in self.waiting.take().into_values() {
            waker.wake();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
    }
}
