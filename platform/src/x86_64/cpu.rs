//! The instructions and registers that have no Rust name.
//!
//! Each wrapper does one thing and names its source in Intel's manual (SDM) or AMD's (APM). Those
//! that can break the machine are unsafe; reading a harmless register is not.

use core::arch::asm;

/// Writes a byte to an I/O port (SDM volume 2, OUT).
///
/// # Safety
///
/// - The device behind `port`, if there is one, may take `value` now: no memory of ours is changed
///   by it, and no other code relies on its state.
pub unsafe fn outb(port: u16, value: u8) {
    // SAFETY: the caller answers for the device; the instruction touches no memory and no flags.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    }
}

/// Writes a 16-bit word to an I/O port (SDM volume 2, OUT).
///
/// # Safety
///
/// - As for [`outb`].
pub unsafe fn outw(port: u16, value: u16) {
    // SAFETY: as in `outb`.
    unsafe {
        asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags))
    }
}

/// Reads a byte from an I/O port (SDM volume 2, IN).
///
/// # Safety
///
/// - As for [`outb`]: some devices change state when read.
pub unsafe fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: as in `outb`.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Runs CPUID. Every x86_64 processor has it (SDM volume 2, CPUID); it is not available only where
/// a hypervisor traps it, and then the answer is the hypervisor's.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let answer = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}

/// The time-stamp counter (SDM volume 2, RDTSC). Not ordered against other instructions.
pub fn ticks() -> u64 {
    // SAFETY: RDTSC faults only with CR4.TSD set and outside ring 0; nobody sets it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The address that the last page fault was about (SDM volume 3, 2.5, CR2).
pub fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) }
    address
}

/// The physical address of the page table root, flags included (SDM volume 3, 2.5, CR3).
pub fn table_root() -> u64 {
    let root;
    // SAFETY: reading CR3 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) }
    root
}

/// Stops this processor for good: interrupts off, halted, again after every NMI.
pub fn halt() -> ! {
    loop {
        // SAFETY: both are allowed in ring 0 and change no memory.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
