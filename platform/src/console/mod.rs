//! The consoles of a machine, found by probing, without configuration.
//!
//! Xen guests print through the hypervisor; elsewhere a 16550 UART is looked for by writing and
//! reading its scratch register, and QEMU's debug port by reading its signature. All that answer are
//! registered, the UART first. If none answers, the kernel runs silently.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::console::{self, Console};
//!
//! /// A console that keeps the last bytes in memory, for a debugger to read.
//! struct Ring {
//!     bytes: [AtomicU8; 4096],
//!     next: AtomicUsize,
//! }
//! # use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
//!
//! impl Console for Ring {
//!     fn name(&self) -> &'static str {
//!         "ring"
//!     }
//!
//!     fn write(&self, bytes: &[u8]) {
//!         for byte in bytes {
//!             self.bytes[self.next.fetch_add(1, Relaxed) % 4096].store(*byte, Relaxed);
//!         }
//!     }
//! }
//!
//! static RING: Ring = Ring { bytes: [const { AtomicU8::new(0) }; 4096], next: AtomicUsize::new(0) };
//!
//! console::register(&RING).expect("a free place");
//! for console in console::consoles() {
//!     freestone_rt::println!("this is printed on {}", console.name());
//! }
//! ```

#[doc(inline)]
pub use freestone_rt::console::{Console, MAX_CONSOLES, RegistryFull, consoles, register};

use crate::arch;
use crate::hypervisor::{xen, xen_console};
use crate::interrupts::LineError;

/// Has bytes that are typed at the console raise `vector`: once when there are some after there were none. Whoever handles
/// it [takes](take) them until there are none. On Xen nothing comes.
///
/// # Errors
///
/// Those of [`interrupts::connect`](crate::interrupts::connect).
///
/// # Panics
///
/// If `vector` is not an interrupt's.
pub fn listen(vector: u8) -> Result<(), LineError> {
    arch::consoles::listen(vector)
}

/// A byte that was typed. For one piece of code at a time. In any context.
pub fn take() -> Option<u8> {
    if xen().is_some() { None } else { arch::consoles::take() }
}

/// Looks for consoles and registers what it finds.
pub(crate) fn detect() {
    match xen() {
        // The first UART is Xen's own; what a dom0 writes there is lost. There is room.
        Some(_) => drop(register(&xen_console::Hypervisor)),
        None => arch::consoles::detect(),
    }
}
