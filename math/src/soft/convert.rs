//! From format to format, and between formats and integers.

use super::format::{Format, Parts, is_nan};
use super::round::{round, round_off, round_top, sticky_right};
use crate::shifts::Shift;
use crate::word::Word;

/// To a wider format: exact, and a NaN becomes a quiet one with the same payload at its top.
#[inline]
pub fn extend<From: Format, To: Format>(x: From) -> To {
    let magnitude = x.word() & From::magnitude();
    let sign = sign_to::<From, To>(x);
    if magnitude.minus(From::unit()) < From::infinity().minus(From::unit()) {
        let shifted = magnitude.cast::<To::Word>().up(widening::<From, To>());
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
        let payload = payload.up(widening::<From, To>());
        return To::from_word(sign | special::<To>(payload, magnitude != From::infinity()));
    }
    // A subnormal number, whose first bit takes the place of the one before the point.
    let zeros = magnitude.leading_zeros();
    let exponent = 1_i32.wrapping_add(From::EXTRA as i32).wrapping_sub(zeros as i32);
    let significand =
        magnitude.cast::<To::Word>().up(To::Word::BITS.wrapping_sub(From::Word::BITS));
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
        let payload = (magnitude & From::fraction()).down(widening::<To, From>());
        return To::from_word(sign | special::<To>(payload.cast(), true));
    }
    if magnitude >= From::exponent(rebasing::<To, From>().wrapping_add(To::SPECIAL)) {
        return To::from_word(sign | To::infinity());
    }
    let biased = magnitude.down(From::FRACTION).to_i32();
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
    let bit = (x.word() & From::sign_bit()).down(From::SIGN);
    bit.cast::<To::Word>().up(To::SIGN)
}

/// From an unsigned integer, rounded.
#[inline]
pub fn from_unsigned<I: Integer, F: Format>(n: I) -> F {
    magnitude_to_float(n.unsigned(), F::Word::ZERO)
}

/// From a signed integer, rounded.
#[inline]
pub fn from_signed<I: Integer, F: Format>(n: I) -> F {
    let n = n.unsigned();
    let negative = n.down(I::Word::BITS.wrapping_sub(1));
    let mask = I::Word::ZERO.minus(negative);
    magnitude_to_float((n ^ mask).minus(mask), negative.cast::<F::Word>().up(F::SIGN))
}

/// The first one goes to the top of a word, and from there to where the format has it.
#[inline(always)]
fn magnitude_to_float<W: Word, F: Format>(n: W, sign: F::Word) -> F {
    let (top, rest, zeros) = n.normalised();
    if top == 0 {
        return F::from_word(F::Word::ZERO);
    }
    let exponent = F::BIAS.wrapping_add(W::BITS as i32).wrapping_sub(1).wrapping_sub(zeros as i32);
    if W::BITS > F::BIAS as u32 + 1 && exponent >= F::SPECIAL {
        // `F16` ends before the integers.
        return F::from_word(sign | F::infinity());
    }
    let fraction = if F::FRACTION >= u64::BITS {
        round_top::<F, _>(F::Word::from_u128((top as u128) << 64 | rest as u128))
    } else {
        round_top::<F, _>(top | u64::from(rest != 0)).cast()
    };
    F::from_word(sign | F::exponent(exponent).plus(fraction))
}

/// To an unsigned integer, towards zero; the nearest one if it does not fit, and 0 for NaN.
#[inline]
pub fn to_unsigned<F: Format, I: Integer>(x: F) -> I {
    let word = x.word();
    // With the sign above it, so that a negative number's is beyond every end.
    let exponent = word.down(F::FRACTION).to_i32().wrapping_sub(F::BIAS);
    if (exponent as u32) < least(I::Word::BITS, F::SPECIAL.wrapping_sub(F::BIAS) as u32) {
        return I::from_unsigned(integer_part::<F, I::Word>(word, exponent as u32));
    }
    let large = exponent >= 0 && word <= F::infinity();
    I::from_unsigned(if large { I::Word::ZERO.minus(I::Word::ONE) } else { I::Word::ZERO })
}

/// To a signed integer, towards zero; the nearest one if it does not fit, and 0 for NaN.
#[inline]
pub fn to_signed<F: Format, I: Integer>(x: F) -> I {
    let word = x.word();
    let exponent = (word.down(F::FRACTION).to_i32() & F::SPECIAL).wrapping_sub(F::BIAS);
    let mask = I::Word::ZERO.minus(word.down(F::SIGN).cast::<I::Word>());
    let top = I::Word::BITS.wrapping_sub(1);
    if exponent as u32 >= least(top, F::SPECIAL.wrapping_sub(F::BIAS) as u32) {
        // The least number is the one after the largest, negated.
        let most = I::Word::ONE.left(top).minus(I::Word::ONE);
        let large = exponent >= 0 && !is_nan::<F>(word);
        return I::from_unsigned(if large { most ^ mask } else { I::Word::ZERO });
    }
    let magnitude = integer_part::<F, I::Word>(word, exponent as u32);
    I::from_unsigned((magnitude ^ mask).minus(mask))
}

/// The exponents from here on do not fit the integer, or are not of numbers. A constant.
#[inline(always)]
fn least(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

/// What is before the point of a number from 1 on that fits in a word.
#[inline(always)]
fn integer_part<F: Format, W: Word>(word: F::Word, exponent: u32) -> W {
    let significand = word & F::fraction() | F::unit();
    // Most integers are short, and need only the first 64 bits, or what the upper word has of them.
    let first = if F::FRACTION < u64::BITS {
        significand.cast::<u64>().left(u64::BITS.wrapping_sub(F::FRACTION).wrapping_sub(1))
    } else {
        let upper = significand.down(F::Word::BITS.wrapping_sub(u64::BITS)).cast::<u64>();
        let lower = significand.cast::<u64>().down(u64::BITS.wrapping_sub(F::EXTRA));
        upper.up(F::EXTRA) | if W::BITS > u32::BITS { lower } else { 0 }
    };
    if exponent < u64::BITS {
        return first.right(exponent ^ 63).cast();
    }
    if F::FRACTION >= u64::BITS {
        let top = F::Word::BITS.wrapping_sub(1).wrapping_sub(exponent);
        return significand.up(F::EXTRA).right(top).cast();
    }
    first.cast::<W>().left(exponent.wrapping_sub(63))
}

/// Integers that floats convert from and to.
pub trait Integer: Copy + sealed::Sealed {
    /// The unsigned one of the same width.
    #[doc(hidden)]
    type Word: Word;
    #[doc(hidden)]
    fn unsigned(self) -> Self::Word;
    #[doc(hidden)]
    fn from_unsigned(word: Self::Word) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ident $word:ident)*) => {$(
        impl sealed::Sealed for $integer {}
        impl Integer for $integer {
            type Word = $word;
            #[inline(always)]
            fn unsigned(self) -> $word {
                self as $word
            }
            #[inline(always)]
            fn from_unsigned(word: $word) -> Self {
                word as $integer
            }
        }
    )*};
}

integers! { i32 u32 u32 u32 i64 u64 u64 u64 i128 u128 u128 u128 }
