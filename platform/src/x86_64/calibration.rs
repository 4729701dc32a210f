//! Measuring the cycle counter against a counter of known rate, for just under a millisecond.
//!
//! Each reading of the other counter is taken between two of the cycle counter. A count of the PIT is 838 ns, so
//! one reading at either end would be off by that in a millisecond. All readings of the first third are taken
//! together, which is a reading at their mean, to the fraction of a count, and so those of the last third.
//! Readings that took much longer than the quickest do not count: an emulator or the host interrupted them.
//!
//! Nothing here waits for ever: the number of readings is limited, and a counter that stands still is refused.

/// A counter that runs at a known rate.
pub trait Reference {
    /// Femtoseconds from one count to the next.
    fn period(&self) -> u64;

    /// Which bits of the count there are: a power of 2, less one. It goes round after more than a millisecond.
    fn mask(&self) -> u64;

    /// The count, a little more each time until it goes round; and what `ticks` read before and after.
    fn count(&self, ticks: impl Fn() -> u64) -> (u64, u64, u64);
}

/// One look at a reference, as ticks and counts since the first look.
#[derive(Clone, Copy)]
struct Sample {
    count: u64,
    /// In the middle of the look, times two.
    ticks: u64,
    length: u64,
}

/// Many samples, added up.
#[derive(Clone, Copy, Default)]
struct Cluster {
    samples: u64,
    counts: u64,
    ticks: u64,
}

impl Cluster {
    fn add(&mut self, sample: Sample) {
        self.samples += 1;
        self.counts += sample.count;
        self.ticks += sample.ticks;
    }
}

const FEMTOSECONDS: u128 = 1_000_000_000_000_000;
/// A third of what is measured.
const THIRD_FEMTOSECONDS: u64 = 310_000_000_000;
/// Readings without the count going on: the slowest, the PIT's, goes on every 20 readings or sooner, even where an
/// emulator counts instructions and a reading takes 40 ns.
const MOST_IDLE: usize = 2_000;
/// For a count that goes on, and never comes to its end.
const MOST_SAMPLES: usize = 100_000;
const MOST_ATTEMPTS: usize = 4;
/// Slower than any processor this runs on, and faster than any: outside is not a measurement.
pub const PLAUSIBLE: core::ops::Range<u64> = 10_000_000..20_000_000_000;

/// The rate of the counter that `ticks` reads, in hertz. `None` if the reference does not count, or the machine
/// is stopped and started all the time.
pub fn hertz(reference: &impl Reference, ticks: impl Fn() -> u64) -> Option<u64> {
    (0..MOST_ATTEMPTS).find_map(|_| attempt(reference, &ticks))
}

/// Measures from the first third to the second and to the last, which must agree: a machine that was stopped
/// meanwhile, for longer than the reference takes to go round, has another rate in one of them.
fn attempt(reference: &impl Reference, ticks: impl Fn() -> u64) -> Option<u64> {
    const TOLERANCE: u64 = 64;
    const WARM_UP: usize = 8;
    let (first_count, first_ticks, _) = reference.count(&ticks);
    let sample = || {
        let (count, before, after) = reference.count(&ticks);
        let since = |ticks: u64| ticks.wrapping_sub(first_ticks);
        let ticks = since(before).wrapping_add(since(after));
        let count = count.wrapping_sub(first_count) & reference.mask();
        Sample { count, ticks, length: after.wrapping_sub(before) }
    };
    let quickest = (0..WARM_UP).map(|_| sample().length).min()?;
    let third = (THIRD_FEMTOSECONDS / reference.period().max(1)).max(1);
    let mut clusters = [Cluster::default(); 3];
    let (mut furthest, mut idle) = (0, 0);
    let is_complete = (0..MOST_SAMPLES).find_map(|_| {
        let sample = sample();
        idle = if sample.count > furthest { 0 } else { idle + 1 };
        furthest = furthest.max(sample.count);
        if idle > MOST_IDLE {
            return Some(false);
        }
        let cluster =
            usize::try_from(sample.count / third).ok().and_then(|at| clusters.get_mut(at));
        let is_over = cluster.is_none();
        if let Some(cluster) = cluster
            && sample.length <= 4 * quickest.max(1)
        {
            cluster.add(sample);
        }
        is_over.then_some(true)
    });
    if is_complete != Some(true) {
        return None;
    }
    // One that was cut short is no better than a single reading.
    let most = clusters.iter().map(|cluster| cluster.samples).max()?;
    if clusters.iter().any(|cluster| cluster.samples < most / 2) {
        return None;
    }
    let [first, middle, last] = clusters;
    let hertz = between(reference, first, last)?;
    let halves = [between(reference, first, middle)?, between(reference, middle, last)?];
    let agree = halves.iter().all(|half| half.abs_diff(hertz) <= hertz / TOLERANCE);
    (agree && PLAUSIBLE.contains(&hertz)).then_some(hertz)
}

/// The rate from the mean of one cluster to that of the other. Means are kept as sums times the other's number
/// of samples, so that nothing is rounded.
fn between(reference: &impl Reference, from: Cluster, to: Cluster) -> Option<u64> {
    let apart = |from_sum: u64, to_sum: u64| {
        let later = u128::from(to_sum) * u128::from(from.samples);
        later.checked_sub(u128::from(from_sum) * u128::from(to.samples))
    };
    // Twice the cycles.
    let cycles = apart(from.ticks, to.ticks)?;
    let femtoseconds = apart(from.counts, to.counts)?.checked_mul(reference.period().into())?;
    let hertz = cycles.checked_mul(FEMTOSECONDS / 2)?.checked_div(femtoseconds)?;
    u64::try_from(hertz).ok()
}

#[cfg(test)]
pub mod model {
    //! A machine whose time passes as its registers are read.

    use super::*;
    use core::cell::Cell;

    pub struct Machine {
        pub femtoseconds: Cell<u128>,
        /// What a reading of the reference takes; every seventh takes ten times as long.
        pub reading: u64,
        readings: Cell<u32>,
        pub hertz: u64,
    }

    impl Machine {
        pub fn new(hertz: u64) -> Machine {
            let (femtoseconds, readings) = (Cell::new(123_456_789_012), Cell::new(0));
            Machine { femtoseconds, reading: 700_000_000, readings, hertz }
        }

        pub fn ticks(&self) -> u64 {
            self.pass(10_000_000);
            (self.femtoseconds.get() * u128::from(self.hertz) / FEMTOSECONDS) as u64
        }

        pub fn pass(&self, femtoseconds: u64) {
            self.femtoseconds.set(self.femtoseconds.get() + u128::from(femtoseconds));
        }

        /// The count of a reference with that period. Half the reading is over when it is taken.
        pub fn count(&self, period: u64) -> u64 {
            self.readings.set(self.readings.get() + 1);
            let reading = if self.readings.get().is_multiple_of(7) { 10 } else { 1 } * self.reading;
            self.pass(reading / 2);
            let count = (self.femtoseconds.get() / u128::from(period)) as u64;
            self.pass(reading - reading / 2);
            count
        }
    }

    pub struct Counter<'a> {
        pub machine: &'a Machine,
        pub period: u64,
        pub mask: u64,
    }

    impl Reference for Counter<'_> {
        fn period(&self) -> u64 {
            self.period
        }

        fn mask(&self) -> u64 {
            self.mask
        }

        fn count(&self, ticks: impl Fn() -> u64) -> (u64, u64, u64) {
            let (before, count) = (ticks(), self.machine.count(self.period));
            (count & self.mask, before, ticks())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::model::{Counter, Machine};
    use super::*;

    #[test]
    fn the_rate_is_found_within_a_tenth_of_a_count() {
        for hertz in [12_345_678, 1_000_000_000, 2_596_123_456, 5_700_000_000] {
            // HPETs from 10 MHz, the slowest there may be, to 100 MHz; the PIT.
            for (period, mask) in [
                (100_000_000, u32::MAX.into()),
                (10_000_000, u32::MAX.into()),
                (838_095_345, 0xffff),
            ] {
                let machine = Machine::new(hertz);
                let found =
                    super::hertz(&Counter { machine: &machine, period, mask }, || machine.ticks());
                let found = found.expect("a rate");
                // A tenth of a count in 600 us, and a tick of a slow cycle counter.
                let margin = hertz / 6000 * period / 1_000_000_000 + 2000;
                assert!(found.abs_diff(hertz) <= margin, "{found} for {hertz}, period {period}");
            }
        }
    }

    #[test]
    fn a_reference_is_read_as_often_as_a_millisecond_takes() {
        for (period, mask) in [(10_000_000, u32::MAX.into()), (838_095_345, 0xffff)] {
            let mut machine = Machine::new(1_000_000_000);
            machine.reading = 10_000_000;
            let counter = Counter { machine: &machine, period, mask };
            let found = super::hertz(&counter, || machine.ticks()).expect("a rate");
            assert!(found.abs_diff(1_000_000_000) < 100_000, "{found}, period {period}");
        }
    }

    #[test]
    fn a_reference_that_goes_round_between_is_no_matter() {
        for start in (0..60).map(|n| n * 1_000_000_000_000) {
            let machine = Machine::new(3_000_000_000);
            machine.femtoseconds.set(start);
            let counter = Counter { machine: &machine, period: 838_095_345, mask: 0xffff };
            let found = super::hertz(&counter, || machine.ticks()).expect("a rate");
            assert!(found.abs_diff(3_000_000_000) < 600_000, "{found} from {start}");
        }
    }

    #[test]
    fn a_machine_that_is_stopped_for_a_while_is_measured_again() {
        // Once, at every moment of the measurement, for longer than the PIT takes to go round; and for as long.
        const ROUND: u64 = 65_536 * 838_095_345;
        for (at, stop) in (0..1500).flat_map(|at| [(at, 80_000_000_000_000), (at, ROUND)]) {
            let machine = Machine::new(3_000_000_000);
            let readings = core::cell::Cell::new(0);
            let ticks = || {
                readings.set(readings.get() + 1);
                if readings.get() == at {
                    machine.pass(stop);
                }
                machine.ticks()
            };
            let counter = Counter { machine: &machine, period: 838_095_345, mask: 0xffff };
            let found = super::hertz(&counter, ticks).expect("a rate");
            assert!(
                found.abs_diff(3_000_000_000) < 600_000,
                "{found}, stopped at reading {at} for {stop} fs"
            );
        }
    }

    #[test]
    fn what_does_not_count_or_counts_nonsense_is_refused() {
        struct Odd(core::cell::Cell<u64>, fn(u64) -> u64);
        impl Reference for Odd {
            fn period(&self) -> u64 {
                100_000_000
            }
            fn mask(&self) -> u64 {
                u32::MAX.into()
            }
            fn count(&self, ticks: impl Fn() -> u64) -> (u64, u64, u64) {
                self.0.set(self.0.get() + 1);
                ((self.1)(self.0.get()) & self.mask(), ticks(), ticks())
            }
        }
        let behaviours: [fn(u64) -> u64; 5] = [
            |_| 0,
            |_| u64::MAX,
            |n| n % 2,
            |n| n.wrapping_mul(0x4000_0000),
            |n| 0_u64.wrapping_sub(n % 3),
        ];
        for (number, behaviour) in behaviours.into_iter().enumerate() {
            let machine = Machine::new(3_000_000_000);
            let found = hertz(&Odd(Default::default(), behaviour), || machine.ticks());
            assert_eq!(found, None, "behaviour {number}");
        }
        // A cycle counter that stands still.
        let machine = Machine::new(1);
        let counter = Counter { machine: &machine, period: 10_000_000, mask: u32::MAX.into() };
        assert_eq!(hertz(&counter, || 5), None);
    }
}
