//! Hyperbolic sine, cosine and tangent, from powers of e; sine and tangent near 0 from polynomials.

use super::convert::wide;
use super::double::{fast_sum, product, sum};
use super::exp::{half_power, power_and_less_1, power_of_e};
use super::narrow::{Exceptions, narrow, narrow_odd};
use super::tables::{SINH, TANH};

/// From here on e^-x does not show in e^x, which soon will be infinite.
const LARGE: f64 = 700.0;

/// C's `sinh`: ½ (e^x - e^-x).
#[inline]
pub fn sinh(x: f64) -> f64 {
    let a = x.abs();
    if a < 0.5 {
        let [b, c, d, e, f, g] = SINH;
        let z = x * x;
        let z2 = z * z;
        return x + x * z * ((b + c * z) + z2 * ((d + e * z) + z2 * (f + g * z)));
    }
    if !(a < LARGE) {
        return if x.is_nan() { x + x } else { half_power(a).copysign(x) };
    }
    let (large, small) = power_of_e(a, 0.0).parts();
    let (power, rest) = fast_sum(large, small);
    let (difference, lost) = fast_sum(power, -1.0 / power);
    (0.5 * (difference + (lost + rest))).copysign(x)
}

/// C's `cosh`: ½ (e^x + e^-x).
#[inline]
pub fn cosh(x: f64) -> f64 {
    let a = x.abs();
    if !(a < LARGE) {
        return if x.is_nan() { x + x } else { half_power(a) };
    }
    let (large, small) = power_of_e(a, 0.0).parts();
    let (power, rest) = fast_sum(large, small);
    0.5 * (power + (1.0 / power + rest))
}

/// C's `tanh`: (e^2x - 1) / (e^2x + 1).
#[inline]
pub fn tanh(x: f64) -> f64 {
    let a = x.abs();
    if a < 0.25 {
        let [b, c, d, e, f, g, h, i, j] = TANH;
        let z = x * x;
        let z2 = z * z;
        let z4 = z2 * z2;
        let last = (f + g * z) + z2 * (h + i * z) + z4 * j;
        return (x + x * z * ((b + c * z) + z2 * (d + e * z) + z4 * last)).copysign(x);
    }
    if !(a < 22.0) {
        return if x.is_nan() { x + x } else { 1.0_f64.copysign(x) };
    }
    let (large, small) = power_of_e(2.0 * a, 0.0).parts();
    // n / d, each in two parts, and what the quotient lacks from the remainder.
    let (large, left) = sum(large, -1.0);
    let (n, n_low) = fast_sum(large, small + left);
    let (d, d_low) = sum(n, 2.0);
    let (quotient, inverse) = (n / d, 1.0 / d);
    let (back, back_low) = product(quotient, d);
    let remainder = ((n - back) - back_low) + (n_low - quotient * (d_low + n_low));
    (quotient + remainder * inverse).copysign(x)
}

const SINHF: &Exceptions = &[(0x3a1285ff, 0x3a1285ff)];
const COSHF: &Exceptions = &[];
const TANHF: &Exceptions = &[];

/// C's `sinhf`, correctly rounded: ½ (e^x - e^-x).
#[inline]
pub fn sinhf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a < 90.0) {
        return x * f32::INFINITY;
    }
    let (_, less) = power_and_less_1(a);
    narrow_odd(0.5 * (less + less / (less + 1.0)), x, SINHF)
}

/// C's `coshf`, correctly rounded: ½ (e^x + e^-x).
#[inline]
pub fn coshf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a < 90.0) {
        return x.abs() * f32::INFINITY;
    }
    let (power, _) = power_and_less_1(a);
    narrow(0.5 * (power + 1.0 / power), x.abs(), COSHF)
}

/// C's `tanhf`, correctly rounded: (e^2x - 1) / (e^2x + 1).
#[inline]
pub fn tanhf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a < 10.0) {
        return if x.is_nan() { x + x } else { 1.0_f32.copysign(x) };
    }
    let (_, less) = power_and_less_1(2.0 * a);
    narrow_odd(less / (less + 2.0), x, TANHF)
}
