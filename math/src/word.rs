//! Unsigned arithmetic that wraps, for generic code.
//!
//! In a dev build, an operator that can overflow contains a call to the panic machinery, and so does
//! `wrapping_shl`, for a check inside it that never fires. Shifts by a variable are therefore made of
//! rotations there, which have none.

use core::ops::{BitAnd, BitOr, BitXor, Not};

/// A word to do arithmetic in.
pub trait Word:
    Copy
    + Eq
    + Ord
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
{
    const BITS: u32;
    const ZERO: Self;
    const ONE: Self;

    /// Sign-extends and then cuts to size.
    fn from_i32(value: i32) -> Self;
    /// Cuts to 32 bits.
    fn to_i32(self) -> i32;
    fn from_bool(value: bool) -> Self;
    /// Cuts or extends with zeros.
    fn cast<W: Word>(self) -> W;
    fn from_u128(value: u128) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// Shifts left by less than the width.
    fn left(self, bits: u32) -> Self;
    /// Shifts right by less than the width.
    fn right(self, bits: u32) -> Self;
    fn leading_zeros(self) -> u32;
}

#[cfg(not(debug_assertions))]
macro_rules! shift {
    (left $word:expr, $bits:expr) => {
        $word.wrapping_shl($bits)
    };
    (right $word:expr, $bits:expr) => {
        $word.wrapping_shr($bits)
    };
}

#[cfg(debug_assertions)]
macro_rules! shift {
    (left $word:expr, $bits:expr) => {
        $word.rotate_left($bits) & Self::ONE.rotate_left($bits).wrapping_neg()
    };
    (right $word:expr, $bits:expr) => {{
        let last = Self::ONE.rotate_right($bits.wrapping_add(1));
        $word.rotate_right($bits) & (last | last.wrapping_sub(1))
    }};
}

macro_rules! words {
    ($($word:ident)*) => {$(
        impl Word for $word {
            const BITS: u32 = $word::BITS;
            const ZERO: Self = 0;
            const ONE: Self = 1;

            #[inline(always)]
            fn from_i32(value: i32) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_i32(self) -> i32 {
                self as i32
            }
            #[inline(always)]
            fn from_bool(value: bool) -> Self {
                value as Self
            }
            #[inline(always)]
            fn cast<W: Word>(self) -> W {
                W::from_u128(self as u128)
            }
            #[inline(always)]
            fn from_u128(value: u128) -> Self {
                value as Self
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn left(self, bits: u32) -> Self {
                shift!(left self, bits)
            }
            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                shift!(right self, bits)
            }
            #[inline(always)]
            fn leading_zeros(self) -> u32 {
                self.leading_zeros()
            }
        }
    )*};
}

words! { u32 u64 u128 }
