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
use crate::shims::shims;

shims! { PROVIDED;
    "Sum.":
        __addhf3(a: F16, b: F16) -> F16 = add,
        __addsf3(a: F32, b: F32) -> F32 = add,
        __adddf3(a: F64, b: F64) -> F64 = add,
        __addtf3(a: F128, b: F128) -> F128 = add;
    "Difference.":
        __subhf3(a: F16, b: F16) -> F16 = sub,
        __subsf3(a: F32, b: F32) -> F32 = sub,
        __subdf3(a: F64, b: F64) -> F64 = sub,
        __subtf3(a: F128, b: F128) -> F128 = sub;
    "Product.":
        __mulhf3(a: F16, b: F16) -> F16 = mul,
        __mulsf3(a: F32, b: F32) -> F32 = mul,
        __muldf3(a: F64, b: F64) -> F64 = mul,
        __multf3(a: F128, b: F128) -> F128 = mul;
    "Quotient.":
        __divhf3(a: F16, b: F16) -> F16 = div,
        __divsf3(a: F32, b: F32) -> F32 = div,
        __divdf3(a: F64, b: F64) -> F64 = div,
        __divtf3(a: F128, b: F128) -> F128 = div;
    "The same number with the other sign.":
        __neghf2(x: F16) -> F16 = neg,
        __negsf2(x: F32) -> F32 = neg,
        __negdf2(x: F64) -> F64 = neg,
        __negtf2(x: F128) -> F128 = neg;

    "0 if equal, else not 0; not 0 if one is NaN.":
        __eqhf2(a: F16, b: F16) -> isize = |a, b| order(a, b, 1),
        __eqsf2(a: F32, b: F32) -> isize = |a, b| order(a, b, 1),
        __eqdf2(a: F64, b: F64) -> isize = |a, b| order(a, b, 1),
        __eqtf2(a: F128, b: F128) -> isize = |a, b| order(a, b, 1),
        __nehf2(a: F16, b: F16) -> isize = |a, b| order(a, b, 1),
        __nesf2(a: F32, b: F32) -> isize = |a, b| order(a, b, 1),
        __nedf2(a: F64, b: F64) -> isize = |a, b| order(a, b, 1),
        __netf2(a: F128, b: F128) -> isize = |a, b| order(a, b, 1);
    "Negative, 0 or positive for less, equal or greater; positive if one is NaN.":
        __lthf2(a: F16, b: F16) -> isize = |a, b| order(a, b, 1),
        __ltsf2(a: F32, b: F32) -> isize = |a, b| order(a, b, 1),
        __ltdf2(a: F64, b: F64) -> isize = |a, b| order(a, b, 1),
        __lttf2(a: F128, b: F128) -> isize = |a, b| order(a, b, 1),
        __lehf2(a: F16, b: F16) -> isize = |a, b| order(a, b, 1),
        __lesf2(a: F32, b: F32) -> isize = |a, b| order(a, b, 1),
        __ledf2(a: F64, b: F64) -> isize = |a, b| order(a, b, 1),
        __letf2(a: F128, b: F128) -> isize = |a, b| order(a, b, 1);
    "Negative, 0 or positive for less, equal or greater; negative if one is NaN.":
        __gehf2(a: F16, b: F16) -> isize = |a, b| order(a, b, -1),
        __gesf2(a: F32, b: F32) -> isize = |a, b| order(a, b, -1),
        __gedf2(a: F64, b: F64) -> isize = |a, b| order(a, b, -1),
        __getf2(a: F128, b: F128) -> isize = |a, b| order(a, b, -1),
        __gthf2(a: F16, b: F16) -> isize = |a, b| order(a, b, -1),
        __gtsf2(a: F32, b: F32) -> isize = |a, b| order(a, b, -1),
        __gtdf2(a: F64, b: F64) -> isize = |a, b| order(a, b, -1),
        __gttf2(a: F128, b: F128) -> isize = |a, b| order(a, b, -1);
    "Not 0 if one is NaN.":
        __unordhf2(a: F16, b: F16) -> isize = |a, b| isize::from(unordered(a, b)),
        __unordsf2(a: F32, b: F32) -> isize = |a, b| isize::from(unordered(a, b)),
        __unorddf2(a: F64, b: F64) -> isize = |a, b| isize::from(unordered(a, b)),
        __unordtf2(a: F128, b: F128) -> isize = |a, b| isize::from(unordered(a, b));

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

    "`x` with a positive sign.":
        fabsf16(x: F16) -> F16 = abs,
        fabsf128(x: F128) -> F128 = abs;
    "Integer towards positive infinity.":
        ceilf16(x: F16) -> F16 = ceil,
        ceilf128(x: F128) -> F128 = ceil;
    "Integer towards negative infinity.":
        floorf16(x: F16) -> F16 = floor,
        floorf128(x: F128) -> F128 = floor;
    "Integer towards zero.":
        truncf16(x: F16) -> F16 = trunc,
        truncf128(x: F128) -> F128 = trunc;
    "Nearest integer, halves away from zero.":
        roundf16(x: F16) -> F16 = round,
        roundf128(x: F128) -> F128 = round;
    "Nearest integer, halves to even.":
        roundevenf16(x: F16) -> F16 = round_ties_even,
        roundevenf128(x: F128) -> F128 = round_ties_even;
    "Nearest integer, halves to even.":
        rintf16(x: F16) -> F16 = round_ties_even,
        rintf128(x: F128) -> F128 = round_ties_even;
    "Nearest integer, halves to even.":
        nearbyintf16(x: F16) -> F16 = round_ties_even,
        nearbyintf128(x: F128) -> F128 = round_ties_even;
    "Square root; NaN below 0, -0 for -0.":
        sqrtf16(x: F16) -> F16 = sqrt,
        sqrtf128(x: F128) -> F128 = sqrt;
    "`x` with the sign of `y`.":
        copysignf16(x: F16, y: F16) -> F16 = copysign,
        copysignf128(x: F128, y: F128) -> F128 = copysign;
    "Remainder of `x` / `y` with the sign of `x`; NaN for `x` infinite or `y` 0.":
        fmodf16(x: F16, y: F16) -> F16 = rem,
        fmodf128(x: F128, y: F128) -> F128 = rem;
    "`x` - `y` if that is positive, else 0.":
        fdimf16(x: F16, y: F16) -> F16 = positive_difference,
        fdimf128(x: F128, y: F128) -> F128 = positive_difference;
    "The larger; the other one if one is NaN.":
        fmaxf16(x: F16, y: F16) -> F16 = maximum_number,
        fmaxf128(x: F128, y: F128) -> F128 = maximum_number;
    "The smaller; the other one if one is NaN.":
        fminf16(x: F16, y: F16) -> F16 = minimum_number,
        fminf128(x: F128, y: F128) -> F128 = minimum_number;
    "The larger, +0 over -0; NaN if either is.":
        fmaximumf16(x: F16, y: F16) -> F16 = maximum,
        fmaximumf128(x: F128, y: F128) -> F128 = maximum;
    "The smaller, -0 over +0; NaN if either is.":
        fminimumf16(x: F16, y: F16) -> F16 = minimum,
        fminimumf128(x: F128, y: F128) -> F128 = minimum;
    "The larger, +0 over -0; the other one if one is NaN.":
        fmaximum_numf16(x: F16, y: F16) -> F16 = maximum_number,
        fmaximum_numf128(x: F128, y: F128) -> F128 = maximum_number;
    "The smaller, -0 over +0; the other one if one is NaN.":
        fminimum_numf16(x: F16, y: F16) -> F16 = minimum_number,
        fminimum_numf128(x: F128, y: F128) -> F128 = minimum_number;
    "`x` · `y` + `z`, rounded once.":
        fmaf16(x: F16, y: F16, z: F16) -> F16 = fma,
        fmaf128(x: F128, y: F128, z: F128) -> F128 = fma;
}

/// In a build with the hardware's floats, those are faster.
#[cfg(any(target_feature = "sse2", target_feature = "neon", target_feature = "d"))]
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

#[cfg(not(any(target_feature = "sse2", target_feature = "neon", target_feature = "d")))]
mod powers {
    pub use crate::soft::powi as single;
    pub use crate::soft::powi as double;
}
