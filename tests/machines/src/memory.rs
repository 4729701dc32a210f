//! The portable memory routines on a machine that has no others.
#![no_std]
#![no_main]

#[path = "../../kernels/memory/src/checks.rs"]
mod checks;
mod machine;

use core::fmt::Write;

use checks::Memory;

machine::report_panics!();

static mut MEMORY: Memory = Memory::new();

extern "C" fn main() -> ! {
    // SAFETY: `_start` comes here once, and nothing else names this.
    let memory = unsafe { (&raw mut MEMORY).as_mut_unchecked() };
    let checks = checks::check(memory, size_of::<usize>(), call);
    let _ = writeln!(machine::Output, "portable: {checks} checks");
    machine::exit(0)
}

/// # Safety
///
/// As [`checks::Call`].
unsafe fn call(function: *const (), first: usize, second: usize, third: usize) -> u64 {
    // SAFETY: the caller's promise; on these machines surplus arguments are registers nobody looks at.
    unsafe {
        let function: extern "C" fn(usize, usize, usize) -> usize = core::mem::transmute(function);
        function(first, second, third) as u64
    }
}
