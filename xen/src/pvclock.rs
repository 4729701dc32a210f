//! A clock that a hypervisor keeps in memory it shares with the guest: Xen's, which KVM has taken over.
//!
//! For each virtual CPU there is a record ([`TimeInfo`]): a moment, as a reading of the time stamp counter
//! and as nanoseconds of *system time*, and a factor from one to the other. The hypervisor writes it anew
//! when the CPU's speed changes, when the virtual CPU moves to another one, and now and then to follow its
//! own clock. Another record ([`WallClock`]) tells the time of day. So:
//!
//! ```text
//! system time = system_time + ((counter - tsc_timestamp) << tsc_shift) * tsc_to_system_mul / 2^32
//! time of day = sec, nsec (the time of day at system time 0) + system time
//! ```
//!
//! A version number in front of each record shows whether a reading is consistent (`settled.rs`). The counter is read between
//! the two looks at the version too, since the record of one CPU says nothing about the counter of another.
//!
//! The records are made of atomics, since the hypervisor writes to them at any time.
//!
//! Sources: Xen, `public/xen.h`, `struct vcpu_time_info`; Linux, `Documentation/virt/kvm/x86/msr.rst`.

use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicI8, AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use crate::machine;
use crate::settled::settled;

/// Why a shared clock cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockError {
    /// The hypervisor has not set it; ask another clock.
    Unset,
    /// It was being written at every look; try again.
    Unsettled,
    /// Only the first 32 virtual CPUs have one here.
    NoSuchCpu,
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "the hypervisor has not set this clock",
            Self::Unsettled => "the hypervisor is always writing this clock",
            Self::NoSuchCpu => "this virtual CPU has no place in the shared page",
        })
    }
}

impl core::error::Error for ClockError {}

/// A virtual CPU's clock where the hypervisor writes it: `struct vcpu_time_info`, and KVM's
/// `struct pvclock_vcpu_time_info`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct TimeInfo {
    version: AtomicU32,
    _pad: u32,
    tsc_timestamp: AtomicU64,
    system_time: AtomicU64,
    tsc_to_system_mul: AtomicU32,
    tsc_shift: AtomicI8,
    _flags: AtomicU8,
    _pad1: [u8; 2],
}

/// The time of day at system time 0 where the hypervisor writes it: KVM's `struct pvclock_wall_clock`, and
/// `wc_version`, `wc_sec` and `wc_nsec` of Xen's `struct shared_info`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct WallClock {
    version: AtomicU32,
    sec: AtomicU32,
    nsec: AtomicU32,
}

const _: () = assert!(size_of::<TimeInfo>() == 32 && offset_of!(TimeInfo, tsc_to_system_mul) == 24);
const _: () = assert!(size_of::<WallClock>() == 12);

impl TimeInfo {
    /// A record of zeros, which is [`ClockError::Unset`].
    pub const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            _pad: 0,
            tsc_timestamp: AtomicU64::new(0),
            system_time: AtomicU64::new(0),
            tsc_to_system_mul: AtomicU32::new(0),
            tsc_shift: AtomicI8::new(0),
            _flags: AtomicU8::new(0),
            _pad1: [0; 2],
        }
    }

    /// System time in nanoseconds, and the clock it was read by. Call it on the CPU whose record this is.
    pub fn system_time(&self) -> Result<(u64, CpuTime), ClockError> {
        let (time, counter) = self.read(machine::ordered_ticks)?;
        Ok((time.nanoseconds_at(counter), time))
    }

    /// The clock, and what `counter` returned while it held.
    pub(crate) fn read(&self, counter: impl Fn() -> u64) -> Result<(CpuTime, u64), ClockError> {
        let relaxed = Ordering::Relaxed;
        let (time, counter) = settled(&self.version, || {
            let time = CpuTime {
                tsc_timestamp: self.tsc_timestamp.load(relaxed),
                system_time: self.system_time.load(relaxed),
                tsc_to_system_mul: self.tsc_to_system_mul.load(relaxed),
                tsc_shift: self.tsc_shift.load(relaxed),
            };
            (time, counter())
        })
        .ok_or(ClockError::Unsettled)?;
        if time.tsc_to_system_mul == 0 { Err(ClockError::Unset) } else { Ok((time, counter)) }
    }
}

impl WallClock {
    /// A record of zeros, which is [`ClockError::Unset`].
    pub const fn new() -> Self {
        Self { version: AtomicU32::new(0), sec: AtomicU32::new(0), nsec: AtomicU32::new(0) }
    }

    /// The time of day at system time 0, since 1970 began (UTC, without leap seconds). Seconds have 32
    /// bits: they end in 2106.
    pub fn at_start(&self) -> Result<Duration, ClockError> {
        self.read(|| 0)
    }

    /// The same, with more bits of the seconds from a place beside this record.
    pub(crate) fn read(&self, high: impl Fn() -> u32) -> Result<Duration, ClockError> {
        let relaxed = Ordering::Relaxed;
        let (low, high, nanoseconds) =
            settled(&self.version, || (self.sec.load(relaxed), high(), self.nsec.load(relaxed)))
                .ok_or(ClockError::Unsettled)?;
        match u64::from(high) << 32 | u64::from(low) {
            0 => Err(ClockError::Unset),
            // No carry out of the seconds is possible that real time would reach.
            seconds => Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into())),
        }
    }
}

/// A virtual CPU's clock, as the hypervisor described it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// What the counter read at that moment.
    pub tsc_timestamp: u64,
    /// The moment, in nanoseconds since the hypervisor's clock began.
    pub system_time: u64,
    /// Nanoseconds per tick, times 2^32, after the shift.
    pub tsc_to_system_mul: u32,
    /// Ticks are shifted left by this first; right, if it is negative.
    pub tsc_shift: i8,
}

impl CpuTime {
    /// Nanoseconds of system time when the counter reads `tsc`.
    ///
    /// A counter that reads a little less than at the described moment gives that moment. "Less" is meant
    /// modulo 2^64: the counter begins at 0 with the guest, and the first moment lies before that.
    pub const fn nanoseconds_at(&self, tsc: u64) -> u64 {
        let ticks = tsc.wrapping_sub(self.tsc_timestamp).cast_signed();
        let since = nanoseconds_in(
            if ticks < 0 { 0 } else { ticks.cast_unsigned() },
            self.tsc_to_system_mul,
            self.tsc_shift,
        );
        self.system_time.saturating_add(since)
    }

    /// Nanoseconds in that many ticks.
    pub const fn nanoseconds_in(&self, ticks: u64) -> u64 {
        nanoseconds_in(ticks, self.tsc_to_system_mul, self.tsc_shift)
    }

    /// Ticks per second; 0 if the factor is.
    pub const fn hertz(&self) -> u64 {
        const SCALED_SECOND: u64 = 1_000_000_000 << 32;
        if self.tsc_to_system_mul == 0 {
            return 0;
        }
        let hertz = SCALED_SECOND / self.tsc_to_system_mul as u64;
        let shift = self.tsc_shift.unsigned_abs() as u32;
        if self.tsc_shift >= 0 {
            return if shift < u64::BITS { hertz >> shift } else { 0 };
        }
        if shift <= hertz.leading_zeros() { hertz << shift } else { u64::MAX }
    }
}

/// `(ticks << shift) * mul / 2^32`, rounded down, `u64::MAX` if it is more. A negative shift goes right.
pub(crate) const fn nanoseconds_in(ticks: u64, mul: u32, shift: i8) -> u64 {
    let distance = shift.unsigned_abs() as u32;
    if ticks == 0 || mul == 0 {
        return 0;
    }
    let shifted = if shift < 0 {
        // What is shifted out is lost by definition: the hypervisor computes the same.
        if distance < u64::BITS { (ticks >> distance) as u128 } else { 0 }
    } else if distance <= u32::BITS {
        (ticks as u128) << distance
    } else {
        return u64::MAX; // 2^33 nanoseconds a tick and more: no such clock
    };
    // At most 96 + 32 bits.
    let nanoseconds = (shifted * mul as u128) >> 32;
    if nanoseconds > u64::MAX as u128 { u64::MAX } else { nanoseconds as u64 }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::sync::atomic::{AtomicBool, fence};

    /// Writes as a hypervisor does: the version odd, the words in any order, the version even. `pause` comes in
    /// the middle.
    fn write(info: &TimeInfo, moment: u64, pause: impl Fn()) {
        let relaxed = Ordering::Relaxed;
        let version = info.version.load(relaxed);
        info.version.store(version.wrapping_add(1), relaxed);
        fence(Ordering::Release);
        info.system_time.store(moment.wrapping_mul(3), relaxed);
        info.tsc_shift.store((moment % 64) as i8, relaxed);
        pause();
        info.tsc_timestamp.store(moment, relaxed);
        info.tsc_to_system_mul.store(moment as u32 | 1, relaxed);
        info.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn is_whole(time: &CpuTime) -> bool {
        let moment = time.tsc_timestamp;
        time.system_time == moment.wrapping_mul(3)
            && time.tsc_to_system_mul == moment as u32 | 1
            && time.tsc_shift == (moment % 64) as i8
    }

    #[test]
    fn a_record_torn_by_its_writer_is_never_believed() {
        const ENOUGH: usize = 500;
        // How often the threads meet is the scheduler's affair: it goes on until they have, within reason.
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        let (info, is_over) = (TimeInfo::new(), AtomicBool::new(false));
        write(&info, 1, || {});
        let (mut settled, mut torn) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut moment = 2;
                while !is_over.load(Ordering::Relaxed) {
                    // Where the two threads share a processor, the reader must have its turn inside too.
                    write(&info, moment, || {
                        if moment.is_multiple_of(2) {
                            std::thread::yield_now();
                        }
                    });
                    // A writer that never rests leaves nothing to read.
                    for _ in 0..moment % 50 {
                        core::hint::spin_loop();
                    }
                    if moment.is_multiple_of(3) {
                        std::thread::yield_now();
                    }
                    moment += 1;
                }
            });
            let mut latest = 0;
            for reading in 0_usize.. {
                let counter = || {
                    // On one processor the writer would seldom come in between.
                    if reading.is_multiple_of(20) {
                        std::thread::yield_now();
                    }
                    reading as u64
                };
                match info.read(counter) {
                    Ok((time, counter)) => {
                        assert!(is_whole(&time), "{time:?}");
                        assert!(time.tsc_timestamp >= latest && counter == reading as u64);
                        latest = time.tsc_timestamp;
                        settled += 1;
                    }
                    Err(error) => assert_eq!(error, ClockError::Unsettled),
                }
                // The same words without the version: that they are torn shows that there was a race.
                let time = CpuTime {
                    tsc_timestamp: info.tsc_timestamp.load(Ordering::Relaxed),
                    system_time: info.system_time.load(Ordering::Relaxed),
                    tsc_to_system_mul: info.tsc_to_system_mul.load(Ordering::Relaxed),
                    tsc_shift: info.tsc_shift.load(Ordering::Relaxed),
                };
                torn += usize::from(!is_whole(&time));
                let is_enough = settled > ENOUGH && torn > ENOUGH;
                if is_enough || reading.is_multiple_of(1000) && std::time::Instant::now() > limit {
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(
            settled > ENOUGH && torn > ENOUGH,
            "{settled} settled, {torn} torn without the version"
        );
    }

    #[test]
    fn the_time_of_day_is_read_as_kvm_lays_it_out() {
        let wall = WallClock::new();
        assert_eq!(wall.at_start(), Err(ClockError::Unset));
        wall.version.store(2, Ordering::Relaxed);
        wall.sec.store(1_800_000_000, Ordering::Relaxed);
        wall.nsec.store(999_999_999, Ordering::Relaxed);
        assert_eq!(wall.at_start(), Ok(Duration::new(1_800_000_000, 999_999_999)));
        wall.version.store(3, Ordering::Relaxed);
        assert_eq!(wall.at_start(), Err(ClockError::Unsettled));
    }
}
