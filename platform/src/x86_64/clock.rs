//! The time-stamp counter as a clock: where its frequency comes from.
//!
//! The sources are tried in this order, since each later one is less certain: the hypervisor's shared clock; its CPUID
//! leaf (Xen's time leaf; 0x4000_0010, which VMware defined and KVM and others took over); the
//! processor's leaf 0x15 (Intel SDM volume 2, CPUID; volume 3, 19.7.3); a measurement against the HPET, or
//! the PIT; and an assumption, which is marked as one.
//!
//! The first call that needs the rate finds it. An NMI or an exception may interrupt that call and need the rate too. Its
//! handler then finds the rate by itself and publishes it. The interrupted call goes on, with a measurement that the
//! interruption has spoilt, finds a published rate, and uses that. So no code waits, and a rate never changes once it was
//! read.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::calibration::{self, Reference};
use super::cpu::{self, cpuid};
use super::page_table::active;
use super::shared_clock;
use super::ticks;
use crate::devices::acpi;
use crate::devices::pc::hpet::{self, Hpet};
use crate::devices::pc::pit::Pit;
use crate::devices::pc::rtc;
use crate::hypervisor;
use crate::time::rate::{Rate, Source, to_nanoseconds};

/// Nanoseconds since the image's first instruction, by the best clock there is. `None` if that cannot be told at the
/// moment: see `rate_found`.
pub fn nanoseconds_since_boot() -> Option<u64> {
    match shared_clock::get() {
        // Should it not be readable for once, the counter would be another clock, and perhaps ahead of it.
        Some(shared) => shared_clock::nanoseconds_since_boot(shared),
        None => Some(to_nanoseconds(ticks::since_boot(), rate_found()?.hertz)),
    }
}

/// The time of day, where a hypervisor tells it.
pub fn wall() -> Option<Duration> {
    shared_clock::wall()
}

/// The time of day by the clock that a battery keeps.
pub fn battery() -> Option<Duration> {
    rtc::read()
}

/// No processor's counter is faster.
pub(crate) const FASTEST_HERTZ: u64 = calibration::PLAUSIBLE.end;

/// The rate in the upper bits, how it became known in the lowest eight; 0 until then, and never changed after.
static FOUND: AtomicU64 = AtomicU64::new(0);
const SOURCE_BITS: u32 = 8;
const MOST_HERTZ: u64 = u64::MAX >> SOURCE_BITS;

const fn pack(rate: Rate) -> u64 {
    rate.hertz << SOURCE_BITS | rate.source as u64
}

/// The rate in a word of [`FOUND`]'s.
fn unpack(found: u64) -> Option<Rate> {
    const SOURCES: [Source; 7] = [
        Source::XenClock,
        Source::KvmClock,
        Source::Hypervisor,
        Source::Processor,
        Source::Hpet,
        Source::Pit,
        Source::Assumed,
    ];
    let hertz = found >> SOURCE_BITS;
    let source = SOURCES.into_iter().find(|&source| source as u64 == found & 0xff)?;
    (hertz != 0).then_some(Rate { hertz, source })
}

/// The counter's rate, found out on the first call.
pub fn rate() -> Rate {
    rate_found().unwrap_or(ASSUMED)
}

const ASSUMED: Rate = Rate { hertz: 1_000_000_000, source: Source::Assumed };

/// The same. `None` if it cannot be told at the moment, and perhaps later: where only the HPET is left to ask, and the
/// code that this interrupts is changing the map.
pub(crate) fn rate_found() -> Option<Rate> {
    unpack(FOUND.load(Ordering::Acquire)).or_else(find_rate)
}

#[cold]
fn find_rate() -> Option<Rate> {
    let told = |hertz: Option<u64>, source| {
        let hertz = hertz.filter(|hertz| (1..=MOST_HERTZ).contains(hertz));
        hertz.map(|hertz| Rate { hertz, source })
    };
    let found = shared_clock::hertz()
        .and_then(|(hertz, source)| told(Some(hertz), source))
        .or_else(|| told(hypervisor_hertz(), Source::Hypervisor))
        .or_else(|| told(processor_hertz(), Source::Processor))
        .or_else(|| told(hpet_hertz(), Source::Hpet))
        .or_else(|| told(measure(Pit::start), Source::Pit));
    if found.is_none() && active::is_busy() {
        return None;
    }
    publish(&FOUND, found.unwrap_or(ASSUMED))
}

/// If several calls have found a rate, the first one's holds for all.
fn publish(found: &AtomicU64, rate: Rate) -> Option<Rate> {
    let first = found.compare_exchange(0, pack(rate), Ordering::AcqRel, Ordering::Acquire);
    first.map_or_else(unpack, |_| Some(rate))
}

/// With interrupts out, for a millisecond or some: a storm of them would leave no undisturbed reading.
fn measure<R: Reference>(start: impl FnOnce() -> R) -> Option<u64> {
    cpu::without_interrupts(|| calibration::hertz(&start(), cpu::ticks))
}

/// Against the HPET where ACPI says it is; where there are no tables to ask, at the address that is usual.
fn hpet_hertz() -> Option<u64> {
    let address = match acpi::tables() {
        Ok(tables) => tables.hpet().ok()?,
        Err(_) => hpet::USUAL,
    };
    let hpet = Hpet::at(address)?;
    measure(|| hpet)
}

fn hypervisor_hertz() -> Option<u64> {
    const TIMING_LEAF: u32 = 0x4000_0010;
    let kilohertz = match hypervisor::xen() {
        Some(xen) => xen.tsc_khz()?,
        None => {
            hypervisor::signature()?;
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
