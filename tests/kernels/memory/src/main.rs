//! The C memory functions as a kernel has them, each way they can go on this processor or another.
//!
//! Called by their C names and held against naive versions, with every vector register full of something
//! that must still be there afterwards, and a clear direction flag. `tests/memory.rs` boots it.
#![no_std]
#![no_main]

mod checks;

use core::arch::asm;

use checks::Memory;
use freestone::{Exit, println};
use freestone_mem::Strings;

freestone::entry!(main, audit: exit);

static mut MEMORIES: Memory = Memory::new();

fn main(_boot: &'static freestone::BootInfo) -> Exit {
    println!("detected: {}", name(freestone_mem::assumed()));
    // SAFETY: `main` runs once, on one processor, and nothing else names this.
    let memory = unsafe { (&raw mut MEMORIES).as_mut_unchecked() };
    for strings in [Strings::Unknown, Strings::Long, Strings::Short] {
        freestone_mem::assume(strings);
        let checks = checks::check(memory, 1, call);
        println!("{}: {checks} checks", name(strings));
    }
    Exit::Success
}

fn name(strings: Strings) -> &'static str {
    match strings {
        Strings::Unknown => "Unknown",
        Strings::Long => "Long",
        Strings::Short => "Short",
    }
}

/// Calls `function` with marks in all sixteen vector registers; panics unless they are still there afterwards
/// and the direction flag is clear.
///
/// # Safety
///
/// As [`checks::Call`].
unsafe fn call(function: *const (), first: usize, second: usize, third: usize) -> u64 {
    const MARK: u64 = 0x0123_4567_89ab_cdef;
    let (returned, changed, flags): (u64, u64, u64);
    // SAFETY: the caller's promise; what a C function may change is declared, the stack is the compiler's and
    // aligned, as `nostack` is absent.
    unsafe {
        asm!(
            ".irp r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movq xmm\\r, rcx",
            ".endr",
            "call rax",
            "pushfq",
            "pop rdx",
            "mov rcx, {mark}",
            "xor esi, esi",
            ".irp r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movq rdi, xmm\\r",
            "xor rdi, rcx",
            "or rsi, rdi",
            ".endr",
            mark = const MARK,
            inout("rax") function => returned,
            inout("rcx") MARK => _,
            inout("rdi") first => _,
            inout("rsi") second => changed,
            inout("rdx") third => flags,
            clobber_abi("sysv64"),
        );
    }
    assert_eq!(changed, 0, "a vector register");
    assert_eq!(flags & 1 << 10, 0, "the direction flag");
    returned
}
