//! A kernel with boot code of its own: Freestone's `rt` gives it `println!` and a panic handler.
//!
//! No descriptor tables, no heap, no platform: 30 instructions lead to `main`, which prints, and ends
//! with a panic. What it shows is that `rt` needs nothing else of the kit, `memcpy` apart.
#![no_std]
#![no_main]

mod entry;
mod ports;

// Nothing is called by name, so the crate must be named for its symbols to be linked.
use freestone_mem as _;
use freestone_rt::console::{self, Console};
use freestone_rt::println;

freestone_rt::runtime!(exit = crash);

struct Uart;

impl Console for Uart {
    fn name(&self) -> &'static str {
        "UART without setup"
    }

    fn write(&self, bytes: &[u8]) {
        ports::write(bytes);
    }
}

fn crash() -> ! {
    ports::end(ports::CRASH)
}

extern "C" fn main(start_info: u64) -> ! {
    if console::register(&Uart).is_err() {
        crash();
    }
    // SAFETY: the loader passes the address of its start info, which the first GiB holds.
    let magic = unsafe { *(start_info as *const u32) };
    println!("booted by code of its own, PVH magic {magic:#x}, {:.3}", 2.0_f64 / 3.0);
    panic!("and it panics with rt's handler");
}
