//! Eleven instructions: one letter to the serial port, a line feed, success. No page tables, no long
//! mode, no Freestone. What is left is the loader's time and the emulator's.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(
    ".pushsection .note.Xen, \"a\", @progbits",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad entry",
    ".popsection",
    ".pushsection .text.entry, \"ax\"",
    ".code32",
    ".globl entry",
    "entry:",
    "mov dx, 0x3f8",
    "mov al, 0x46",
    "out dx, al",
    "mov al, 10",
    "out dx, al",
    "mov dx, 0xf4",
    "mov al, 0x10",
    "out dx, al",
    "2: hlt",
    "jmp 2b",
    ".code64",
    ".popsection",
);

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
