//! The portable memory routines on a machine that has no others: a Linux program without a library, for QEMU's
//! user mode, and without an operating system's `core`. `tests/machines.rs` runs it.
#![no_std]
#![no_main]

#[path = "../../kernels/memory/src/checks.rs"]
mod checks;

use core::arch::{asm, naked_asm};
use core::fmt::{self, Write};

use checks::Memory;

/// Where Linux starts a program. The stack is the kernel's, aligned; riscv64's linker wants its global pointer.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("bl {main}", "brk 1", main = sym main)
}

/// The same.
#[cfg(target_arch = "riscv64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!(
        ".option push",
        ".option norelax",
        "la gp, __global_pointer$",
        ".option pop",
        "call {main}",
        "ebreak",
        main = sym main,
    )
}

const WRITE: usize = 64;
const EXIT: usize = 93;

#[cfg(target_arch = "aarch64")]
fn system_call(number: usize, arguments: [usize; 3]) {
    // SAFETY: `write` of bytes that live during the call, or `exit`; the rest is preserved.
    unsafe {
        asm!("svc 0", in("x8") number, inout("x0") arguments[0] => _, in("x1") arguments[1],
            in("x2") arguments[2]);
    }
}

#[cfg(target_arch = "riscv64")]
fn system_call(number: usize, arguments: [usize; 3]) {
    // SAFETY: as above.
    unsafe {
        asm!("ecall", in("a7") number, inout("a0") arguments[0] => _, in("a1") arguments[1],
            in("a2") arguments[2]);
    }
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        system_call(WRITE, [1, text.as_ptr() as usize, text.len()]);
        Ok(())
    }
}

fn exit(status: usize) -> ! {
    loop {
        system_call(EXIT, [status, 0, 0]);
    }
}

static mut MEMORY: Memory = Memory::new();

extern "C" fn main() -> ! {
    // SAFETY: `_start` comes here once, and nothing else names this.
    let memory = unsafe { (&raw mut MEMORY).as_mut_unchecked() };
    let checks = checks::check(memory, size_of::<usize>(), call);
    let _ = writeln!(Output, "portable: {checks} checks");
    exit(0)
}

/// # Safety
///
/// As [`checks::Call`].
unsafe fn call(function: *const (), first: usize, second: usize, third: usize) -> u64 {
    // SAFETY: the caller's promise; on these machines surplus arguments are registers nobody looks at.
    unsafe {
        let function: extern "C" fn(usize, usize, usize) -> u64 = core::mem::transmute(function);
        function(first, second, third)
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = writeln!(Output, "{info}");
    exit(101)
}
