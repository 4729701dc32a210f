//! Square root.
//!
//! With m the significand, times 2 for an odd exponent, so that 1 ≤ m < 4:
//!
//! 1. r = 1/√m within 2^-8, from a table of m's first eight bits
//! 2. r := r · (3 − m·r²) / 2, which turns an error e into 3/2·e²: 2^-15, 2^-29, 2^-58
//! 3. s = m·r, and once s := s + r · (m − s²) / 2, exact but for the last bits: 2^-29, 2^-57, 2^-114
//! 4. cut to the format's precision a little low, and the exact m − s² says whether to add one
//!
//! The remainder in step 4 is small, so that it can be computed modulo the word. A square root is
//! never halfway between two numbers.

use super::format::{
    Bf16, F16, F32, F64, F128, Format, Parts, Unpacked, invalid, is_nan, nan, unpack,
};
use crate::shifts::{Shift, hidden};
use crate::word::Word;

/// Formats with a square root, which is all of them.
pub trait SquareRoot: Format {
    /// The root of m as a significand. m is in `m` with two bits before the point.
    #[doc(hidden)]
    fn root(m: Self::Word) -> Self::Word;
}

/// The square root of `x`: NaN below 0, −0 for −0.
#[inline]
pub fn sqrt<F: SquareRoot>(x: F) -> F {
    let word = x.word();
    if word.minus(F::unit()) < F::infinity().minus(F::unit()) {
        return positive(super::format::unpack_normal::<F>(word));
    }
    sqrt_rare(word)
}

#[inline(always)]
fn positive<F: SquareRoot>(x: Unpacked<F::Word>) -> F {
    // The bias is odd, so an even biased exponent is an odd exponent.
    let odd = !x.exponent as u32 & 1;
    // Hidden, or the compiler counts in the lower eighth of a register, which then waits for whatever
    // was in the rest: the call before. That doubled the time.
    let left = hidden(F::EXTRA.wrapping_sub(1).wrapping_add(odd));
    let root = F::root(x.significand.left(left));
    let exponent = x.exponent.wrapping_add(F::BIAS) >> 1;
    F::from_word(F::exponent(exponent.wrapping_sub(1)).plus(root))
}

#[cold]
#[inline(never)]
fn sqrt_rare<F: SquareRoot>(word: F::Word) -> F {
    let magnitude = word & F::magnitude();
    if is_nan::<F>(word) {
        return nan(word, word);
    }
    if magnitude == F::Word::ZERO || word == F::infinity() {
        return F::from_word(word);
    }
    if word != magnitude {
        return invalid();
    }
    positive(unpack::<F>(word))
}

/// 2^16/√m for the middle of each range of m that begins with the same eight bits, 64 to 255.
static TABLE: [u16; 192] = {
    let mut table = [0; 192];
    let mut index = 0;
    while index < 192 {
        // r² · (2·index + 129) ≤ 2^39 is r ≤ 2^16/√m, with m = (2·index + 129) / 128.
        let mut r: u64 = 0;
        let mut bit = 1 << 15;
        while bit != 0 {
            let longer = r | bit;
            if longer * longer * (2 * index as u64 + 129) <= 1 << 39 {
                r = longer;
            }
            bit >>= 1;
        }
        table[index] = r as u16;
        index += 1;
    }
    table
};

/// 1/√m with 32 bits behind the point, within 2^-15; m has 30.
#[inline(always)]
fn estimate(m: u32) -> u64 {
    let index = (m >> 24).wrapping_sub(64) as usize;
    // SAFETY: m is 64 << 24 or more and has 32 bits, so the index is one of the table's 192. Safe
    // indexing would refer to the panic machinery in a build without optimisation.
    let r = u64::from(unsafe { *TABLE.as_ptr().wrapping_add(index) });
    refine(u64::from(m), r << 16)
}

/// One more step; m has 30 bits behind the point, and `r` and the result 32.
#[inline(always)]
fn refine(m: u64, r: u64) -> u64 {
    let square = r.wrapping_mul(r) >> 32;
    let three = (3_u64 << 30).wrapping_sub(m.wrapping_mul(square) >> 32);
    r.wrapping_mul(three) >> 31
}

impl SquareRoot for F32 {
    #[inline(always)]
    fn root(m: u32) -> u32 {
        let r = estimate(m);
        let m = u64::from(m);
        // 16 bits behind the point; then 30.
        let s = m.wrapping_mul(r) >> 46;
        let rest = (m << 2).wrapping_sub(s.wrapping_mul(s)) as i64;
        let s = (s << 14).wrapping_add(((r as i64).wrapping_mul(rest) >> 35) as u64);
        let s = s.wrapping_sub(8) >> 7;
        let rest = (m << 16).wrapping_sub(s.wrapping_mul(s)).wrapping_sub(s) as i64;
        (s as u32).wrapping_add(u32::from(rest > 0))
    }
}

impl SquareRoot for F64 {
    #[inline(always)]
    fn root(m: u64) -> u64 {
        let top = m >> 32;
        let r = refine(top, estimate(top as u32));
        // 31 bits behind the point; then 62.
        let s = top.wrapping_mul(r) >> 31;
        let rest = m.wrapping_sub(s.wrapping_mul(s)) as i64;
        let more = (r as i64).wrapping_mul(rest >> 6) >> 27;
        let s = (s << 31).wrapping_add(more as u64);
        let s = s.wrapping_sub(64) >> 10;
        let rest = (m << 42).wrapping_sub(s.wrapping_mul(s)).wrapping_sub(s) as i64;
        s.wrapping_add(u64::from(rest > 0))
    }
}

impl SquareRoot for F128 {
    #[inline(always)]
    fn root(m: u128) -> u128 {
        let top = (m >> 64) as u64;
        let r = refine(top >> 32, estimate((top >> 32) as u32));
        // 63 bits behind the point. A root of 1 would not fit its square in a word.
        let r = if r > u64::from(u32::MAX) { u64::from(u32::MAX) } else { r };
        let three = (3_u64 << 62).wrapping_sub(top.wide_mul(r.wrapping_mul(r)).0);
        let r = (r << 32).wide_mul(three).0;
        // 61 bits behind the point; then 122.
        let s = top.wide_mul(r).0;
        let square = {
            let (high, low) = s.wide_mul(s);
            (high as u128) << 64 | low as u128
        };
        let rest = (m >> 4).wrapping_sub(square) as i128;
        let more = signed_mul((rest >> 4) as i64, r) >> 60;
        let s = ((s as u128) << 61).wrapping_add(more as u128);
        let s = s.wrapping_sub(64) >> 10;
        let rest = (m << 98).wrapping_sub(s.times(s)).wrapping_sub(s) as i128;
        s.wrapping_add(u128::from(rest > 0))
    }
}

/// All bits of the product.
#[inline(always)]
fn signed_mul(a: i64, b: u64) -> i128 {
    let (high, low) = (a as u64).wide_mul(b);
    // A negative `a` was taken for 2^64 more.
    let high = high.wrapping_sub(b & (a >> 63) as u64);
    ((high as u128) << 64 | low as u128) as i128
}

macro_rules! by_way_of_f32 {
    ($($format:ident)*) => {$(
        /// `F32` has more than twice the precision and two bits, so that rounding twice is rounding
        /// once (Figueroa, When is double rounding innocuous?, 1995).
        impl SquareRoot for $format {
            #[inline(always)]
            fn root(m: u32) -> u32 {
                let wide = F32::root(m);
                let bits = F32::FRACTION.wrapping_sub(Self::FRACTION);
                super::round::round_off(wide, bits)
            }
        }
    )*};
}

by_way_of_f32! { F16 Bf16 }
