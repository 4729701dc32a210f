//! Time from the page that Xen shares with the guest: since Xen's start, and of day.
//!
//! For each virtual CPU the page holds a moment, as a reading of the time stamp counter and as
//! nanoseconds of *system time* (since Xen started), and a factor from one to the other. Xen writes
//! them anew when the CPU's speed changes, when the virtual CPU moves to another one, and now and
//! then to follow its own clock. So:
//!
//! ```text
//! system time = system_time + ((counter - tsc_timestamp) << tsc_shift) * tsc_to_system_mul / 2^32
//! time of day = wc_sec, wc_nsec (the time of day at system time 0) + system time
//! ```
//!
//! A version number in front of each group is odd while Xen writes, and another one after. A reader
//! takes what it read if the number was even before and is the same after; the counter is read in
//! between too, since a moment of one CPU says nothing about the counter of another.
//!
//! Source: `public/xen.h`, `struct vcpu_time_info`, `struct shared_info`; `public/memory.h`,
//! `XENMEM_add_to_physmap`.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen, machine};

/// `XENMEM_add_to_physmap`.
const ADD_TO_PHYSMAP: u64 = 7;
/// `XENMAPSPACE_shared_info`.
const SPACE_SHARED_INFO: u32 = 0;
/// `DOMID_SELF`.
const SELF: u16 = 0x7ff0;

/// How often a group is read again before its reader gives up. Xen writes a handful of words, seldom;
/// a guest that comes here is misled or starved.
const TRIES: usize = 1000;

/// `struct xen_add_to_physmap`.
#[repr(C)]
pub(crate) struct AddToPhysmap {
    pub domid: u16,
    pub size: u16,
    pub space: u32,
    pub idx: u64,
    pub gpfn: u64,
}

const _: () = assert!(size_of::<AddToPhysmap>() == 24 && offset_of!(AddToPhysmap, gpfn) == 16);

/// A page of memory, to be given up for what Xen shares: `static PAGE: Page = Page::new();`.
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u8; 4096]>);

// SAFETY: the bytes are reached through `SharedInfo` only, which reads them one volatile word at a time.
unsafe impl Sync for Page {}

impl Page {
    /// A page of zeros.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 4096]))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a shared clock cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockError {
    /// Xen has not set it; ask another clock.
    Unset,
    /// It was being written at every look; try again.
    Unsettled,
    /// Only the first 32 virtual CPUs have one here.
    NoSuchCpu,
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "Xen has not set this clock",
            Self::Unsettled => "Xen is always writing this clock",
            Self::NoSuchCpu => "this virtual CPU has no place in the shared page",
        })
    }
}

impl core::error::Error for ClockError {}

/// `struct vcpu_time_info`.
#[repr(C)]
struct RawTime {
    version: u32,
    _pad: u32,
    tsc_timestamp: u64,
    system_time: u64,
    tsc_to_system_mul: u32,
    tsc_shift: i8,
    flags: u8,
    _pad1: [u8; 2],
}

/// `struct vcpu_info` on x86_64.
#[repr(C)]
struct RawVcpu {
    evtchn_upcall_pending: u8,
    evtchn_upcall_mask: u8,
    evtchn_pending_sel: u64,
    arch: [u64; 2],
    time: RawTime,
}

/// The beginning of `struct shared_info` on x86_64.
#[repr(C)]
struct RawShared {
    vcpu_info: [RawVcpu; 32],
    evtchn_pending: [u64; 64],
    evtchn_mask: [u64; 64],
    wc_version: u32,
    wc_sec: u32,
    wc_nsec: u32,
    wc_sec_hi: u32,
}

const _: () = assert!(size_of::<RawTime>() == 32 && offset_of!(RawTime, tsc_to_system_mul) == 24);
const _: () = assert!(size_of::<RawVcpu>() == 64 && offset_of!(RawVcpu, time) == 32);
const _: () = assert!(offset_of!(RawShared, wc_version) == 3072);
const _: () = assert!(size_of::<RawShared>() <= size_of::<Page>());

/// A virtual CPU's clock, as Xen described it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// What the counter read at that moment.
    pub tsc_timestamp: u64,
    /// The moment, in nanoseconds since Xen started.
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
        // What is shifted out is lost by definition: Xen computes the same.
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

/// The page that Xen shares with the guest. `Copy`: make it once and keep it.
#[derive(Clone, Copy, Debug)]
pub struct SharedInfo(NonNull<RawShared>);

// SAFETY: everything is read by volatile loads; that Xen writes meanwhile is what versions are for.
unsafe impl Send for SharedInfo {}
// SAFETY: as above.
unsafe impl Sync for SharedInfo {}

impl Xen {
    /// Has Xen put the page it shares in the place of `page`.
    ///
    /// The memory that was there goes back to Xen. There is one such page per guest: a second call moves
    /// it, and leaves nothing where it was.
    ///
    /// - Since: Xen 3.0; before PVH.
    /// - Blocks: no.
    /// - Source: `public/memory.h`, `XENMEM_add_to_physmap`, `XENMAPSPACE_shared_info`.
    ///
    /// # Safety
    ///
    /// - `frame` is the number of the guest-physical page that `page` is mapped to, readable and cached,
    ///   and stays so.
    /// - No other place was given to this call before, or nobody reads there any more.
    pub unsafe fn shared_info(self, page: &'static Page, frame: u64) -> Result<SharedInfo, Error> {
        map_shared_info(&self.gate, frame)?;
        Ok(SharedInfo(NonNull::from(page).cast()))
    }
}

pub(crate) fn map_shared_info(via: &impl Hypercall, frame: u64) -> Result<(), Error> {
    let (domid, space) = (SELF, SPACE_SHARED_INFO);
    let arg = AddToPhysmap { domid, size: 0, space, idx: 0, gpfn: frame };
    let args = [ADD_TO_PHYSMAP, address(&raw const arg), 0, 0, 0];
    // SAFETY: Xen reads `arg`. What it does to the frame is what the caller of the method asked for.
    check(unsafe { via.call(number::MEMORY_OP, args) })?;
    Ok(())
}

impl SharedInfo {
    /// System time of a virtual CPU in nanoseconds since Xen started, and the clock it was read by.
    /// Call it on that CPU.
    ///
    /// - Since: Xen 3.0; Arm has no such clock.
    /// - Blocks: no.
    /// - Source: `public/xen.h`, `struct vcpu_time_info`.
    pub fn system_time(&self, cpu: usize) -> Result<(u64, CpuTime), ClockError> {
        let (time, counter) = self.cpu_time(cpu, machine::ordered_ticks)?;
        Ok((time.nanoseconds_at(counter), time))
    }

    /// The time of day at system time 0, since 1970 began (UTC, without leap seconds).
    ///
    /// - Since: Xen 3.0; seconds beyond 32 bits since Xen 4.6.
    /// - Blocks: no.
    /// - Source: `public/xen.h`, `struct shared_info`, `wc_sec`, `wc_nsec`, `wc_sec_hi`.
    pub fn wall_clock(&self) -> Result<Duration, ClockError> {
        let page = self.0.as_ptr().cast_const();
        // SAFETY: a place inside the page; see `cpu_time`.
        let version = unsafe { &raw const (*page).wc_version };
        let (low, high, nanoseconds) = settled(version, || {
            // SAFETY: as in `cpu_time`.
            unsafe {
                let low = (&raw const (*page).wc_sec).read_volatile();
                let high = (&raw const (*page).wc_sec_hi).read_volatile();
                (low, high, (&raw const (*page).wc_nsec).read_volatile())
            }
        })?;
        match u64::from(high) << 32 | u64::from(low) {
            0 => Err(ClockError::Unset),
            // No carry out of the seconds is possible that real time would reach.
            seconds => Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into())),
        }
    }

    /// The clock of a virtual CPU and what `counter` returned while it held.
    pub(crate) fn cpu_time(
        &self,
        cpu: usize,
        counter: impl Fn() -> u64,
    ) -> Result<(CpuTime, u64), ClockError> {
        const CPUS: usize = 32;
        if cpu >= CPUS {
            return Err(ClockError::NoSuchCpu);
        }
        // SAFETY: a place inside the page, as `cpu` is below the number of entries. The page exists as
        // long as a `SharedInfo` does: `Xen::shared_info` takes it for good.
        let time = unsafe { &raw const (*self.0.as_ptr()).vcpu_info[cpu].time };
        // SAFETY: as above; only an address is computed.
        let version = unsafe { &raw const (*time).version };
        let (time, counter) = settled(version, || {
            // SAFETY: readable and aligned, as above; Xen may write at any time, so volatile. What was
            // torn by that is not used.
            unsafe {
                let time = CpuTime {
                    tsc_timestamp: (&raw const (*time).tsc_timestamp).read_volatile(),
                    system_time: (&raw const (*time).system_time).read_volatile(),
                    tsc_to_system_mul: (&raw const (*time).tsc_to_system_mul).read_volatile(),
                    tsc_shift: (&raw const (*time).tsc_shift).read_volatile(),
                };
                (time, counter())
            }
        })?;
        if time.tsc_to_system_mul == 0 { Err(ClockError::Unset) } else { Ok((time, counter)) }
    }

    /// A page that a test has filled.
    #[cfg(test)]
    pub(crate) fn of(page: &'static Page) -> Self {
        Self(NonNull::from(page).cast())
    }
}

/// What `read` returns while the version is even and does not change.
fn settled<T>(version: *const u32, read: impl Fn() -> T) -> Result<T, ClockError> {
    for _ in 0..TRIES {
        // SAFETY: both callers pass the address of a version in the page.
        let before = unsafe { version.read_volatile() };
        fence(Ordering::Acquire);
        let value = read();
        fence(Ordering::Acquire);
        // SAFETY: as above.
        let after = unsafe { version.read_volatile() };
        if before == after && before & 1 == 0 {
            return Ok(value);
        }
        core::hint::spin_loop();
    }
    Err(ClockError::Unsettled)
}
