//! The time-stamp counter as a clock: where its frequency comes from.
//!
//! Asked in this order, since each later one is less sure: Xen's shared clock; the hypervisor's CPUID
//! leaf (Xen's time leaf; 0x4000_0010, which VMware defined and KVM and others took over); the
//! processor's leaf 0x15 (Intel SDM volume 2, CPUID; volume 3, 19.7.3); a measurement against the PIT
//! (Intel 8254 data sheet); and an assumption that says it is one.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use core::time::Duration;

use super::cpu::{self, cpuid, inb, outb};
use super::xen_clock;
use crate::time::{Rate, Source, to_nanoseconds};

static BOOT_TICKS: AtomicU64 = AtomicU64::new(0);

/// Sets the moment that times count from.
pub(super) fn start(entry_ticks: u64) {
    BOOT_TICKS.store(entry_ticks, Ordering::Relaxed);
}

/// Ticks since the image's first instruction.
pub fn ticks_since_boot() -> u64 {
    cpu::ticks().saturating_sub(BOOT_TICKS.load(Ordering::Relaxed))
}

/// Nanoseconds since the image's first instruction, by the best clock there is.
pub fn nanoseconds_since_boot() -> u64 {
    match xen_clock::nanoseconds_since_boot() {
        Some(nanoseconds) => nanoseconds,
        None => to_nanoseconds(ticks_since_boot(), rate().hertz),
    }
}

/// The time of day, if Xen tells it. The PC's battery-backed clock is not read so far.
pub fn wall() -> Option<Duration> {
    xen_clock::wall()
}

/// 0 until the rate is known.
static HERTZ: AtomicU64 = AtomicU64::new(0);
static SOURCE: AtomicU8 = AtomicU8::new(Source::Assumed as u8);
static FINDING_OUT: AtomicBool = AtomicBool::new(false);

/// The counter's rate, found out on the first call. A handler that asks while the code it interrupted is
/// finding out gets the assumption: two measurements at once would spoil each other.
pub fn rate() -> Rate {
    let hertz = HERTZ.load(Ordering::Acquire);
    if hertz == 0 {
        if FINDING_OUT.swap(true, Ordering::Relaxed) {
            return Rate { hertz: ASSUMED_HERTZ, source: Source::Assumed };
        }
        let rate = find_rate();
        SOURCE.store(rate.source as u8, Ordering::Relaxed);
        HERTZ.store(rate.hertz, Ordering::Release);
        return rate;
    }
    const SOURCES: [Source; 5] = [
        Source::XenClock,
        Source::Hypervisor,
        Source::Processor,
        Source::Measured,
        Source::Assumed,
    ];
    let source = SOURCES.into_iter().find(|&s| s as u8 == SOURCE.load(Ordering::Relaxed));
    Rate { hertz, source: source.unwrap_or(Source::Assumed) }
}

const ASSUMED_HERTZ: u64 = 1_000_000_000;

fn find_rate() -> Rate {
    let told = |hertz: Option<u64>, source| hertz.map(|hertz| Rate { hertz, source });
    told(xen_clock::hertz(), Source::XenClock)
        .or_else(|| told(hypervisor_hertz(), Source::Hypervisor))
        .or_else(|| told(processor_hertz(), Source::Processor))
        .or_else(|| told(measured_hertz(), Source::Measured))
        .unwrap_or(Rate { hertz: ASSUMED_HERTZ, source: Source::Assumed })
}

fn hypervisor_hertz() -> Option<u64> {
    const TIMING_LEAF: u32 = 0x4000_0010;
    let kilohertz = match super::xen() {
        Some(xen) => xen.tsc_khz()?,
        None => {
            super::hypervisor_signature()?;
            let [highest, ..] = cpuid(0x4000_0000, 0);
            let [kilohertz, ..] = (highest >= TIMING_LEAF).then(|| cpuid(TIMING_LEAF, 0))?;
            kilohertz
        }
    };
    (kilohertz != 0).then_some(u64::from(kilohertz) * 1000)
}

fn processor_hertz() -> Option<u64> {
    const COUNTER_LEAF: u32 = 0x15;
    let [highest, ..] = cpuid(0, 0);
    let [denominator, numerator, crystal_hertz, _] =
        (highest >= COUNTER_LEAF).then(|| cpuid(COUNTER_LEAF, 0))?;
    let known = denominator != 0 && numerator != 0 && crystal_hertz != 0;
    known.then(|| u64::from(crystal_hertz) * u64::from(numerator) / u64::from(denominator))
}

const PIT_HERTZ: u64 = 1_193_182;

/// One look at channel 0 of the PIT, and when it was: it counts down.
#[derive(Clone, Copy)]
struct Sample {
    count: u16,
    /// The cycle counter before and after the count was latched.
    before: u64,
    after: u64,
}

impl Sample {
    fn take() -> Sample {
        const LATCH_CHANNEL_0: u8 = 0;
        let before = cpu::ticks();
        // SAFETY: latching and reading a count changes nothing else.
        let (after, low, high) = unsafe {
            outb(COMMAND, LATCH_CHANNEL_0);
            (cpu::ticks(), inb(CHANNEL_0), inb(CHANNEL_0))
        };
        Sample { count: u16::from_le_bytes([low, high]), before, after }
    }

    /// The best of a few: an emulator or a host may come in between.
    fn take_quick() -> Sample {
        const TRIES: usize = 5;
        (1..TRIES).map(|_| Sample::take()).fold(Sample::take(), |best, next| {
            if next.after - next.before < best.after - best.before { next } else { best }
        })
    }

    fn middle(&self) -> u64 {
        self.before + (self.after - self.before) / 2
    }
}

const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;

/// Counts cycles while channel 0 of the PIT counts down for just under a millisecond. Channel 0,
/// because microvm has no port for channel 2's gate; its count and not its output, because the output
/// interrupts the emulator. `None` if there is no PIT: the count stands still then.
fn measured_hertz() -> Option<u64> {
    const CHANNEL_0_ONE_SHOT: u8 = 0b0011_0000;
    const PIT_TICKS: u16 = 1100;
    // A port access takes a hundred cycles at the least, so this is some milliseconds at the most.
    const MOST_SAMPLES: usize = 20_000;
    // Slower than any processor this runs on, and faster than any: outside is not a measurement.
    const PLAUSIBLE: core::ops::Range<u64> = 10_000_000..20_000_000_000;

    // SAFETY: channel 0 is the interval timer, whose interrupts nobody has asked for; no other code
    // uses it. It counts down once from the highest count, 55 ms.
    unsafe {
        outb(COMMAND, CHANNEL_0_ONE_SHOT);
        outb(CHANNEL_0, 0xff);
        outb(CHANNEL_0, 0xff);
    }
    let first = Sample::take_quick();
    let passed = |sample: Sample| first.count.saturating_sub(sample.count);
    (0..MOST_SAMPLES).find(|_| passed(Sample::take()) >= PIT_TICKS)?;
    let last = Sample::take_quick();
    let cycles = last.middle().saturating_sub(first.middle());
    let hertz = (cycles * PIT_HERTZ).checked_div(passed(last).into())?;
    PLAUSIBLE.contains(&hertz).then_some(hertz)
}
