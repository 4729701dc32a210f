//! The smallest kernel.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cfg(not(feature = "bare"))]
freestone::entry!(main, audit: exit);
#[cfg(feature = "bare")]
freestone::entry!(main);

fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!("Hello, world");
    freestone::Exit::Success
}
