//! Sine, cosine and tangent of an `f32`.
//!
//! The argument less the nearest multiple of π/2, then a polynomial; all in `f64`. Small arguments are
//! reduced in `f64`, with π/2 in two parts; large ones in integers of 128 bits, with as many bits of 2/π as
//! matter (Payne and Hanek, Radian reduction for trigonometric functions, SIGNUM 18, 1983).

use super::convert::wide;
use super::double::entry;
use super::exp::two_to;
use super::narrow::{Exceptions, narrow, narrow_odd};
use super::tables::{
    COS, CURVES, HALF_PI, QUARTER_HIGH, QUARTER_LOW, QUARTERS_PER_RADIAN, SIN, TWO_OVER_PI,
};
use crate::shifts::Shift as _;

/// An angle as `quarters` · π/2 + `rest`, the rest between -π/4 and π/4 or just beyond.
#[derive(Clone, Copy)]
struct Angle {
    quarters: u64,
    rest: f64,
}

/// Up to here k · π/2 to 33 bits is exact, and what is left of it too small to matter.
const SMALL: f32 = 512.0;

/// Of a finite `x` from 0 up.
#[inline(always)]
fn angle(x: f32) -> Angle {
    if x < SMALL {
        const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52
        let x = wide(x);
        let sum = x * QUARTERS_PER_RADIAN + ROUNDER;
        let k = sum - ROUNDER;
        return Angle { quarters: sum.to_bits(), rest: (x - k * QUARTER_HIGH) - k * QUARTER_LOW };
    }
    large_angle(x)
}

/// Of a finite `x` from 1 up.
///
/// x = m 2^e with an integer m. In m 2^e · 2/π, the bits of 2/π that make multiples of 4 do not matter;
/// the 128 behind them, times m, modulo 2^128, are the product modulo 4 with 126 bits behind the point.
#[cold]
#[inline(never)]
fn large_angle(x: f32) -> Angle {
    let bits = x.to_bits();
    let m = u128::from(bits & 0x7f_ffff | 0x80_0000);
    let exponent = ((bits >> 23) & 0xff).wrapping_sub(150);
    // The table has 64 zeros first, and two bits before the point are wanted.
    let from = exponent.wrapping_add(62);
    let word = |n: u32| {
        let at = (from >> 6).wrapping_add(n) as usize;
        u128::from(TWO_OVER_PI.get(at).copied().unwrap_or_default())
    };
    let shift = from & 63;
    let first = word(0) << 64 | word(1);
    let window = first.left(shift) | word(2).left(shift) >> 64;
    let product = m.wrapping_mul(window);

    let quarters = (product.wrapping_add(1 << 125) >> 126) as u64;
    let rest = (product << 2) as i128 >> 2;
    let size = rest.unsigned_abs();
    let zeros = size.leading_zeros();
    let top = (size.left(zeros) >> 64) as u64;
    // `top` has 64 of the bits: size = top · 2^(64 - zeros), in units of 2^-126.
    let scale = two_to(62_i64.wrapping_add(i64::from(zeros)).wrapping_neg());
    let turn = top as f64 * scale * HALF_PI;
    Angle { quarters, rest: if rest < 0 { -turn } else { turn } }
}

/// sin `x` for |`x`| ≤ π/4.
#[inline(always)]
pub(super) fn sine(x: f64) -> f64 {
    x + sine_curve(x)
}

/// And that less `x`.
#[inline(always)]
pub(super) fn sine_curve(x: f64) -> f64 {
    let [a, b, c, d, e, f] = SIN;
    let z = x * x;
    let square = z * z;
    x * z * ((a + b * z) + square * ((c + d * z) + square * (e + f * z)))
}

/// cos `x` for |`x`| ≤ π/4.
#[inline(always)]
pub(super) fn cosine(x: f64) -> f64 {
    let [a, b, c, d, e, f] = COS;
    let z = x * x;
    let square = z * z;
    (1.0 - 0.5 * z) + square * ((a + b * z) + square * ((c + d * z) + square * (e + f * z)))
}

impl Angle {
    #[inline(always)]
    fn sine(self) -> f64 {
        // One curve for both, by a table and not by a branch: nothing foretells which it will be.
        let odd = self.quarters & 1;
        let base = [self.rest.to_bits(), 1.0_f64.to_bits()];
        let base = f64::from_bits(if odd == 0 { base[0] } else { base[1] });
        let [a, b, c, d, e, f] = entry(&CURVES, odd as usize);
        let z = self.rest * self.rest;
        let square = z * z;
        let curve = (a + b * z) + square * ((c + d * z) + square * (e + f * z));
        let size = base + base * (z * curve);
        f64::from_bits(size.to_bits() ^ (self.quarters & 2) << 62)
    }

    #[inline(always)]
    fn cosine(self) -> f64 {
        Angle { quarters: self.quarters.wrapping_add(1), rest: self.rest }.sine()
    }

    #[inline(always)]
    fn tangent(self) -> f64 {
        let (sine, cosine) = (sine(self.rest), cosine(self.rest));
        if self.quarters & 1 == 0 { sine / cosine } else { -(cosine / sine) }
    }
}

const SINF: &Exceptions = &[(0x46199998, 0xbeb1fa5d)];
const COSF: &Exceptions = &[
    (0x5922aa80, 0x3f08aebf),
    (0x5f18b878, 0x3f7f14bb),
    (0x6115cb11, 0x3f78142f),
    (0x7908cd73, 0x3f798bb5),
];
const TANF: &Exceptions = &[];

/// C's `sinf`, correctly rounded.
#[inline]
pub fn sinf(x: f32) -> f32 {
    if !(x.abs() < f32::INFINITY) {
        return f32::NAN;
    }
    narrow_odd(angle(x.abs()).sine(), x, SINF)
}

/// C's `cosf`, correctly rounded.
#[inline]
pub fn cosf(x: f32) -> f32 {
    if !(x.abs() < f32::INFINITY) {
        return f32::NAN;
    }
    narrow(angle(x.abs()).cosine(), x.abs(), COSF)
}

/// C's `tanf`, correctly rounded.
#[inline]
pub fn tanf(x: f32) -> f32 {
    if !(x.abs() < f32::INFINITY) {
        return f32::NAN;
    }
    narrow_odd(angle(x.abs()).tangent(), x, TANF)
}

/// GNU's `sincosf`: what `sinf` and `cosf` give.
#[inline]
pub fn sincosf(x: f32) -> (f32, f32) {
    (sinf(x), cosf(x))
}
