//! Shifts of integers of two words.
//!
//! The whole is not handed to the compiler as a shift of two words, because at `opt-level = "z"` it
//! makes a call of that, and elsewhere instructions that are slow on AMD. What moves by a whole word
//! is chosen with a mask: a branch would be a guess.

use crate::shifts::{Shift, hidden};

/// Makes the shifts of `$double` out of those of `$word`; `$hidden` keeps the two halves' apart.
macro_rules! double_word {
    ($left:ident, $right:ident, $double:ident, $word:ident, $hidden:path) => {
        #[doc = concat!("`a` shifted left by `bits`, which is less than ", stringify!($double), "'s width.")]
        #[inline(always)]
        pub fn $left(a: $double, bits: u32) -> $double {
            const WORD: u32 = $word::BITS;
            let (high, low) = ((a >> WORD) as $word, a as $word);
            let in_word = bits & (WORD - 1);
            // What moves up; in two steps, because `in_word` may be 0.
            let carried = (low >> 1).right($hidden(in_word ^ (WORD - 1)));
            let (high, low) = (high.left(in_word) | carried, low.left(in_word));
            let whole = $word::from(bits & WORD != 0).wrapping_neg();
            let (high, low) = (high & !whole | low & whole, low & !whole);
            (high as $double) << WORD | low as $double
        }

        #[doc = concat!("`a` shifted right by `bits`, which is less than ", stringify!($double), "'s width.")]
        #[inline(always)]
        pub fn $right(a: $double, bits: u32) -> $double {
            const WORD: u32 = $word::BITS;
            let (high, low) = ((a >> WORD) as $word, a as $word);
            let in_word = bits & (WORD - 1);
            let carried = (high << 1).left($hidden(in_word ^ (WORD - 1)));
            let (high, low) = (high.right(in_word), low.right(in_word) | carried);
            let whole = $word::from(bits & WORD != 0).wrapping_neg();
            let (high, low) = (high & !whole, low & !whole | high & whole);
            (high as $double) << WORD | low as $double
        }
    };
}

/// Makes the shift that keeps the sign out of the one that does not.
macro_rules! arithmetic {
    ($arithmetic:ident, $right:ident, $double:ident, $int:ident) => {
        #[doc = concat!("As [`", stringify!($right), "`], with copies of the sign entering at the top.")]
        #[inline]
        pub fn $arithmetic(a: $int, bits: u32) -> $int {
            // Complemented around the shift if negative, so that the zeros become ones.
            let sign = a >> ($int::BITS - 1);
            $right((a ^ sign) as $double, bits) as $int ^ sign
        }
    };
}

double_word!(left_u128, right_u128, u128, u64, hidden);
double_word!(left_u64, right_u64, u64, u32, hidden);
arithmetic!(right_i128, right_u128, u128, i128);
arithmetic!(right_i64, right_u64, u64, i64);

/// For shifts by constants, which the compiler does well if it knows them.
mod constant {
    use super::Shift;
    use core::convert::identity;

    double_word!(left_u128, right_u128, u128, u64, identity);
}

pub(crate) use constant::{
    left_u128 as left_u128_by_constant, right_u128 as right_u128_by_constant,
};

/// `a` shifted right by `bits`, less than 32, with copies of the sign entering at the top.
#[inline]
pub fn right_i32(a: i32, bits: u32) -> i32 {
    let sign = a >> 31;
    ((a ^ sign) as u32).right(bits) as i32 ^ sign
}
