//! The rate of the clock, and where it was found.

use core::fmt;

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
