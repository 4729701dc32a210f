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

/// Takes off what a word has below a significand that begins at its top, and rounds.
///
/// What is lost fits in 32 bits with every format, and so does not have to be carried in a longer word.
#[inline(always)]
pub(crate) fn round_extra<F: Format>(word: F::Word) -> F::Word {
    if F::EXTRA >= u32::BITS {
        return round_off(word, F::EXTRA);
    }
    let kept = word.down(F::EXTRA);
    let below_half = 1_u32.left(F::EXTRA.wrapping_sub(1)).wrapping_sub(1);
    let lost = word.to_i32() as u32 & 1_u32.up(F::EXTRA).wrapping_sub(1);
    let carry = lost.wrapping_add(below_half).wrapping_add(kept.to_i32() as u32 & 1).down(F::EXTRA);
    kept.plus(F::Word::from_i32(carry as i32))
}

/// The number nearest to `significand` · 2^(`exponent` − bias − width + 1), with the sign bit `sign`.
///
/// The significand begins at the word's top bit, and its last bit may stand for all below.
#[inline(always)]
pub(crate) fn round<F: Format>(sign: F::Word, exponent: i32, significand: F::Word) -> F {
    if is_normal::<F>(exponent) {
        // The bit before the point adds one to the exponent; so does a carry out of rounding, up
        // to infinity.
        let biased = F::exponent(exponent.wrapping_sub(1));
        return F::from_word(sign | biased.plus(round_extra::<F>(significand)));
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
