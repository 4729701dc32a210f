//! What the compiler expects to find in a Rust kernel, and a voice to report with.
//!
//! `core` needs somebody to handle a panic, and prebuilt `core` and `alloc` leave a few symbols
//! undefined that only an unwinder would define. Both belong to the final program, so they are
//! stamped into it by [`runtime!`], never exported by this library: a library that defined them
//! would break every host test that links it.
//!
//! - [`console`]: a registry of consoles, `print!` and `println!`.
//! - [`panic`]: a report that always comes out: it takes no lock, and a panic while panicking
//!   still prints and ends.
//! - [`backtrace`]: return addresses by following frame pointers, inside bounds that are checked.
//! - [`number`]: numbers in reports, without `core`'s padding machinery.
//! - [`shims`]: the unwinder's and stack protector's names.
//! - `logger` (feature `log`): a backend for the `log` crate.
//!
//! This crate knows no machine. A kernel with boot code of its own uses it like this:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! freestone_rt::runtime!(exit = power_off);
//!
//! static SERIAL: Serial = Serial; // implements freestone_rt::console::Console
//!
//! extern "C" fn main() -> ! { // called by your entry assembly
//!     freestone_rt::console::register(&SERIAL).ok();
//!     freestone_rt::println!("hello");
//!     power_off()
//! }
//! ```

#![no_std]

#[cfg(test)]
extern crate std;

pub mod backtrace;
pub mod console;
#[cfg(feature = "log")]
pub mod logger;
pub mod number;
pub mod panic;
pub mod shims;

/// Stamps the panic handler and the [shims] into a kernel.
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
