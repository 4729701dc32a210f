//! A virtual CPU's own timer: one deadline, reported by an event ([`Virq::Timer`](crate::Virq::Timer)).
//!
//! Source: `public/vcpu.h`, `VCPUOP_*`.

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen};

/// `VCPUOP_set_singleshot_timer`.
const SET_TIMER: u64 = 8;
/// `VCPUOP_stop_singleshot_timer`.
const STOP_TIMER: u64 = 9;

/// `struct vcpu_set_singleshot_timer`.
#[repr(C)]
pub(crate) struct SingleShot {
    pub timeout_abs_ns: u64,
    pub flags: u32,
}

// 32-bit guests have another layout, and no hypercalls here.
#[cfg(target_pointer_width = "64")]
const _: () =
    assert!(size_of::<SingleShot>() == 16 && core::mem::offset_of!(SingleShot, flags) == 8);

impl Xen {
    /// Has an event sent to this virtual CPU when the system time ([`SharedInfo::system_time`]) is `at`, in
    /// nanoseconds; at once, if it has been already. The deadline before it is forgotten.
    ///
    /// A virtual CPU sets its own; the number says which one that is.
    ///
    /// - Since: Xen 3.1.
    /// - Blocks: no.
    /// - Source: `public/vcpu.h`, `VCPUOP_set_singleshot_timer`.
    ///
    /// [`SharedInfo::system_time`]: crate::SharedInfo::system_time
    pub fn set_timer(self, vcpu: u32, at: u64) -> Result<(), Error> {
        set_timer(&self.gate, vcpu, at)
    }

    /// Forgets the deadline.
    ///
    /// - Since: Xen 3.1.
    /// - Blocks: no.
    /// - Source: `public/vcpu.h`, `VCPUOP_stop_singleshot_timer`.
    pub fn stop_timer(self, vcpu: u32) -> Result<(), Error> {
        stop_timer(&self.gate, vcpu)
    }
}

pub(crate) fn set_timer(via: &impl Hypercall, vcpu: u32, at: u64) -> Result<(), Error> {
    let arg = SingleShot { timeout_abs_ns: at, flags: 0 };
    let args = [SET_TIMER, vcpu.into(), address(&raw const arg), 0, 0];
    // SAFETY: Xen reads `arg`.
    check(unsafe { via.call(number::VCPU_OP, args) })?;
    Ok(())
}

pub(crate) fn stop_timer(via: &impl Hypercall, vcpu: u32) -> Result<(), Error> {
    // SAFETY: touches no memory.
    check(unsafe { via.call(number::VCPU_OP, [STOP_TIMER, vcpu.into(), 0, 0, 0]) })?;
    Ok(())
}
