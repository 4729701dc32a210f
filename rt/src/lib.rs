//! What the compiler expects to find in a Rust kernel, and a voice to report with.
//!
//! `core` needs somebody to handle a panic, and prebuilt `core` and `alloc` leave a few symbols
//! undefined that only an unwinder would define. Both belong to the final program, so they are
//! stamped into it by [`runtime!`], never exported by this library: a library that defined them
//! would break every host test that links it.
//!
//! - [`console`]: a registry of consoles, `print!` and `println!`.
//! - [`mod@panic`]: a report that always comes out: it takes no lock, and a panic while panicking
//!   still prints and ends.
//! - [`backtrace`]: return addresses by following frame pointers, inside bounds that are checked.
//! - [`symbols`]: names of functions, from a compact table in the image.
//! - [`number`]: numbers in reports, without `core`'s padding machinery.
//! - [`mod@shims`]: the unwinder's and stack protector's names.
//! - `logger` (feature `log`): a backend for the `log` crate.
//!
//! This crate knows no machine. A kernel with boot code of its own brings a console and a way to end:
//!
//! ```
//! use freestone_rt::console::{self, Console};
//!
//! struct Serial;
//!
//! impl Console for Serial {
//!     fn name(&self) -> &'static str {
//!         "serial port"
//!     }
//!     fn write(&self, bytes: &[u8]) {
//!         for byte in bytes { /* wait a bounded time, then out 0x3f8, byte */ }
//!     }
//! }
//!
//! // In the kernel: freestone_rt::runtime!(exit = power_off);
//! fn power_off() -> ! {
//!     loop {}
//! }
//!
//! // What the entry assembly calls.
//! extern "C" fn kernel_main() -> ! {
//!     let _ = console::register(&Serial);
//!     freestone_rt::println!("hello");
//!     power_off()
//! }
//! # fn main() {}
//! ```
//!
//! The kernel in `tests/kernels/own-boot` of the repository is this one, complete.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod backtrace;
pub mod console;
#[cfg(feature = "log")]
pub mod logger;
pub mod number;
pub mod panic;
mod registry;
pub mod shims;
pub mod symbols;
mod sync;

/// Stamps the panic handler and the [shims](mod@shims) into a kernel.
///
/// `runtime!(exit = PATH)` where `PATH` is a `fn() -> !` that ends the machine with whatever it
/// has for "crashed". It is called after the panic has been reported, in any context, possibly
/// more than once, and must not wait for a lock.
///
/// Expands to [`panic_handler!`] and [`shims!`]; take either alone to replace the other.
#[macro_export]
macro_rules! runtime {
    (exit = $exit:path) => {
        $crate::panic_handler!(exit = $exit);
        $crate::shims!();
    };
}
