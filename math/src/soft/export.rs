//! Soft float under the names that compilers call.
//!
//! Shims over the functions of [`soft`](crate::soft). The letters in a name are the formats: `hf` is
//! `F16`, `bf` is `Bf16`, `sf` is `F32`, `df` is `F64`, `tf` is `F128`; `si`, `di` and `ti` are
//! integers of 32, 64 and 128 bits. The functions of C's `math.h` are here for the formats that stable
//! Rust has no type for; those for `f32` and `f64` are in [`export`](crate::export).
//!
//! - Domain: IEEE 754 for every argument. How NaNs come out is in [`soft`](crate::soft).
//! - Accuracy: correctly rounded, to nearest with ties to even, whatever mode is set.
//! - Source: the GCC internals manual, *Routines for floating point emulation*, names them; the
//!   arithmetic is IEEE 754-2019 section 5.4. Written for this project.

// A vector is how C passes a float of 128 bits, and the only stable type that is passed that way.
#![allow(improper_ctypes_definitions)]

use super::complex::{self, Complex};
use super::*;
use crate::abi::{Carried, Carrier};
use crate::shims::{families, shims};

families! { ARITHMETIC;
    "Sum.": add, (a, b) -> Self:
        __addhf3 F16, __addsf3 F32, __adddf3 F64, __addtf3 F128;
    "Difference.": sub, (a, b) -> Self:
        __subhf3 F16, __subsf3 F32, __subdf3 F64, __subtf3 F128;
    "Product.": mul, (a, b) -> Self:
        __mulhf3 F16, __mulsf3 F32, __muldf3 F64, __multf3 F128;
    "Quotient.": div, (a, b) -> Self:
        __divhf3 F16, __divsf3 F32, __divdf3 F64, __divtf3 F128;
    "The same number with the other sign.": neg, (x) -> Self:
        __neghf2 F16, __negsf2 F32, __negdf2 F64, __negtf2 F128;

    "0 if equal, else not 0; not 0 if one is NaN.":
        |a, b| order(a, b, 1), (a, b) -> isize:
        __eqhf2 F16, __eqsf2 F32, __eqdf2 F64, __eqtf2 F128, __nehf2 F16, __nesf2 F32, __nedf2 F64,
        __netf2 F128;
    "Negative, 0 or positive for less, equal or greater; positive if one is NaN.":
        |a, b| order(a, b, 1), (a, b) -> isize:
        __lthf2 F16, __ltsf2 F32, __ltdf2 F64, __lttf2 F128, __lehf2 F16, __lesf2 F32, __ledf2 F64,
        __letf2 F128;
    "Negative, 0 or positive for less, equal or greater; negative if one is NaN.":
        |a, b| order(a, b, -1), (a, b) -> isize:
        __gehf2 F16, __gesf2 F32, __gedf2 F64, __getf2 F128, __gthf2 F16, __gtsf2 F32, __gtdf2 F64,
        __gttf2 F128;
    "Not 0 if one is NaN.":
        |a, b| isize::from(unordered(a, b)), (a, b) -> isize:
        __unordhf2 F16, __unordsf2 F32, __unorddf2 F64, __unordtf2 F128;

    "`x` with a positive sign.": abs, (x) -> Self:
        fabsf16 F16, fabsf128 F128;
    "Integer towards positive infinity.": ceil, (x) -> Self:
        ceilf16 F16, ceilf128 F128;
    "Integer towards negative infinity.": floor, (x) -> Self:
        floorf16 F16, floorf128 F128;
    "Integer towards zero.": trunc, (x) -> Self:
        truncf16 F16, truncf128 F128;
    "Nearest integer, halves away from zero.": round, (x) -> Self:
        roundf16 F16, roundf128 F128;
    "Nearest integer, halves to even.": round_ties_even, (x) -> Self:
        roundevenf16 F16, roundevenf128 F128;
    "Nearest integer, halves to even.": round_ties_even, (x) -> Self:
        rintf16 F16, rintf128 F128;
    "Nearest integer, halves to even.": round_ties_even, (x) -> Self:
        nearbyintf16 F16, nearbyintf128 F128;
    "Square root; NaN below 0, -0 for -0.": sqrt, (x) -> Self:
        sqrtf16 F16, sqrtf128 F128;
    "`x` with the sign of `y`.": copysign, (x, y) -> Self:
        copysignf16 F16, copysignf128 F128;
    "Remainder of `x` / `y` with the sign of `x`; NaN for `x` infinite or `y` 0.": rem, (x, y) -> Self:
        fmodf16 F16, fmodf128 F128;
    "`x` - `y` if that is positive, else 0.": positive_difference, (x, y) -> Self:
        fdimf16 F16, fdimf128 F128;
    "The larger; the other one if one is NaN.": maximum_number, (x, y) -> Self:
        fmaxf16 F16, fmaxf128 F128;
    "The smaller; the other one if one is NaN.": minimum_number, (x, y) -> Self:
        fminf16 F16, fminf128 F128;
    "The larger, +0 over -0; NaN if either is.": maximum, (x, y) -> Self:
        fmaximumf16 F16, fmaximumf128 F128;
    "The smaller, -0 over +0; NaN if either is.": minimum, (x, y) -> Self:
        fminimumf16 F16, fminimumf128 F128;
    "The larger, +0 over -0; the other one if one is NaN.": maximum_number, (x, y) -> Self:
        fmaximum_numf16 F16, fmaximum_numf128 F128;
    "The smaller, -0 over +0; the other one if one is NaN.": minimum_number, (x, y) -> Self:
        fminimum_numf16 F16, fminimum_numf128 F128;
    "`x` · `y` + `z`, rounded once.": fma, (x, y, z) -> Self:
        fmaf16 F16, fmaf128 F128;
}

shims! { CONVERSIONS_AND_OTHERS;
    "To a wider format, exactly.":
        __extendhfsf2(x: F16) -> F32 = extend,
        __extendhfdf2(x: F16) -> F64 = extend,
        __extendhftf2(x: F16) -> F128 = extend,
        __extendbfsf2(x: Bf16) -> F32 = extend,
        __extendsfdf2(x: F32) -> F64 = extend,
        __extendsftf2(x: F32) -> F128 = extend,
        __extenddftf2(x: F64) -> F128 = extend,
        __gnu_h2f_ieee(x: F16) -> F32 = extend;
    "To a narrower format, rounded.":
        __truncsfhf2(x: F32) -> F16 = truncate,
        __truncdfhf2(x: F64) -> F16 = truncate,
        __trunctfhf2(x: F128) -> F16 = truncate,
        __truncsfbf2(x: F32) -> Bf16 = truncate,
        __truncdfbf2(x: F64) -> Bf16 = truncate,
        __trunctfbf2(x: F128) -> Bf16 = truncate,
        __truncdfsf2(x: F64) -> F32 = truncate,
        __trunctfsf2(x: F128) -> F32 = truncate,
        __trunctfdf2(x: F128) -> F64 = truncate,
        __gnu_f2h_ieee(x: F32) -> F16 = truncate;
    "From a signed integer, rounded.":
        __floatsihf(n: i32) -> F16 = from_signed,
        __floatsisf(n: i32) -> F32 = from_signed,
        __floatsidf(n: i32) -> F64 = from_signed,
        __floatsitf(n: i32) -> F128 = from_signed,
        __floatsibf(n: i32) -> Bf16 = from_signed,
        __floatdihf(n: i64) -> F16 = from_signed,
        __floatdisf(n: i64) -> F32 = from_signed,
        __floatdidf(n: i64) -> F64 = from_signed,
        __floatditf(n: i64) -> F128 = from_signed,
        __floatdibf(n: i64) -> Bf16 = from_signed,
        __floattihf(n: i128) -> F16 = from_signed,
        __floattisf(n: i128) -> F32 = from_signed,
        __floattidf(n: i128) -> F64 = from_signed,
        __floattitf(n: i128) -> F128 = from_signed,
        __floattibf(n: i128) -> Bf16 = from_signed;
    "From an unsigned integer, rounded.":
        __floatunsihf(n: u32) -> F16 = from_unsigned,
        __floatunsisf(n: u32) -> F32 = from_unsigned,
        __floatunsidf(n: u32) -> F64 = from_unsigned,
        __floatunsitf(n: u32) -> F128 = from_unsigned,
        __floatunsibf(n: u32) -> Bf16 = from_unsigned,
        __floatundihf(n: u64) -> F16 = from_unsigned,
        __floatundisf(n: u64) -> F32 = from_unsigned,
        __floatundidf(n: u64) -> F64 = from_unsigned,
        __floatunditf(n: u64) -> F128 = from_unsigned,
        __floatundibf(n: u64) -> Bf16 = from_unsigned,
        __floatuntihf(n: u128) -> F16 = from_unsigned,
        __floatuntisf(n: u128) -> F32 = from_unsigned,
        __floatuntidf(n: u128) -> F64 = from_unsigned,
        __floatuntitf(n: u128) -> F128 = from_unsigned,
        __floatuntibf(n: u128) -> Bf16 = from_unsigned;
    "To a signed integer, towards zero; the nearest one if it does not fit, and 0 for NaN.":
        __fixhfsi(x: F16) -> i32 = to_signed,
        __fixsfsi(x: F32) -> i32 = to_signed,
        __fixdfsi(x: F64) -> i32 = to_signed,
        __fixtfsi(x: F128) -> i32 = to_signed,
        __fixhfdi(x: F16) -> i64 = to_signed,
        __fixsfdi(x: F32) -> i64 = to_signed,
        __fixdfdi(x: F64) -> i64 = to_signed,
        __fixtfdi(x: F128) -> i64 = to_signed,
        __fixhfti(x: F16) -> i128 = to_signed,
        __fixsfti(x: F32) -> i128 = to_signed,
        __fixdfti(x: F64) -> i128 = to_signed,
        __fixtfti(x: F128) -> i128 = to_signed;
    "To an unsigned integer, towards zero; the nearest one if it does not fit, and 0 for NaN.":
        __fixunshfsi(x: F16) -> u32 = to_unsigned,
        __fixunssfsi(x: F32) -> u32 = to_unsigned,
        __fixunsdfsi(x: F64) -> u32 = to_unsigned,
        __fixunstfsi(x: F128) -> u32 = to_unsigned,
        __fixunshfdi(x: F16) -> u64 = to_unsigned,
        __fixunssfdi(x: F32) -> u64 = to_unsigned,
        __fixunsdfdi(x: F64) -> u64 = to_unsigned,
        __fixunstfdi(x: F128) -> u64 = to_unsigned,
        __fixunshfti(x: F16) -> u128 = to_unsigned,
        __fixunssfti(x: F32) -> u128 = to_unsigned,
        __fixunsdfti(x: F64) -> u128 = to_unsigned,
        __fixunstfti(x: F128) -> u128 = to_unsigned;
    "`x` to the power `n`, each product rounded.":
        __powisf2(x: F32, n: i32) -> F32 = powers::single,
        __powidf2(x: F64, n: i32) -> F64 = powers::double,
        __powitf2(x: F128, n: i32) -> F128 = powi;
    "Product of a + i·b and c + i·d.":
        __mulsc3(a: F32, b: F32, c: F32, d: F32) -> Complex<F32>
            = |a, b, c, d| complex::mul(Complex { re: a, im: b }, Complex { re: c, im: d }),
        __muldc3(a: F64, b: F64, c: F64, d: F64) -> Complex<F64>
            = |a, b, c, d| complex::mul(Complex { re: a, im: b }, Complex { re: c, im: d }),
        __multc3(a: F128, b: F128, c: F128, d: F128) -> Complex<F128>
            = |a, b, c, d| complex::mul(Complex { re: a, im: b }, Complex { re: c, im: d });
    "Quotient of a + i·b and c + i·d.":
        __divsc3(a: F32, b: F32, c: F32, d: F32) -> Complex<F32>
            = |a, b, c, d| complex::div(Complex { re: a, im: b }, Complex { re: c, im: d }),
        __divdc3(a: F64, b: F64, c: F64, d: F64) -> Complex<F64>
            = |a, b, c, d| complex::div(Complex { re: a, im: b }, Complex { re: c, im: d }),
        __divtc3(a: F128, b: F128, c: F128, d: F128) -> Complex<F128>
            = |a, b, c, d| complex::div(Complex { re: a, im: b }, Complex { re: c, im: d });
}

/// In a build with the hardware's floats, those are faster.
#[cfg(hardware_floats)]
mod powers {
    use super::{F32, F64};
    use crate::Float;

    pub fn single(x: F32, n: i32) -> F32 {
        F32::from_bits(Float::powi(f32::from_bits(x.to_bits()), n).to_bits())
    }

    pub fn double(x: F64, n: i32) -> F64 {
        F64::from_bits(Float::powi(f64::from_bits(x.to_bits()), n).to_bits())
    }
}

#[cfg(not(hardware_floats))]
mod powers {
    pub use crate::soft::powi as single;
    pub use crate::soft::powi as double;
}
