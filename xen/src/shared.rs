//! The page that Xen shares with the guest: its clocks, since Xen's start and of day, and its event channels.
//!
//! How such a clock is read is in `pvclock.rs`; what the bits of the channels mean, in `event.rs`.
//!
//! Source: `public/xen.h`, `struct shared_info`; `public/memory.h`, `XENMEM_add_to_physmap`.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use crate::hypercall::{Hypercall, address, check, number};
use crate::pvclock::{ClockError, CpuTime, TimeInfo, WallClock};
use crate::{Error, Xen};

/// `XENMEM_add_to_physmap`.
const ADD_TO_PHYSMAP: u64 = 7;
/// `XENMAPSPACE_shared_info`.
const SPACE_SHARED_INFO: u32 = 0;
/// `DOMID_SELF`.
pub(crate) const SELF: u16 = 0x7ff0;

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

/// `struct vcpu_info` on x86_64.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RawVcpu {
    pub evtchn_upcall_pending: AtomicU8,
    evtchn_upcall_mask: AtomicU8,
    pub evtchn_pending_sel: AtomicU64,
    arch: [AtomicU64; 2],
    time: TimeInfo,
}

/// The beginning of `struct shared_info` on x86_64: atomics, as Xen writes to it at any time.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RawShared {
    pub vcpu_info: [RawVcpu; 32],
    pub evtchn_pending: [AtomicU64; 64],
    pub evtchn_mask: [AtomicU64; 64],
    /// `wc_version`, `wc_sec`, `wc_nsec`.
    wall: WallClock,
    wc_sec_hi: AtomicU32,
}

const _: () = assert!(size_of::<RawVcpu>() == 64 && offset_of!(RawVcpu, time) == 32);
const _: () = assert!(offset_of!(RawVcpu, evtchn_pending_sel) == 8);
const _: () = assert!(offset_of!(RawShared, evtchn_pending) == 2048);
const _: () = assert!(offset_of!(RawShared, wall) == 3072);
const _: () = assert!(size_of::<RawShared>() <= size_of::<Page>());

/// The page that Xen shares with the guest. `Copy`: make it once and keep it.
#[derive(Clone, Copy, Debug)]
pub struct SharedInfo(pub(crate) &'static RawShared);

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
        Ok(SharedInfo::of(page))
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
        self.time_info(cpu)?.system_time()
    }

    /// The time of day at system time 0, since 1970 began (UTC, without leap seconds).
    ///
    /// - Since: Xen 3.0; seconds beyond 32 bits since Xen 4.6.
    /// - Blocks: no.
    /// - Source: `public/xen.h`, `struct shared_info`, `wc_sec`, `wc_nsec`, `wc_sec_hi`.
    pub fn wall_clock(&self) -> Result<Duration, ClockError> {
        self.0.wall.read(|| self.0.wc_sec_hi.load(Ordering::Relaxed))
    }

    pub(crate) fn time_info(&self, cpu: usize) -> Result<&'static TimeInfo, ClockError> {
        self.0.vcpu_info.get(cpu).map(|info| &info.time).ok_or(ClockError::NoSuchCpu)
    }

    /// The page that Xen shares in the place of `page`: what [`Xen::shared_info`] returned, once more. If it was
    /// never called the page is one of zeros: its clocks say that they are unset, no event is pending.
    pub fn of(page: &'static Page) -> Self {
        // SAFETY: a page has the size and alignment of its beginning, every bit pattern is a value, and all
        // of it is in an `UnsafeCell`. What is read through this reference are atomics.
        Self(unsafe { &*(&raw const *page).cast::<RawShared>() })
    }
}
