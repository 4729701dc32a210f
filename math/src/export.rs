//! The functions of C's `math.h` under their C names.
//!
//! Each is a shim over the function of the same name in `libm/`: arguments and results by
//! value, or by pointer where C returns a second result. None sets `errno` or `signgam`.
//!
//! - Domain: ISO C11 annex F. A NaN gives NaN, and functions keep the sign of a zero, unless said
//!   otherwise.
//! - Accuracy: measured, in `ACCURACY.md`, by name. `fma`, `sqrt`, the roundings, the remainders and
//!   what only moves bits are exact or correctly rounded.
//! - Source: beside each function. *C11* is ISO C11, *C23* is ISO C23, *POSIX* is POSIX.1-2017, *GNU*
//!   is the GNU C library, whose names the compiler may call on targets named after it.
//!
//! Rounding is to the nearest, ties to even: the functions neither ask for nor change the mode.
//!
//! `exports.txt`, `exports.h` and `SYMBOLS.md` are made from what stands here:
//! `FREESTONE_BLESS=1 cargo test -p freestone-math lists` writes them anew.

use core::ffi::{c_char, c_int, c_long, c_longlong};

use crate::libm;
#[cfg(test)]
use crate::tests::{Declaration, Exported};

/// Stamps out `pub extern "C" fn name(..) -> ..`, documented and exported, that calls the function
/// of the same name in `libm`; and, for the tests, all of them and how they are declared.
macro_rules! export {
    ($($source:literal, $what:literal:
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty),+;)*) => {
        $($(
            #[doc = concat!($what, "\n\n- Source: ", $source, ".")]
            #[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
            pub extern "C" fn $name($($argument: $type),*) -> $result {
                libm::$name($($argument),*)
            }
        )+)*

        #[cfg(test)]
        pub(crate) fn by_value() -> Vec<(&'static str, Box<dyn Exported>)> {
            vec![$($((
                stringify!($name),
                Box::new($name as extern "C" fn($($type),*) -> $result),
            )),+),*]
        }

        #[cfg(test)]
        pub(crate) const BY_VALUE: &[Declaration] = &[$($(Declaration {
            name: stringify!($name),
            takes: &[$((stringify!($type), stringify!($argument))),*],
            second: None,
            gives: stringify!($result),
        }),+),*];
    };
}

export! {
    "C11 7.12.4.1", "Arc cosine of `x`, 0 to π; NaN outside -1 to 1.":
        acos(x: f64) -> f64, acosf(x: f32) -> f32;
    "C11 7.12.4.2", "Arc sine of `x`, -π/2 to π/2; NaN outside -1 to 1.":
        asin(x: f64) -> f64, asinf(x: f32) -> f32;
    "C11 7.12.4.3", "Arc tangent of `x`, -π/2 to π/2.":
        atan(x: f64) -> f64, atanf(x: f32) -> f32;
    "C11 7.12.4.4", "Angle of the point (`x`, `y`), -π to π; zeros and infinities count as directions.":
        atan2(y: f64, x: f64) -> f64, atan2f(y: f32, x: f32) -> f32;
    "C11 7.12.4.5", "Cosine of `x` radians; NaN for infinities.":
        cos(x: f64) -> f64, cosf(x: f32) -> f32;
    "C11 7.12.4.6", "Sine of `x` radians; NaN for infinities.":
        sin(x: f64) -> f64, sinf(x: f32) -> f32;
    "C11 7.12.4.7", "Tangent of `x` radians; NaN for infinities.":
        tan(x: f64) -> f64, tanf(x: f32) -> f32;

    "C11 7.12.5.1", "Number from 0 whose hyperbolic cosine is `x`; NaN below 1.":
        acosh(x: f64) -> f64, acoshf(x: f32) -> f32;
    "C11 7.12.5.2", "Number whose hyperbolic sine is `x`.":
        asinh(x: f64) -> f64, asinhf(x: f32) -> f32;
    "C11 7.12.5.3", "Number whose hyperbolic tangent is `x`; infinite at ±1, NaN beyond.":
        atanh(x: f64) -> f64, atanhf(x: f32) -> f32;
    "C11 7.12.5.4", "Hyperbolic cosine of `x`.":
        cosh(x: f64) -> f64, coshf(x: f32) -> f32;
    "C11 7.12.5.5", "Hyperbolic sine of `x`.":
        sinh(x: f64) -> f64, sinhf(x: f32) -> f32;
    "C11 7.12.5.6", "Hyperbolic tangent of `x`.":
        tanh(x: f64) -> f64, tanhf(x: f32) -> f32;

    "C11 7.12.6.1", "e to the power `x`.":
        exp(x: f64) -> f64, expf(x: f32) -> f32;
    "C11 7.12.6.2", "2 to the power `x`.":
        exp2(x: f64) -> f64, exp2f(x: f32) -> f32;
    "C23 7.12.6.2, GNU", "10 to the power `x`.":
        exp10(x: f64) -> f64, exp10f(x: f32) -> f32;
    "C11 7.12.6.3", "e to the power `x`, less 1, exact near 0.":
        expm1(x: f64) -> f64, expm1f(x: f32) -> f32;
    "C11 7.12.6.5", "Binary exponent of `x`; `INT_MIN` for 0 and NaN, `INT_MAX` for infinities.":
        ilogb(x: f64) -> c_int, ilogbf(x: f32) -> c_int;
    "C11 7.12.6.6", "`x` times 2 to the power `n`, rounded once.":
        ldexp(x: f64, n: c_int) -> f64, ldexpf(x: f32, n: c_int) -> f32;
    "C11 7.12.6.7", "Natural logarithm of `x`; -∞ at 0, NaN below.":
        log(x: f64) -> f64, logf(x: f32) -> f32;
    "C11 7.12.6.8", "Decimal logarithm of `x`; -∞ at 0, NaN below.":
        log10(x: f64) -> f64, log10f(x: f32) -> f32;
    "C11 7.12.6.9", "Natural logarithm of 1 + `x`, exact near 0; -∞ at -1, NaN below.":
        log1p(x: f64) -> f64, log1pf(x: f32) -> f32;
    "C11 7.12.6.10", "Binary logarithm of `x`; -∞ at 0, NaN below.":
        log2(x: f64) -> f64, log2f(x: f32) -> f32;
    "C11 7.12.6.11", "Binary exponent of `x`; -∞ at 0, ∞ at infinities.":
        logb(x: f64) -> f64, logbf(x: f32) -> f32;
    "C11 7.12.6.13", "`x` times 2 to the power `n`, rounded once.":
        scalbn(x: f64, n: c_int) -> f64, scalbnf(x: f32, n: c_int) -> f32,
        scalbln(x: f64, n: c_long) -> f64, scalblnf(x: f32, n: c_long) -> f32;

    "C11 7.12.7.1", "Cube root of `x`.":
        cbrt(x: f64) -> f64, cbrtf(x: f32) -> f32;
    "C11 7.12.7.2", "`x` with a positive sign.":
        fabs(x: f64) -> f64, fabsf(x: f32) -> f32;
    "C11 7.12.7.3", "Distance of (`x`, `y`) from (0, 0), without overflow on the way; ∞ if either is.":
        hypot(x: f64, y: f64) -> f64, hypotf(x: f32, y: f32) -> f32;
    "C11 7.12.7.4", "`x` to the power `y`; 1 if `x` is 1 or `y` is 0, even with a NaN.":
        pow(x: f64, y: f64) -> f64, powf(x: f32, y: f32) -> f32;
    "C11 7.12.7.5", "Square root of `x`; NaN below 0, -0 at -0.":
        sqrt(x: f64) -> f64, sqrtf(x: f32) -> f32;

    "C11 7.12.8.1", "Error function at `x`.":
        erf(x: f64) -> f64, erff(x: f32) -> f32;
    "C11 7.12.8.2", "1 less the error function at `x`.":
        erfc(x: f64) -> f64, erfcf(x: f32) -> f32;
    "C11 7.12.8.3", "Logarithm of the absolute value of gamma at `x`; the sign is `lgamma_r`'s.":
        lgamma(x: f64) -> f64, lgammaf(x: f32) -> f32;
    "C11 7.12.8.4", "Gamma function at `x`; NaN at negative integers.":
        tgamma(x: f64) -> f64, tgammaf(x: f32) -> f32;

    "C11 7.12.9.1", "Smallest integer from `x` up.":
        ceil(x: f64) -> f64, ceilf(x: f32) -> f32;
    "C11 7.12.9.2", "Largest integer from `x` down.":
        floor(x: f64) -> f64, floorf(x: f32) -> f32;
    "C11 7.12.9.3", "Integer nearest to `x`, halves to even.":
        nearbyint(x: f64) -> f64, nearbyintf(x: f32) -> f32;
    "C11 7.12.9.4", "Integer nearest to `x`, halves to even.":
        rint(x: f64) -> f64, rintf(x: f32) -> f32;
    "C11 7.12.9.5", "Integer nearest to `x`, halves to even; the last one on that side if there is none.":
        lrint(x: f64) -> c_long, lrintf(x: f32) -> c_long,
        llrint(x: f64) -> c_longlong, llrintf(x: f32) -> c_longlong;
    "C11 7.12.9.6", "Integer nearest to `x`, halves away from 0.":
        round(x: f64) -> f64, roundf(x: f32) -> f32;
    "C11 7.12.9.7", "Integer nearest to `x`, halves away from 0; the last one on that side if there is none.":
        lround(x: f64) -> c_long, lroundf(x: f32) -> c_long,
        llround(x: f64) -> c_longlong, llroundf(x: f32) -> c_longlong;
    "C23 7.12.9.8", "Integer nearest to `x`, halves to even.":
        roundeven(x: f64) -> f64, roundevenf(x: f32) -> f32;
    "C11 7.12.9.8", "Integer next to `x` towards 0.":
        trunc(x: f64) -> f64, truncf(x: f32) -> f32;

    "C11 7.12.10.1", "Remainder of `x` / `y` with the sign of `x`; NaN for `x` infinite or `y` 0.":
        fmod(x: f64, y: f64) -> f64, fmodf(x: f32, y: f32) -> f32;
    "C11 7.12.10.2", "Remainder of `x` / `y` rounded to nearest; NaN for `x` infinite or `y` 0.":
        remainder(x: f64, y: f64) -> f64, remainderf(x: f32, y: f32) -> f32;

    "C11 7.12.11.1", "`x` with the sign of `y`.":
        copysign(x: f64, y: f64) -> f64, copysignf(x: f32, y: f32) -> f32;
    "C11 7.12.11.3", "The number next to `x` on the way to `y`.":
        nextafter(x: f64, y: f64) -> f64, nextafterf(x: f32, y: f32) -> f32;

    "C11 7.12.12.1", "`x` - `y` if that is positive, else 0.":
        fdim(x: f64, y: f64) -> f64, fdimf(x: f32, y: f32) -> f32;
    "C11 7.12.12.2", "The larger; the other one if one is NaN.":
        fmax(x: f64, y: f64) -> f64, fmaxf(x: f32, y: f32) -> f32;
    "C11 7.12.12.3", "The smaller; the other one if one is NaN.":
        fmin(x: f64, y: f64) -> f64, fminf(x: f32, y: f32) -> f32;
    "C23 7.12.12.4", "The larger, +0 over -0; NaN if either is.":
        fmaximum(x: f64, y: f64) -> f64, fmaximumf(x: f32, y: f32) -> f32;
    "C23 7.12.12.5", "The smaller, -0 over +0; NaN if either is.":
        fminimum(x: f64, y: f64) -> f64, fminimumf(x: f32, y: f32) -> f32;
    "C23 7.12.12.8", "The larger, +0 over -0; the other one if one is NaN.":
        fmaximum_num(x: f64, y: f64) -> f64, fmaximum_numf(x: f32, y: f32) -> f32;
    "C23 7.12.12.9", "The smaller, -0 over +0; the other one if one is NaN.":
        fminimum_num(x: f64, y: f64) -> f64, fminimum_numf(x: f32, y: f32) -> f32;
    "C11 7.12.13.1", "`x` · `y` + `z`, rounded once.":
        fma(x: f64, y: f64, z: f64) -> f64, fmaf(x: f32, y: f32, z: f32) -> f32;

    "POSIX `j0`", "Bessel function of the first kind, order 0, at `x`.":
        j0(x: f64) -> f64, j0f(x: f32) -> f32;
    "POSIX `j0`", "Bessel function of the first kind, order 1, at `x`.":
        j1(x: f64) -> f64, j1f(x: f32) -> f32;
    "POSIX `j0`", "Bessel function of the first kind, order `n`, at `x`.":
        jn(n: c_int, x: f64) -> f64, jnf(n: c_int, x: f32) -> f32;
    "POSIX `y0`", "Bessel function of the second kind, order 0, at `x`; -∞ at 0, NaN below.":
        y0(x: f64) -> f64, y0f(x: f32) -> f32;
    "POSIX `y0`", "Bessel function of the second kind, order 1, at `x`; -∞ at 0, NaN below.":
        y1(x: f64) -> f64, y1f(x: f32) -> f32;
    "POSIX `y0`", "Bessel function of the second kind, order `n`, at `x`; -∞ at 0, NaN below.":
        yn(n: c_int, x: f64) -> f64, ynf(n: c_int, x: f32) -> f32;
}

/// Stamps out functions that return a pair in Rust, and in C one result and one through `second`.
macro_rules! export_pair {
    ($($source:literal, $what:literal:
        $($name:ident($($argument:ident: $type:ty),*; $second:ty) -> $result:ty),+;)*) => {
        $($(
            #[doc = concat!($what, "\n\n- Source: ", $source, ".")]
            ///
            /// # Safety
            ///
            /// - `second` is aligned and writable.
            #[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type,)* second: *mut $second) -> $result {
                let (result, other) = libm::$name($($argument),*);
                // SAFETY: the caller promised a place for the second result.
                unsafe { *second = other };
                result
            }
        )+)*

        #[cfg(test)]
        pub(crate) const PAIRS: &[Declaration] = &[$($(Declaration {
            name: stringify!($name),
            takes: &[$((stringify!($type), stringify!($argument))),*],
            second: Some(stringify!($second)),
            gives: stringify!($result),
        }),+),*];
    };
}

export_pair! {
    "C11 7.12.6.4", "`x` as a fraction from 1/2 to 1, and in `second` its binary exponent.":
        frexp(x: f64; c_int) -> f64, frexpf(x: f32; c_int) -> f32;
    "C11 7.12.6.12", "Fraction of `x`, and in `second` its integer part, both with its sign.":
        modf(x: f64; f64) -> f64, modff(x: f32; f32) -> f32;
    "C11 7.12.10.3", "As `remainder`, and in `second` the quotient's sign and at least three low bits.":
        remquo(x: f64, y: f64; c_int) -> f64, remquof(x: f32, y: f32; c_int) -> f32;
    "GNU", "As `lgamma`, and in `second` the sign of gamma, 1 or -1.":
        lgamma_r(x: f64; c_int) -> f64, lgammaf_r(x: f32; c_int) -> f32;
}

/// Sine of `x` radians in `sine` and cosine in `cosine`; NaN for infinities.
///
/// - Source: GNU.
///
/// # Safety
///
/// - `sine` and `cosine` are aligned and writable.
#[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
pub unsafe extern "C" fn sincos(x: f64, sine: *mut f64, cosine: *mut f64) {
    let pair = libm::sincos(x);
    // SAFETY: the caller promised places for both.
    unsafe { (*sine, *cosine) = pair };
}

/// Sine of `x` radians in `sine` and cosine in `cosine`; NaN for infinities.
///
/// - Source: GNU.
///
/// # Safety
///
/// - `sine` and `cosine` are aligned and writable.
#[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
pub unsafe extern "C" fn sincosf(x: f32, sine: *mut f32, cosine: *mut f32) {
    let pair = libm::sincosf(x);
    // SAFETY: the caller promised places for both.
    unsafe { (*sine, *cosine) = pair };
}

/// A quiet NaN; C's way to put the digits of `tag` into it is up to each library, and here is none.
///
/// - Source: C11 7.12.11.2.
#[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
pub extern "C" fn nan(_tag: *const c_char) -> f64 {
    f64::NAN
}

/// As [`nan`].
///
/// - Source: C11 7.12.11.2.
#[cfg_attr(all(feature = "export", panic = "abort", not(test)), unsafe(no_mangle))]
pub extern "C" fn nanf(_tag: *const c_char) -> f32 {
    f32::NAN
}
