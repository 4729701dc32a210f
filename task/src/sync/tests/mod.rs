//! Tests of the shared things: a future that is polled and dropped by hand, and whose wake-ups are counted.
//!
//! `line` and `channels` compare with naive models: vectors of numbers, without pointers. `ends` tests what is not in the
//! models, `interrupts` has handlers come at every moment, and `stress` runs on real threads.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};

mod channels;
mod ends;
pub(super) mod interrupts;
mod line;
mod sections;
mod stress;

/// A future, and how often it was woken since it was polled last: each poll has a waker of its own, and only the latest
/// counts.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'a, T> Task<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Task<'a, T> {
        Task { future: Box::pin(future), wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<T> {
        self.wakes = Arc::default();
        let waker = self.wakes.clone().into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

/// Calls `run` with every sequence of `length` numbers below `choices`.
fn every_sequence(choices: usize, length: usize, mut run: impl FnMut(&[usize])) {
    let mut sequence = alloc::vec![0; length];
    loop {
        run(&sequence);
        let Some(next) = sequence.iter().rposition(|&it| it + 1 < choices) else { return };
        sequence[next] += 1;
        sequence[next + 1..].fill(0);
    }
}
