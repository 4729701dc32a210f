//! The complementary error function where it is small, and both for `f32`.
//!
//! erfc x = e^(-x² + ln((x + 1) e^x² erfc x)) / (x + 1): x² in two parts, the logarithm by a polynomial in
//! (x - c) / (x + c), which takes the half-line to an interval. Source of the variable: Shepherd and Laframboise,
//! Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞, Mathematics of Computation 36, 1981.

use super::convert::wide;
use super::double::{product, sum};
use super::exp::exp_of_sum;
use super::tables::{ERFC, ERFC_MIDDLE};

/// C's `erfc`.
#[inline]
pub fn erfc(x: f64) -> f64 {
    // Also NaN.
    if !(x > 0.5) {
        return ::libm::erfc(x);
    }
    if x > 28.0 {
        return 0.0;
    }
    let (square, lost_1) = product(x, x);
    let t = (x - ERFC_MIDDLE) / (x + ERFC_MIDDLE);
    let (exponent, lost_2) = sum(ERFC[0], -square);
    let (exponent, lost_3) = sum(exponent, curve(t));
    let (divisor, lost_4) = sum(x, 1.0);
    let lost = (lost_2 + lost_3) - (lost_1 + lost_4 / divisor);
    exp_of_sum(exponent, lost) / divisor
}

/// The polynomial but for its first term.
#[inline(always)]
fn curve(t: f64) -> f64 {
    let [_, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, u, v, w, y, z] = ERFC;
    let t2 = t * t;
    let t4 = t2 * t2;
    let first = b * t + t2 * (c + d * t);
    let second = (e + f * t) + t2 * (g + h * t);
    let third = (i + j * t) + t2 * (k + l * t);
    let fourth = (m + n * t) + t2 * (o + p * t);
    let fifth = (q + r * t) + t2 * (s + u * t);
    first
        + t4 * (second
            + t4 * (third + t4 * (fourth + t4 * (fifth + t4 * ((v + w * t) + t2 * (y + z * t))))))
}

/// C's `erff`.
#[inline]
pub fn erff(x: f32) -> f32 {
    ::libm::erf(wide(x)) as f32
}

/// C's `erfcf`.
#[inline]
pub fn erfcf(x: f32) -> f32 {
    erfc(wide(x)) as f32
}
