//! Products and quotients of complex numbers, with the infinities that C11 annex G.5.1 asks for.
//!
//! In a build whose floats are the hardware's, those of `F32` and `F64` are too.

use super::format::{F32, F64, F128, Format, Parts, biased, is_nan, unpack};
use super::integral::{abs, copysign, neg};
use super::{order, round::round};
use crate::word::Word;

/// A number's real and imaginary part.
#[derive(Clone, Copy, Debug)]
pub struct Complex<F> {
    /// The real part.
    pub re: F,
    /// The imaginary part.
    pub im: F,
}

/// Formats with complex arithmetic.
pub trait Arithmetic: Format {
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn minus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn times(self, other: Self) -> Self;
    #[doc(hidden)]
    fn over(self, other: Self) -> Self;
}

macro_rules! soft {
    ($($format:ident)*) => {$(
        impl Arithmetic for $format {
            #[inline]
            fn plus(self, other: Self) -> Self {
                super::add(self, other)
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                super::sub(self, other)
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                super::mul(self, other)
            }
            #[inline]
            fn over(self, other: Self) -> Self {
                super::div(self, other)
            }
        }
    )*};
}

soft! { F128 }

#[cfg(not(hardware_floats))]
soft! { F32 F64 }

#[cfg(hardware_floats)]
mod hard {
    use super::{Arithmetic, F32, F64};

    macro_rules! hard {
        ($($format:ident $float:ident;)*) => {$(
            impl Arithmetic for $format {
                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    let sum = $float::from_bits(self.to_bits()) + $float::from_bits(other.to_bits());
                    Self::from_bits(sum.to_bits())
                }
                #[inline(always)]
                fn minus(self, other: Self) -> Self {
                    let rest = $float::from_bits(self.to_bits()) - $float::from_bits(other.to_bits());
                    Self::from_bits(rest.to_bits())
                }
                #[inline(always)]
                fn times(self, other: Self) -> Self {
                    let all = $float::from_bits(self.to_bits()) * $float::from_bits(other.to_bits());
                    Self::from_bits(all.to_bits())
                }
                #[inline(always)]
                fn over(self, other: Self) -> Self {
                    let part = $float::from_bits(self.to_bits()) / $float::from_bits(other.to_bits());
                    Self::from_bits(part.to_bits())
                }
            }
        )*};
    }

    hard! { F32 f32; F64 f64; }
}

/// `x` · `y`.
#[inline]
pub fn mul<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    let product = plain_product(x, y);
    if nan(product.re) & nan(product.im) { mul_rare(x, y, product) } else { product }
}

/// Where the plain product is NaN.
#[cold]
#[inline(never)]
fn mul_rare<F: Arithmetic>(x: Complex<F>, y: Complex<F>, product: Complex<F>) -> Complex<F> {
    // An infinity that met a zero or its like.
    let overflowed = infinite(x.re.times(y.re))
        || infinite(x.im.times(y.im))
        || infinite(x.re.times(y.im))
        || infinite(x.im.times(y.re));
    let infinite_x = infinite(x.re) || infinite(x.im);
    let infinite_y = infinite(y.re) || infinite(y.im);
    if !infinite_x && !infinite_y && !overflowed {
        return product;
    }
    let x = if infinite_x { direction(x) } else { x };
    let y = if infinite_y { direction(y) } else { y };
    // What is still NaN counts as zero now.
    let (x, y) = (zeros_for_nans(x), zeros_for_nans(y));
    let Complex { re, im } = plain_product(x, y);
    Complex { re: F::from_word(F::infinity()).times(re), im: F::from_word(F::infinity()).times(im) }
}

#[inline(always)]
fn plain_product<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    Complex {
        re: x.re.times(y.re).minus(x.im.times(y.im)),
        im: x.re.times(y.im).plus(x.im.times(y.re)),
    }
}

/// `x` / `y`.
#[inline]
pub fn div<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    // Neither products of these nor their quotients come near the format's ends, whatever cancels.
    let most = (F::BIAS / 6) as u32;
    let moderate = |x: F| {
        let exponent = biased::<F>(x.word()).wrapping_sub(F::BIAS) as u32;
        exponent.wrapping_add(most) <= most.wrapping_mul(2)
    };
    if moderate(x.re) & moderate(x.im) & moderate(y.re) & moderate(y.im) {
        return plain_quotient(x, y);
    }
    div_rare(x, y)
}

#[inline(always)]
fn plain_quotient<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    let square = square(y);
    Complex {
        re: x.re.times(y.re).plus(x.im.times(y.im)).over(square),
        im: x.im.times(y.re).minus(x.re.times(y.im)).over(square),
    }
}

/// The square of the distance from zero.
#[inline(always)]
fn square<F: Arithmetic>(z: Complex<F>) -> F {
    z.re.times(z.re).plus(z.im.times(z.im))
}

/// For any numbers.
#[inline(never)]
fn div_rare<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    // Scaled so that the divisor's square does not overflow.
    let larger = if order(abs(y.re), abs(y.im), 1) < 0 { y.im } else { y.re };
    let scale = exponent(larger).unwrap_or(0);
    let divisor = Complex { re: scaled(y.re, scale), im: scaled(y.im, scale) };
    let Complex { re, im } = plain_quotient(x, divisor);
    let quotient = Complex { re: scaled(re, scale), im: scaled(im, scale) };
    if !(nan(quotient.re) && nan(quotient.im)) {
        return quotient;
    }
    let infinity = F::from_word(F::infinity());
    let infinite_x = infinite(x.re) || infinite(x.im);
    let infinite_y = infinite(y.re) || infinite(y.im);
    if zero(square(divisor)) && !(nan(x.re) && nan(x.im)) {
        let infinity = copysign(infinity, y.re);
        return Complex { re: infinity.times(x.re), im: infinity.times(x.im) };
    }
    if infinite_x && finite(y.re) && finite(y.im) {
        let Complex { re, im } = turned(direction(x), y);
        return Complex { re: infinity.times(re), im: infinity.times(im) };
    }
    let far = exponent(larger).is_none() && infinite_y;
    if far && finite(x.re) && finite(x.im) {
        let none = F::from_word(F::Word::ZERO);
        let Complex { re, im } = turned(x, direction(y));
        return Complex { re: none.times(re), im: none.times(im) };
    }
    quotient
}

/// `x` times the conjugate of `y`.
fn turned<F: Arithmetic>(x: Complex<F>, y: Complex<F>) -> Complex<F> {
    plain_product(x, Complex { re: y.re, im: neg(y.im) })
}

/// 1 for infinities and 0 for the rest, with the signs.
fn direction<F: Format>(z: Complex<F>) -> Complex<F> {
    let part = |x: F| {
        let one = if infinite(x) { F::exponent(F::BIAS) } else { F::Word::ZERO };
        copysign(F::from_word(one), x)
    };
    Complex { re: part(z.re), im: part(z.im) }
}

fn zeros_for_nans<F: Format>(z: Complex<F>) -> Complex<F> {
    let part = |x: F| {
        if nan(x) { copysign(F::from_word(F::Word::ZERO), x) } else { x }
    };
    Complex { re: part(z.re), im: part(z.im) }
}

fn nan<F: Format>(x: F) -> bool {
    is_nan::<F>(x.word())
}

fn infinite<F: Format>(x: F) -> bool {
    x.word() & F::magnitude() == F::infinity()
}

fn finite<F: Format>(x: F) -> bool {
    x.word() & F::magnitude() < F::infinity()
}

fn zero<F: Format>(x: F) -> bool {
    x.word() & F::magnitude() == F::Word::ZERO
}

/// The binary exponent of a finite number other than zero.
fn exponent<F: Format>(x: F) -> Option<i32> {
    (finite(x) && !zero(x)).then(|| unpack::<F>(x.word()).exponent.wrapping_sub(F::BIAS))
}

/// `x` divided by 2 to the power `by`, which is an exponent of the format.
fn scaled<F: Format>(x: F, by: i32) -> F {
    if !finite(x) || zero(x) {
        return x;
    }
    let parts = unpack::<F>(x.word());
    let sign = x.word() & F::sign_bit();
    round(sign, parts.exponent.wrapping_sub(by), parts.significand.up(F::EXTRA))
}
