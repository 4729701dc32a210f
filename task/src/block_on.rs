//! Waiting for one future where there is no executor.

use core::num::NonZeroUsize;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

use alloc::sync::Arc;
use alloc::task::Wake;

use crate::platform::Platform;

struct Woken<P: Platform> {
    is_woken: AtomicBool,
    context: NonZeroUsize,
    platform: core::marker::PhantomData<fn(P)>,
}

impl<P: Platform> Wake for Woken<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        P::wake_up(self.context);
    }
}

/// Polls `future` until it is ready, and idles meanwhile. No other task runs, and timers of an executor do not fire: what
/// it waits for is woken by handlers, or by other contexts.
///
/// # Panics
///
/// In a handler.
pub fn block_on<P: Platform, F: Future>(future: F) -> F::Output {
    let context = P::context().expect("a handler must not wait");
    let is_woken = AtomicBool::new(true);
    let woken = Arc::new(Woken::<P> { is_woken, context, platform: core::marker::PhantomData });
    let waker = Waker::from(woken.clone());
    let mut future = pin!(future);
    loop {
        if woken.is_woken.swap(false, Ordering::Acquire) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        } else {
            P::idle(None, || !woken.is_woken.load(Ordering::Acquire));
        }
    }
}
