//! Comparison.
//!
//! With its sign turned into the sign of an integer, a number's bits order as its value does.

use core::cmp::Ordering;

use super::format::{Format, Parts, is_nan};
use crate::word::Word;

/// How `a` compares with `b`; `None` if one is NaN. Zeros are equal.
#[inline(always)]
pub fn compare<F: Format>(a: F, b: F) -> Option<Ordering> {
    match order(a, b, 2) {
        -1 => Some(Ordering::Less),
        0 => Some(Ordering::Equal),
        1 => Some(Ordering::Greater),
        _ => None,
    }
}

/// Whether one is NaN.
#[inline(always)]
pub fn unordered<F: Format>(a: F, b: F) -> bool {
    is_nan::<F>(a.word()) | is_nan::<F>(b.word())
}

/// -1, 0 or 1 for less, equal or greater, and `otherwise` if one is NaN.
#[inline(always)]
pub(crate) fn order<F: Format>(a: F, b: F, otherwise: isize) -> isize {
    let (x, y) = (key::<F>(a.word()), key::<F>(b.word()));
    let order = isize::from(x > y).wrapping_sub(isize::from(x < y));
    if unordered(a, b) { otherwise } else { order }
}

/// An unsigned number that orders as the value does; both zeros are in the middle.
#[inline(always)]
fn key<F: Format>(word: F::Word) -> F::Word {
    let negative = F::Word::ZERO.minus(word.down(F::SIGN));
    F::sign_bit().plus(((word & F::magnitude()) ^ negative).minus(negative))
}
