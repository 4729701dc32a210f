//! The verdict on a run, and the numbers and the line that report it.

use freestone_protocol::exit;

/// The verdict on a run. What `main` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// The kernel did its work and the answer is no.
    Failure,
    /// The kernel could not go on. Panics and unhandled exceptions end like this.
    Crash,
}

impl Exit {
    /// The byte written to QEMU's `isa-debug-exit` device.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => exit::SUCCESS,
            Exit::Failure => exit::FAILURE,
            Exit::Crash => exit::CRASH,
        }
    }

    /// The last line on a console where no device takes the verdict. `cargo freestone` looks for it and
    /// leaves it out of what it shows; the mark in front keeps it apart from what kernels print.
    pub(crate) fn last_line(self) -> &'static str {
        const LINES: [[u8; 29]; 3] = exit::LINES;
        const { assert!(LINES[0].is_ascii() && LINES[1].is_ascii() && LINES[2].is_ascii()) };
        // SAFETY: ASCII, as was just asserted, is UTF-8.
        unsafe { core::str::from_utf8_unchecked(&LINES[self as usize]) }
    }
}
