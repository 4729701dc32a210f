//! Remainder, exact, with the dividend's sign: `%`, C's `fmod`.
//!
//! The dividend's exponent is worked off a machine's word at a time, each step a division of which the
//! remainder is kept.

use super::format::{Format, Parts, invalid, is_nan, nan, unpack};
use super::round::round;
use crate::shifts::Shift;
use crate::word::Word;

/// `a` % `b`.
pub fn rem<F: Format>(a: F, b: F) -> F {
    let (a, b) = (a.word(), b.word());
    let (x, y) = (a & F::magnitude(), b & F::magnitude());
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return nan(a, b);
    }
    if x == F::infinity() || y == F::Word::ZERO {
        return invalid();
    }
    if x < y {
        return F::from_word(a);
    }
    let (x, y) = (unpack::<F>(x), unpack::<F>(y));
    let d = y.significand.up(F::EXTRA);
    let n = x.significand.up(F::EXTRA);
    let mut r = if n >= d { n.minus(d) } else { n };
    let mut apart = x.exponent.wrapping_sub(y.exponent) as u32;
    while apart > F::Word::DIGIT {
        r = r.shifted_modulo(F::Word::DIGIT, d);
        apart = apart.wrapping_sub(F::Word::DIGIT);
    }
    if apart > 0 {
        r = r.shifted_modulo(apart, d);
    }
    let sign = a & F::sign_bit();
    if r == F::Word::ZERO {
        return F::from_word(sign);
    }
    let zeros = r.leading_zeros();
    round(sign, y.exponent.wrapping_sub(zeros as i32), r.left(zeros))
}
