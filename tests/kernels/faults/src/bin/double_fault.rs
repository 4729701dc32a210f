//! An exception that cannot be delivered: the handler's code segment is gone.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    // The double fault has a gate of its own, so only the breakpoint's is broken: its descriptor's
    // selector is made one that does not exist.
    let mut pointer = [0_u8; 10];
    // SAFETY: SIDT writes ten bytes. The table it names is writable, and vector 3 and 11 (segment not
    // present) are spoilt on purpose.
    unsafe {
        core::arch::asm!("sidt [{}]", in(reg) &mut pointer);
        let base = u64::from_le_bytes(*pointer[2..].first_chunk().unwrap());
        for vector in [3, 11, 13] {
            ((base + vector * 16 + 2) as *mut u16).write_volatile(0x7ff8);
        }
        core::arch::asm!("int3");
    }
    Exit::Success
}
