//! Tasks that wait in a line: first come, first served, and each step in constant time, however many there are.

use alloc::collections::VecDeque;
use core::task::{Context, Waker};

/// A place in a line; `None` before the first poll.
pub(crate) type Ticket = Option<u64>;

/// A line. A task that is gone stays in it until it is called.
#[derive(Default)]
pub(crate) struct Line {
    wakers: VecDeque<Waker>,
    /// The ticket of the first of them. Far from 0, for those who come back to the front.
    first: u64,
}

impl Line {
    pub const fn new() -> Line {
        Line { wakers: VecDeque::new(), first: 1 << 32 }
    }

    pub fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Has the task called: in its turn, or, if it has been called in vain, before all others. Where there is no memory it is
    /// woken at once, and asks again.
    pub fn wait(&mut self, ticket: &mut Ticket, context: &Context) {
        let waker = context.waker();
        let at = ticket.map(|ticket| ticket.checked_sub(self.first));
        if let Some(Some(at)) = at {
            if let Some(there) = self.wakers.get_mut(at as usize) {
                there.clone_from(waker);
            }
            return;
        }
        if self.wakers.try_reserve(1).is_err() {
            waker.wake_by_ref();
            return;
        }
        if at.is_none() {
            *ticket = Some(self.first + self.wakers.len() as u64);
            self.wakers.push_back(waker.clone());
        } else {
            self.first -= 1;
            *ticket = Some(self.first);
            self.wakers.push_front(waker.clone());
        }
    }

    /// Wakes so many from the front.
    pub fn call(&mut self, count: usize) {
        let count = count.min(self.wakers.len());
        self.first += count as u64;
        for waker in self.wakers.drain(..count) {
            waker.wake();
        }
    }

    pub fn call_all(&mut self) {
        self.call(usize::MAX);
    }
}
