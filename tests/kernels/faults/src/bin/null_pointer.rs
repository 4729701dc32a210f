//! A write through a null pointer to a structure.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(boot: &'static BootInfo) -> Exit {
    // Not a constant, so that the compiler does not see what this is.
    let null = boot.argument("address").map_or(0, str::len) as *mut u64;
    // SAFETY: there is none; the fault is what is tested.
    unsafe { null.wrapping_add(2).write_volatile(1) };
    Exit::Success
}
