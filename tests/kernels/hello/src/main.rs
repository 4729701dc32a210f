//! The smallest kernel.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

freestone::entry!(main);

fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!("Hello, world");
    freestone::Exit::Success
}
