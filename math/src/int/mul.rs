//! Multiplication of integers of two words, wrapping or with a report of overflow.
//!
//! A product of double words is one of words that keeps its upper half, and two that do not. Where a
//! word times a word with both halves is no instruction, it is four products of half words; where
//! there is no multiplication at all, it is additions.

/// Makes the products of `$double` out of `$wide`, the product of two `$word` with all its bits.
macro_rules! double_word {
    ($mul:ident, $unsigned:ident, $signed:ident, $double:ident, $int:ident, $word:ident, $single:path, $wide:path) => {
        #[doc = concat!("The lower half of the product of two `", stringify!($double), "`.")]
        #[inline]
        pub fn $mul(a: $double, b: $double) -> $double {
            const BITS: u32 = $word::BITS;
            let cross = $single((a >> BITS) as $word, b as $word)
                .wrapping_add($single(a as $word, (b >> BITS) as $word));
            $wide(a as $word, b as $word).wrapping_add((cross as $double) << BITS)
        }

        #[doc = concat!("The product of two `", stringify!($double), "`, wrapped, and whether it was.")]
        #[inline]
        pub fn $unsigned(a: $double, b: $double) -> ($double, bool) {
            const BITS: u32 = $word::BITS;
            let (a1, b1) = ((a >> BITS) as $word, (b >> BITS) as $word);
            let (left, right) = ($wide(a1, b as $word), $wide(a as $word, b1));
            let cross = left.wrapping_add(right) << BITS;
            let (product, carry) = $wide(a as $word, b as $word).overflowing_add(cross);
            let lost = (left | right) >> BITS != 0;
            (product, (a1 != 0) & (b1 != 0) | lost | carry)
        }

        #[doc = concat!("The product of two `", stringify!($int), "`, wrapped, and whether it was.")]
        #[inline]
        pub fn $signed(a: $int, b: $int) -> ($int, bool) {
            let (magnitude, overflow) = $unsigned(a.unsigned_abs(), b.unsigned_abs());
            let mask = (a ^ b) >> ($int::BITS - 1);
            let product = (magnitude as $int ^ mask).wrapping_sub(mask);
            // A product of the right sign, or zero.
            (product, overflow | (magnitude != 0 && (product ^ a ^ b) < 0))
        }
    };
}

double_word!(mul_u128, overflowing_u128, overflowing_i128, u128, i128, u64, mul_u64, wide_64);
double_word!(mul_double_u32, overflowing_u64, overflowing_i64, u64, i64, u32, mul_u32, wide_32);

/// The product of two `i32`, wrapped, and whether it was.
#[inline]
pub fn overflowing_i32(a: i32, b: i32) -> (i32, bool) {
    let magnitude = wide_32(a.unsigned_abs(), b.unsigned_abs());
    let negative = (a ^ b) < 0;
    let product = if negative { magnitude.wrapping_neg() } else { magnitude } as i64;
    (product as i32, product != product as i32 as i64)
}

/// Makes a product with all its bits out of four products of half words.
macro_rules! by_halves {
    ($name:ident, $double:ident, $word:ident, $half:ident, $mul:expr) => {
        #[doc = concat!("All bits of the product of two `", stringify!($word), "`.")]
        #[allow(dead_code)] // each machine uses the ones it needs
        #[inline]
        pub fn $name(a: $word, b: $word) -> $double {
            const HALF: u32 = $half::BITS;
            const LOW: $word = $half::MAX as $word;
            let (a1, a0, b1, b0) = (a >> HALF, a & LOW, b >> HALF, b & LOW);
            // Neither sum overflows: (h - 1)² + 2·(h - 1) is h² - 1.
            let low = $mul(a0, b0);
            let middle = $mul(a1, b0).wrapping_add(low >> HALF);
            let other = $mul(a0, b1).wrapping_add(middle & LOW);
            let high = $mul(a1, b1).wrapping_add(middle >> HALF).wrapping_add(other >> HALF);
            (high as $double) << $word::BITS | (other << HALF | low & LOW) as $double
        }
    };
}

by_halves!(wide_64_by_halves, u128, u64, u32, |a, b| wide_32(a as u32, b as u32));
by_halves!(wide_32_by_halves, u64, u32, u16, mul_u32);

/// Makes a product out of additions.
macro_rules! by_additions {
    ($name:ident, $word:ident) => {
        #[doc = concat!("The lower half of the product of two `", stringify!($word), "`.")]
        #[allow(dead_code)] // as above
        #[inline]
        pub fn $name(mut a: $word, mut b: $word) -> $word {
            let mut sum: $word = 0;
            while b != 0 {
                sum = sum.wrapping_add(a & (b & 1).wrapping_neg());
                a <<= 1;
                b >>= 1;
            }
            sum
        }
    };
}

by_additions!(mul_u32_by_additions, u32);

pub use imp::{mul_u32, mul_u64, wide_32, wide_64};

/// 64-bit machines have all of it.
#[cfg(all(
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "m")
))]
mod imp {
    /// The lower half of the product of two `u32`.
    #[inline(always)]
    pub fn mul_u32(a: u32, b: u32) -> u32 {
        a.wrapping_mul(b)
    }

    /// The lower half of the product of two `u64`.
    #[inline(always)]
    pub fn mul_u64(a: u64, b: u64) -> u64 {
        a.wrapping_mul(b)
    }

    /// All bits of the product of two `u32`.
    #[inline(always)]
    pub fn wide_32(a: u32, b: u32) -> u64 {
        (a as u64).wrapping_mul(b as u64)
    }

    /// All bits of the product of two `u64`.
    #[inline(always)]
    pub fn wide_64(a: u64, b: u64) -> u128 {
        (a as u128).wrapping_mul(b as u128)
    }
}

/// 32-bit machines have it for `u32`.
#[cfg(all(
    not(target_pointer_width = "64"),
    any(target_arch = "x86", target_arch = "arm", target_arch = "wasm32", target_feature = "m")
))]
mod imp {
    pub use super::{mul_double_u32 as mul_u64, wide_64_by_halves as wide_64};

    /// The lower half of the product of two `u32`.
    #[inline(always)]
    pub fn mul_u32(a: u32, b: u32) -> u32 {
        a.wrapping_mul(b)
    }

    /// All bits of the product of two `u32`.
    #[inline(always)]
    pub fn wide_32(a: u32, b: u32) -> u64 {
        (a as u64).wrapping_mul(b as u64)
    }
}

/// The smallest machines add.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "x86",
    target_arch = "arm",
    target_arch = "wasm32",
    target_feature = "m"
)))]
mod imp {
    pub use super::{
        mul_double_u32 as mul_u64, mul_u32_by_additions as mul_u32, wide_32_by_halves as wide_32,
        wide_64_by_halves as wide_64,
    };
}
