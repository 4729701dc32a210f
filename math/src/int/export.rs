//! Integer arithmetic under the names that compilers call.
//!
//! Shims over the functions beside this file. The letters in a name are the width: `si`, `di` and
//! `ti` are integers of 32, 64 and 128 bits.
//!
//! - Errors: none but for division by zero, which [`div`](super::div) describes.
//! - Source: the GCC internals manual, *Routines for integer arithmetic*. Written for this project.

use core::ffi::c_int;

use super::bits::{self, first_set, leading_zeros_u128, ones, parity, redundant_signs};
use super::bits::{leading_zeros, trailing_zeros, trailing_zeros_u128};
use super::div::*;
use super::mul::*;
use super::overflow::or_trap;
use super::shift::*;
use crate::abi::{Carried, Carrier};
use crate::shifts::Shift;
use crate::shims::{shims, shims_with_second};

/// How C orders two values: 0 for less, 1 for equal, 2 for greater.
fn ordering<T: Ord>(a: T, b: T) -> c_int {
    1_i32.wrapping_add(i32::from(a > b)).wrapping_sub(i32::from(a < b))
}

shims! { PROVIDED;
    "Quotient.":
        __udivsi3(n: u32, d: u32) -> u32 = |n, d| div_rem_u32(n, d).0,
        __udivdi3(n: u64, d: u64) -> u64 = |n, d| div_rem_u64(n, d).0,
        __udivti3(n: u128, d: u128) -> u128 = |n, d| div_rem_u128(n, d).0;
    "Remainder.":
        __umodsi3(n: u32, d: u32) -> u32 = |n, d| div_rem_u32(n, d).1,
        __umoddi3(n: u64, d: u64) -> u64 = |n, d| div_rem_u64(n, d).1,
        __umodti3(n: u128, d: u128) -> u128 = |n, d| div_rem_u128(n, d).1;
    "Quotient, rounded towards zero.":
        __divsi3(n: i32, d: i32) -> i32 = |n, d| div_rem_i32(n, d).0,
        __divdi3(n: i64, d: i64) -> i64 = |n, d| div_rem_i64(n, d).0,
        __divti3(n: i128, d: i128) -> i128 = |n, d| div_rem_i128(n, d).0;
    "Remainder, with the sign of `n`.":
        __modsi3(n: i32, d: i32) -> i32 = |n, d| div_rem_i32(n, d).1,
        __moddi3(n: i64, d: i64) -> i64 = |n, d| div_rem_i64(n, d).1,
        __modti3(n: i128, d: i128) -> i128 = |n, d| div_rem_i128(n, d).1;

    "Product, wrapped.":
        __mulsi3(a: u32, b: u32) -> u32 = mul_u32,
        __muldi3(a: u64, b: u64) -> u64 = mul_u64,
        __multi3(a: u128, b: u128) -> u128 = mul_u128;

    "`a` shifted left; `bits` is less than the width.":
        __ashlsi3(a: u32, bits: u32) -> u32 = Shift::left,
        __ashldi3(a: u64, bits: u32) -> u64 = left_u64,
        __ashlti3(a: u128, bits: u32) -> u128 = left_u128;
    "`a` shifted right, with zeros entering; `bits` is less than the width.":
        __lshrsi3(a: u32, bits: u32) -> u32 = Shift::right,
        __lshrdi3(a: u64, bits: u32) -> u64 = right_u64,
        __lshrti3(a: u128, bits: u32) -> u128 = right_u128;
    "`a` shifted right, with copies of the sign entering; `bits` is less than the width.":
        __ashrsi3(a: i32, bits: u32) -> i32 = right_i32,
        __ashrdi3(a: i64, bits: u32) -> i64 = right_i64,
        __ashrti3(a: i128, bits: u32) -> i128 = right_i128;

    "Zeros before the first one; the width for 0.":
        __clzsi2(n: u32) -> i32 = |n| leading_zeros(n as u64).wrapping_sub(32) as i32,
        __clzdi2(n: u64) -> i32 = |n| leading_zeros(n) as i32,
        __clzti2(n: u128) -> i32 = |n| leading_zeros_u128(n) as i32;
    "Zeros behind the last one; the width for 0.":
        __ctzsi2(n: u32) -> i32 = |n| trailing_zeros(n as u64 | 1 << 32) as i32,
        __ctzdi2(n: u64) -> i32 = |n| trailing_zeros(n) as i32,
        __ctzti2(n: u128) -> i32 = |n| trailing_zeros_u128(n) as i32;
    "Place of the last one, counted from 1; 0 for 0.":
        __ffssi2(n: u32) -> i32 = |n| first_set(n as u128) as i32,
        __ffsdi2(n: u64) -> i32 = |n| first_set(n as u128) as i32,
        __ffsti2(n: u128) -> i32 = |n| first_set(n) as i32;
    "Number of ones.":
        __popcountsi2(n: u32) -> i32 = |n| ones(n as u64) as i32,
        __popcountdi2(n: u64) -> i32 = |n| ones(n) as i32,
        __popcountti2(n: u128) -> i32 = |n| bits::ones_u128(n) as i32;
    "1 for an odd number of ones, else 0.":
        __paritysi2(n: u32) -> i32 = |n| parity(n as u64) as i32,
        __paritydi2(n: u64) -> i32 = |n| parity(n) as i32,
        __parityti2(n: u128) -> i32 = |n| parity((n >> 64) as u64 ^ n as u64) as i32;
    "Copies of the sign below it.":
        __clrsbsi2(n: i32) -> i32 = |n| redundant_signs(n as i128).wrapping_sub(96) as i32,
        __clrsbdi2(n: i64) -> i32 = |n| redundant_signs(n as i128).wrapping_sub(64) as i32,
        __clrsbti2(n: i128) -> i32 = |n| redundant_signs(n) as i32;
    "The bytes in the other order.":
        __bswapsi2(n: u32) -> u32 = u32::swap_bytes,
        __bswapdi2(n: u64) -> u64 = u64::swap_bytes,
        __bswapti2(n: u128) -> u128 = u128::swap_bytes;

    "0, 1 or 2 for less, equal or greater.":
        __cmpdi2(a: i64, b: i64) -> i32 = ordering,
        __cmpti2(a: i128, b: i128) -> i32 = ordering,
        __ucmpdi2(a: u64, b: u64) -> i32 = ordering,
        __ucmpti2(a: u128, b: u128) -> i32 = ordering;

    "The negative, wrapped.":
        __negsi2(n: i32) -> i32 = i32::wrapping_neg,
        __negdi2(n: i64) -> i64 = i64::wrapping_neg,
        __negti2(n: i128) -> i128 = i128::wrapping_neg;

    "Sum; an exception if it overflows.":
        __addvsi3(a: i32, b: i32) -> i32 = |a: i32, b| or_trap(a.overflowing_add(b)),
        __addvdi3(a: i64, b: i64) -> i64 = |a: i64, b| or_trap(a.overflowing_add(b)),
        __addvti3(a: i128, b: i128) -> i128 = |a: i128, b| or_trap(a.overflowing_add(b));
    "Difference; an exception if it overflows.":
        __subvsi3(a: i32, b: i32) -> i32 = |a: i32, b| or_trap(a.overflowing_sub(b)),
        __subvdi3(a: i64, b: i64) -> i64 = |a: i64, b| or_trap(a.overflowing_sub(b)),
        __subvti3(a: i128, b: i128) -> i128 = |a: i128, b| or_trap(a.overflowing_sub(b));
    "Product; an exception if it overflows.":
        __mulvsi3(a: i32, b: i32) -> i32 = |a, b| or_trap(overflowing_i32(a, b)),
        __mulvdi3(a: i64, b: i64) -> i64 = |a, b| or_trap(overflowing_i64(a, b)),
        __mulvti3(a: i128, b: i128) -> i128 = |a, b| or_trap(overflowing_i128(a, b));
    "The negative; an exception if it overflows.":
        __negvsi2(n: i32) -> i32 = |n: i32| or_trap(n.overflowing_neg()),
        __negvdi2(n: i64) -> i64 = |n: i64| or_trap(n.overflowing_neg()),
        __negvti2(n: i128) -> i128 = |n: i128| or_trap(n.overflowing_neg());
    "Absolute value; an exception if it overflows.":
        __absvsi2(n: i32) -> i32 = |n: i32| or_trap(n.overflowing_abs()),
        __absvdi2(n: i64) -> i64 = |n: i64| or_trap(n.overflowing_abs()),
        __absvti2(n: i128) -> i128 = |n: i128| or_trap(n.overflowing_abs());

    "Sum, wrapped. From a lowering of 128-bit arithmetic that Rust had.":
        __rust_i128_add(a: i128, b: i128) -> i128 = i128::wrapping_add,
        __rust_u128_add(a: u128, b: u128) -> u128 = u128::wrapping_add;
    "Difference, wrapped. From a lowering of 128-bit arithmetic that Rust had.":
        __rust_i128_sub(a: i128, b: i128) -> i128 = i128::wrapping_sub,
        __rust_u128_sub(a: u128, b: u128) -> u128 = u128::wrapping_sub;
}

shims_with_second! { PROVIDED_WITH_SECOND;
    "Quotient, and in `second` the remainder unless it is null.":
        __udivmodsi4(n: u32, d: u32; u32) -> u32 = div_rem_u32,
        __udivmoddi4(n: u64, d: u64; u64) -> u64 = div_rem_u64,
        __udivmodti4(n: u128, d: u128; u128) -> u128 = div_rem_u128;
    "Quotient, rounded towards zero, and in `second` the remainder unless it is null.":
        __divmodsi4(n: i32, d: i32; i32) -> i32 = div_rem_i32,
        __divmoddi4(n: i64, d: i64; i64) -> i64 = div_rem_i64,
        __divmodti4(n: i128, d: i128; i128) -> i128 = div_rem_i128;
    "Product, wrapped, and in `second` 1 if it overflows, else 0.":
        __mulosi4(a: i32, b: i32; c_int) -> i32 = |a, b| flagged(overflowing_i32(a, b)),
        __mulodi4(a: i64, b: i64; c_int) -> i64 = |a, b| flagged(overflowing_i64(a, b)),
        __muloti4(a: i128, b: i128; c_int) -> i128 = |a, b| flagged(overflowing_i128(a, b)),
        __rust_i128_mulo(a: i128, b: i128; c_int) -> i128 = |a, b| flagged(overflowing_i128(a, b)),
        __rust_u128_mulo(a: u128, b: u128; c_int) -> u128 = |a, b| flagged(overflowing_u128(a, b));
    "Sum, wrapped, and in `second` 1 if it overflows, else 0.":
        __rust_i128_addo(a: i128, b: i128; c_int) -> i128
            = |a: i128, b| flagged(a.overflowing_add(b)),
        __rust_u128_addo(a: u128, b: u128; c_int) -> u128
            = |a: u128, b| flagged(a.overflowing_add(b));
    "Difference, wrapped, and in `second` 1 if it overflows, else 0.":
        __rust_i128_subo(a: i128, b: i128; c_int) -> i128
            = |a: i128, b| flagged(a.overflowing_sub(b)),
        __rust_u128_subo(a: u128, b: u128; c_int) -> u128
            = |a: u128, b| flagged(a.overflowing_sub(b));
}

fn flagged<T>((result, overflowed): (T, bool)) -> (T, c_int) {
    (result, c_int::from(overflowed))
}
