//! Which hypervisor runs the kernel, and Xen's console.

pub(crate) mod xen_console;

use freestone_xen::Xen;

use crate::arch;
use crate::once::Once;

/// For [`boot`](crate::boot).
pub(crate) static XEN: Once<Option<Xen>> = Once::new(None);

/// The Xen we run on, if we do.
pub fn xen() -> Option<Xen> {
    // SAFETY: `boot` wrote it before it called anything that asks; nobody has written since.
    unsafe { *XEN.get() }
}

/// The signature by which a hypervisor admits to being there. Under Xen's Viridian mode the first one is Hyper-V's, so
/// Xen goes first.
#[inline]
pub(crate) fn signature() -> Option<[u8; 12]> {
    if xen().is_some() { Some(*b"XenVMMXenVMM") } else { arch::cpu::hypervisor_signature() }
}
