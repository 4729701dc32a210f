//! Sum and difference.
//!
//! The smaller number's significand is shifted under the larger one's, and what falls off leaves a
//! mark in its last bit. Both have room below for that bit to decide every rounding: if more than one
//! bit falls off, the difference loses no more than one at the top.
//!
//! For normal numbers there is no branch that depends on the values but for those that hardly ever
//! change, because a mispredicted one costs as much as everything else here.

use super::format::{Format, Parts, invalid, is_nan, nan};
use super::round::{round, sticky_right_within};
use crate::shifts::Shift;
use crate::word::Word;

/// `a` + `b`.
#[inline]
pub fn add<F: Format>(a: F, b: F) -> F {
    sum(a.word(), b.word(), F::Word::ZERO)
}

/// `a` − `b`.
#[inline]
pub fn sub<F: Format>(a: F, b: F) -> F {
    sum(a.word(), b.word(), F::sign_bit())
}

/// `a` + `b`, where the sign of `b` is flipped by `flip`, but not a NaN's.
#[inline(always)]
fn sum<F: Format>(a: F::Word, b: F::Word, flip: F::Word) -> F {
    let other = b ^ flip;
    let (large, small) =
        if a & F::magnitude() < other & F::magnitude() { (other, a) } else { (a, other) };
    let exponent = (large & F::magnitude()).down(F::FRACTION).to_i32();
    let lesser = (small & F::magnitude()).down(F::FRACTION).to_i32();
    if lesser == 0 || exponent == F::SPECIAL {
        return sum_rare(a, b, flip);
    }
    let sign = large & F::sign_bit();
    sum_of::<F>(
        sign,
        (large ^ small) & F::sign_bit(),
        exponent,
        large & F::fraction() | F::unit(),
        small & F::fraction() | F::unit(),
        exponent.wrapping_sub(lesser) as u32,
    )
}

/// The sum of two significands, of which the lesser one is `apart` places further down.
#[inline(always)]
fn sum_of<F: Format>(
    sign: F::Word,
    signs_differ: F::Word,
    exponent: i32,
    large: F::Word,
    small: F::Word,
    apart: u32,
) -> F {
    // One bit above for the carry.
    let room = F::EXTRA.wrapping_sub(1);
    let small = sticky_right_within(small.up(room), apart);
    // Complement and add one, or not.
    let negative = F::Word::ZERO.minus(signs_differ.down(F::SIGN));
    let sum = large.up(room).plus((small ^ negative).minus(negative));
    if sum == F::Word::ZERO {
        return F::from_word(sum);
    }
    let zeros = sum.leading_zeros();
    round(sign, exponent.wrapping_add(1).wrapping_sub(zeros as i32), sum.left(zeros))
}

/// With zeros, subnormal numbers, infinities and NaNs.
#[cold]
#[inline(never)]
fn sum_rare<F: Format>(a: F::Word, b: F::Word, flip: F::Word) -> F {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return nan(a, b);
    }
    let b = b ^ flip;
    let (large, small) = if a & F::magnitude() < b & F::magnitude() { (b, a) } else { (a, b) };
    let differ = (large ^ small) & F::sign_bit();
    if large & F::magnitude() == F::infinity() {
        let opposite = small & F::magnitude() == F::infinity() && differ != F::Word::ZERO;
        return if opposite { invalid() } else { F::from_word(large) };
    }
    if small & F::magnitude() == F::Word::ZERO {
        // Two zeros of different signs make a positive one.
        let zeros = large & F::magnitude() == F::Word::ZERO;
        return F::from_word(if zeros { large & small } else { large });
    }
    // A subnormal number has the least exponent, and no bit before the point.
    let part = |word: F::Word| {
        let fraction = word & F::fraction();
        let exponent = (word & F::magnitude()).down(F::FRACTION).to_i32();
        if exponent == 0 { (1, fraction) } else { (exponent, fraction | F::unit()) }
    };
    let ((exponent, large_significand), (lesser, small_significand)) = (part(large), part(small));
    sum_of::<F>(
        large & F::sign_bit(),
        differ,
        exponent,
        large_significand,
        small_significand,
        exponent.wrapping_sub(lesser) as u32,
    )
}
