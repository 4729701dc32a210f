//! Division of integers of one and of two words.
//!
//! A double word is divided in one or two steps, each of a double word by a word: an instruction on
//! x86, `by_halves_64` and `by_halves_32` elsewhere (Knuth, The Art of Computer Programming
//! volume 2, 4.3.1, algorithm D).
//!
//! A divisor longer than a word takes one step: half the dividend by the divisor's first 64 significant
//! bits. The quotient, without the bits by which that is too long, is right or one too large.
//!
//! ```text
//! divisor   0000 1xxx xxxx xxxx xxxx|xxxx xxxx xxxx
//!                └───── a word ────┘|
//! dividend  0xxx xxxx xxxx xxxx xxxx xxxx xxxx xxxx|x
//!           └──────────── two words ──────────────┘
//! ```
//!
//! Halved, so that its first word is less than the divisor's and the quotient fits (Warren, Hacker's
//! Delight, 9-5). Shifts of the divisor are written as two of a word each: the one instruction for
//! them is slow on AMD.
//!
//! On x86 a divisor of zero raises the exception that dividing by it in hardware raises. Elsewhere
//! the result is some number.

use crate::shifts::{Shift, hidden};

/// Makes the division of `$double` out of one step, `$double` by `$word`, and `$word` by `$word`.
macro_rules! double_word {
    ($div_rem:ident, $double:ident, $word:ident, $step:path, $single:path) => {
        #[doc = concat!("Quotient and remainder of two `", stringify!($double), "`.")]
        #[inline(always)] // a call in the signed one is a tenth of its time
        pub fn $div_rem(n: $double, d: $double) -> ($double, $double) {
            const BITS: u32 = $word::BITS;
            let (n1, n0) = ((n >> BITS) as $word, n as $word);
            let (d1, d0) = ((d >> BITS) as $word, d as $word);
            if d1 == 0 {
                // One step if the quotient is a word, and so for all numbers of a word.
                if n1 < d0 {
                    let (q, r) = $step(n1, n0, d0);
                    return (q as $double, r as $double);
                }
                let (q1, r1) = $single(n1, d0);
                let (q0, r) = $step(r1, n0, d0);
                return ((q1 as $double) << BITS | q0 as $double, r as $double);
            }
            let first = d1.first_one();
            let above = hidden(first ^ (BITS - 1));
            // By one and by the rest: a shift by a whole word is no shift.
            let top = d1.left(above) | (d0 >> 1).right(first);
            // Without the last bit, so that the quotient fits; it is 2^first times too large.
            let half0 = n1 << (BITS - 1) | n0 >> 1;
            let q = $step(n1 >> 1, half0, top).0.right(first);
            // One less is right or one too small: the remainder is not negative, and below 2·d.
            let q = q.saturating_sub(1);
            let product = (q as $double).wrapping_mul(d0 as $double);
            let product = product.wrapping_add(($double::from(q.wrapping_mul(d1))) << BITS);
            let r = n.wrapping_sub(product);
            let (less, negative) = r.overflowing_sub(d);
            (q.wrapping_add(!negative as $word) as $double, if negative { r } else { less })
        }
    };
}

/// Makes signed division out of the unsigned one.
macro_rules! signed {
    ($signed:ident, $int:ident, $div_rem:ident, $double:ident) => {
        #[doc = concat!("Quotient and remainder of two `", stringify!($int), "`.")]
        ///
        /// The quotient is rounded towards zero, and the remainder has the dividend's sign. The one
        /// quotient that does not fit, of the least number by -1, wraps around to the least number.
        #[inline(always)] // as above
        pub fn $signed(n: $int, d: $int) -> ($int, $int) {
            let (q, r) = $div_rem(n.unsigned_abs(), d.unsigned_abs());
            let negative = |x: $double, signs: $int| {
                let mask = signs >> ($int::BITS - 1);
                (x as $int ^ mask).wrapping_sub(mask)
            };
            (negative(q, n ^ d), negative(r, n))
        }
    };
}

double_word!(div_rem_u128, u128, u64, imp::step_64, imp::single_64);
double_word!(div_rem_double_u32, u64, u32, imp::step_32, imp::single_32);
signed!(div_rem_i128, i128, div_rem_u128, u128);
signed!(div_rem_i64, i64, div_rem_u64, u64);
signed!(div_rem_i32, i32, div_rem_u32, u32);

pub use imp::{single_32 as div_rem_u32, single_64 as div_rem_u64};
pub(crate) use imp::{step_32, step_64};

/// Makes one step out of words: `high` and `low` by `d`, where `high` is less than `d`.
macro_rules! by_halves {
    ($name:ident, $word:ident, $single:path) => {
        #[doc = concat!("Divides two `", stringify!($word), "` by one that is more than `high`.")]
        #[cfg_attr(any(target_arch = "x86", target_arch = "x86_64"), allow(dead_code))]
        #[inline]
        pub fn $name(high: $word, low: $word, d: $word) -> ($word, $word) {
            const HALF: u32 = $word::BITS / 2;
            const LOW: $word = $word::MAX >> HALF;
            let left = Shift::leading_zeros(d);
            let right = $word::BITS.wrapping_sub(1).wrapping_sub(left);
            let d = d.left(left);
            let high = high.left(left) | (low >> 1).right(right);
            let low = low.left(left);
            let (d1, d0) = (d >> HALF, d & LOW);
            // The next half word of the quotient, and the remainder; right after two corrections.
            let digit = |n: $word, next: $word| {
                let (mut q, mut r) = $single(n, d1);
                while q > LOW || q.wrapping_mul(d0) > (r << HALF | next) {
                    q = q.wrapping_sub(1);
                    r = r.wrapping_add(d1);
                    if r > LOW {
                        break;
                    }
                }
                (q, (n << HALF | next).wrapping_sub(q.wrapping_mul(d)))
            };
            let (q1, r) = digit(high, low >> HALF);
            let (q0, r) = digit(r, low & LOW);
            (q1 << HALF | q0, r.right(left))
        }
    };
}

by_halves!(by_halves_64, u64, imp::single_64);
by_halves!(by_halves_32, u32, imp::single_32);

/// Quotient and remainder of two words, bit by bit: for processors that cannot divide at all.
#[cfg_attr(
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_feature = "m"
    ),
    allow(dead_code)
)]
#[inline]
pub fn by_bits(n: u32, d: u32) -> (u32, u32) {
    let (mut q, mut r) = (n, 0_u32);
    let mut bit = 0;
    while bit != u32::BITS {
        // The dividend leaves `q` at the top while the quotient enters at the bottom.
        let carry = r >> (u32::BITS - 1) != 0;
        r = r << 1 | q >> (u32::BITS - 1);
        q <<= 1;
        if carry || r >= d {
            r = r.wrapping_sub(d);
            q |= 1;
        }
        bit = bit.wrapping_add(1);
    }
    (q, r)
}

/// x86 divides two words by one.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod imp {
    use core::arch::asm;

    #[cfg(target_arch = "x86")]
    pub use super::by_halves_64 as step_64;
    #[cfg(target_arch = "x86")]
    pub use super::div_rem_double_u32 as single_64;

    macro_rules! div {
        ($step:ident, $single:ident, $word:ident, $instruction:literal) => {
            #[inline(always)]
            pub fn $step(high: $word, low: $word, d: $word) -> ($word, $word) {
                let (q, r);
                // SAFETY: touches three registers and the flags. A quotient that does not fit is an
                // exception and not an undefined value; no caller has one but for `d` = 0.
                unsafe {
                    asm!(
                        $instruction,
                        d = in(reg) d,
                        inlateout("eax") low => q,
                        inlateout("edx") high => r,
                        options(pure, nomem, nostack),
                    );
                }
                (q, r)
            }

            #[doc = concat!("Quotient and remainder of two `", stringify!($word), "`.")]
            #[inline(always)]
            pub fn $single(n: $word, d: $word) -> ($word, $word) {
                $step(0, n, d)
            }
        };
    }

    div!(step_32, single_32, u32, "div {d:e}");
    #[cfg(target_arch = "x86_64")]
    div!(step_64, single_64, u64, "div {d}");
}

/// Other machines divide a word by a word, and smaller ones not even that.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod imp {
    use core::num::NonZero;

    pub use super::by_halves_64 as step_64;

    #[cfg(not(any(target_arch = "aarch64", target_feature = "m")))]
    pub use super::by_bits as single_32;
    #[cfg(not(target_pointer_width = "64"))]
    pub use super::{by_halves_32 as step_32, div_rem_double_u32 as single_64};

    macro_rules! native {
        ($single:ident, $word:ident) => {
            #[doc = concat!("Quotient and remainder of two `", stringify!($word), "`.")]
            #[inline(always)]
            pub fn $single(n: $word, d: $word) -> ($word, $word) {
                NonZero::new(d).map_or(($word::MAX, n), |d| (n / d, n % d))
            }
        };
    }

    #[cfg(target_pointer_width = "64")]
    native!(single_64, u64);
    #[cfg(any(target_arch = "aarch64", target_feature = "m"))]
    native!(single_32, u32);

    #[cfg(target_pointer_width = "64")]
    #[inline(always)]
    pub fn step_32(high: u32, low: u32, d: u32) -> (u32, u32) {
        let (q, r) = single_64(u64::from(high) << 32 | u64::from(low), u64::from(d));
        (q as u32, r as u32)
    }
}
