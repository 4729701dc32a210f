//! Product.
//!
//! Both significands stand at the top of their words, so the upper word of their product begins at
//! its first or second bit and has room for a mark that the lower word was not zero.

use super::format::{
    Format, Parts, Unpacked, biased, invalid, is_nan, is_normal, nan, unpack, unpack_normal,
};
use super::round::round;
use crate::shifts::Shift;
use crate::word::Word;

/// `a` · `b`.
#[inline]
pub fn mul<F: Format>(a: F, b: F) -> F {
    let (a, b) = (a.word(), b.word());
    if !is_normal::<F>(biased::<F>(a)) || !is_normal::<F>(biased::<F>(b)) {
        return mul_rare(a, b);
    }
    product((a ^ b) & F::sign_bit(), unpack_normal::<F>(a), unpack_normal::<F>(b))
}

#[inline(always)]
fn product<F: Format>(sign: F::Word, a: Unpacked<F::Word>, b: Unpacked<F::Word>) -> F {
    let (high, low) = a.significand.up(F::EXTRA).wide_mul(b.significand.up(F::EXTRA));
    let marked = high | F::Word::from_bool(low != F::Word::ZERO);
    let long = marked.down(F::Word::BITS.wrapping_sub(1)).to_i32();
    let exponent = a.exponent.wrapping_add(b.exponent).wrapping_add(long).wrapping_sub(F::BIAS);
    // Twice, or once: a shift by 0 or 1 is a long way to say it.
    round(sign, exponent, if long == 0 { marked.plus(marked) } else { marked })
}

/// With zeros, subnormal numbers, infinities and NaNs.
#[cold]
#[inline(never)]
fn mul_rare<F: Format>(a: F::Word, b: F::Word) -> F {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return nan(a, b);
    }
    let sign = (a ^ b) & F::sign_bit();
    let (x, y) = (a & F::magnitude(), b & F::magnitude());
    let any_zero = x == F::Word::ZERO || y == F::Word::ZERO;
    if x == F::infinity() || y == F::infinity() {
        return if any_zero { invalid() } else { F::from_word(sign | F::infinity()) };
    }
    if any_zero {
        return F::from_word(sign);
    }
    product(sign, unpack::<F>(x), unpack::<F>(y))
}
