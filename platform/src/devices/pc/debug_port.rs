//! Port 0xe9: QEMU's `isa-debugcon`, which Bochs had first. One `out` is one character.

use freestone_rt::console::Console;

use crate::x86_64::cpu::{inb, outb};

const PORT: u16 = 0xe9;

struct DebugPort;

/// The device answers reads with its own address.
pub(crate) fn detect() -> Option<&'static dyn Console> {
    // SAFETY: reading this port has no effect on any device known to be there.
    let there = unsafe { inb(PORT) } == PORT as u8;
    there.then_some(&DebugPort)
}

impl Console for DebugPort {
    fn name(&self) -> &'static str {
        "debug port"
    }

    fn write(&self, bytes: &[u8]) {
        for &byte in bytes {
            // SAFETY: a character for the debug console, nothing else.
            unsafe { outb(PORT, byte) };
        }
    }
}
