//! Counting bits, and other small questions about an integer.
//!
//! Written with shifts and sums because the methods of `core` may be compiled into calls of the very
//! functions that are made from these, and so may the usual ways to write them: the compiler knows
//! the population count that ends in a multiplication.

use super::mul;

/// Number of ones.
#[inline]
pub fn ones(n: u64) -> u32 {
    sum_of_nibbles(ones_of_nibbles(n))
}

/// As [`ones`], for two words.
#[inline]
pub fn ones_u128(n: u128) -> u32 {
    let nibbles = ones_of_nibbles((n >> 64) as u64).wrapping_add(ones_of_nibbles(n as u64));
    let bytes = (nibbles & BYTES).wrapping_add(nibbles >> 4 & BYTES);
    // The top byte of the product is the sum of all. Of one word's count the compiler would make a call
    // of what this is for; two words' it does not know.
    (mul::mul_u64(bytes, u64::MAX / 255) >> 56) as u32
}

/// Each four bits' number of ones, in place.
#[inline(always)]
fn ones_of_nibbles(n: u64) -> u64 {
    const PAIRS: u64 = u64::MAX / 3;
    const NIBBLES: u64 = u64::MAX / 5;
    let n = n.wrapping_sub(n >> 1 & PAIRS);
    (n & NIBBLES).wrapping_add(n >> 2 & NIBBLES)
}

/// Half of each byte.
const BYTES: u64 = u64::MAX / 17;

/// The sum of sixteen numbers of four bits.
#[inline(always)]
fn sum_of_nibbles(n: u64) -> u32 {
    // From here on no sum leaves its byte: 128 at most.
    let n = (n & BYTES).wrapping_add(n >> 4 & BYTES);
    let n = n.wrapping_add(n >> 8);
    let n = n.wrapping_add(n >> 16);
    (n.wrapping_add(n >> 32) & 0xff) as u32
}

/// 1 for an odd number of ones, else 0.
#[inline]
pub fn parity(n: u64) -> u32 {
    let n = (n ^ n >> 32) as u32;
    let n = n ^ n >> 16;
    let n = n ^ n >> 8;
    let n = n ^ n >> 4;
    let n = n ^ n >> 2;
    (n ^ n >> 1) & 1
}

pub use imp::{leading_zeros, trailing_zeros};

/// Machines with an instruction for it, or code for it that is never a call.
#[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))]
mod imp {
    /// Number of zeros before the first one; 64 for 0.
    #[inline]
    pub fn leading_zeros(n: u64) -> u32 {
        crate::shifts::Shift::leading_zeros(n)
    }

    /// Number of zeros behind the last one; 64 for 0.
    #[inline]
    pub fn trailing_zeros(n: u64) -> u32 {
        n.trailing_zeros()
    }
}

/// Others smear the first one over everything behind it and count.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
mod imp {
    pub use super::{
        smeared_leading_zeros as leading_zeros, smeared_trailing_zeros as trailing_zeros,
    };
}

/// Number of zeros before the first one; 64 for 0.
#[allow(dead_code)] // the tests use both
#[inline]
pub fn smeared_leading_zeros(n: u64) -> u32 {
    let n = n | n >> 1;
    let n = n | n >> 2;
    let n = n | n >> 4;
    let n = n | n >> 8;
    let n = n | n >> 16;
    ones(!(n | n >> 32))
}

/// Number of zeros behind the last one; 64 for 0.
#[allow(dead_code)] // as above
#[inline]
pub fn smeared_trailing_zeros(n: u64) -> u32 {
    ones(!n & n.wrapping_sub(1))
}

/// As [`leading_zeros`], for two words.
#[inline]
pub fn leading_zeros_u128(n: u128) -> u32 {
    let (high, low) = ((n >> 64) as u64, n as u64);
    let mask = u64::from(high == 0).wrapping_neg();
    leading_zeros(high | low & mask).wrapping_add(mask as u32 & 64)
}

/// As [`trailing_zeros`], for two words.
#[inline]
pub fn trailing_zeros_u128(n: u128) -> u32 {
    let (high, low) = ((n >> 64) as u64, n as u64);
    let mask = u64::from(low == 0).wrapping_neg();
    trailing_zeros(low | high & mask).wrapping_add(mask as u32 & 64)
}

/// How many bits below the sign are copies of it.
#[inline]
pub fn redundant_signs(n: i128) -> u32 {
    leading_zeros_u128((n ^ n >> 127) as u128).wrapping_sub(1)
}

/// One more than [`trailing_zeros_u128`]; 0 for 0.
#[inline]
pub fn first_set(n: u128) -> u32 {
    if n == 0 { 0 } else { trailing_zeros_u128(n).wrapping_add(1) }
}
