//! Finds out how fast the processor's string instructions are, once, and keeps that in one byte.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU8;

/// What the string instructions of the processor are good for.
///
/// No more traits than these: their code would be in every kernel's archive.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Strings {
    /// Nothing is known, which is right everywhere: `rep` by words, for long ranges.
    Unknown = 0,
    /// `rep movsb` and `rep stosb` beat every loop of general-purpose registers on long ranges.
    Long = 1,
    /// And a short `rep stosb` or `rep movsq` takes a dozen cycles, whatever its length: measured on
    /// AMD's Zen 4, whose flags say so only of `rep movsb`, so it goes by the name.
    Short = 2,
}

/// As the bodies' assembly compares them.
pub(super) const LONG: u8 = Strings::Long as u8;
pub(super) const SHORT: u8 = Strings::Short as u8;

/// A [`Strings`]. In `.bss`, so that it means *unknown* before anything has run.
///
/// The bodies read it with a plain load, and only on paths where it pays.
pub(super) static STRINGS: AtomicU8 = AtomicU8::new(Strings::Unknown as u8);

/// Makes the bodies go the ways they would go on another processor.
///
/// Every value is right on every processor, if not fast: this is for tests, and for measurements. An
/// emulator has no flag for what `detect` looks for.
///
/// Assembly because an unoptimised `store` of an atomic can panic; so below.
#[unsafe(naked)]
pub extern "sysv64" fn assume(strings: Strings) {
    naked_asm!("mov byte ptr [rip + {strings}], dil", "ret", strings = sym STRINGS)
}

/// What `detect` found, or was last assumed.
#[unsafe(naked)]
pub extern "sysv64" fn assumed() -> Strings {
    naked_asm!("movzx eax, byte ptr [rip + {strings}]", "ret", strings = sym STRINGS)
}

/// `AuthenticAMD`, the part that CPUID leaves in ebx.
const AMD: u32 = u32::from_le_bytes(*b"Auth");
/// Leaf 7, edx: fast short `rep movs` (AMD manual 3, appendix E.3.6; Intel manual 2A, CPUID).
const FSRM: u32 = 1 << 4;

/// Asks the processor; `CPUID` may trap to a hypervisor, which is why no body does it by itself.
///
/// Assembly because it is a third of what the compiler makes of two `__cpuid_count`.
#[unsafe(naked)]
pub extern "sysv64" fn detect() {
    naked_asm!(
        "push rbx",
        "xor eax, eax",
        "cpuid",
        "mov r8d, ebx",
        // A leaf above the highest has somebody else's bits in it.
        "cmp eax, 7",
        "jb 2f",
        "mov eax, 7",
        "xor ecx, ecx",
        "cpuid",
        "test dl, {fsrm}",
        "je 2f",
        "xor eax, eax",
        "cmp r8d, {amd}",
        "sete al",
        "inc eax",
        "mov byte ptr [rip + {strings}], al",
        "2:",
        "pop rbx",
        "ret",
        amd = const AMD,
        fsrm = const FSRM,
        strings = sym STRINGS,
    )
}

const _: () = assert!(LONG == 1 && SHORT == 2, "what `inc eax` leaves");
