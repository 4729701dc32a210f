//! Soft float against the machine's own and against software of others.

use super::*;
use crate::tests::{Random, rounds};

/// F16C, for both directions. `None` on a machine without it.
#[cfg(target_arch = "x86_64")]
mod half {
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
}

/// What the bits of a binary16 say, by the definition.
fn half_value(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[test]
fn every_binary16_extends_to_its_value_and_truncates_back() {
    for bits in 0..=u16::MAX {
        let got: F32 = extend(F16::from_bits(bits));
        let (value, want) = (f32::from_bits(got.to_bits()), half_value(bits));
        assert!(value == want || value.is_nan() && want.is_nan(), "{bits:#x}: {value}");
        assert_eq!(value.is_sign_negative(), bits >> 15 == 1, "{bits:#x}");
        let quiet = if want.is_nan() { bits | 0x200 } else { bits };
        assert_eq!(truncate::<F32, F16>(got).to_bits(), quiet, "{bits:#x}");
        if let Some(wide) = half::extend(bits) {
            assert_eq!(got.to_bits(), wide, "{bits:#x}");
        }
    }
}

#[test]
fn truncation_to_binary16_agrees_with_the_machine() {
    // Every number whose last bits are all alike but for one, which has every tie and its neighbours.
    let check = |bits: u32| {
        let got = truncate::<F32, F16>(F32::from_bits(bits)).to_bits();
        if let Some(narrow) = half::truncate(bits) {
            assert_eq!(got, narrow, "{bits:#x}");
        }
    };
    for upper in 0..=u32::MAX >> 12 {
        for low in [0, 1, 0x7ff, 0x800, 0x801, 0xfff] {
            check(upper << 12 | low);
        }
    }
    let mut random = Random(1);
    for _ in 0..rounds(1_000_000) {
        check(random.next() as u32);
    }
}
