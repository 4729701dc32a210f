//! A clock that the hypervisor shares, Xen's or KVM's: set up when the time is first asked for, read ever after.
//!
//! Only the boot processor's clock is read: it is the only one that runs so far.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;

use freestone_xen::{CpuTime, Page, SharedInfo};

use super::kvm_clock::KvmClock;
use super::{Once, clock, cpu};
use crate::time::Source;

const BOOT_CPU: usize = 0;

/// Where Xen's page appears. The kernel is mapped at its physical addresses, so its frame is known.
static PAGE: Page = Page::new();

/// Where KVM writes.
static KVM: KvmClock = KvmClock::new();

/// Who shares a clock.
#[derive(Clone, Copy)]
enum Shared {
    Xen(SharedInfo),
    Kvm(&'static KvmClock),
}

static SHARED: Once<Option<Shared>> = Once(core::cell::UnsafeCell::new(None));

/// System time at the image's first instruction, in nanoseconds.
static START: AtomicU64 = AtomicU64::new(0);

/// What is known about `SHARED`; each is followed by the next one or, at the end, by none.
static STATE: AtomicU8 = AtomicU8::new(UNTRIED);
const UNTRIED: u8 = 0;
/// Somebody is about to know. Who comes in between (an interrupt handler) does without.
const TRYING: u8 = 1;
const ABSENT: u8 = 2;
const READY: u8 = 3;

/// Nanoseconds since the image's first instruction, if there is such a clock.
pub(super) fn nanoseconds_since_boot() -> Option<u64> {
    let (nanoseconds, _) = read(shared()?)?;
    Some(nanoseconds.saturating_sub(START.load(Ordering::Relaxed)))
}

/// Ticks of the cycle counter per second, as the clock has it now.
pub(super) fn hertz() -> Option<(u64, Source)> {
    let shared = shared()?;
    let source = match shared {
        Shared::Xen(_) => Source::XenClock,
        Shared::Kvm(_) => Source::KvmClock,
    };
    read(shared).map(|(_, time)| (time.hertz(), source)).filter(|&(hertz, _)| hertz != 0)
}

/// The time of day.
pub(super) fn wall() -> Option<Duration> {
    let shared = shared()?;
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

/// The page that Xen shares, for who wants more of it than the clock.
pub(super) fn xen_page() -> Option<SharedInfo> {
    match shared()? {
        Shared::Xen(page) => Some(page),
        Shared::Kvm(_) => None,
    }
}

fn read(shared: Shared) -> Option<(u64, CpuTime)> {
    match shared {
        Shared::Xen(page) => page.system_time(BOOT_CPU).ok(),
        Shared::Kvm(kvm) => kvm.time.system_time().ok(),
    }
}

fn shared() -> Option<Shared> {
    match STATE.load(Ordering::Acquire) {
        // SAFETY: `READY` was stored after the only write there is.
        READY => unsafe { *SHARED.0.get() },
        UNTRIED => find(),
        _ => None,
    }
}

/// Finds out. The time of the first instruction is reckoned back by the counter.
#[cold]
fn find() -> Option<Shared> {
    let mine = STATE.compare_exchange(UNTRIED, TRYING, Ordering::Acquire, Ordering::Relaxed);
    mine.ok()?;
    let found = xen().or_else(kvm).and_then(|shared| {
        let ticks = clock::ticks_since_boot();
        let (now, time) = read(shared)?;
        START.store(now.saturating_sub(time.nanoseconds_in(ticks)), Ordering::Relaxed);
        // SAFETY: whoever changed `UNTRIED` is the only one to come here, and nobody reads before `READY`.
        unsafe { *SHARED.0.get() = Some(shared) };
        Some(shared)
    });
    STATE.store(if found.is_some() { READY } else { ABSENT }, Ordering::Release);
    found
}

fn xen() -> Option<Shared> {
    let frame = (&raw const PAGE).addr() as u64 >> crate::memory::PAGE_SIZE.trailing_zeros();
    // SAFETY: `PAGE` is a page of `.bss`, mapped readable and cached at its own address for as long as the
    // kernel runs. This is the only call, once: see `find`.
    unsafe { super::xen()?.shared_info(&PAGE, frame) }.ok().map(Shared::Xen)
}

fn kvm() -> Option<Shared> {
    super::hypervisor_signature()?;
    // SAFETY: `start` writes registers that KVM says it has, and lets it write to a static for ever.
    KVM.start(cpu::cpuid, |register, value| unsafe { cpu::write_msr(register, value) })
        .then_some(Shared::Kvm(&KVM))
}
