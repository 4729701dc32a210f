//! The hypercall instruction, and what has to be read from the CPU to choose it.
//!
//! # Why the instruction and not the hypercall page
//!
//! A guest may ask Xen (by an MSR) to fill a page with code and call into it. That hides which
//! instruction the CPU needs. But it takes a page which the hypervisor writes and we execute, which
//! a kernel with write-xor-execute page tables has to map and protect, and it is code that the
//! kernel's own mitigations against speculation do not cover (Xen Security Advisory 466, after which
//! Linux stopped using the page). There are just two instructions, and the vendor in CPUID leaf 0
//! decides between them; so they are executed where they are needed.
//!
//! # What a call changes
//!
//! `rax` holds the number, then the answer. `rdi rsi rdx r10 r8` hold the arguments and are lost:
//! Xen advances them when it interrupts a long call and has it executed again, and debug builds
//! overwrite them to find guests that count on them. Memory is read and written through them. Other
//! registers, vector registers included, are the guest's and come back as they were; `rcx` and
//! `r11` too, which are lost only to the `syscall` in the page of PV guests. Nothing is pushed, so
//! the red zone is safe. The interface does not mention the flags; they are taken as lost.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _mm_lfence, _rdtsc};

use crate::cpuid::{self, Extension, Found};
use crate::hypercall::Hypercall;

/// Which instruction to use, and where Xen's CPUID leaves are. Exists only where hypercalls work.
#[derive(Clone, Copy, Debug)]
pub struct Gate(Found);

impl Gate {
    pub fn find() -> Option<Self> {
        let found = cpuid::find(read_cpuid)?;
        in_ring_0().then_some(Self(found))
    }

    pub fn tsc_khz(self) -> Option<u32> {
        cpuid::tsc_khz(read_cpuid, self.0.base)
    }
}

impl Hypercall for Gate {
    unsafe fn call(&self, number: u64, args: [u64; 5]) -> i64 {
        // `nomem`, `readonly` and `preserves_flags` are absent: see the header.
        macro_rules! execute {
            ($instruction:literal) => {{
                let answer: i64;
                let [a, b, c, d, e] = args;
                // SAFETY: the instruction leaves to Xen and comes back behind itself, as a `Gate`
                // exists only in ring 0 of a Xen guest on a CPU that has it. What the call does to
                // memory is the caller's promise; registers are stated in full.
                unsafe {
                    asm!(
                        $instruction,
                        inlateout("rax") number => answer,
                        inlateout("rdi") a => _,
                        inlateout("rsi") b => _,
                        inlateout("rdx") c => _,
                        inlateout("r10") d => _,
                        inlateout("r8") e => _,
                        options(nostack),
                    );
                }
                answer
            }};
        }
        match self.0.extension {
            Extension::Svm => execute!("vmmcall"),
            Extension::Vmx => execute!("vmcall"),
        }
    }
}

/// The two low bits of the code segment's selector are the privilege level.
fn in_ring_0() -> bool {
    let selector: u16;
    // SAFETY: reads a register that every privilege level may read.
    unsafe { asm!("mov {:x}, cs", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    selector & 3 == 0
}

#[inline(never)] // As `cpuid::name`.
fn read_cpuid(leaf: u32, sub_leaf: u32) -> [u32; 4] {
    let answer = __cpuid_count(leaf, sub_leaf);
    [answer.eax, answer.ebx, answer.ecx, answer.edx]
}

/// The time stamp counter, read neither before what comes first in the program nor after what follows.
///
/// `lfence` waits for all that is before it, on Intel and, as Xen sets it up, on AMD
/// (Intel SDM volume 2, RDTSC; AMD APM volume 3, LFENCE).
pub fn ordered_ticks() -> u64 {
    // SAFETY: both instructions are in every x86_64; neither touches memory. A guest of Xen that may not
    // read the counter gets an exception: by default it may.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}
