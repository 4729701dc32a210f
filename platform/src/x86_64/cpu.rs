//! Instructions and registers that have no Rust function.
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
pub(crate) unsafe fn outw(port: u16, value: u16) {
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

/// Reads a 16-bit word from an I/O port (SDM volume 2, IN).
///
/// # Safety
///
/// - As for [`inb`].
pub(crate) unsafe fn inw(port: u16) -> u16 {
    let value;
    // SAFETY: as in `outb`.
    unsafe {
        asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Writes a 32-bit word to an I/O port (SDM volume 2, OUT).
///
/// # Safety
///
/// - As for [`outb`].
pub(crate) unsafe fn outl(port: u16, value: u32) {
    // SAFETY: as in `outb`.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags))
    }
}

/// Reads a 32-bit word from an I/O port (SDM volume 2, IN).
///
/// # Safety
///
/// - As for [`inb`].
pub(crate) unsafe fn inl(port: u16) -> u32 {
    let value;
    // SAFETY: as in `outb`.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags))
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

/// Reads a model-specific register (SDM volume 2, RDMSR).
///
/// # Safety
///
/// - The processor has the register: reading another faults.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller answers for the register.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register (SDM volume 2, WRMSR).
///
/// # Safety
///
/// - The processor has the register and takes the value, and nothing relies on what it was.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller answers for the register. `nomem` is absent: some make devices look at memory.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    }
}

/// The address that the last page fault was about (SDM volume 3, 2.5, CR2).
pub(crate) fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) }
    address
}

/// The physical address of the page table root, flags included (SDM volume 3, 2.5, CR3).
pub(crate) fn table_root() -> u64 {
    let root;
    // SAFETY: reading CR3 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) }
    root
}

/// Turns on what keeps ring 0 from pages of ring 3 and ring 3 from looking around, as far as the processor
/// has it: SMEP, SMAP, UMIP (SDM volume 3, 2.5). The kernel has no page for ring 3, so a table entry that says
/// otherwise is a mistake, and faults.
///
/// # Safety
///
/// - Ring 0, on pages that are not for ring 3.
#[inline]
pub(crate) unsafe fn protect_supervisor() {
    let bits = supervisor_protection();
    // SAFETY: the processor has these bits; the caller answers for the pages.
    unsafe {
        asm!("mov cr4, {}", in(reg) control_4() | bits, options(nostack, preserves_flags));
    }
}

/// The bits of CR4 for what this processor has of it (SDM volume 2, CPUID 7).
pub fn supervisor_protection() -> u64 {
    const UMIP: u64 = 1 << 11;
    const SMEP: u64 = 1 << 20;
    const SMAP: u64 = 1 << 21;
    let [highest, ..] = cpuid(0, 0);
    let [_, b, c, _] = if highest >= 7 { cpuid(7, 0) } else { [0; 4] };
    let if_set = |word: u32, bit: u32, flag: u64| if word >> bit & 1 != 0 { flag } else { 0 };
    if_set(b, 7, SMEP) | if_set(b, 20, SMAP) | if_set(c, 2, UMIP)
}

/// CR4 (SDM volume 3, 2.5).
pub fn control_4() -> u64 {
    let bits;
    // SAFETY: reading CR4 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) bits, options(nomem, nostack, preserves_flags)) }
    bits
}

/// Whether the processor obeys read-only pages in ring 0 (CR0.WP) and no-execute bits (EFER.NXE).
pub fn enforces_page_rights() -> bool {
    const WP: u64 = 1 << 16;
    const NXE: u32 = 1 << 11;
    const EFER: u32 = 0xc000_0080;
    let (control_0, efer): (u64, u32);
    // SAFETY: reading both in ring 0 has no effect; every processor with long mode has EFER.
    unsafe {
        asm!("mov {}, cr0", out(reg) control_0, options(nomem, nostack, preserves_flags));
        asm!("rdmsr", in("ecx") EFER, out("eax") efer, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    control_0 & WP != 0 && efer & NXE != 0
}

/// The signature of the hypervisor's CPUID leaf, if a hypervisor admits to being there (CPUID 1, ECX bit 31).
#[inline]
pub(crate) fn hypervisor_signature() -> Option<[u8; 12]> {
    let [_, _, features, _] = cpuid(1, 0);
    (features & 1 << 31 != 0).then(|| {
        let [_, b, c, d] = cpuid(0x4000_0000, 0);
        let mut signature = [0; 12];
        for (bytes, word) in signature.chunks_exact_mut(4).zip([b, c, d]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        signature
    })
}

/// Lets interrupts in. What must be there before the first one, `interrupts::enable` sees to.
///
/// The first comes behind the instruction that follows STI (SDM volume 2). That one is NOP, so that one that waits comes
/// before the caller's next instruction: for a caller that disables them at once, and for QEMU 7.2, which keeps
/// interrupts out behind a PAUSE that follows STI until STI comes again.
#[inline]
pub(crate) fn enable_interrupts() {
    // SAFETY: allowed in ring 0; whoever let them in before has gates for all. No `nomem`: what handlers share with
    // other code may change here.
    unsafe { asm!("sti", "nop", options(nostack)) };
}

/// Keeps interrupts out.
pub(crate) fn disable_interrupts() {
    // SAFETY: allowed in ring 0. `nomem` is absent, so that nothing moves across.
    unsafe { asm!("cli", options(nostack)) };
}

/// Whether interrupts are let in.
pub(crate) fn interrupts_are_enabled() -> bool {
    const INTERRUPT_FLAG: u64 = 1 << 9;
    let flags: u64;
    // SAFETY: one word is pushed and popped again.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & INTERRUPT_FLAG != 0
}

/// Runs `f` without interrupts, and lets them in afterwards if they were before: then every vector has a gate.
pub(crate) fn without_interrupts<R>(f: impl FnOnce() -> R) -> R {
    let were_enabled = interrupts_are_enabled();
    disable_interrupts();
    let result = f();
    if were_enabled {
        enable_interrupts();
    }
    result
}

/// MXCSR after reset: all floating-point exceptions masked, round to nearest.
pub const MXCSR_DEFAULT: u32 = 0x1f80;

/// Stops this processor for good: interrupts off, halted, again after every NMI.
pub fn halt() -> ! {
    loop {
        // SAFETY: both are allowed in ring 0 and change no memory.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
