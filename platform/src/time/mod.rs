//! Monotonic time since boot, and the time of day where somebody tells it.
//!
//! The clock is the cycle counter times a factor. Xen and KVM tell both the factor and when to change it, in
//! memory that they share. Elsewhere the counter's frequency is asked of the hypervisor or the processor,
//! if they tell it; otherwise it is measured once, against a timer of known rate, for at most a
//! millisecond. All of that happens when somebody first asks for the time: a kernel that never does never
//! waits, and has none of it in its image.
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

mod date;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::arch::{clock, cpu};

pub use date::DateTime;

/// How the cycle counter's frequency became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Xen's shared clock, which also corrects it as time goes on.
    XenClock,
    /// KVM's shared clock, the same.
    KvmClock,
    /// The hypervisor told it.
    Hypervisor,
    /// The processor told it (CPUID 0x15).
    Processor,
    /// Measured against the HPET.
    Hpet,
    /// Measured against the PIT.
    Pit,
    /// Neither told nor measurable: 1 GHz is assumed, so times are in proportion but not right.
    Assumed,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::XenClock => "by Xen's shared clock",
            Source::KvmClock => "by KVM's shared clock",
            Source::Hypervisor => "told by the hypervisor",
            Source::Processor => "told by the processor",
            Source::Hpet => "measured against the HPET",
            Source::Pit => "measured against the PIT",
            Source::Assumed => "assumed",
        })
    }
}

/// The clock's rate, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Ticks of the cycle counter per second.
    pub hertz: u64,
    /// How it became known.
    pub source: Source,
}

/// Time since the image's first instruction. Never goes back. In any context, also where it interrupts the first call:
/// if the clock cannot be read there, this is its latest reading.
pub fn now() -> Duration {
    static LATEST: AtomicU64 = AtomicU64::new(0);
    Duration::from_nanos(latest(&LATEST, clock::nanoseconds_since_boot()))
}

/// A moment to come, for those who wait: it does come, also where the clock cannot be read for as long as they do.
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
    clock::wall()
}

/// The clock's rate. The first call may take up to a millisecond to find out, with interrupts out.
pub fn rate() -> Rate {
    clock::rate()
}

/// Whole nanoseconds in `ticks`, exact, saturating after 584 years.
pub(crate) fn to_nanoseconds(ticks: u64, hertz: u64) -> u64 {
    const NANOSECONDS: u64 = 1_000_000_000;
    let hertz = hertz.max(1);
    // Split, so that no 128-bit division is needed: the remainder is below 2^33 for any real clock.
    let (seconds, rest) = (ticks / hertz, ticks % hertz);
    let fraction = match rest.checked_mul(NANOSECONDS) {
        Some(product) => product / hertz,
        None => rest / hertz.div_ceil(NANOSECONDS),
    };
    seconds.saturating_mul(NANOSECONDS).saturating_add(fraction)
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
