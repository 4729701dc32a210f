//! The time-stamp counter as a clock: where its frequency comes from.
//!
//! Asked in this order, since each later one is less sure: the hypervisor's CPUID leaf (Xen's time
//! leaf; 0x4000_0010, which VMware defined and KVM and others took over), the processor's leaf 0x15
//! (Intel SDM volume 2, CPUID; volume 3, 19.7.3), a measurement against the PIT (Intel 8254 data
//! sheet), and an assumption that says it is one.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::cpu::{self, cpuid, inb, outb};
use crate::time::{Rate, Source};

static BOOT_TICKS: AtomicU64 = AtomicU64::new(0);

/// Sets the moment that times count from.
pub(super) fn start(entry_ticks: u64) {
    BOOT_TICKS.store(entry_ticks, Ordering::Relaxed);
}

/// Ticks since [`start`]'s moment.
pub fn ticks_since_boot() -> u64 {
    cpu::ticks().saturating_sub(BOOT_TICKS.load(Ordering::Relaxed))
}

/// 0 until the rate is known. Two contexts that find out at the same time find the same.
static HERTZ: AtomicU64 = AtomicU64::new(0);
static SOURCE: AtomicU8 = AtomicU8::new(Source::Assumed as u8);

/// The counter's rate, found out on the first call.
pub fn rate() -> Rate {
    let hertz = HERTZ.load(Ordering::Acquire);
    if hertz == 0 {
        let rate = find_rate();
        SOURCE.store(rate.source as u8, Ordering::Relaxed);
        HERTZ.store(rate.hertz, Ordering::Release);
        return rate;
    }
    const SOURCES: [Source; 4] =
        [Source::Hypervisor, Source::Processor, Source::Measured, Source::Assumed];
    let source = SOURCES.into_iter().find(|&s| s as u8 == SOURCE.load(Ordering::Relaxed));
    Rate { hertz, source: source.unwrap_or(Source::Assumed) }
}

const ASSUMED_HERTZ: u64 = 1_000_000_000;

fn find_rate() -> Rate {
    let told = |hertz: Option<u64>, source| hertz.map(|hertz| Rate { hertz, source });
    told(hypervisor_hertz(), Source::Hypervisor)
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
/// Just under a millisecond.
const PIT_TICKS: u16 = 1190;

/// Counts cycles while channel 2 of the PIT counts down. `None` if there is no PIT, which shows as
/// an output that is high at once or never.
fn measured_hertz() -> Option<u64> {
    const CHANNEL_2: u16 = 0x42;
    const COMMAND: u16 = 0x43;
    const CHANNEL_2_ONE_SHOT: u8 = 0b1011_0000;
    const CONTROL: u16 = 0x61;
    const GATE: u8 = 1 << 0;
    const SPEAKER: u8 = 1 << 1;
    const OUTPUT: u8 = 1 << 5;
    // Slower than any processor this runs on, and faster than any: outside is not a measurement.
    const PLAUSIBLE: core::ops::Range<u64> = 10_000_000..20_000_000_000;
    // A port read takes a few hundred cycles, so this is some tens of milliseconds at the most.
    const MOST_READS: usize = 100_000;

    let [low, high] = PIT_TICKS.to_le_bytes();
    // SAFETY: channel 2 drives nothing but the speaker, which stays off; nobody else uses it.
    unsafe {
        let control = inb(CONTROL) & !(GATE | SPEAKER);
        outb(CONTROL, control);
        outb(COMMAND, CHANNEL_2_ONE_SHOT);
        outb(CHANNEL_2, low);
        outb(CHANNEL_2, high);
        outb(CONTROL, control | GATE);
        let start = cpu::ticks();
        let done = (0..MOST_READS).any(|_| inb(CONTROL) & OUTPUT != 0);
        let ticks = cpu::ticks() - start;
        outb(CONTROL, control);
        let hertz = ticks * PIT_HERTZ / u64::from(PIT_TICKS);
        (done && PLAUSIBLE.contains(&hertz)).then_some(hertz)
    }
}
