//! Arithmetic that stops the machine instead of overflowing: what `-ftrapv` calls.

/// Ends in an exception; where no instruction for that is known, never ends.
#[cold]
#[inline(never)]
pub fn trap() -> ! {
    imp::trap()
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod imp {
    pub fn trap() -> ! {
        // SAFETY: the instruction exists to raise an exception; nothing behind it runs.
        unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
    }
}

#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod imp {
    pub fn trap() -> ! {
        // SAFETY: the instruction exists to raise an exception; nothing behind it runs.
        unsafe { core::arch::asm!("unimp", options(noreturn, nomem, nostack)) }
    }
}

#[cfg(target_arch = "aarch64")]
mod imp {
    pub fn trap() -> ! {
        // SAFETY: raises an exception; nothing behind it runs.
        unsafe { core::arch::asm!("brk #1", options(noreturn, nomem, nostack)) }
    }
}

#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64"
)))]
mod imp {
    pub fn trap() -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
}

/// The result, or [`trap`] if it overflowed.
#[inline]
pub fn or_trap<T>((result, overflowed): (T, bool)) -> T {
    if overflowed { trap() } else { result }
}
