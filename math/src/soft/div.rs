//! Quotient.
//!
//! One division of two words by one, shifted so that the quotient has the format's precision and two
//! bits more: hardware takes longer for a longer quotient. For `F128` it is two, made by
//! [`Word::quotient`].

use super::format::{
    Format, Parts, Unpacked, biased, invalid, is_nan, is_normal, nan, unpack, unpack_normal,
};
use super::round::round;
use crate::shifts::Shift;
use crate::word::Word;

/// `a` / `b`.
#[inline]
pub fn div<F: Format>(a: F, b: F) -> F {
    let (a, b) = (a.word(), b.word());
    if !is_normal::<F>(biased::<F>(a)) || !is_normal::<F>(biased::<F>(b)) {
        return div_rare(a, b);
    }
    quotient((a ^ b) & F::sign_bit(), unpack_normal::<F>(a), unpack_normal::<F>(b))
}

#[inline(always)]
fn quotient<F: Format>(sign: F::Word, a: Unpacked<F::Word>, b: Unpacked<F::Word>) -> F {
    let (bits, quotient) = a.significand.quotient(b.significand, F::FRACTION);
    let zeros = quotient.leading_zeros();
    // 2^`bits` stands for 1.
    let above = F::Word::BITS.wrapping_sub(1).wrapping_sub(bits).wrapping_sub(zeros) as i32;
    let exponent = a.exponent.wrapping_sub(b.exponent).wrapping_add(F::BIAS).wrapping_add(above);
    round(sign, exponent, quotient.left(zeros))
}

/// With zeros, subnormal numbers, infinities and NaNs.
#[cold]
#[inline(never)]
fn div_rare<F: Format>(a: F::Word, b: F::Word) -> F {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return nan(a, b);
    }
    let sign = (a ^ b) & F::sign_bit();
    let (x, y) = (a & F::magnitude(), b & F::magnitude());
    if x == y && (x == F::Word::ZERO || x == F::infinity()) {
        return invalid();
    }
    if x == F::infinity() || y == F::Word::ZERO {
        return F::from_word(sign | F::infinity());
    }
    if x == F::Word::ZERO || y == F::infinity() {
        return F::from_word(sign);
    }
    quotient(sign, unpack::<F>(x), unpack::<F>(y))
}
