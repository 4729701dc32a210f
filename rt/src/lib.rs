//! What the compiler expects to find in a Rust kernel, and text output to report with.
//!
//! `core` needs a panic handler, and the prebuilt `core` and `alloc` refer to a few symbols that only an unwinder would
//! define. These belong to the final program. So this library does not export them: a macro, [`runtime!`], defines them in
//! your kernel. A library that exported them would break every host test that links it.
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
//!
//! # Output
//!
//! [`console::register`] adds a [`Console`](console::Console): anything that takes bytes in any context. It stays
//! registered. `print!` and `println!` write to all of them. A lock keeps the lines of two contexts apart, but `print!`
//! waits for it a bounded time only and then prints anyway. So a handler may print, even over a `print!` that it
//! interrupted; lines may mix then. Nothing is buffered. The feature `log` adds `logger`, a backend for the crate `log`.
//!
//! # A panic
//!
//! The [panic report](mod@panic) writes the location, the message and a backtrace to every console, without a lock and
//! without allocating. Then it calls the function that `runtime!` was given, which must not return. A panic inside the
//! report prints a shorter report, and a third panic one line. The report is as good as the consoles: one that waits for
//! ever stops it.
//!
//! # A backtrace
//!
//! [`backtrace`] follows frame pointers, at most 32 of them. Code has them if it is compiled with
//! `-C force-frame-pointers=yes`; frames of other functions are missing, or the trace ends early. There is no trace until
//! boot code has called [`backtrace::set_bounds`], which says which memory is a stack and which is code. Nothing outside of
//! these is read or shown. Functions have names if the image holds a [table of them](symbols), which `cargo freestone`
//! makes; otherwise the trace shows addresses.
//!
//! # The other parts
//!
//! [`mod@shims`] has the symbols of the unwinder and the stack protector. Nothing unwinds: a kernel is built with
//! `panic = "abort"`. [`number`] formats numbers without `core`'s padding code, which saves some 3.5 KiB in a small kernel.

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

/// Defines the panic handler and the [shims](mod@shims) in a kernel's crate.
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
