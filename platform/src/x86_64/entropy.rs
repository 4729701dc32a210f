//! RDSEED, and RDRAND where there is none.
//!
//! RDSEED gives the conditioned noise itself. RDRAND gives the output of a generator that the processor reseeds from
//! it, which is good enough for a seed. Source: Intel SDM volume 1, 7.3.17 (random number generator instructions).

use core::arch::asm;

use super::cpu;

/// How to get a word from the processor's source; the word is `None` if it has none at the moment.
pub fn word() -> Option<fn() -> Option<u64>> {
    const SEED: u32 = 1 << 18;
    const RANDOM: u32 = 1 << 30;
    let [highest, ..] = cpu::cpuid(0, 0);
    if highest >= 7 && cpu::cpuid(7, 0)[1] & SEED != 0 {
        return Some(seed);
    }
    (cpu::cpuid(1, 0)[2] & RANDOM != 0).then_some(random as fn() -> Option<u64>)
}

fn seed() -> Option<u64> {
    let (word, success): (u64, u8);
    // SAFETY: `word` gives this function out only where the instruction exists. It touches no memory.
    unsafe {
        asm!("rdseed {}", "setc {}", out(reg) word, out(reg_byte) success, options(nomem, nostack))
    }
    (success == 1).then_some(word)
}

fn random() -> Option<u64> {
    let (word, success): (u64, u8);
    // SAFETY: as in `seed`.
    unsafe {
        asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) success, options(nomem, nostack))
    }
    (success == 1).then_some(word)
}
