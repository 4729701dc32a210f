//! [`timer`](crate::timer) as the clock of `embassy-time`. The macro
//! [`embassy_time_driver!`](crate::embassy_time_driver) defines the driver in a kernel.
//!
//! Waiting tasks are queued by `embassy-time-queue-utils`: by default inside the tasks of `embassy-executor`, or, with one
//! of its features `generic-queue-N`, in a table that works with any executor. One timer runs for the earliest task. The
//! kernel's features of `embassy-time` choose the length of a tick; the default is a microsecond.

use core::cell::RefCell;
use core::task::Waker;
use core::time::Duration;

use embassy_time_driver::TICK_HZ;
use embassy_time_queue_utils::Queue;

use crate::timer::{self, Timer};
use crate::{interrupts, time};

const NANOSECONDS: u128 = 1_000_000_000;

/// The driver's queue. There must be no second one, which [`embassy_time_driver!`](crate::embassy_time_driver)
/// sees to by exporting its functions.
pub struct Driver(RefCell<Waiting>);

struct Waiting {
    queue: Queue,
    alarm: Option<Timer>,
}

// SAFETY: the cell is borrowed with interrupts out only, on the one processor there is.
unsafe impl Sync for Driver {}

impl Driver {
    /// With nobody waiting.
    #[doc(hidden)]
    pub const fn new() -> Driver {
        Driver(RefCell::new(Waiting { queue: Queue::new(), alarm: None }))
    }
}

impl Default for Driver {
    fn default() -> Driver {
        Driver::new()
    }
}

impl Waiting {
    /// Wakes the tasks that are due, and sets the timer for the next one.
    ///
    /// # Panics
    ///
    /// If there is no timer to set: tasks would wait for ever.
    fn wake_and_arm(&mut self, driver: &'static Driver) {
        if let Some(alarm) = self.alarm.take() {
            timer::cancel(alarm);
        }
        let next = self.queue.next_expiration(to_ticks(time::now()));
        if next == u64::MAX {
            return;
        }
        let alarm = timer::at(to_time(next), ring, (&raw const *driver).expose_provenance());
        self.alarm = Some(alarm.unwrap_or_else(|| no_timer()));
    }
}

#[cold]
fn no_timer() -> ! {
    match timer::start() {
        Err(error) => panic!("embassy-time has no timer: {error}"),
        Ok(()) => panic!("embassy-time has no timer: all {} are in use", timer::MOST),
    }
}

/// The timer's callback.
fn ring(driver: usize) {
    // SAFETY: `wake_and_arm` passes the address of a static.
    let driver = unsafe { &*core::ptr::with_exposed_provenance::<Driver>(driver) };
    driver.0.borrow_mut().wake_and_arm(driver);
}

/// What [`embassy_time_driver!`](crate::embassy_time_driver) exports.
#[doc(hidden)]
pub fn now() -> u64 {
    to_ticks(time::now())
}

/// As [`now`].
#[doc(hidden)]
pub fn schedule_wake(driver: &'static Driver, at: u64, waker: &Waker) {
    interrupts::without(|| {
        let mut waiting = driver.0.borrow_mut();
        if waiting.queue.schedule_wake(at, waker) {
            waiting.wake_and_arm(driver);
        }
    });
}

/// Whole ticks that have passed.
fn to_ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos() * u128::from(TICK_HZ) / NANOSECONDS;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The moment when so many ticks have passed.
fn to_time(ticks: u64) -> Duration {
    let nanoseconds = (u128::from(ticks) * NANOSECONDS).div_ceil(TICK_HZ.into());
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// Makes this kernel's timer the clock of `embassy-time`: once, anywhere in the kernel crate.
///
/// ```ignore
/// freestone::embassy_time_driver!();
/// ```
#[macro_export]
macro_rules! embassy_time_driver {
    () => {
        const _: () = {
            struct Driver($crate::embassy::Driver);
            impl $crate::embassy::embassy_time_driver::Driver for Driver {
                fn now(&self) -> u64 {
                    $crate::embassy::now()
                }
                fn schedule_wake(&self, at: u64, waker: &::core::task::Waker) {
                    $crate::embassy::schedule_wake(&DRIVER.0, at, waker)
                }
            }
            $crate::embassy::embassy_time_driver::time_driver_impl!(
                static DRIVER: Driver = Driver($crate::embassy::Driver::new())
            );
        };
    };
}

#[doc(hidden)]
pub use embassy_time_driver;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_deadline_has_come_its_tick_has_passed_and_not_before() {
        for ticks in [0, 1, 2, 3, 999, 1 << 20, 32_767, 1 << 40, u64::MAX / 2000] {
            let at = to_time(ticks);
            assert_eq!(to_ticks(at), ticks);
            if let Some(before) = at.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(to_ticks(before), ticks - 1);
            }
        }
        assert_eq!(to_time(u64::MAX), Duration::from_nanos(u64::MAX));
        assert_eq!(to_ticks(Duration::MAX), u64::MAX);
    }
}
