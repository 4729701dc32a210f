//! The consoles of a PC: a serial line, and a port for debugging.

use freestone_rt::console::Console;

use crate::devices::pc::{debug_port, uart16550};

/// Those that are there.
pub(crate) fn detect() -> [Option<&'static dyn Console>; 2] {
    [uart16550::detect(), debug_port::detect()]
}
