//! Time for tasks: sleeping until a deadline, at intervals, and no longer than.
//!
//! Deadlines are rounded up to a microsecond, and nothing comes before its deadline. How many there are is not limited: a
//! timer is part of the future that waits for it.

pub(crate) mod alarms;
pub(crate) mod wheel;

use core::cell::UnsafeCell;
use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::executor::{Executor, NANOSECONDS};
use crate::platform::Platform;
use wheel::Node;

/// The time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl core::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the time ran out")
    }
}

impl core::error::Error for Elapsed {}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<P: Platform> Executor<P> {
    /// Ready when `duration` has passed, counted from this call.
    pub fn sleep(&'static self, duration: Duration) -> Sleep<P> {
        self.sleep_until_nanosecond(P::now().saturating_add(nanoseconds(duration)))
    }

    /// Ready when [`Platform::now`] is `moment`, or later.
    pub fn sleep_until(&'static self, moment: Duration) -> Sleep<P> {
        self.sleep_until_nanosecond(nanoseconds(moment))
    }

    fn sleep_until_nanosecond(&'static self, deadline: u64) -> Sleep<P> {
        let node = UnsafeCell::new(Node::new(deadline.div_ceil(NANOSECONDS)));
        Sleep { executor: self, node, stays: PhantomData }
    }

    /// Ready after each `period`, the first time after one. It does not drift: see [`Interval::tick`].
    ///
    /// # Panics
    ///
    /// If the period is 0.
    pub fn interval(&'static self, period: Duration) -> Interval<P> {
        let period = nanoseconds(period);
        assert!(period != 0, "an interval has a period");
        Interval { executor: self, period, next: P::now().saturating_add(period) }
    }

    /// The output of `future`, if it is ready before `duration` has passed; else it is dropped.
    ///
    /// # Errors
    ///
    /// [`Elapsed`].
    pub async fn timeout<F: Future>(
        &'static self,
        duration: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep(duration));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| Err(Elapsed)),
        })
        .await
    }

    /// Wakes `waker` when [`Platform::now`] is `moment`, or sooner if it was given an earlier one before. For the drivers of
    /// other crates' clocks; in this executor's context.
    ///
    /// # Panics
    ///
    /// In another context.
    pub fn wake_at(&'static self, moment: Duration, waker: &Waker) {
        let deadline = nanoseconds(moment).div_ceil(NANOSECONDS);
        let waker = waker.clone();
        drop(self.with_alarms(|alarms, wheel| alarms.set(wheel, deadline, waker)));
    }
}

/// A future that is ready at its deadline. It is polled and dropped where its executor runs.
#[must_use = "it does nothing unless it is awaited"]
pub struct Sleep<P: Platform> {
    executor: &'static Executor<P>,
    /// In the executor's wheel once it has been polled.
    node: UnsafeCell<Node>,
    stays: PhantomData<*mut ()>,
}

impl<P: Platform> Sleep<P> {
    /// When it is ready, as [`Platform::now`] counts.
    pub fn deadline(&self) -> Duration {
        // SAFETY: only `Node::new` has written it.
        Duration::from_micros(unsafe { (*self.node.get()).deadline })
    }
}

impl<P: Platform> Future for Sleep<P> {
    type Output = ();

    /// # Panics
    ///
    /// In another context than its executor's.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let node = self.node.get();
        let has_fired = self.executor.with_timers(|timers| {
            // SAFETY: in the executor's context, as `with_timers` has seen, so nobody else looks at the node. It is
            // pinned with this future, and `drop` takes it out before it goes.
            unsafe {
                if !(*node).has_fired() && !(*node).is_waiting() {
                    timers.insert(node);
                }
                (*node).has_fired()
            }
        });
        if has_fired {
            return Poll::Ready(());
        }
        // SAFETY: as above; the wheel takes the waker when the timer fires, and does not look at it before.
        let known = unsafe { (*node).waker.as_ref() };
        if !known.is_some_and(|known| known.will_wake(context.waker())) {
            // What these two call may look at the timers.
            let waker = context.waker().clone();
            // SAFETY: as above.
            drop(unsafe { (*node).waker.replace(waker) });
        }
        Poll::Pending
    }
}

impl<P: Platform> Drop for Sleep<P> {
    fn drop(&mut self) {
        let node = self.node.get_mut();
        if node.is_waiting() {
            // SAFETY: `poll` has put it into this wheel.
            self.executor.with_timers(|timers| unsafe { timers.remove(node) });
        }
    }
}

/// Moments that are a period apart.
pub struct Interval<P: Platform> {
    executor: &'static Executor<P>,
    period: u64,
    /// In nanoseconds.
    next: u64,
}

impl<P: Platform> Interval<P> {
    /// Ready at the next moment. Gives how many have come since the last call: more than 1 if the caller was late, so that
    /// none is lost and none comes twice. Each is a multiple of the period after the first.
    pub async fn tick(&mut self) -> u64 {
        self.executor.sleep_until_nanosecond(self.next).await;
        let late = P::now().saturating_sub(self.next);
        let count = 1 + late / self.period;
        self.next = self.next.saturating_add(count.saturating_mul(self.period));
        count
    }
}
