//! From format to format, and between formats and integers.

use super::format::{Format, Parts};
use super::round::{round, round_off, sticky_right};
use crate::word::Word;

/// To a wider format: exact, and a NaN becomes a quiet one with the same payload at its top.
#[inline]
pub fn extend<From: Format, To: Format>(x: From) -> To {
    let magnitude = x.word() & From::magnitude();
    let sign = sign_to::<From, To>(x);
    if magnitude.minus(From::unit()) < From::infinity().minus(From::unit()) {
        let shifted = magnitude.cast::<To::Word>().left(widening::<From, To>());
        return To::from_word(sign | shifted.plus(To::exponent(rebasing::<From, To>())));
    }
    extend_rare(x)
}

#[cold]
#[inline(never)]
fn extend_rare<From: Format, To: Format>(x: From) -> To {
    let magnitude = x.word() & From::magnitude();
    let sign = sign_to::<From, To>(x);
    if magnitude == From::Word::ZERO {
        return To::from_word(sign);
    }
    if magnitude >= From::infinity() {
        let payload = (magnitude & From::fraction()).cast::<To::Word>();
        let payload = payload.left(widening::<From, To>());
        return To::from_word(sign | special::<To>(payload, magnitude != From::infinity()));
    }
    // A subnormal number, whose first bit takes the place of the one before the point.
    let zeros = magnitude.leading_zeros();
    let exponent = 1_i32.wrapping_add(From::EXTRA as i32).wrapping_sub(zeros as i32);
    let significand =
        magnitude.cast::<To::Word>().left(To::Word::BITS.wrapping_sub(From::Word::BITS));
    round::<To>(sign, exponent.wrapping_add(rebasing::<From, To>()), significand.left(zeros))
}

/// To a narrower format, rounded.
#[inline]
pub fn truncate<From: Format, To: Format>(x: From) -> To {
    let magnitude = x.word() & From::magnitude();
    let sign = sign_to::<From, To>(x);
    // Where the narrower format has normal numbers, and up to where its infinity would have them.
    let least = From::exponent(rebasing::<To, From>().wrapping_add(1));
    let end = From::exponent(rebasing::<To, From>().wrapping_add(To::SPECIAL));
    if magnitude.minus(least) < end.minus(least) {
        let rebased = magnitude.minus(From::exponent(rebasing::<To, From>()));
        let rounded = round_off(rebased, widening::<To, From>());
        return To::from_word(sign | rounded.cast());
    }
    truncate_rare(x)
}

#[cold]
#[inline(never)]
fn truncate_rare<From: Format, To: Format>(x: From) -> To {
    let magnitude = x.word() & From::magnitude();
    let sign = sign_to::<From, To>(x);
    if magnitude > From::infinity() {
        let payload = (magnitude & From::fraction()).right(widening::<To, From>());
        return To::from_word(sign | special::<To>(payload.cast(), true));
    }
    if magnitude >= From::exponent(rebasing::<To, From>().wrapping_add(To::SPECIAL)) {
        return To::from_word(sign | To::infinity());
    }
    let biased = magnitude.right(From::FRACTION).to_i32();
    let before_point = if biased == 0 { From::Word::ZERO } else { From::unit() };
    let significand = magnitude & From::fraction() | before_point;
    // To where the last bit of the narrower format's subnormal numbers is.
    let exponent = if biased == 0 { 1 } else { biased };
    let least = rebasing::<To, From>().wrapping_add(1);
    let bits = widening::<To, From>().wrapping_add(least.wrapping_sub(exponent) as u32);
    let subnormal = round_off(sticky_right(significand, bits.wrapping_sub(2)), 2);
    To::from_word(sign | subnormal.cast())
}

/// An infinity, or a quiet NaN with that payload.
#[inline(always)]
fn special<To: Format>(payload: To::Word, nan: bool) -> To::Word {
    let quiet = if nan { To::quiet() } else { To::Word::ZERO };
    To::infinity() | quiet | payload
}

/// How many bits of the fraction a format has more than a narrower one.
#[inline(always)]
fn widening<Narrow: Format, Wide: Format>() -> u32 {
    Wide::FRACTION.wrapping_sub(Narrow::FRACTION)
}

/// How far exponents are counted from in a format beyond a narrower one.
#[inline(always)]
fn rebasing<Narrow: Format, Wide: Format>() -> i32 {
    Wide::BIAS.wrapping_sub(Narrow::BIAS)
}

/// The sign bit, where the other format has it.
#[inline(always)]
fn sign_to<From: Format, To: Format>(x: From) -> To::Word {
    let bit = (x.word() & From::sign_bit()).right(From::SIGN);
    bit.cast::<To::Word>().left(To::SIGN)
}
