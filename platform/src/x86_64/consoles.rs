//! The consoles of a PC: a serial line, and a port for debugging.

use freestone_rt::console::register;

use crate::devices::pc::{debug_port, uart16550};

pub(crate) use uart16550::{listen, take};

/// Registers those that are there. There is room for four, so no registration can fail.
#[inline]
pub(crate) fn detect() {
    if let Some(uart) = uart16550::detect() {
        let _ = register(uart);
    }
    if let Some(port) = debug_port::detect() {
        let _ = register(port);
    }
}
