//! From a long significand to a number: to nearest, ties to even.

use super::format::{Format, Parts, is_normal};
use crate::word::Word;

/// Shifts right by any number of bits; what falls off stays visible in the last bit.
#[inline(always)]
pub(crate) fn sticky_right<W: Word>(word: W, bits: u32) -> W {
    if bits >= W::BITS {
        return W::from_bool(word != W::ZERO);
    }
    let lost = word != word.right(bits).left(bits);
    word.right(bits) | W::from_bool(lost)
}

/// As [`sticky_right`] for a word whose top bit is clear; all shifts by the width or more are one.
#[inline(always)]
pub(crate) fn sticky_right_within<W: Word>(word: W, bits: u32) -> W {
    let most = W::BITS.wrapping_sub(1);
    let bits = if bits > most { most } else { bits };
    let kept = word.right(bits);
    kept | W::from_bool(kept.left(bits) != word)
}

/// Takes `bits` bits off the end and rounds; `bits` is 1 up to the width less 1, and a constant.
#[inline(always)]
pub(crate) fn round_off<W: Word>(word: W, bits: u32) -> W {
    let kept = word.down(bits);
    let lost = word & W::ONE.up(bits).minus(W::ONE);
    // Carries into bit `bits` from more than a half, and from a half if what is kept is odd.
    let below_half = W::ONE.up(bits.wrapping_sub(1)).minus(W::ONE);
    kept.plus(lost.plus(below_half).plus(kept & W::ONE).down(bits))
}

/// The fraction of a significand that begins at the top of `word`, rounded.
///
/// One more than its greatest value, if it is rounded up to the next power: added to an exponent in
/// its place, that is right.
#[inline(always)]
pub(crate) fn round_top<F: Format, W: Word>(word: W) -> W {
    let top = W::BITS.wrapping_sub(1);
    let bits = top.wrapping_sub(F::FRACTION);
    let below_half = W::ONE.up(bits.wrapping_sub(1)).minus(W::ONE);
    let odd = word.down(bits) & W::ONE;
    (word & W::ONE.up(top).minus(W::ONE)).plus(below_half).plus(odd).down(bits)
}

/// The number nearest to `significand` · 2^(`exponent` − bias − width + 1), with the sign bit `sign`.
///
/// The significand begins at the word's top bit, and its last bit may stand for all below.
#[inline(always)]
pub(crate) fn round<F: Format>(sign: F::Word, exponent: i32, significand: F::Word) -> F {
    if is_normal::<F>(exponent) {
        // A carry out of rounding adds one to the exponent, up to infinity.
        return F::from_word(sign | F::exponent(exponent).plus(round_top::<F, _>(significand)));
    }
    out_of_range(sign, exponent, significand)
}

#[cold]
#[inline(never)]
fn out_of_range<F: Format>(sign: F::Word, exponent: i32, significand: F::Word) -> F {
    if exponent > 0 {
        return F::from_word(sign | F::infinity());
    }
    let subnormal = sticky_right(significand, 1_u32.wrapping_sub(exponent as u32));
    F::from_word(sign | round_off(subnormal, F::EXTRA))
}
