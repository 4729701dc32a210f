//! A write to the kernel's own code.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    let code = main as *const () as *mut u8;
    // SAFETY: there is none; the fault is what is tested.
    unsafe { code.write_volatile(0xc3) };
    Exit::Success
}
