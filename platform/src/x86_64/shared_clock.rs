//! A clock in memory that the hypervisor shares, Xen's or KVM's: set up when the time is first asked for, read from then on.
//!
//! Only the boot processor's clock is read: no other processor runs so far.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;

use freestone_xen::{CpuTime, Page, SharedInfo};

use super::kvm_clock::KvmClock;
use super::{cpu, ticks};
use crate::cores;
use crate::hypervisor;
use crate::memory::address::PAGE_SIZE;
use crate::time::rate::Source;

/// Where Xen's page appears. The kernel is mapped at its physical addresses, so its frame is known.
static PAGE: Page = Page::new();

/// Where KVM writes.
static KVM: KvmClock = KvmClock::new();

/// The hypervisor that shares a clock.
#[derive(Clone, Copy)]
pub(super) enum Shared {
    Xen(SharedInfo),
    Kvm(&'static KvmClock),
}

/// System time at the image's first instruction, in nanoseconds.
static START: AtomicU64 = AtomicU64::new(UNSET);
const UNSET: u64 = u64::MAX;

/// Whose clock it is. An NMI or an exception may ask while this is being found out: it finds out too, which does no
/// harm to be done twice, and the first of both has set [`START`] and this for good.
static WHOSE: AtomicU8 = AtomicU8::new(UNTRIED);
const UNTRIED: u8 = 0;
const NOBODYS: u8 = 1;
const XENS: u8 = 2;
const KVMS: u8 = 3;

/// Nanoseconds since the image's first instruction.
pub(super) fn nanoseconds_since_boot(shared: Shared) -> Option<u64> {
    let (nanoseconds, _) = read(shared)?;
    Some(nanoseconds.saturating_sub(START.load(Ordering::Relaxed)))
}

/// Ticks of the cycle counter per second, as the clock has it now.
pub(super) fn hertz() -> Option<(u64, Source)> {
    let shared = get()?;
    let source = match shared {
        Shared::Xen(_) => Source::XenClock,
        Shared::Kvm(_) => Source::KvmClock,
    };
    read(shared).map(|(_, time)| (time.hertz(), source)).filter(|&(hertz, _)| hertz != 0)
}

/// The time of day.
pub(super) fn wall() -> Option<Duration> {
    let shared = get()?;
    let at_start = match shared {
        Shared::Xen(page) => page.wall_clock(),
        Shared::Kvm(kvm) => {
            // SAFETY: `find` has had the answer that KVM has these registers.
            kvm.wall_at_start(|register, value| unsafe { cpu::write_msr(register, value) })
        }
    };
    let (since, _) = read(shared)?;
    Some(at_start.ok()? + Duration::from_nanos(since))
}

/// The page that Xen shares, for uses other than the clock.
pub(super) fn xen_page() -> Option<SharedInfo> {
    match get()? {
        Shared::Xen(page) => Some(page),
        Shared::Kvm(_) => None,
    }
}

fn read(shared: Shared) -> Option<(u64, CpuTime)> {
    match shared {
        Shared::Xen(page) => page.system_time(cores::BOOT).ok(),
        Shared::Kvm(kvm) => kvm.time.system_time().ok(),
    }
}

/// The clock, if somebody shares one.
pub(super) fn get() -> Option<Shared> {
    let whose = match WHOSE.load(Ordering::Acquire) {
        UNTRIED => find(),
        known => known,
    };
    match whose {
        XENS => Some(Shared::Xen(SharedInfo::of(&PAGE))),
        KVMS => Some(Shared::Kvm(&KVM)),
        _ => None,
    }
}

/// Finds out. The time of the first instruction is reckoned back by the counter.
#[cold]
fn find() -> u8 {
    let found = if has_xens() {
        Some((XENS, Shared::Xen(SharedInfo::of(&PAGE))))
    } else if has_kvms() {
        Some((KVMS, Shared::Kvm(&KVM)))
    } else {
        None
    };
    let whose = found.and_then(|(whose, shared)| {
        let passed = ticks::since_boot();
        let (now, time) = read(shared)?;
        let start = now.saturating_sub(time.nanoseconds_in(passed));
        let _ = START.compare_exchange(UNSET, start, Ordering::Relaxed, Ordering::Relaxed);
        Some(whose)
    });
    let whose = whose.unwrap_or(NOBODYS);
    let first = WHOSE.compare_exchange(UNTRIED, whose, Ordering::AcqRel, Ordering::Acquire);
    first.err().unwrap_or(whose)
}

fn has_xens() -> bool {
    let frame = (&raw const PAGE).addr() as u64 >> PAGE_SIZE.trailing_zeros();
    // SAFETY: `PAGE` is a page of `.bss`, mapped readable and cached at its own address for as long as the
    // kernel runs. No other place is ever given to this call; the same again leaves the page where it is.
    hypervisor::xen().is_some_and(|xen| unsafe { xen.shared_info(&PAGE, frame) }.is_ok())
}

fn has_kvms() -> bool {
    // SAFETY: `start` writes registers that KVM says it has, and lets it write to a static for ever.
    hypervisor::signature().is_some()
        && KVM.start(cpu::cpuid, |register, value| unsafe { cpu::write_msr(register, value) })
}
