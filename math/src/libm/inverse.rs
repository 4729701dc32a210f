//! Arc sine, arc cosine and arc tangent.
//!
//! asin by a polynomial up to 1/2, and from there by asin x = π/2 - 2 asin √((1 - x)/2). atan(y/x) as
//! atan(i/8) + atan((y - x i/8) / (x + y i/8)) with the nearest i, the first from a table; above 1 as π/2 less
//! that of the reciprocal.

use super::double::{fast_sum, product, split};
use super::exp::nearest;
use super::narrow::{Exceptions, narrow, narrow_odd};
use super::tables::{ASIN, ATAN, ATANS, HALF_PI, HALF_PI_TAIL, PI, PI_TAIL};

/// asin(x) - x for 0 ≤ x ≤ 1/2, with z = x².
#[inline(always)]
fn asin_curve(x: f64, z: f64) -> f64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m] = ASIN;
    let z2 = z * z;
    let z4 = z2 * z2;
    let first = (a + b * z) + z2 * (c + d * z);
    let second = (e + f * z) + z2 * (g + h * z);
    let third = (i + j * z) + z2 * (k + l * z);
    x * z * (first + z4 * (second + z4 * (third + z4 * m)))
}

/// asin √z for 0 ≤ z ≤ 1/4.
#[inline(always)]
fn asin_of_root(z: f64) -> f64 {
    let x = super::sqrt(z);
    x + asin_curve(x, z)
}

const ASINF: &Exceptions = &[];
const ACOSF: &Exceptions = &[(0x328885a3, 0x3fc90fdb), (0x39826222, 0x3fc907b5)];
const ATANF: &Exceptions = &[(0x3d8d6b23, 0x3d8d31c3)];

/// C's `asinf`, correctly rounded.
#[inline]
pub fn asinf(x: f32) -> f32 {
    let a = f64::from(x).abs();
    if a <= 0.5 {
        return narrow_odd(a + asin_curve(a, a * a), x, ASINF);
    }
    if !(a <= 1.0) {
        return f32::NAN;
    }
    let y = HALF_PI - 2.0 * asin_of_root(0.5 - 0.5 * a);
    narrow_odd(y, x, ASINF)
}

/// C's `acosf`, correctly rounded.
#[inline]
pub fn acosf(x: f32) -> f32 {
    let a = f64::from(x).abs();
    if a <= 0.5 {
        let x_wide = f64::from(x);
        let y = HALF_PI - (x_wide + (asin_curve(x_wide, a * a) - HALF_PI_TAIL));
        return narrow(y, x, ACOSF);
    }
    if !(a <= 1.0) {
        return f32::NAN;
    }
    let small = 2.0 * asin_of_root(0.5 - 0.5 * a);
    narrow(if x > 0.0 { small } else { PI - small }, x, ACOSF)
}

/// atan(`y` / `x`) for 0 ≤ `y` ≤ `x`, both `f32`.
#[inline(always)]
fn atan_of_ratio(y: f64, x: f64) -> f64 {
    let (eighths, c) = nearest(y / x * 8.0);
    let c = c * 0.125;
    let t = (y - c * x) / (x + c * y);
    let (atan, tail) = ATANS.get(eighths as usize).copied().unwrap_or_default();
    let [a, b, c, d, e, f] = ATAN;
    let z = t * t;
    let square = z * z;
    let curve = t * z * ((a + b * z) + square * ((c + d * z) + square * (e + f * z)));
    atan + (t + (curve + tail))
}

/// C's `atanf`, correctly rounded.
#[inline]
pub fn atanf(x: f32) -> f32 {
    let a = f64::from(x).abs();
    if a <= 1.0 {
        return narrow_odd(atan_of_ratio(a, 1.0), x, ATANF);
    }
    if x.is_nan() {
        return x + x;
    }
    let y = if a.is_infinite() { 0.0 } else { atan_of_ratio(1.0, a) };
    narrow_odd(HALF_PI - (y - HALF_PI_TAIL), x, ATANF)
}

/// atan(`y` / `x`) in two parts, for 0 < `y` ≤ `x` < 2^1000, neither far below 1.
fn atan_of_long_ratio(y: f64, x: f64) -> (f64, f64) {
    let (eighths, c) = nearest(y / x * 8.0);
    let c = c * 0.125;
    // The products with c, which has 4 bits, are exact in halves; so is the first difference, of neighbours.
    let ((x_high, x_low), (y_high, y_low)) = (split(x), split(y));
    let (n, n_low) = super::double::sum(y - c * x_high, -(c * x_low));
    let (d, d_rest) = fast_sum(x, c * y_high);
    let d_low = d_rest + c * y_low;
    let (d, d_low) = fast_sum(d, d_low);
    let (t, inverse) = (n / d, 1.0 / d);
    let (back, back_low) = product(t, d);
    let t_low = (((n - back) - back_low) + (n_low - t * d_low)) * inverse;

    let (atan, tail) = ATANS.get(eighths as usize).copied().unwrap_or_default();
    let [a, b, c, d, e, f] = ATAN;
    let z = t * t;
    let square = z * z;
    let curve = t * z * ((a + b * z) + square * ((c + d * z) + square * (e + f * z)));
    let (sum, rest) = fast_sum(atan, t);
    fast_sum(sum, rest + (curve + (tail + t_low)))
}

/// C's `atan2`.
#[inline]
pub fn atan2(y: f64, x: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return x + y;
    }
    let (a, b) = (y.abs(), x.abs());
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    // Below the diagonal, as large + small parts.
    let (mut angle, mut rest) = if small == large {
        // Also both 0, both infinite.
        if small == 0.0 && !x.is_sign_negative() {
            return y;
        }
        if small == 0.0 { (0.0, 0.0) } else { (0.5 * HALF_PI, 0.5 * HALF_PI_TAIL) }
    } else {
        let exponent = |x: f64| x.to_bits() >> 52;
        if exponent(large).wrapping_sub(exponent(small)) > 60 || large == f64::INFINITY {
            // So small that it is its own arc tangent.
            if a < b && !x.is_sign_negative() {
                return if large == f64::INFINITY { 0.0_f64.copysign(y) } else { y / b };
            }
            let quotient = small / large;
            (quotient, 0.0)
        } else if exponent(large) > 2000 {
            let scale = f64::from_bits(923 << 52); // 2^-100
            atan_of_long_ratio(small * scale, large * scale)
        } else if exponent(small) < 100 {
            let scale = f64::from_bits(1223 << 52); // 2^200
            atan_of_long_ratio(small * scale, large * scale)
        } else {
            atan_of_long_ratio(small, large)
        }
    };
    if a >= b && small != large {
        let (sum, left) = fast_sum(HALF_PI, -angle);
        (angle, rest) = (sum, left + (HALF_PI_TAIL - rest));
    }
    if x.is_sign_negative() {
        let (sum, left) = fast_sum(PI, -angle);
        (angle, rest) = (sum, left + (PI_TAIL - rest));
    }
    (angle + rest).copysign(y)
}

/// C's `atan2f`.
#[inline]
pub fn atan2f(y: f32, x: f32) -> f32 {
    if x.is_nan() || y.is_nan() {
        return x + y;
    }
    let (a, b) = (f64::from(y.abs()), f64::from(x.abs()));
    let below_diagonal = if a == b {
        // Also both 0, both infinite.
        if a == 0.0 { 0.0 } else { super::tables::HALF_PI * 0.5 }
    } else if a < b {
        if b.is_infinite() { 0.0 } else { atan_of_ratio(a, b) }
    } else {
        let rest = if a.is_infinite() { 0.0 } else { atan_of_ratio(b, a) };
        HALF_PI - (rest - HALF_PI_TAIL)
    };
    let angle = if x.is_sign_negative() { PI - below_diagonal } else { below_diagonal };
    (angle as f32).copysign(y)
}
