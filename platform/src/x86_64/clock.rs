//! The time-stamp counter as a clock: where its frequency comes from.
//!
//! Asked in this order, since each later one is less sure: the hypervisor's shared clock; its CPUID
//! leaf (Xen's time leaf; 0x4000_0010, which VMware defined and KVM and others took over); the
//! processor's leaf 0x15 (Intel SDM volume 2, CPUID; volume 3, 19.7.3); a measurement against the HPET, or
//! the PIT; and an assumption that says it is one.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use core::time::Duration;

use super::cpu::{self, cpuid};
use super::hpet::{self, Hpet};
use super::pit::Pit;
use super::{calibration, rtc, shared_clock};
use crate::acpi;
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
    match shared_clock::nanoseconds_since_boot() {
        Some(nanoseconds) => nanoseconds,
        None => to_nanoseconds(ticks_since_boot(), rate().hertz),
    }
}

/// The time of day: the hypervisor's, or that of the battery-backed clock when this was first asked, and what
/// has passed since.
pub fn wall() -> Option<Duration> {
    shared_clock::wall().or_else(rtc_wall)
}

fn rtc_wall() -> Option<Duration> {
    const UNREAD: u64 = 0;
    const ABSENT: u64 = u64::MAX;
    /// The time of day at the image's first instruction, in nanoseconds.
    static AT_BOOT: AtomicU64 = AtomicU64::new(UNREAD);
    let since_boot = crate::time::now();
    if AT_BOOT.load(Ordering::Relaxed) == UNREAD {
        let read = rtc::read()
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
    const SOURCES: [Source; 7] = [
        Source::XenClock,
        Source::KvmClock,
        Source::Hypervisor,
        Source::Processor,
        Source::Hpet,
        Source::Pit,
        Source::Assumed,
    ];
    let source = SOURCES.into_iter().find(|&s| s as u8 == SOURCE.load(Ordering::Relaxed));
    Rate { hertz, source: source.unwrap_or(Source::Assumed) }
}

const ASSUMED_HERTZ: u64 = 1_000_000_000;

fn find_rate() -> Rate {
    let told = |hertz: Option<u64>, source| hertz.map(|hertz| Rate { hertz, source });
    shared_clock::hertz()
        .map(|(hertz, source)| Rate { hertz, source })
        .or_else(|| told(hypervisor_hertz(), Source::Hypervisor))
        .or_else(|| told(processor_hertz(), Source::Processor))
        .or_else(|| told(hpet_hertz(), Source::Hpet))
        .or_else(|| told(calibration::hertz(&Pit::start(), cpu::ticks), Source::Pit))
        .unwrap_or(Rate { hertz: ASSUMED_HERTZ, source: Source::Assumed })
}

/// Against the HPET where ACPI says it is; where there are no tables to ask, at the address that is usual.
fn hpet_hertz() -> Option<u64> {
    let address = match acpi::tables() {
        Ok(tables) => tables.hpet().ok()?,
        Err(_) => hpet::USUAL,
    };
    calibration::hertz(&Hpet::at(address)?, cpu::ticks)
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
