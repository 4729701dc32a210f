//! The methods of `f32` and `f64` that are in `std` and not in `core`, under the same names.
//!
//! In `std` they call the C library; here what is in `libm/`, directly and not through a C symbol, so
//! the feature `export` is not needed for them. What `core` has by itself (`abs`, `signum`,
//! `copysign`, `min`, `clamp`, …) is left out, and so is what is unstable or deprecated in `std`
//! (`gamma`, `erf`, `abs_sub`): those are in [`export`](crate::export).

use crate::libm;

mod sealed {
    /// Only `f32` and `f64`, so that a method added later breaks nobody.
    pub trait Sealed {}
}

/// The floating-point methods of `std` for programs without it.
///
/// ```
/// # #![allow(unused_imports)] // this example runs with std, whose methods come first
/// use freestone_math::Float as _;
///
/// let (sine, cosine) = 0.5_f32.sin_cos();
/// assert!((sine * sine + cosine * cosine - 1.0).abs() < 1e-6);
/// assert_eq!((-7.5_f64).rem_euclid(2.0), 0.5);
/// ```
///
/// Where `std` is linked its methods win, and the compiler says that the import is unused.
///
/// - Domain: as `std` documents; NaN gives NaN unless said otherwise.
/// - Accuracy: methods marked *exact* give the one right or correctly rounded result. The errors of the
///   others are in `ACCURACY.md`.
/// - Source: the documentation of `f64` in `std`.
pub trait Float: Sized + Copy + sealed::Sealed {
    /// Largest integer from `self` down; exact.
    fn floor(self) -> Self;
    /// Smallest integer from `self` up; exact.
    fn ceil(self) -> Self;
    /// Nearest integer, halves away from 0; exact.
    fn round(self) -> Self;
    /// Nearest integer, halves to even; exact.
    fn round_ties_even(self) -> Self;
    /// Integer part, towards 0; exact.
    fn trunc(self) -> Self;
    /// What [`trunc`](Self::trunc) takes off, with the sign of `self`; exact.
    fn fract(self) -> Self;

    /// `self` · `a` + `b`, rounded once; exact.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// The integer `n` that makes `self` - `n` · `rhs` the result of
    /// [`rem_euclid`](Self::rem_euclid), from the rounded quotient.
    fn div_euclid(self, rhs: Self) -> Self;
    /// Least nonnegative remainder; may round up to |`rhs`| itself for a tiny negative `self`.
    fn rem_euclid(self, rhs: Self) -> Self;

    /// `self` to an integer power, by repeated multiplication.
    fn powi(self, n: i32) -> Self;
    /// `self` to the power `n`; 1 if `self` is 1 or `n` is 0, even with a NaN.
    fn powf(self, n: Self) -> Self;
    /// Square root; NaN below 0, -0 at -0; exact.
    fn sqrt(self) -> Self;
    /// Cube root.
    fn cbrt(self) -> Self;
    /// Length of the diagonal of a rectangle, without overflow on the way; ∞ if either side is.
    fn hypot(self, other: Self) -> Self;

    /// e to the power `self`.
    fn exp(self) -> Self;
    /// 2 to the power `self`.
    fn exp2(self) -> Self;
    /// e to the power `self`, less 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// Natural logarithm; -∞ at 0, NaN below.
    fn ln(self) -> Self;
    /// Logarithm to any base, as a quotient of two logarithms.
    fn log(self, base: Self) -> Self;
    /// Binary logarithm; -∞ at 0, NaN below.
    fn log2(self) -> Self;
    /// Decimal logarithm; -∞ at 0, NaN below.
    fn log10(self) -> Self;
    /// Natural logarithm of 1 + `self`, accurate near 0; -∞ at -1, NaN below.
    fn ln_1p(self) -> Self;

    /// Sine of an angle in radians; NaN for infinities.
    fn sin(self) -> Self;
    /// Cosine of an angle in radians; NaN for infinities.
    fn cos(self) -> Self;
    /// Tangent of an angle in radians; NaN for infinities.
    fn tan(self) -> Self;
    /// Sine and cosine together.
    fn sin_cos(self) -> (Self, Self);
    /// Arc sine, -π/2 to π/2; NaN outside -1 to 1.
    fn asin(self) -> Self;
    /// Arc cosine, 0 to π; NaN outside -1 to 1.
    fn acos(self) -> Self;
    /// Arc tangent, -π/2 to π/2.
    fn atan(self) -> Self;
    /// Angle of the point (`other`, `self`), -π to π.
    fn atan2(self, other: Self) -> Self;

    /// Hyperbolic sine.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Inverse hyperbolic cosine; NaN below 1.
    fn acosh(self) -> Self;
    /// Inverse hyperbolic tangent; infinite at ±1, NaN beyond.
    fn atanh(self) -> Self;
}

/// Stamps out `impl Float for f64`: `cbrt(self) = cbrt` becomes a method that calls `libm::cbrt`.
/// What `libm` has no function for is written out here, once for both types.
macro_rules! implement {
    ($float:ty, fmod = $fmod:path, sincos = $sincos:path, acosh = $acosh:path,
        sqrt = $sqrt:path, fma = $fma:path:
        $($method:ident(self $(, $argument:ident)*) = $function:ident),* $(,)?) => {
        impl sealed::Sealed for $float {}

        impl Float for $float {
            $(
                #[inline]
                fn $method(self $(, $argument: Self)*) -> Self {
                    libm::$function(self $(, $argument)*)
                }
            )*

            #[inline]
            fn fract(self) -> Self {
                self - Float::trunc(self)
            }

            // `%` would be a call to the C symbol `fmod`.
            #[inline]
            fn rem_euclid(self, rhs: Self) -> Self {
                let remainder = $fmod(self, rhs);
                if remainder < 0.0 { remainder + rhs.abs() } else { remainder }
            }

            #[inline]
            fn div_euclid(self, rhs: Self) -> Self {
                let quotient = Float::trunc(self / rhs);
                if $fmod(self, rhs) < 0.0 {
                    return if rhs > 0.0 { quotient - 1.0 } else { quotient + 1.0 };
                }
                quotient
            }

            // The same multiplications in the same order as the compiler's own `__powidf2`, so
            // that results agree to the bit with `std`.
            #[inline]
            fn powi(self, n: i32) -> Self {
                let (mut square, mut left, mut power) = (self, n.unsigned_abs(), 1.0);
                loop {
                    if left & 1 == 1 {
                        power *= square;
                    }
                    left >>= 1;
                    if left == 0 {
                        break;
                    }
                    square *= square;
                }
                if n < 0 { 1.0 / power } else { power }
            }

            #[inline]
            fn log(self, base: Self) -> Self {
                Float::ln(self) / Float::ln(base)
            }

            #[inline]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }

            #[inline]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $fma(self, a, b)
            }

            #[inline]
            fn acosh(self) -> Self {
                $acosh(self)
            }

            #[inline]
            fn sin_cos(self) -> (Self, Self) {
                $sincos(self)
            }
        }
    };
}

implement! { f64, fmod = libm::fmod, sincos = libm::sincos, acosh = libm::acosh,
    sqrt = libm::sqrt, fma = libm::fma:
    floor(self) = floor, ceil(self) = ceil, round(self) = round, trunc(self) = trunc,
    round_ties_even(self) = roundeven,
    powf(self, n) = pow, cbrt(self) = cbrt, hypot(self, other) = hypot,
    exp(self) = exp, exp2(self) = exp2, exp_m1(self) = expm1,
    ln(self) = log, log2(self) = log2, log10(self) = log10, ln_1p(self) = log1p,
    sin(self) = sin, cos(self) = cos, tan(self) = tan,
    asin(self) = asin, acos(self) = acos, atan(self) = atan, atan2(self, other) = atan2,
    sinh(self) = sinh, cosh(self) = cosh, tanh(self) = tanh,
    asinh(self) = asinh, atanh(self) = atanh,
}

implement! { f32, fmod = libm::fmodf, sincos = libm::sincosf, acosh = libm::acoshf,
    sqrt = libm::sqrtf, fma = libm::fmaf:
    floor(self) = floorf, ceil(self) = ceilf, round(self) = roundf, trunc(self) = truncf,
    round_ties_even(self) = roundevenf,
    powf(self, n) = powf, cbrt(self) = cbrtf, hypot(self, other) = hypotf,
    exp(self) = expf, exp2(self) = exp2f, exp_m1(self) = expm1f,
    ln(self) = logf, log2(self) = log2f, log10(self) = log10f, ln_1p(self) = log1pf,
    sin(self) = sinf, cos(self) = cosf, tan(self) = tanf,
    asin(self) = asinf, acos(self) = acosf, atan(self) = atanf, atan2(self, other) = atan2f,
    sinh(self) = sinhf, cosh(self) = coshf, tanh(self) = tanhf,
    asinh(self) = asinhf, atanh(self) = atanhf,
}
