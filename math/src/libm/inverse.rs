//! Arc sine, arc cosine and arc tangent.
//!
//! asin by a polynomial up to 1/2, and from there by asin x = π/2 - 2 asin √((1 - x)/2). atan(y/x) as
//! atan(i/8) + atan((y - x i/8) / (x + y i/8)) with the nearest i, the first from a table; above 1 as π/2 less
//! that of the reciprocal.

use core::hint::select_unpredictable;

use super::convert::{alone, wide};
use super::double::{entry, fast_sum, product, split};
use super::exp::nearest;
use super::narrow::{Exceptions, narrow, narrow_odd};
use super::tables::{
    ASIN, ATAN, ATAN_CELLS, ATAN_START, ATANS, HALF_PI, HALF_PI_TAIL, PI, PI_TAIL,
};

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

const ASINF: &Exceptions = &[];
const ACOSF: &Exceptions = &[(0x328885a3, 0x3fc90fdb), (0x39826222, 0x3fc907b5)];
const ATANF: &Exceptions = &[(0x3d8d6b23, 0x3d8d31c3)];

/// Offset + factor · asin `a` for `a` up to 1/2; beyond, with asin √((1 - `a`)/2) and the table's next row. No
/// branch, as nothing foretells which.
#[inline(always)]
fn arc<const N: usize>(a: f64, table: &'static [(f64, f64, f64); N], row: usize) -> f64 {
    let large = a > 0.5;
    // The root of a square of 24 bits is exact.
    let z = select_unpredictable(large, 0.5 - 0.5 * a, a * a);
    let root = super::sqrt(z);
    let (factor, offset, tail) = entry(table, row | usize::from(large));
    offset + (factor * root + (factor * asin_curve(root, z) + tail))
}

/// Factor, offset, and what rounding took from that: for |x| up to 1/2 and above.
static ASIN_ARCS: [(f64, f64, f64); 2] = [(1.0, 0.0, 0.0), (-2.0, HALF_PI, HALF_PI_TAIL)];
/// The same, for positive and for negative x.
static ACOS_ARCS: [(f64, f64, f64); 4] = [
    (-1.0, HALF_PI, HALF_PI_TAIL),
    (2.0, 0.0, 0.0),
    (1.0, HALF_PI, HALF_PI_TAIL),
    (-2.0, PI, PI_TAIL),
];

/// C's `asinf`, correctly rounded.
#[inline]
pub fn asinf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a <= 1.0) {
        return f32::NAN;
    }
    narrow_odd(arc(a, &ASIN_ARCS, 0), x, ASINF)
}

/// C's `acosf`, correctly rounded.
#[inline]
pub fn acosf(x: f32) -> f32 {
    let a = wide(x).abs();
    if !(a <= 1.0) {
        return f32::NAN;
    }
    let row = x.to_bits() >> 31 << 1;
    narrow(arc(a, &ACOS_ARCS, row as usize), x, ACOSF)
}

/// atan(t) - t for a small t.
#[inline(always)]
fn atan_curve(t: f64) -> f64 {
    let [a, b, c, d, e, f] = ATAN;
    let z = t * t;
    let square = z * z;
    t * z * ((a + b * z) + square * ((c + d * z) + square * (e + f * z)))
}

/// atan(`y` / `x`) for 0 ≤ `y` ≤ `x`, both `f32`.
#[inline(always)]
fn atan_of_ratio(y: f64, x: f64) -> f64 {
    let (eighths, c) = nearest(y / x * 8.0);
    let c = c * 0.125;
    let t = (y - c * x) / (x + c * y);
    let (atan, tail) = ATANS.get(eighths as usize).copied().unwrap_or_default();
    atan + (t + (atan_curve(t) + tail))
}

/// C's `atanf`, correctly rounded.
///
/// The argument's exponent and the two bits behind it choose a number c near it: atan x = atan c + atan t with
/// t = (x - c) / (1 + c x), or with -1/x where c is infinite.
#[inline]
pub fn atanf(x: f32) -> f32 {
    let size = x.abs();
    if !(size < f32::INFINITY) {
        return if x.is_nan() { x + x } else { (HALF_PI as f32).copysign(x) };
    }
    let cell = (size.to_bits() >> 21).saturating_sub(ATAN_START).min(ATAN_CELLS.len() as u32 - 1);
    let (p, q, atan, tail) = ATAN_CELLS.get(cell as usize).copied().unwrap_or_default();
    let a = wide(size);
    let t = (alone(a * p) - q) / (a * q + p);
    narrow_odd(atan + (t + (atan_curve(t) + tail)), x, ATANF)
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
    let (sum, rest) = fast_sum(atan, t);
    fast_sum(sum, rest + (atan_curve(t) + (tail + t_low)))
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
    let (a, b) = (wide(y).abs(), wide(x).abs());
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
