//! The verdict on a run, and the numbers and the line by which it is told.

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
    /// The byte written to QEMU's `isa-debug-exit` device. `cargo freestone` knows the same three.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Success => 0x10,
            Exit::Failure => 0x11,
            Exit::Crash => 0x12,
        }
    }

    /// The last line on a console where no device takes the verdict. `cargo freestone` looks for it and
    /// leaves it out of what it shows; the mark in front keeps it apart from what kernels print.
    pub(crate) fn last_line(self) -> &'static [u8] {
        // Padded to one length, which saves a table.
        const LINES: [[u8; 29]; 3] = [
            *b"\x1efreestone verdict: success \n",
            *b"\x1efreestone verdict: failure \n",
            *b"\x1efreestone verdict: crash   \n",
        ];
        &LINES[self as usize]
    }
}
