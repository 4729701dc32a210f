//! The inverse hyperbolic functions, as logarithms.
//!
//! For `f64` what the logarithm is taken of is computed in two parts, about a hundred bits: near 1 the logarithm needs
//! them, and no case is left for small arguments.

use super::convert::wide;
use super::double::{fast_sum, product, sum};
use super::log::{ln_1_plus, ln_of_double, ln_of_pair};
use super::narrow::{Exceptions, narrow, narrow_odd};

/// Closer to 0, the cube of a number does not show beside it.
const TINY: f64 = 1.0 / (1_u64 << 27) as f64;
/// From here on 1 does not show beside the square, nor its share in the result.
const LARGE: f64 = (1_u64 << 28) as f64;

/// ln(`x` + √(`x`² + `one`)), for an `x` below [`LARGE`] and a positive square.
#[inline(always)]
fn area(x: f64, one: f64) -> f64 {
    let (square, lost) = product(x, x);
    let (square, rest) = sum(square, one);
    let root = super::sqrt(square);
    let (back, back_low) = product(root, root);
    let root_low = ((square - back) - back_low + (rest + lost)) / (root + root);
    let (sum, rest) = sum(root, x);
    ln_of_pair(sum, rest + root_low)
}

/// C's `asinh`: ln(x + √(x² + 1)).
#[inline]
pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    if a < TINY {
        return x;
    }
    if !(a < f64::INFINITY) {
        return x + x;
    }
    let y = if a < LARGE { area(a, 1.0) } else { ln_of_double(a) };
    y.copysign(x)
}

/// C's `acosh`: ln(x + √(x² - 1)).
#[inline]
pub fn acosh(x: f64) -> f64 {
    if x > 1.0 && x < LARGE {
        return area(x, -1.0);
    }
    if x >= LARGE && x < f64::INFINITY {
        return ln_of_double(x);
    }
    if x == 1.0 {
        0.0
    } else if x < 1.0 {
        f64::NAN
    } else {
        x + x
    }
}

/// C's `atanh`: ½ ln((1 + x) / (1 - x)).
#[inline]
pub fn atanh(x: f64) -> f64 {
    let a = x.abs();
    if a < TINY {
        return x;
    }
    if !(a < 1.0) {
        return if a == 1.0 { f64::INFINITY.copysign(x) } else { f64::NAN };
    }
    let ((n, n_low), (d, d_low)) = (fast_sum(1.0, a), fast_sum(1.0, -a));
    let (quotient, inverse) = (n / d, 1.0 / d);
    let (back, back_low) = product(quotient, d);
    let rest = ((n - back) - back_low + (n_low - quotient * d_low)) * inverse;
    (0.5 * ln_of_pair(quotient, rest)).copysign(x)
}

const ASINHF: &Exceptions =
    &[(0x4bdd65a5, 0x418f034b), (0x655890d3, 0x4254d1f9), (0x6eb1a8ec, 0x42845a89)];
const ACOSHF: &Exceptions = &[(0x655890d3, 0x4254d1f9), (0x6eb1a8ec, 0x42845a89)];
const ATANHF: &Exceptions = &[];

/// C's `asinhf`, correctly rounded: ln(x + √(x² + 1)).
#[inline]
pub fn asinhf(x: f32) -> f32 {
    if !(x.abs() < f32::INFINITY) {
        return x + x;
    }
    let a = wide(x).abs();
    let square = a * a;
    let y = ln_1_plus(a + square / (1.0 + super::sqrt(1.0 + square)));
    narrow_odd(y, x, ASINHF)
}

/// C's `acoshf`, correctly rounded: ln(x + √(x² - 1)).
#[inline]
pub fn acoshf(x: f32) -> f32 {
    const ONE: u32 = 1.0_f32.to_bits();
    if x.to_bits().wrapping_sub(ONE) >= f32::INFINITY.to_bits().wrapping_sub(ONE) {
        return if x == f32::INFINITY { x } else { f32::NAN };
    }
    let t = wide(x) - 1.0;
    narrow(ln_1_plus(t + super::sqrt(t * (t + 2.0))), x, ACOSHF)
}

/// C's `atanhf`, correctly rounded: ½ ln((1 + x) / (1 - x)).
#[inline]
pub fn atanhf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a < 1.0) {
        return if a == 1.0 { f32::INFINITY.copysign(x) } else { f32::NAN };
    }
    narrow_odd(0.5 * ln_1_plus(2.0 * a / (1.0 - a)), x, ATANHF)
}
