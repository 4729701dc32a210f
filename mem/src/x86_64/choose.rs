//! What the processor's string instructions are good for: asked once, kept in one byte.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU8;

/// Nothing is known, which is right everywhere: `rep` by words, for long ranges.
pub const UNKNOWN: u8 = 0;
/// `rep movsb` and `rep stosb` beat every loop of general-purpose registers on long ranges.
pub const LONG: u8 = 1;
/// And a short `rep stosb` or `rep movsq` takes a dozen cycles, whatever its length: measured on AMD's
/// Zen 4, whose flags say so only of `rep movsb`, so it goes by the name.
pub const SHORT: u8 = 2;

/// One of the above. In `.bss`, so that it means *unknown* before anything has run.
///
/// The bodies read it with a plain load, and only on paths where it pays.
pub static STRINGS: AtomicU8 = AtomicU8::new(UNKNOWN);

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
