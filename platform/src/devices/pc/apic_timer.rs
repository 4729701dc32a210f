//! The local APIC's timer. It fires at a reading of the cycle counter where the processor can do that (TSC deadline), and
//! after a count elsewhere; the count's rate is measured once, against the clock, for a millisecond.
//!
//! It is somebody's: who starts it has it until he gives it back, and nobody else can tell it anything. Mostly that is
//! [`timer`](crate::timer).
//!
//! Source: Intel SDM volume 3, 12.5.4 (timer).

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::apic::{self, MASKED, Register, Registers};

pub use super::apic::Error;
use crate::memory::access::MapError;
use crate::x86_64::trap::frame::FIRST_INTERRUPT;
use crate::x86_64::trap::interrupts;
use crate::x86_64::{clock, cpu};

const TSC_DEADLINE: u32 = 0x6e0;
const DEADLINE_MODE: u32 = 2 << 17;

/// How the timer is told when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// By a reading of the cycle counter.
    Deadline,
    /// By a count.
    Count,
}

/// The timer, for who has started it: there is one. Dropping it gives it back.
#[derive(Debug)]
pub struct Timer(());

/// Counts of the timer per second; 0 before it has been measured.
static COUNT_HERTZ: AtomicU64 = AtomicU64::new(0);

fn has_deadline() -> bool {
    const HAS_DEADLINE: u32 = 1 << 24;
    cpu::cpuid(1, 0)[2] & HAS_DEADLINE != 0
}

impl Timer {
    /// Turns the timer on, which will interrupt by `vector`. Measures its rate the first time if it counts, for a
    /// millisecond, with interrupts out.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; [`Error::Taken`] while somebody has it, [`timer`](crate::timer) for one.
    ///
    /// # Panics
    ///
    /// If `vector` is an exception's.
    pub fn start(vector: u8) -> Result<Timer, Error> {
        assert!(vector >= FIRST_INTERRUPT, "an interrupt's vector is 32 or more");
        apic::start()?;
        if is_running() {
            return Err(Error::Taken);
        }
        let mode = if has_deadline() { DEADLINE_MODE } else { 0 };
        if mode == 0 {
            find_rate()?;
        }
        // Of two, one in the midst of the other, the inner one has it.
        let taken = VECTOR.compare_exchange(0, vector, Ordering::AcqRel, Ordering::Relaxed);
        taken.map_err(|_| Error::Taken)?;
        apic::write(Register::TimerVector, mode | u32::from(vector));
        Ok(Timer(()))
    }

    /// How it works.
    pub fn kind(&self) -> TimerKind {
        if COUNT_HERTZ.load(Ordering::Relaxed) == 0 {
            TimerKind::Deadline
        } else {
            TimerKind::Count
        }
    }

    /// Has it fire once, `nanoseconds` from now, or sooner if that is further than it can count: nine minutes at 1 GHz, so
    /// code that waits for more looks at the clock and asks again. What was set before is forgotten.
    pub fn fire_in(&self, nanoseconds: u64) {
        fire_in(nanoseconds);
    }

    /// Keeps it from firing.
    pub fn stop(&self) {
        stop();
    }
}

impl Drop for Timer {
    /// It is anybody's then. An interrupt that is on its way still comes.
    fn drop(&mut self) {
        stop();
        apic::write(Register::TimerVector, MASKED);
        VECTOR.store(0, Ordering::Release);
    }
}

/// The vector of who has the timer; 0 if nobody has.
static VECTOR: AtomicU8 = AtomicU8::new(0);

fn is_running() -> bool {
    vector() != 0
}

/// The vector of whoever has the timer, 0 if nobody has.
pub(crate) fn vector() -> u8 {
    VECTOR.load(Ordering::Acquire)
}

/// Has [`COUNT_HERTZ`] known.
fn find_rate() -> Result<(), Error> {
    divide(BY_1);
    if COUNT_HERTZ.load(Ordering::Relaxed) != 0 {
        return Ok(());
    }
    // What is not known because of a change of the map will be.
    let hertz = clock::rate_found().ok_or(Error::Unmappable(MapError::Busy))?.hertz;
    let order = Ordering::Relaxed;
    interrupts::without(|| {
        // Whoever interrupted until now may have measured it, and set it, which is not to be undone.
        if COUNT_HERTZ.load(order) != 0 {
            return;
        }
        let rate = measure(&apic::here(), cpu::ticks, hertz).unwrap_or(0);
        // Of two, one in the midst of the other, an NMI's, the inner one was not disturbed, and was here first. What it
        // has set is undone: better early than never.
        if COUNT_HERTZ.compare_exchange(0, rate, order, order).is_err() && is_running() {
            apic::write(Register::InitialCount, 1);
        }
    });
    if COUNT_HERTZ.load(order) == 0 { Err(Error::Dead) } else { Ok(()) }
}

/// The rate of the count, `None` if it stands still. It runs for as many cycles as make a millisecond: that is the
/// limit; should the cycle counter stand still, so many readings of it are.
fn measure(registers: &impl Registers, ticks: impl Fn() -> u64, hertz: u64) -> Option<u64> {
    const MOST_READINGS: u32 = 10_000_000;
    registers.write(Register::InitialCount, u32::MAX);
    let (begin, first) = reading(registers, &ticks);
    let is_over = || {
        core::hint::spin_loop();
        ticks().wrapping_sub(begin) >= hertz / 1000
    };
    let in_time = (0..MOST_READINGS).any(|_| is_over());
    let (end, last) = reading(registers, &ticks);
    registers.write(Register::InitialCount, 0);
    let counted = u128::from(first.checked_sub(last)?);
    let rate = (counted * u128::from(hertz)).checked_div(end.wrapping_sub(begin).into())?;
    u64::try_from(rate).ok().filter(|&rate| in_time && rate != 0)
}

/// The cycle counter and the count at the same time: the closest of some looks, as the machine may be stopped in one.
fn reading(registers: &impl Registers, ticks: impl Fn() -> u64) -> (u64, u32) {
    const LOOKS: usize = 5;
    let look = || {
        let before = ticks();
        let count = registers.read(Register::CurrentCount);
        let took = ticks().wrapping_sub(before);
        (took, before.wrapping_add(took / 2), count)
    };
    let (mut took, mut at, mut count) = look();
    for _ in 1..LOOKS {
        let again = look();
        if again.0 < took {
            (took, at, count) = again;
        }
    }
    (at, count)
}

/// [`Timer::fire_in`], of whoever has it; nothing if nobody has.
pub(crate) fn fire_in(nanoseconds: u64) {
    if !is_running() {
        return;
    }
    // On Xen inside QEMU's emulation an interrupt that comes sooner is lost now and then, if the processor halts for it.
    const LEAST: u64 = 1000;
    let nanoseconds = nanoseconds.max(LEAST);
    let hertz = COUNT_HERTZ.load(Ordering::Relaxed);
    if hertz == 0 {
        let deadline = deadline(cpu::ticks(), nanoseconds, clock::rate().hertz);
        // SAFETY: `Timer::start` has found that the MSR exists.
        unsafe { cpu::write_msr(TSC_DEADLINE, deadline) };
        return;
    }
    let (divider, count) = count(to_ticks(nanoseconds, hertz));
    divide(divider);
    apic::write(Register::InitialCount, count);
}

/// What the clock of the counter is divided by.
const BY_1: u32 = 0b1011;
const BY_128: u32 = 0b1010;

/// Divider and count for so many ticks: the finest that can count so far, so that waiting for minutes is one interrupt.
fn count(ticks: u64) -> (u32, u32) {
    if let Ok(count) = u32::try_from(ticks) {
        return (BY_1, count.max(1));
    }
    (BY_128, u32::try_from(ticks.div_ceil(128)).unwrap_or(u32::MAX))
}

/// Tells the timer, if it is another one than before.
fn divide(divider: u32) {
    /// Firmware may have left any.
    static CURRENT: AtomicU32 = AtomicU32::new(u32::MAX);
    if CURRENT.swap(divider, Ordering::Relaxed) != divider {
        apic::write(Register::Divider, divider);
    }
}

/// [`Timer::stop`], in the same way.
pub(crate) fn stop() {
    if !is_running() {
        return;
    }
    if COUNT_HERTZ.load(Ordering::Relaxed) == 0 {
        // SAFETY: as in `fire_in`; 0 disarms it.
        unsafe { cpu::write_msr(TSC_DEADLINE, 0) };
    } else {
        apic::write(Register::InitialCount, 0);
    }
}

/// The reading of the counter that is `nanoseconds` after `now`: a later one always, as 0 would mean never.
fn deadline(now: u64, nanoseconds: u64, hertz: u64) -> u64 {
    now.saturating_add(to_ticks(nanoseconds, hertz).max(1))
}

/// Ticks in `nanoseconds`, at least, and at most an hour's.
fn to_ticks(nanoseconds: u64, hertz: u64) -> u64 {
    const HOUR: u64 = 3_600_000_000_000;
    let nanoseconds = u128::from(nanoseconds.min(HOUR));
    (nanoseconds * u128::from(hertz)).div_ceil(1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_counted_more_slowly_and_not_shorter() {
        assert_eq!(count(0), (BY_1, 1));
        assert_eq!(count(u32::MAX.into()), (BY_1, u32::MAX));
        assert_eq!(count(1 << 32), (BY_128, 1 << 25));
        assert_eq!(count((1 << 32) + 1), (BY_128, (1 << 25) + 1));
        assert_eq!(count(u64::MAX), (BY_128, u32::MAX));
    }
    use core::cell::Cell;

    /// A counter that runs, or not, and registers that keep what is written, or not.
    struct Model {
        /// A reading of the cycle counter, and how long the machine is stopped before it.
        stop: (u64, u64),
        readings: Cell<u64>,
        now: Cell<u64>,
        ticks_per_reading: u64,
        count_hertz: u64,
        started: Cell<u64>,
        /// What every register reads as.
        stuck: Option<u32>,
    }

    const HERTZ: u64 = 2_500_000_000;

    impl Model {
        fn new(ticks_per_reading: u64, count_hertz: u64, stuck: Option<u32>) -> Model {
            let [now, started, readings] = [100, 0, 0].map(Cell::new);
            let stop = (u64::MAX, 0);
            Model { stop, readings, now, ticks_per_reading, count_hertz, started, stuck }
        }

        fn ticks(&self) -> u64 {
            let stop = if self.readings.get() == self.stop.0 { self.stop.1 } else { 0 };
            self.readings.set(self.readings.get() + 1);
            self.now.set(self.now.get() + self.ticks_per_reading + stop);
            self.now.get()
        }

        fn rate(&self) -> Option<u64> {
            measure(self, || self.ticks(), HERTZ)
        }
    }

    impl Registers for Model {
        fn read(&self, register: Register) -> u32 {
            let passed = self.now.get() - self.started.get();
            let counted = u128::from(passed) * u128::from(self.count_hertz) / u128::from(HERTZ);
            assert!(matches!(register, Register::CurrentCount));
            self.stuck.unwrap_or(u32::MAX - counted as u32)
        }

        fn write(&self, _: Register, _: u32) {
            self.started.set(self.now.get());
        }
    }

    #[test]
    fn a_count_is_measured_and_one_that_stands_still_given_up() {
        for hertz in [1_000_000, 62_500_000, 1_000_000_000] {
            let rate = Model::new(30, hertz, None).rate().expect("it runs");
            assert!(rate.abs_diff(hertz) <= hertz / 500, "{rate}, not {hertz}");
        }
        assert_eq!(Model::new(30, 0, None).rate(), None, "the count stands still");
        assert_eq!(Model::new(0, 1_000_000, None).rate(), None, "the cycle counter stands still");
        assert_eq!(Model::new(30, 0, Some(u32::MAX)).rate(), None);
    }

    #[test]
    fn a_machine_that_is_stopped_while_the_count_is_measured_matters_not() {
        let hertz = 62_500_000;
        let readings = {
            let model = Model::new(3000, hertz, None);
            model.rate();
            model.readings.get()
        };
        assert!(readings > 100);
        // Ten milliseconds, at every reading.
        for at in 0..readings {
            let model = Model { stop: (at, HERTZ / 100), ..Model::new(3000, hertz, None) };
            let rate = model.rate().expect("it runs");
            assert!(rate.abs_diff(hertz) <= hertz / 250, "{rate}, not {hertz}, stopped at {at}");
        }
    }

    #[test]
    fn a_deadline_is_later_than_now_and_never_never() {
        assert_eq!(deadline(0, 0, 2_600_000_000), 1);
        assert_eq!(deadline(500, 1_000, 2_600_000_000), 3_100);
        assert_eq!(deadline(500, 1, 1_000_000), 501);
        assert_eq!(deadline(7, u64::MAX, 2_600_000_000), 7 + 3600 * 2_600_000_000);
        assert_eq!(deadline(u64::MAX - 3, 1_000_000, 2_600_000_000), u64::MAX);
        for now in [0, 1, 1 << 40, u64::MAX - 1] {
            for nanoseconds in [0, 1, 999, 1 << 32, 1 << 50, u64::MAX] {
                for hertz in [1, 1_000, 1_000_000_000, 5_000_000_000] {
                    let deadline = deadline(now, nanoseconds, hertz);
                    let ticks = u128::from(deadline - now);
                    // To the tick, or an hour, or the counter's end, whichever comes first.
                    let wanted = u128::from(nanoseconds.min(3_600_000_000_000)) * u128::from(hertz);
                    let wanted = wanted.div_ceil(1_000_000_000).max(1).min((u64::MAX - now).into());
                    assert_eq!(ticks, wanted, "{now} {nanoseconds} {hertz}");
                }
            }
        }
    }

    #[test]
    fn ticks_are_rounded_up_and_bounded() {
        assert_eq!(to_ticks(0, 1_000_000_000), 0);
        assert_eq!(to_ticks(1, 1), 1);
        assert_eq!(to_ticks(1_000_000_000, 2_596_123_456), 2_596_123_456);
        assert_eq!(to_ticks(u64::MAX, 1_000_000_000), 3_600_000_000_000);
    }
}
