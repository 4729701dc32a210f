//! Ending the machine: debug exit, Xen's shutdown, power off, halt.

use freestone_xen::Reason;

use super::cpu;
use crate::Exit;

/// QEMU's `isa-debug-exit`, where `cargo freestone` puts it.
const DEBUG_EXIT: u16 = 0xf4;

/// ACPI's PM1a control register as QEMU's `pc` and `q35` place it, and "sleep enable, type S5" for
/// their tables (ACPI 6.5, 4.8.3.2.1). A write to an empty port elsewhere.
const PM1A_CONTROL: u16 = 0x604;
const POWER_OFF: u16 = 1 << 13;

/// Tries every way out that this machine may have, best first.
pub fn end(verdict: Exit) -> ! {
    if let Some(xen) = super::xen() {
        let reason = match verdict {
            Exit::Success => Reason::PowerOff,
            Exit::Failure | Exit::Crash => Reason::Crash,
        };
        // Refused to most unprivileged guests by release builds of Xen; the reason is left to them.
        let _ = xen.console_write(verdict.last_line());
        // Comes back only if Xen refuses; then the ways below are tried.
        let _ = xen.shutdown(reason);
    }
    // SAFETY: ports 0xf4 and 0x604 end the machine or, where nothing answers, do nothing; ending it
    // is what the caller asked for, so no state is left to protect.
    unsafe {
        cpu::outb(DEBUG_EXIT, verdict.code());
        cpu::outw(PM1A_CONTROL, POWER_OFF);
    }
    cpu::halt()
}
