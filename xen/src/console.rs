//! Xen's own console: the first words of a guest, before it has a console of its own.
//!
//! Source: `public/xen.h`, `CONSOLEIO_*`.

use crate::hypercall::{Hypercall, address, check, number};
use crate::{Error, Xen};

/// `CONSOLEIO_write`.
const WRITE: u64 = 0;

/// The count is an `unsigned int`, and Xen refuses what would be negative as an `int`.
const MOST_BYTES: usize = i32::MAX as usize;

impl Xen {
    /// Writes to the hypervisor's console, all or nothing up to 2 GiB, in pieces beyond that.
    ///
    /// Dom0's text appears at once and as it is. Of another guest Xen prints whole lines and drops
    /// what is not printable, and only if its log level for guests lets them through. A release
    /// build of Xen may refuse the call to such a guest with [`Error::EPERM`].
    ///
    /// - Since: before PVH.
    /// - Blocks: no, but on a slow serial line Xen takes as long as that needs.
    /// - Source: `public/xen.h`, `HYPERVISOR_console_io`, `CONSOLEIO_write`.
    #[inline]
    pub fn console_write(self, text: &[u8]) -> Result<(), Error> {
        write(&self.gate, text, MOST_BYTES)
    }
}

#[inline]
pub(crate) fn write(via: &impl Hypercall, text: &[u8], most_bytes: usize) -> Result<(), Error> {
    for piece in text.chunks(most_bytes) {
        let args = [WRITE, piece.len() as u64, address(piece), 0, 0];
        // SAFETY: Xen reads the `piece`, which we hold a reference to.
        check(unsafe { via.call(number::CONSOLE_IO, args) })?;
    }
    Ok(())
}
