//! The smallest kernel: a line of output and a verdict.

#![no_std]
#![no_main]

freestone::entry!(main);

fn main(boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!("hello from {}, {:.3}", boot.hypervisor(), 22.0 / 7.0);
    freestone::Exit::Success
}
