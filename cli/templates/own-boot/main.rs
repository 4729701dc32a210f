//! A kernel with boot code of its own: Freestone's `rt` gives it `println!` and a panic handler, `mem` the symbols
//! that the compiler needs. 30 instructions lead from a PVH loader's 32-bit entry to `main`.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

// Nothing is called by name, so the crate must be named for its symbols to be linked.
use freestone_mem as _;
use freestone_rt::console::{self, Console};
use freestone_rt::println;

freestone_rt::runtime!(exit = power_off);

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
    "mov esp, offset stack_top",
    // One GiB in one page, by way of three entries.
    "mov dword ptr [top_table], offset middle_table + 3",
    "mov dword ptr [middle_table], 0x83",
    "mov eax, 0x620",
    "mov cr4, eax",
    "mov eax, offset top_table",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x100",
    "wrmsr",
    "mov eax, 0x80000013",
    "mov cr0, eax",
    "lgdt [gdt_pointer]",
    "push 8",
    "mov eax, offset long_mode",
    "push eax",
    "retf",
    ".code64",
    "long_mode:",
    // Nobody called this: debuggers end here.
    ".cfi_startproc simple",
    ".cfi_def_cfa rsp, 0; .cfi_undefined rip",
    "mov edi, ebx",
    "call {main}",
    "ud2",
    ".cfi_endproc",
    ".balign 8",
    "gdt: .quad 0, 0x00af9b000000ffff",
    "gdt_pointer: .word 15",
    ".long gdt",
    ".popsection",
    ".pushsection .bss.entry, \"aw\", @nobits",
    ".balign 4096",
    "top_table: .skip 4096",
    "middle_table: .skip 4096",
    ".skip 16384",
    "stack_top:",
    ".popsection",
    main = sym main,
);

fn out(port: u16, value: u8) {
    // SAFETY: this kernel writes to the UART's data register and QEMU's exit port only.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

struct Uart;

impl Console for Uart {
    fn name(&self) -> &'static str {
        "UART without setup"
    }

    fn write(&self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| out(0x3f8, byte));
    }
}

/// Verdicts of QEMU's exit port, as `cargo freestone` understands them.
const SUCCESS: u8 = 0x10;
const CRASH: u8 = 0x12;

fn end(verdict: u8) -> ! {
    out(0xf4, verdict);
    loop {
        core::hint::spin_loop();
    }
}

fn power_off() -> ! {
    end(CRASH)
}

extern "C" fn main(start_info: u64) -> ! {
    if console::register(&Uart).is_err() {
        power_off();
    }
    // SAFETY: the loader passes the address of its start info, which the first GiB holds.
    let magic = unsafe { *(start_info as *const u32) };
    println!("booted by code of its own, PVH magic {magic:#x}");
    end(SUCCESS)
}
