//! To integers that are still floats, and the choice between two numbers.

use super::add::sub;
use super::compare::{order, unordered};
use super::format::{Format, Parts, biased, is_nan, nan};
use crate::shifts::Shift;
use crate::word::Word;

/// Towards zero.
pub fn trunc<F: Format>(x: F) -> F {
    let word = x.word();
    F::from_word(split::<F>(word).0 | word & F::sign_bit())
}

/// The magnitude's integer part, as a float, and whether anything was left.
fn split<F: Format>(word: F::Word) -> (F::Word, bool) {
    let magnitude = word & F::magnitude();
    let exponent = biased::<F>(word).wrapping_sub(F::BIAS);
    if exponent < 0 {
        return (F::Word::ZERO, magnitude != F::Word::ZERO);
    }
    if exponent >= F::FRACTION as i32 {
        // A NaN becomes a quiet one, as from any other operation.
        let quiet = if is_nan::<F>(word) { F::quiet() } else { F::Word::ZERO };
        return (magnitude | quiet, false);
    }
    let below = F::unit().right(exponent as u32).minus(F::Word::ONE);
    (magnitude & !below, magnitude & below != F::Word::ZERO)
}

/// The next integer away from zero, of the float that is one; carries into the exponent.
fn next<F: Format>(integer: F::Word) -> F::Word {
    let one = F::exponent(F::BIAS);
    if integer < one {
        return one;
    }
    integer.plus(F::unit().right(biased::<F>(integer).wrapping_sub(F::BIAS) as u32))
}

/// Towards negative infinity.
pub fn floor<F: Format>(x: F) -> F {
    away_if(x, |negative| negative)
}

/// Towards positive infinity.
pub fn ceil<F: Format>(x: F) -> F {
    away_if(x, |negative| !negative)
}

fn away_if<F: Format>(x: F, away: impl Fn(bool) -> bool) -> F {
    let sign = x.word() & F::sign_bit();
    let (integer, rest) = split::<F>(x.word());
    let up = rest && away(sign != F::Word::ZERO);
    F::from_word(sign | if up { next::<F>(integer) } else { integer })
}

/// To the nearest, halves away from zero.
pub fn round<F: Format>(x: F) -> F {
    nearest(x, |_| true)
}

/// To the nearest, halves to even.
pub fn round_ties_even<F: Format>(x: F) -> F {
    nearest(x, |odd| odd)
}

fn nearest<F: Format>(x: F, tie_up: impl Fn(bool) -> bool) -> F {
    let word = x.word();
    let (sign, magnitude) = (word & F::sign_bit(), word & F::magnitude());
    let (integer, rest) = split::<F>(word);
    if !rest {
        return F::from_word(sign | integer);
    }
    let exponent = biased::<F>(word).wrapping_sub(F::BIAS);
    let half = F::exponent(F::BIAS.wrapping_sub(1));
    // Below 1, the format orders as its bits; from 1 on, the fraction has a bit for a half.
    let (over, tie, odd) = if exponent < 0 {
        (magnitude > half, magnitude == half, false)
    } else {
        let last = F::unit().right(exponent as u32);
        let below = magnitude & last.minus(F::Word::ONE);
        let half = last.right(1);
        let odd = (magnitude & F::fraction() | F::unit()) & last != F::Word::ZERO;
        (below > half, below == half, odd)
    };
    let up = over || tie && tie_up(odd);
    F::from_word(sign | if up { next::<F>(integer) } else { integer })
}

/// `x` with a positive sign.
pub fn abs<F: Format>(x: F) -> F {
    F::from_word(x.word() & F::magnitude())
}

/// `x` with the other sign; also a NaN.
pub fn neg<F: Format>(x: F) -> F {
    F::from_word(x.word() ^ F::sign_bit())
}

/// `x` with the sign of `y`.
pub fn copysign<F: Format>(x: F, y: F) -> F {
    F::from_word(x.word() & F::magnitude() | y.word() & F::sign_bit())
}

/// The larger, +0 over −0; NaN if either is.
pub fn maximum<F: Format>(x: F, y: F) -> F {
    if unordered(x, y) { nan(x.word(), y.word()) } else { larger(x, y) }
}

/// The smaller, −0 over +0; NaN if either is.
pub fn minimum<F: Format>(x: F, y: F) -> F {
    if unordered(x, y) { nan(x.word(), y.word()) } else { neg(larger(neg(x), neg(y))) }
}

/// The larger, +0 over −0; the other one if one is NaN.
pub fn maximum_number<F: Format>(x: F, y: F) -> F {
    number(x, y).unwrap_or_else(|| larger(x, y))
}

/// The smaller, −0 over +0; the other one if one is NaN.
pub fn minimum_number<F: Format>(x: F, y: F) -> F {
    number(x, y).unwrap_or_else(|| neg(larger(neg(x), neg(y))))
}

/// If one is NaN, the other one, or a NaN if both are.
fn number<F: Format>(x: F, y: F) -> Option<F> {
    match (is_nan::<F>(x.word()), is_nan::<F>(y.word())) {
        (false, false) => None,
        (true, false) => Some(y),
        (false, true) => Some(x),
        (true, true) => Some(nan(x.word(), y.word())),
    }
}

fn larger<F: Format>(x: F, y: F) -> F {
    match order(x, y, 0) {
        1 => x,
        -1 => y,
        // Equal, but zeros may differ in sign, and the positive one is wanted.
        _ => F::from_word(x.word() & y.word()),
    }
}

/// `x` − `y` if that is positive, else 0.
pub fn positive_difference<F: Format>(x: F, y: F) -> F {
    match order(x, y, 2) {
        1 => sub(x, y),
        2 => nan(x.word(), y.word()),
        _ => F::from_word(F::Word::ZERO),
    }
}
