//! Finds Xen by CPUID: whether it is there, where its leaves are, and which instruction makes a hypercall.
//!
//! Everything here reads CPUID through a function parameter, so it runs on any machine, and
//! a test can simulate any guest.
//!
//! Source: Xen's `public/arch-x86/cpuid.h`; for leaves 0 and 1 the vendors' manuals.

/// EAX, EBX, ECX, EDX of a leaf and sub-leaf.
pub trait Cpuid: Fn(u32, u32) -> [u32; 4] {}
impl<F: Fn(u32, u32) -> [u32; 4]> Cpuid for F {}

/// The extension that hardware-virtualised guests of this CPU run on. It decides the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// AMD's, left by `vmmcall`.
    Svm,
    /// Intel's, left by `vmcall`.
    Vmx,
}

/// A Xen found: how to call it and where its leaves begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub extension: Extension,
    pub base: u32,
}

/// Looks for Xen. Reads nothing but leaf 1 if that does not announce a hypervisor.
pub fn find(cpuid: impl Cpuid) -> Option<Found> {
    const HYPERVISOR: u32 = 1 << 31;
    let [_, _, ecx, _] = cpuid(1, 0);
    if ecx & HYPERVISOR == 0 {
        return None;
    }
    Some(Found { extension: extension(&cpuid)?, base: base(&cpuid)? })
}

/// The guest's TSC frequency, if the leaf exists and is filled in.
pub fn tsc_khz(cpuid: impl Cpuid, base: u32) -> Option<u32> {
    let leaf = base + 3;
    let [last, ..] = cpuid(base, 0);
    if last < leaf {
        return None;
    }
    let [_, _, khz, _] = cpuid(leaf, 0);
    (khz != 0).then_some(khz)
}

/// By vendor, not by feature bit: a guest without nested virtualisation sees neither bit.
///
/// The vendors are those that Xen 4.17 knows. A wrong guess would be an invalid instruction, most
/// likely before there is a handler for one, so for any other there is no guess.
fn extension(cpuid: &impl Cpuid) -> Option<Extension> {
    let [_, ebx, ecx, edx] = cpuid(0, 0);
    match &name([ebx, edx, ecx]) {
        b"AuthenticAMD" | b"HygonGenuine" => Some(Extension::Svm),
        b"GenuineIntel" | b"CentaurHauls" | b"  Shanghai  " => Some(Extension::Vmx),
        _ => None,
    }
}

/// Where Xen's leaves begin. First, except with Viridian enlightenments: those come first then, under
/// Hyper-V's name, and Xen's follow. So any other name in front means that it is not Xen, and no more leaves are read:
/// each `cpuid` traps to a hypervisor.
fn base(cpuid: &impl Cpuid) -> Option<u32> {
    const FIRST: u32 = 0x4000_0000;
    let signature = |base| {
        let [last, ebx, ecx, edx] = cpuid(base, 0);
        (last, name([ebx, ecx, edx]))
    };
    let end = match &signature(FIRST).1 {
        b"XenVMMXenVMM" | b"Microsoft Hv" => 0x4001_0000,
        _ => return None,
    };
    (FIRST..end).step_by(0x100).find(|&base| {
        // Every Xen has at least the version and the hypercall leaf.
        let (last, name) = signature(base);
        name == *b"XenVMMXenVMM" && last >= base + 2
    })
}

/// Twelve characters out of three registers.
#[inline(never)] // Called in four places, once a boot.
fn name(registers: [u32; 3]) -> [u8; 12] {
    let mut name = [0; 12];
    for (part, register) in name.chunks_exact_mut(4).zip(registers) {
        part.copy_from_slice(&register.to_le_bytes());
    }
    name
}
