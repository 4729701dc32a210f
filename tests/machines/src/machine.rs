//! A Linux program without a library: its entry, its output, its exit. QEMU's user mode runs it. It uses the bare
//! machine's `core`, not Linux's. The program has a `main`.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the programs differ in what they need of it"
)]

use core::arch::{asm, naked_asm};
use core::fmt::{self, Write};

/// Where Linux starts a program. The stack is the kernel's, aligned; riscv64's linker wants its global pointer.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("bl {main}", "brk 1", main = sym crate::main)
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
        main = sym crate::main,
    )
}

/// The same.
#[cfg(target_arch = "x86")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("and esp, -16", "call {main}", "ud2", main = sym crate::main)
}

const WRITE: usize = if cfg!(target_arch = "x86") { 4 } else { 64 };
const EXIT: usize = if cfg!(target_arch = "x86") { 1 } else { 93 };

#[cfg(target_arch = "x86")]
fn system_call(number: usize, arguments: [usize; 3]) {
    // SAFETY: `write` of bytes that live during the call, or `exit`; the rest is preserved.
    unsafe {
        asm!("int 0x80", inout("eax") number => _, in("ebx") arguments[0], in("ecx") arguments[1],
            in("edx") arguments[2]);
    }
}

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

/// The program's standard output.
pub struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// To standard output.
pub fn write(bytes: &[u8]) {
    system_call(WRITE, [1, bytes.as_ptr() as usize, bytes.len()]);
}

/// Ends the program.
pub fn exit(status: usize) -> ! {
    loop {
        system_call(EXIT, [status, 0, 0]);
    }
}

/// What most of these programs do with a panic.
macro_rules! report_panics {
    () => {
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            let _ = core::fmt::Write::write_fmt(&mut machine::Output, format_args!("{info}\n"));
            machine::exit(101)
        }
    };
}
pub(crate) use report_panics;
