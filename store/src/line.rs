//! Tasks that wait in a line: first come, first served, and each step in constant time, however many there are.
//!
//! A task that is called keeps its place until the next call, and takes it again if it was called in vain. So no two tasks
//! ever have one place, and nobody's waker is lost.

use alloc::collections::VecDeque;
use core::task::{Context, Waker};

/// A place in a line; `None` before the first poll. A number is given once.
pub(crate) type Ticket = Option<u64>;

/// A line. A task that is gone stays in it until it is called.
#[derive(Default)]
pub(crate) struct Line {
    /// `None`: has been called.
    places: VecDeque<Option<Waker>>,
    /// The ticket of the first of them.
    first: u64,
    /// How many have not been called.
    waiting: usize,
}

impl Line {
    pub const fn new() -> Line {
        Line { places: VecDeque::new(), first: 0, waiting: 0 }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Has the task called in its turn. If it has been called in vain, its turn is before all who came later. Where there is no
    /// memory it is woken at once, and asks again.
    pub fn wait(&mut self, ticket: &mut Ticket, context: &Context) {
        let waker = context.waker();
        let at = ticket.and_then(|ticket| ticket.checked_sub(self.first));
        if let Some(place) = at.and_then(|at| self.places.get_mut(at as usize)) {
            self.waiting += usize::from(place.is_none());
            *place = Some(waker.clone());
            return;
        }
        if self.places.try_reserve(1).is_err() {
            waker.wake_by_ref();
            return;
        }
        *ticket = Some(self.first + self.places.len() as u64);
        self.places.push_back(Some(waker.clone()));
        self.waiting += 1;
    }

    /// Wakes so many from the front.
    pub fn call(&mut self, count: usize) {
        // Who was called last time and does not wait again has what it wanted.
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
        for waker in self.places.iter_mut().filter_map(Option::take).take(count) {
            self.waiting -= 1;
            waker.wake();
        }
    }

    pub fn call_all(&mut self) {
        self.call(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;
    use std::vec::Vec;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Once half of those who had been called in vain lost their wakers to the others.
    #[test]
    fn who_is_called_in_vain_is_called_again_and_first() {
        let tasks: Vec<_> = (0..10).map(|_| Arc::new(Calls::default())).collect();
        let calls = || tasks.iter().map(|task| task.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let (mut line, mut tickets) = (Line::new(), [None; 10]);
        let wait = |line: &mut Line, tickets: &mut [Ticket], which: usize| {
            let waker = Waker::from(Arc::clone(&tasks[which]));
            line.wait(&mut tickets[which], &Context::from_waker(&waker));
        };
        (0..8).for_each(|which| wait(&mut line, &mut tickets, which));
        line.call_all();
        assert!(line.is_empty() && calls() == [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
        // The first two got what they wanted; the last two are new.
        wait(&mut line, &mut tickets, 8);
        (2..8).for_each(|which| wait(&mut line, &mut tickets, which));
        wait(&mut line, &mut tickets, 9);
        line.call(3);
        assert_eq!(calls(), [1, 1, 2, 2, 2, 1, 1, 1, 0, 0]);
        line.call_all();
        assert_eq!(calls(), [1, 1, 2, 2, 2, 2, 2, 2, 1, 1]);
        assert!(line.is_empty());
        line.call_all();
        assert!(line.places.is_empty());
    }
}
