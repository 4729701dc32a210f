//! Product and sum with one rounding.
//!
//! The whole product and the third number each take two words, and are added as `add` does it.

use super::format::{
    Format, Parts, Unpacked, biased, invalid, is_nan, is_normal, nan, unpack, unpack_normal,
};
use super::round::round;
use crate::shifts::Shift;
use crate::word::Word;

/// `a` · `b` + `c`.
#[inline]
pub fn fma<F: Format>(a: F, b: F, c: F) -> F {
    let (a, b, c) = (a.word(), b.word(), c.word());
    let normal = |word| is_normal::<F>(biased::<F>(word));
    if !normal(a) || !normal(b) || !normal(c) {
        return fma_rare(a, b, c);
    }
    let (x, y, z) = (unpack_normal::<F>(a), unpack_normal::<F>(b), unpack_normal::<F>(c));
    fused((a ^ b) & F::sign_bit(), x, y, c & F::sign_bit(), z)
}

/// Two words that are one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair<W> {
    high: W,
    low: W,
}

impl<W: Word> Pair<W> {
    /// Shifts right; what falls off stays visible in the last bit. The top bit is clear.
    #[inline(always)]
    fn sticky_right(self, bits: u32) -> Self {
        let whole = bits >= W::BITS;
        let (high, low, lost) =
            if whole { (W::ZERO, self.high, self.low) } else { (self.high, self.low, W::ZERO) };
        let rest = bits.wrapping_sub(if whole { W::BITS } else { 0 });
        let most = W::BITS.wrapping_sub(1);
        // From two words on nothing is left: as if by all but one bit, and the top bit is clear.
        let rest = if rest > most { most } else { rest };
        let moved = high.up(1).left(most.wrapping_sub(rest));
        let kept = low.right(rest);
        let lost = lost | (kept.left(rest) ^ low);
        Self { high: high.right(rest), low: kept | moved | W::from_bool(lost != W::ZERO) }
    }

    /// `self` − `other` if `mask` is all ones, `self` + `other` if it is zero.
    #[inline(always)]
    fn plus_or_minus(self, other: Self, mask: W) -> Self {
        let other = Self { high: other.high ^ mask, low: other.low ^ mask };
        let low = self.low.plus(other.low);
        let carry = W::from_bool(low < self.low);
        // The one that a complement lacks.
        let whole = low.minus(mask);
        let carry = carry | W::from_bool(whole < low);
        Self { high: self.high.plus(other.high).plus(carry), low: whole }
    }
}

#[inline(always)]
fn fused<F: Format>(
    product_sign: F::Word,
    a: Unpacked<F::Word>,
    b: Unpacked<F::Word>,
    sign: F::Word,
    c: Unpacked<F::Word>,
) -> F {
    let top = F::Word::BITS.wrapping_sub(1);
    let room = F::EXTRA.wrapping_sub(1);
    // Both begin at the second bit, to leave one for the carry.
    let (high, low) = a.significand.up(F::EXTRA).wide_mul(b.significand.up(room));
    let long = high.down(top.wrapping_sub(1));
    // Twice if it begins a bit late. With a mask, because a choice between pairs becomes a branch.
    let short = long.minus(F::Word::ONE);
    let product =
        Pair { high: high.plus(high & short) | low.down(top) & short, low: low.plus(low & short) };
    let exponent =
        a.exponent.wrapping_add(b.exponent).wrapping_sub(F::BIAS).wrapping_add(long.to_i32());
    let addend = Pair { high: c.significand.up(room), low: F::Word::ZERO };

    let swap = (exponent, product) < (c.exponent, addend);
    let (large, small) = if swap { (addend, product) } else { (product, addend) };
    let (large_exponent, small_exponent) =
        if swap { (c.exponent, exponent) } else { (exponent, c.exponent) };
    let result_sign = if swap { sign } else { product_sign };
    let small = small.sticky_right(large_exponent.wrapping_sub(small_exponent) as u32);
    let differ = F::Word::ZERO.minus((sign ^ product_sign).down(F::SIGN));
    let sum = large.plus_or_minus(small, differ);
    let (high, low, shift) = if sum.high == F::Word::ZERO {
        (sum.low, F::Word::ZERO, F::Word::BITS)
    } else {
        (sum.high, sum.low, 0)
    };
    if high == F::Word::ZERO {
        return F::from_word(high);
    }
    let zeros = high.leading_zeros();
    let carried = low.down(1).right(top.wrapping_sub(zeros));
    let marked = high.left(zeros) | carried | F::Word::from_bool(low.left(zeros) != F::Word::ZERO);
    let exponent = large_exponent.wrapping_add(1).wrapping_sub(zeros.wrapping_add(shift) as i32);
    round(result_sign, exponent, marked)
}

/// With zeros, subnormal numbers, infinities and NaNs.
#[cold]
#[inline(never)]
fn fma_rare<F: Format>(a: F::Word, b: F::Word, c: F::Word) -> F {
    if is_nan::<F>(a) || is_nan::<F>(b) || is_nan::<F>(c) {
        return if is_nan::<F>(a) { nan(a, a) } else { nan(b, c) };
    }
    let (x, y, z) = (a & F::magnitude(), b & F::magnitude(), c & F::magnitude());
    let (product_sign, sign) = ((a ^ b) & F::sign_bit(), c & F::sign_bit());
    let any_zero = x == F::Word::ZERO || y == F::Word::ZERO;
    if x == F::infinity() || y == F::infinity() {
        if any_zero || z == F::infinity() && sign != product_sign {
            return invalid();
        }
        return F::from_word(product_sign | F::infinity());
    }
    if z == F::infinity() {
        return F::from_word(c);
    }
    if any_zero {
        // Two zeros of different signs make a positive one.
        return F::from_word(if z == F::Word::ZERO { product_sign & c } else { c });
    }
    let (x, y) = (unpack::<F>(x), unpack::<F>(y));
    let z = if z == F::Word::ZERO {
        // Below everything, so that the product is the larger one; its sign is that of the result.
        Unpacked { exponent: i32::MIN / 2, significand: z }
    } else {
        unpack::<F>(z)
    };
    fused(product_sign, x, y, sign, z)
}
