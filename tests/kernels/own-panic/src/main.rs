//! A kernel that keeps its own panic handler and console: it uses Freestone's symbols for the compiler,
//! and of `rt` the unwinder's names alone.
//!
//! It divides 128-bit integers and computes a root, so that `math` is linked; then it panics, and its own handler
//! prints the message and ends with success.
#![no_std]
#![no_main]

#[path = "../../own-boot/src/entry.rs"]
mod entry;
#[path = "../../own-boot/src/ports.rs"]
mod ports;

use core::fmt::Write;
use core::hint::black_box;
use core::panic::PanicInfo;

use freestone_math::Float as _;
use freestone_mem as _;

freestone_rt::shims!();

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        ports::write(text.as_bytes());
        Ok(())
    }
}

#[panic_handler]
fn own_handler(info: &PanicInfo<'_>) -> ! {
    let line = info.location().map_or(0, |place| place.line());
    let _ = writeln!(Serial, "this kernel's own handler, line {line}: {}", info.message());
    ports::end(ports::SUCCESS)
}

extern "C" fn main(_start_info: u64) -> ! {
    let wide = black_box(1_u128 << 100) / black_box(3);
    panic!("a third of 2^100 is {wide}, the root of 2 is {:.6}", black_box(2.0_f64).sqrt());
}
