//! Unsigned arithmetic that wraps, for generic code.

use core::ops::{BitAnd, BitOr, BitXor, Not};

use crate::int::{div, mul, shift};
use crate::shifts::{Shift, hidden};

/// A word to do arithmetic in.
pub trait Word:
    Shift
    + Eq
    + Ord
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
{
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
    /// As [`Shift::left`], for a number of bits that the compiler knows.
    fn up(self, bits: u32) -> Self;
    /// As [`Shift::right`], for a number of bits that the compiler knows.
    fn down(self, bits: u32) -> Self;
    /// The first 64 bits from the first one on, the 64 after them, and how many zeros precede them.
    fn normalised(self) -> (u64, u64, u32);
    /// The upper and the lower half of the product.
    fn wide_mul(self, other: Self) -> (Self, Self);
    /// What one step of a division can shift by.
    const DIGIT: u32;
    /// `self` · 2^bits modulo `d`, whose top bit is set and which exceeds `self`; `bits` is 1 up to
    /// [`Self::DIGIT`].
    fn shifted_modulo(self, bits: u32, d: Self) -> Self;
    /// `self` · 2^bits / `d`, with its last bit set if there is a remainder, and `bits`: at least two
    /// more than `fraction`. Both numbers begin at bit `fraction`.
    fn quotient(self, d: Self, fraction: u32) -> (u32, Self);
    /// The lower half of the product.
    fn times(self, other: Self) -> Self;
}

macro_rules! words {
    ($($word:ident $up:path, $down:path, $normalised:path, $times:path, $wide_mul:path, $modulo:path, $quotient:path;)*) => {$(
        impl Word for $word {
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
            fn up(self, bits: u32) -> Self {
                $up(self, bits)
            }
            #[inline(always)]
            fn down(self, bits: u32) -> Self {
                $down(self, bits)
            }
            #[inline(always)]
            fn normalised(self) -> (u64, u64, u32) {
                $normalised(self)
            }
            #[inline(always)]
            fn wide_mul(self, other: Self) -> (Self, Self) {
                $wide_mul(self, other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                $times(self, other)
            }
            #[inline(always)]
            fn quotient(self, d: Self, fraction: u32) -> (u32, Self) {
                $quotient(self, d, fraction)
            }
            const DIGIT: u32 = if $word::BITS < 64 { $word::BITS } else { 64 };
            #[inline(always)]
            fn shifted_modulo(self, bits: u32, d: Self) -> Self {
                $modulo(self, bits, d)
            }
        }
    )*};
}

words! {
    u32 Shift::left, Shift::right, normalised_u32, mul::mul_u32, wide_u32, modulo_u32, quotient_u32;
    u64 Shift::left, Shift::right, normalised_u64, mul::mul_u64, wide_u64, modulo_u64, quotient_u64;
    u128 shift::left_u128_by_constant, shift::right_u128_by_constant, normalised_u128, mul::mul_u128, wide_u128, modulo_u128, quotient_u128;
}

impl Shift for u128 {
    const BITS: u32 = u128::BITS;

    #[inline(always)]
    fn left(self, bits: u32) -> Self {
        shift::left_u128(self, bits)
    }

    #[inline(always)]
    fn right(self, bits: u32) -> Self {
        shift::right_u128(self, bits)
    }

    /// Without a branch, which would depend on the value.
    #[inline(always)]
    fn leading_zeros(self) -> u32 {
        let (high, low) = ((self >> 64) as u64, self as u64);
        let mask = u64::from(high == 0).wrapping_neg();
        Shift::leading_zeros(high | low & mask).wrapping_add(mask as u32 & 64)
    }
}

#[inline(always)]
fn normalised_u32(n: u32) -> (u64, u64, u32) {
    let zeros = Shift::leading_zeros(n);
    ((u64::from(n) << 32).left(zeros), 0, zeros)
}

#[inline(always)]
fn normalised_u64(n: u64) -> (u64, u64, u32) {
    let zeros = Shift::leading_zeros(n);
    (n.left(zeros), 0, zeros)
}

#[inline(always)]
fn normalised_u128(n: u128) -> (u64, u64, u32) {
    let (high, low) = ((n >> 64) as u64, n as u64);
    let mask = u64::from(high == 0).wrapping_neg();
    let (first, next) = (high | low & mask, low & !mask);
    // 64 only for 0, of which nothing matters but that it is 0.
    let zeros = Shift::leading_zeros(first);
    let carried = (next >> 1).right(hidden(zeros ^ 63));
    let top = first.left(zeros) | carried;
    (top, next.left(zeros), zeros.wrapping_add(mask as u32 & 64))
}

#[inline(always)]
fn wide_u32(a: u32, b: u32) -> (u32, u32) {
    let product = mul::wide_32(a, b);
    ((product >> 32) as u32, product as u32)
}

#[inline(always)]
fn wide_u64(a: u64, b: u64) -> (u64, u64) {
    let product = mul::wide_64(a, b);
    ((product >> 64) as u64, product as u64)
}

#[inline(always)]
fn wide_u128(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = ((a >> 64) as u64, a as u64, (b >> 64) as u64, b as u64);
    // Neither sum overflows: (w - 1)² + 2·(w - 1) is w² - 1.
    let low = mul::wide_64(a0, b0);
    let middle = mul::wide_64(a1, b0).wrapping_add(low >> 64);
    let other = mul::wide_64(a0, b1).wrapping_add(middle & LOW);
    let high = mul::wide_64(a1, b1).wrapping_add(middle >> 64).wrapping_add(other >> 64);
    (high, other << 64 | low & LOW)
}

#[inline(always)]
fn modulo_u32(n: u32, bits: u32, d: u32) -> u32 {
    let high = n.right(u32::BITS.wrapping_sub(bits));
    div::step_32(high, (n << 1).left(bits.wrapping_sub(1)), d).1
}

#[inline(always)]
fn modulo_u64(n: u64, bits: u32, d: u64) -> u64 {
    let high = n.right(u64::BITS.wrapping_sub(bits));
    div::step_64(high, (n << 1).left(bits.wrapping_sub(1)), d).1
}

#[inline(always)]
fn modulo_u128(n: u128, bits: u32, d: u128) -> u128 {
    let high = n.right(u64::BITS.wrapping_sub(bits));
    digit(high, ((n as u64) << 1).left(bits.wrapping_sub(1)), d).1
}

/// Quotient and remainder of two words by `d`, whose top bit is set and which exceeds `high`: two
/// digits of half a word each.
#[inline]
pub(crate) fn divided_u128(high: u128, low: u128, d: u128) -> (u128, u128) {
    let (q1, r) = digit(high, (low >> 64) as u64, d);
    let (q0, r) = digit(r, low as u64, d);
    ((q1 as u128) << 64 | q0 as u128, r)
}

/// Quotient and remainder of `n` · 2^64 + `next` by `d`, whose top bit is set; `n` is less.
#[inline(always)]
fn digit(n: u128, next: u64, d: u128) -> (u64, u128) {
    let (n1, n0) = ((n >> 64) as u64, n as u64);
    let (d1, d0) = ((d >> 64) as u64, d as u64);
    if n1 >= d1 {
        return full_digit(d0.wrapping_sub(n0), next, d);
    }
    // Right, or one or two too large; then the remainder is negative, and the divisor goes back.
    let (q, r) = div::step_64(n1, n0, d1);
    let (r, negative) = ((r as u128) << 64 | next as u128).overflowing_sub(mul::wide_64(q, d0));
    let (r, carry) = r.overflowing_add((negative as u128).wrapping_neg() & d);
    let still = negative & !carry;
    let r = r.wrapping_add((still as u128).wrapping_neg() & d);
    (q.wrapping_sub(negative as u64).wrapping_sub(still as u64), r)
}

/// The same where the first words are equal and the second ones are `less` apart: 2^64 - 1 is right
/// or one too large.
#[cold]
#[inline(never)]
fn full_digit(less: u64, next: u64, d: u128) -> (u64, u128) {
    let beyond = ((less as u128) << 64).wrapping_sub(next as u128);
    let (r, negative) = d.overflowing_sub(beyond);
    let r = r.wrapping_add((negative as u128).wrapping_neg() & d);
    (u64::MAX.wrapping_sub(negative as u64), r)
}

macro_rules! quotient {
    ($name:ident, $word:ident, $step:path) => {
        /// Three bits more than the fraction: the quotient may lose one at the top.
        #[inline(always)]
        fn $name(n: $word, d: $word, fraction: u32) -> (u32, $word) {
            let bits = fraction.wrapping_add(3);
            let (q, r) = $step(n.right($word::BITS.wrapping_sub(bits)), n.left(bits), d);
            (bits, q | (r != 0) as $word)
        }
    };
}

quotient!(quotient_u32, u32, div::step_32);
quotient!(quotient_u64, u64, div::step_64);

/// All bits there are, because the second digit is as fast as half of it.
#[inline(always)]
fn quotient_u128(n: u128, d: u128, fraction: u32) -> (u32, u128) {
    let extra = 127_u32.wrapping_sub(fraction);
    let (q, r) = divided_u128(n.left(extra.wrapping_sub(1)), 0, d.left(extra));
    (127, q | (r != 0) as u128)
}
