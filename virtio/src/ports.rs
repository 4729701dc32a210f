//! I/O ports of x86, at which legacy devices on PCI have their registers. Other processors have none.
//!
//! SAFETY of all functions, for their callers: the port is a virtio device's, and what it does with the value is nothing
//! that Rust does not know of.

pub use here::*;

/// Whether the processor has ports. Where it does not, the functions do nothing, and nobody calls them.
pub const EXIST: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod here {
    use core::arch::asm;

    pub unsafe fn read_byte(port: u16) -> u8 {
        let value;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("in al, dx", in("dx") port, out("al") value, options(nostack, preserves_flags))
        }
        value
    }

    pub unsafe fn read_half(port: u16) -> u16 {
        let value;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("in ax, dx", in("dx") port, out("ax") value, options(nostack, preserves_flags))
        }
        value
    }

    pub unsafe fn read_word(port: u16) -> u32 {
        let value;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags))
        }
        value
    }

    pub unsafe fn write_byte(port: u16, value: u8) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags))
        }
    }

    pub unsafe fn write_half(port: u16, value: u16) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack, preserves_flags))
        }
    }

    pub unsafe fn write_word(port: u16, value: u32) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
        }
    }
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod here {
    pub unsafe fn read_byte(_: u16) -> u8 {
        0
    }
    pub unsafe fn read_half(_: u16) -> u16 {
        0
    }
    pub unsafe fn read_word(_: u16) -> u32 {
        0
    }
    pub unsafe fn write_byte(_: u16, _: u8) {}
    pub unsafe fn write_half(_: u16, _: u16) {}
    pub unsafe fn write_word(_: u16, _: u32) {}
}
