//! A signal from an interrupt to a task: it is raised in a handler and awaited outside of it.
//!
//! It has no executor and no queue: [`Signal::wait`] is a future like any other, and the handler wakes its task. A signal
//! that is raised twice before the task looks counts once: it says that there is something to do, not what or how much.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use core::time::Duration;
//! use freestone::Signal;
//!
//! static RECEIVED: Signal = Signal::new();
//!
//! async fn serve() {
//!     // Set up the device to raise this vector.
//!     let vector = RECEIVED.vector().expect("a free vector");
//!     loop {
//!         RECEIVED.wait().await;
//!         // … look at the device, until it has nothing more …
//!     }
//! }
//! ```

use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;

use atomic_waker::AtomicWaker;

use crate::interrupts::{self, Frame, Outcome};
use crate::timer::{self, Timer};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Signal {
    is_raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// Not raised, and nobody waits.
    pub const fn new() -> Signal {
        Signal { is_raised: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    /// Raises it and wakes the one that waits. In any context.
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Takes it back; whether it was raised.
    pub fn take(&self) -> bool {
        self.is_raised.swap(false, Ordering::Acquire)
    }

    /// Ready once it is raised, and takes it back. One at a time waits: of two the later one is woken.
    pub async fn wait(&self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// [`wait`](Self::wait) for futures that are written by hand.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.take() {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        // It may have been raised after the first look, and then nobody was woken.
        if self.take() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A vector whose interrupts raise it, `None` if all are taken. It is given back with [`interrupts::release`].
    pub fn vector(&'static self) -> Option<u8> {
        interrupts::allocate(interrupt, self.word())
    }

    /// Has the interrupts of `vector` raise it, in place of whatever handled them.
    ///
    /// # Panics
    ///
    /// If `vector` is not an interrupt's.
    pub fn handle(&'static self, vector: u8) {
        interrupts::handle(vector, interrupt, self.word());
    }

    /// Has it raised at `deadline`, as [`timer::at`] does.
    pub fn at(&'static self, deadline: Duration) -> Option<Timer> {
        timer::at(deadline, time_has_come, self.word())
    }

    fn word(&'static self) -> usize {
        core::ptr::from_ref(self).expose_provenance()
    }

    /// The signal whose word this is.
    ///
    /// # Safety
    ///
    /// - It is one of [`Signal::word`]'s.
    unsafe fn of(word: usize) -> &'static Signal {
        // SAFETY: the caller's promise: it was a reference for ever.
        unsafe { &*core::ptr::with_exposed_provenance(word) }
    }
}

// Neither leaves this file but with a signal's word.
fn interrupt(_frame: &mut Frame, word: usize) -> Outcome {
    // SAFETY: registered above with a word of a signal's.
    unsafe { Signal::of(word) }.raise();
    Outcome::Handled
}

fn time_has_come(word: usize) {
    // SAFETY: as in `interrupt`.
    unsafe { Signal::of(word) }.raise();
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken_once_and_what_was_raised_before_is_not_lost() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let signal = Signal::new();
        assert_eq!(signal.poll(&mut context), Poll::Pending);
        signal.raise();
        signal.raise();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(signal.poll(&mut context), Poll::Ready(()));
        assert_eq!(signal.poll(&mut context), Poll::Pending);
        assert!(!signal.take());
        signal.raise();
        assert!(signal.take() && !signal.take());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_word_leads_back_to_its_signal() {
        static SIGNAL: Signal = Signal::new();
        time_has_come(SIGNAL.word());
        assert!(SIGNAL.take());
    }
}
