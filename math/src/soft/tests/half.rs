//! Half precision, where the host has no arithmetic of its own.

use std::arch::asm;

pub fn extend(bits: u16) -> Option<u32> {
    if !is_x86_feature_detected!("f16c") {
        return None;
    }
    let wide: u32;
    // SAFETY: the processor has the instruction; it touches one register.
    unsafe {
        asm!("vmovd {x}, {n:e}", "vcvtph2ps {x}, {x}", "vmovd {r:e}, {x}",
            x = out(xmm_reg) _, n = in(reg) u32::from(bits), r = lateout(reg) wide);
    }
    Some(wide)
}

pub fn truncate(bits: u32) -> Option<u16> {
    if !is_x86_feature_detected!("f16c") {
        return None;
    }
    let narrow: u32;
    // SAFETY: the processor has the instruction; it touches one register.
    unsafe {
        asm!("vmovd {x}, {n:e}", "vcvtps2ph {x}, {x}, 0", "vmovd {r:e}, {x}",
            x = out(xmm_reg) _, n = in(reg) bits, r = lateout(reg) narrow);
    }
    Some(narrow as u16)
}
