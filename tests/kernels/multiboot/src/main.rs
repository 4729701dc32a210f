//! A kernel that GRUB starts: a Multiboot2 header, its own way from 32 to 64 bits, and Freestone's `rt` for `println!`
//! and a panic handler.
//!
//! It reads the loader's data, prints it, and ends with success; with `panic` on its command line it panics.
#![no_std]
#![no_main]

mod entry;
mod loader;
#[path = "../../own-boot/src/ports.rs"]
mod ports;

use freestone_mem as _;
use freestone_rt::console::{self, Console};
use freestone_rt::println;

use loader::Information;

freestone_rt::runtime!(exit = crash);

struct Uart;

impl Console for Uart {
    fn name(&self) -> &'static str {
        "UART set up by GRUB"
    }

    fn write(&self, bytes: &[u8]) {
        ports::write(bytes);
    }
}

fn crash() -> ! {
    ports::end(ports::CRASH)
}

extern "C" fn main(magic: u32, information: *const u8) -> ! {
    if console::register(&Uart).is_err() {
        crash();
    }
    assert_eq!(magic, loader::MAGIC, "not a Multiboot2 loader");
    // SAFETY: that loader passes the address of its information, which nobody changes.
    let information = unsafe { Information::new(information) };
    println!("booted by {}", information.text(loader::LOADER_NAME).unwrap_or("nobody"));
    let mib = information.usable_bytes() as f64 / 1048576.0;
    println!("{mib:.1} MiB of memory");
    let words = information.text(loader::COMMAND_LINE).unwrap_or_default();
    assert_ne!(words, "panic", "as was asked for");
    ports::end(ports::SUCCESS)
}
