//! Monotonic time since boot, and the time of day where the machine knows it.
//!
//! The clock is the cycle counter times a factor. Xen and KVM publish the factor, and its changes, in shared memory.
//! Elsewhere the counter's frequency comes from the hypervisor or the processor, if they report it; otherwise it is measured
//! once, against a timer of known rate, for at most a millisecond. The first call that asks for the time does this: a kernel
//! that never asks never waits, and has none of this code in its image.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::time::{self, DateTime};
//!
//! let start = time::now();
//! // … work …
//! let took = time::now() - start;
//! match time::wall() {
//!     Some(since_1970) => freestone_rt::println!("{took:?}, done at {}", DateTime::of(since_1970)),
//!     None => freestone_rt::println!("{took:?}; nobody here knows the time of day"),
//! }
//! ```

pub(crate) mod date;
pub(crate) mod rate;

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::arch::{clock, cpu};

pub use date::DateTime;
#[cfg(test)]
use rate::to_nanoseconds;
pub use rate::{Rate, Source};

/// Time since the image's first instruction. Never goes back. In any context, also where it interrupts the first call:
/// if the clock cannot be read there, this is its latest reading.
pub fn now() -> Duration {
    static LATEST: AtomicU64 = AtomicU64::new(0);
    Duration::from_nanos(latest(&LATEST, clock::nanoseconds_since_boot()))
}

/// A moment in the future, to wait for. It comes also where the clock cannot be read during the wait.
pub(crate) struct Moment {
    /// By the clock.
    at: Duration,
    /// By the counter of cycles, should that be earlier: from there on, so many.
    start: u64,
    cycles: u64,
}

impl Moment {
    /// So long from now.
    pub fn after(delay: Duration) -> Moment {
        Moment { at: now().saturating_add(delay), start: cpu::ticks(), cycles: most_cycles(delay) }
    }

    /// By the clock.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        now() >= self.at || cpu::ticks().wrapping_sub(self.start) >= self.cycles
    }
}

/// No fewer than any processor has in that time.
fn most_cycles(delay: Duration) -> u64 {
    let cycles = delay.as_nanos() * u128::from(clock::FASTEST_HERTZ / 1_000_000_000);
    u64::try_from(cycles).unwrap_or(u64::MAX)
}

/// A guest may move between processors whose counters differ by a little. What is not a reading of the clock never
/// comes in here: it would stay until the clock has overtaken it.
fn latest(latest: &AtomicU64, reading: Option<u64>) -> u64 {
    let reading = reading.unwrap_or(0);
    latest.fetch_max(reading, Ordering::Relaxed).max(reading)
}

/// The time of day: since 1970 began, UTC without leap seconds. [`DateTime::of`] makes a date of it.
///
/// A hypervisor's time may be set to another one while the kernel runs, and so may go back: use [`now`] to
/// measure. Where no hypervisor tells it, the machine's battery-backed clock is read once, to the second.
pub fn wall() -> Option<Duration> {
    clock::wall().or_else(battery)
}

/// The time of day by the battery-backed clock when this was first asked, and what has passed since.
fn battery() -> Option<Duration> {
    const UNREAD: u64 = 0;
    const ABSENT: u64 = u64::MAX;
    /// The time of day at the image's first instruction, in nanoseconds.
    static AT_BOOT: AtomicU64 = AtomicU64::new(UNREAD);
    clock::nanoseconds_since_boot()?;
    let since_boot = now();
    if AT_BOOT.load(Ordering::Relaxed) == UNREAD {
        let read = clock::battery()
            .and_then(|now| u64::try_from(now.saturating_sub(since_boot).as_nanos()).ok());
        // Of two that come here at once, one has its way.
        let _ = AT_BOOT.compare_exchange(
            UNREAD,
            read.unwrap_or(ABSENT),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
    match AT_BOOT.load(Ordering::Relaxed) {
        ABSENT => None,
        at_boot => Some(Duration::from_nanos(at_boot) + since_boot),
    }
}

/// The clock's rate. The first call may take up to a millisecond to find out, with interrupts out.
pub fn rate() -> Rate {
    clock::rate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_exact_for_real_clocks() {
        let hertz = [1, 32_768, 1_000_000_000, 2_596_123_456, 5_000_000_001, 8_000_000_000];
        let ticks = [0, 1, 999, 1 << 20, 1 << 33, 1 << 45, (1 << 62) + 12345];
        for hertz in hertz {
            for ticks in ticks {
                let exact = u128::from(ticks) * 1_000_000_000 / u128::from(hertz);
                let exact = u64::try_from(exact).unwrap_or(u64::MAX);
                assert_eq!(to_nanoseconds(ticks, hertz), exact, "{ticks} at {hertz} Hz");
            }
        }
    }

    #[test]
    fn a_clock_that_cannot_be_read_stands_still_for_that_reading_only() {
        let kept = AtomicU64::new(0);
        let readings = [None, Some(5), None, Some(4), Some(9), None, Some(10)];
        assert_eq!(readings.map(|reading| latest(&kept, reading)), [0, 5, 5, 5, 9, 9, 10]);
    }

    #[test]
    fn no_processor_is_faster_than_a_moments_limit() {
        assert_eq!(most_cycles(Duration::ZERO), 0);
        assert_eq!(most_cycles(Duration::from_nanos(7)), 140);
        assert_eq!(most_cycles(Duration::from_secs(3)), 60_000_000_000);
        assert_eq!(most_cycles(Duration::MAX), u64::MAX);
    }

    #[test]
    fn absurd_rates_do_not_panic() {
        assert_eq!(to_nanoseconds(5, 0), 5_000_000_000);
        let _ = to_nanoseconds(u64::MAX, u64::MAX);
        let _ = to_nanoseconds(u64::MAX - 1, u64::MAX);
    }
}
