//! The consoles a machine may have, found by looking, not by configuration.
//!
//! Xen guests print through the hypervisor; elsewhere a 16550 UART is looked for by writing and
//! reading its scratch register, and QEMU's debug port by reading its signature. All that answer are
//! registered, the UART first. If none answers, the kernel runs silently.

mod debug_port;
mod uart16550;
mod xen;

use freestone_rt::console::register;

use crate::arch;

/// Looks for consoles and registers what it finds.
pub(crate) fn detect() {
    // There is room for four and at most two are found here, so no registration can fail.
    if arch::xen().is_some() {
        // The first UART is Xen's own; what a dom0 writes there is lost.
        let _ = register(&xen::Hypervisor);
        return;
    }
    if let Some(uart) = uart16550::detect() {
        let _ = register(uart);
    }
    if let Some(port) = debug_port::detect() {
        let _ = register(port);
    }
}
