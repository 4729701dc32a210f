//! The gamma function and its logarithm.
//!
//! - Γ(x) from 8 up by Stirling's series, with ln Γ in two parts because its error is the relative error of Γ;
//!   below 8 as Γ(x + 8) / (x (x + 1) … (x + 7)); on the negative side by reflection.
//! - ln |Γ(x)| on the positive side is `libm`'s. Between -2 and -18 lie 32 of its zeros, where reflection would
//!   cancel; there it is had as ln |Γ(x) / Γ(z)| for a zero z near x, each part of which is computed from x - z and
//!   so vanishes with it. The way is that of glibc's `lgamma_neg` (LGPL), from its published description; the code
//!   is not. The first two are far from poles, so that a polynomial does for each and the shallow valley between them.
//!   Further down no `f64` is near enough to a zero.

use super::convert::wide;
use super::double::{fast_sum, product, sum};
use super::exp::{exp_of_sum, two_to};
use super::log::{ln_1_plus, ln_of_sum, log, scaled};
use super::tables::{
    GAMMA_VALLEY, GAMMA_ZEROS, HALF_LN_TAU, HALF_LN_TAU_TAIL, LN_2_HIGH, LN_2_LOW, LN_PI,
    LN_PI_TAIL, PI, PI_TAIL, STIRLING,
};
use super::trig::{cosine, sine, sine_curve};

/// Closer to 0, Γ(x) is 1/x.
const TINY: f64 = 1.0 / (1_u64 << 60) as f64;

/// Both parts of `a` · `b`, for factors in two parts.
#[inline(always)]
fn times((a, a_low): (f64, f64), (b, b_low): (f64, f64)) -> (f64, f64) {
    let (high, low) = product(a, b);
    fast_sum(high, low + (a * b_low + a_low * b))
}

/// Both parts of `a` + `b`, for a smaller `b`.
#[inline(always)]
fn plus((a, a_low): (f64, f64), b: f64) -> (f64, f64) {
    let (high, low) = sum(a, b);
    (high, low + a_low)
}

/// The sum of Stirling's series at `u` from 8 up.
#[inline(always)]
fn series(u: f64) -> f64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = STIRLING;
    let v = 1.0 / u;
    let z = v * v;
    let z2 = z * z;
    let z4 = z2 * z2;
    let first = (a + b * z) + z2 * (c + d * z);
    let second = (e + f * z) + z2 * (g + h * z);
    let third = (i + j * z) + z2 * (k + l * z);
    v * (first + z4 * (second + z4 * third))
}

/// ln Γ(`u` + `low`) in two parts, for `u` from 8 to 2^52.
#[inline(always)]
fn ln_gamma((u, low): (f64, f64)) -> (f64, f64) {
    let ln = scaled(u).ln_long();
    let (main, rest) = times((u - 0.5, 0.0), ln);
    let (main, left_1) = fast_sum(main, -u);
    let (main, left_2) = fast_sum(main, HALF_LN_TAU);
    // The derivative of ln Γ is ln u - 1/2u, near enough for the low part.
    let slope = low * (ln.0 - 0.5 / u);
    fast_sum(main, (left_1 + left_2) + (rest + HALF_LN_TAU_TAIL) + (slope + series(u)))
}

/// x (x + 1) … (x + 7): with t = x (x + 7), that is t (t + 6) (t + 10) (t + 12).
#[inline(always)]
fn eight(x: f64) -> (f64, f64) {
    let t = times((x, 0.0), sum(7.0, x));
    let outer = times(t, plus(t, 6.0));
    let inner = times(plus(t, 10.0), plus(t, 12.0));
    times(outer, inner)
}

/// The argument of ln Γ for a positive `x`, and the product to divide Γ by.
#[inline(always)]
fn shifted(x: f64) -> ((f64, f64), (f64, f64)) {
    if x < 8.0 { (sum(8.0, x), eight(x)) } else { ((x, 0.0), (1.0, 0.0)) }
}

/// |sin π`x`| for a positive `x` below 2^52, in full for an `x` near an integer too.
fn sine_of_turns(x: f64) -> f64 {
    let part = (x - super::rint(x)).abs();
    let angle = |part: f64| times((part, 0.0), (PI, PI_TAIL));
    if part < 0.25 {
        let (angle, low) = angle(part);
        sine(angle) + low
    } else {
        let (angle, low) = angle(0.5 - part);
        cosine(angle) - low * angle
    }
}

/// C's `tgamma`.
#[inline]
pub fn tgamma(x: f64) -> f64 {
    if x.abs() < TINY {
        return 1.0 / x;
    }
    if x > 0.0 {
        if x > 172.0 {
            return f64::INFINITY;
        }
        let (u, factor) = shifted(x);
        let (ln, low) = ln_gamma(u);
        return exp_of_sum(ln, low) / (factor.0 + factor.1);
    }
    // Also NaN, poles, and -∞.
    if !(x < 0.0) || super::trunc(x) == x {
        return if x.is_nan() { x + x } else { f64::NAN };
    }
    let size = -x;
    let negative = super::trunc(size) as i64 & 1 == 0;
    if size > 186.0 {
        return if negative { -0.0 } else { 0.0 };
    }
    // Γ(x) = π / (x sin πx · -Γ(-x)), with 2^512 to keep clear of subnormal numbers.
    let (u, factor) = shifted(size);
    let (ln, low) = ln_gamma(u);
    let lift = if size > 100.0 { 512.0 } else { 0.0 };
    let (exponent, left) = sum(lift * LN_2_HIGH, -ln);
    let reciprocal = exp_of_sum(exponent, left + (lift * LN_2_LOW - low)) * (factor.0 + factor.1);
    let result = PI * reciprocal / (size * sine_of_turns(size));
    let result = if lift == 0.0 { result } else { result * two_to(-512) };
    if negative { -result } else { result }
}

/// GNU's `lgamma_r`: `lgamma`, and the sign of Γ, 1 or -1.
#[inline]
pub fn lgamma_r(x: f64) -> (f64, i32) {
    // From 2^52 down there are only integers.
    if !(x < -TINY && x > -4_503_599_627_370_496.0) || super::trunc(x) == x {
        return ::libm::lgamma_r(x);
    }
    let size = -x;
    let whole = super::trunc(size) as i64;
    let sign = if whole & 1 == 0 { -1 } else { 1 };
    if whole < 2 {
        // Γ(x) = Γ(x + 2) / (x (x + 1)), and no zero is near.
        return (::libm::lgamma(2.0 - size) - log(size * (1.0 - size).abs()), sign);
    }
    if x > -2.87 && x < -2.13 {
        return (in_the_valley(x), sign);
    }
    if whole < 18 {
        return (beside_zeros(size, whole), sign);
    }
    // ln(π / |x sin πx|) - ln Γ(-x)
    let (ln, low) = ln_gamma((size, 0.0));
    let (constant, lost) = sum(LN_PI, -ln);
    let (result, rest) = sum(-log(size * sine_of_turns(size)), constant);
    (result + (rest + (lost + (LN_PI_TAIL - low))), sign)
}

/// ln |Γ(`x`)| from -2.87 to -2.13.
fn in_the_valley(x: f64) -> f64 {
    let Some((_, c, c_low, value, p)) = GAMMA_VALLEY.iter().find(|row| x < row.0) else {
        return f64::NAN;
    };
    let d = (x - c) - c_low;
    let mut sum = 0.0;
    for coefficient in p.iter().rev() {
        sum = sum * d + coefficient;
    }
    value + d * sum
}

/// ln |Γ(-`size`)| between -`whole` and the integer below.
///
/// With z the zero on this side of the valley, d = x - z, a = -z and b = -x:
/// ln |Γ(x) / Γ(z)| = -ln (sin πx / sin πz) + ln Γ(1 + a) - ln Γ(1 + b).
fn beside_zeros(size: f64, whole: i64) -> f64 {
    let right = size - whole as f64 <= 0.5;
    let row = whole.wrapping_sub(2).wrapping_mul(2).wrapping_add(i64::from(!right));
    let (z, z_low, cot, cot_low) = GAMMA_ZEROS.get(row as usize).copied().unwrap_or_default();
    let d = (-size - z) - z_low;

    // sin(p + q) / sin p - 1 = sin q cot p - 2 sin²(q/2), with p = πz and q = πd.
    let (q, q_low) = times((d, 0.0), (PI, PI_TAIL));
    let half = sine(0.5 * q);
    let (line, line_low) = times(fast_sum(q, sine_curve(q) + q_low), (cot, cot_low));
    let (change, left) = sum(line, -2.0 * half * half);
    // Far from the zero nothing cancels.
    let sines = if d.abs() <= 0.25 && change > -0.5 {
        let (ratio, rest) = sum(1.0, change);
        ln_of_sum(ratio, rest + (left + line_low))
    } else {
        let from_pole = (z - super::rint(z)) + z_low;
        log(sine_of_turns(size) / ::libm::sin(from_pole * PI).abs())
    };
    sines_and_gammas(sines, size, d)
}

/// ln Γ(1 + b + `d`) - ln Γ(1 + b), less `sines`.
///
/// Shifted by 8: ln Γ(v + d) - ln Γ(v) with v = b + 9, less the logarithm of the product of the
/// (b + i + d) / (b + i). By Stirling the difference is (v - ½) ln(1 + d/v) + d (ln(v + d) - 1) and that of the
/// series, in which w^n - t^n = (w - t) (w^(n-1) + … + t^(n-1)) with w = 1/(v + d) and t = 1/v.
fn sines_and_gammas(sines: f64, b: f64, d: f64) -> f64 {
    // In pairs: (b + i + d) (b + 9 - i + d) / ((b + i) (b + 9 - i)) - 1, with denominators as in `eight`.
    let pair = (b + 1.0) * (b + 8.0);
    let step = d * (b + b + 9.0 + d);
    let (p, q) = (step / pair, step / (pair + 6.0));
    let (r, s) = (step / (pair + 10.0), step / (pair + 12.0));
    let (first, second) = ((p + q) + p * q, (r + s) + r * s);
    let change = (first + second) + first * second;
    let v = b + 9.0;
    let u = v + d;
    let (w, t) = (1.0 / u, 1.0 / v);
    let [c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, ..] = STIRLING;
    let mut series = 0.0;
    // The sums for n = 1, 3, 5, …; each is w² times the one before plus w t^(n-2) + t^(n-1).
    let (mut terms, mut power) = (1.0, 1.0);
    let mut coefficients: &[f64] = &[c1, c2, c3, c4, c5, c6, c7, c8, c9, c10];
    while let [c, rest @ ..] = coefficients {
        series += c * terms;
        let next = power * t;
        terms = w * (w * terms + next) + next * t;
        power = next * t;
        coefficients = rest;
    }
    let series = -d * w * t * series;
    let gammas =
        (v - 0.5) * ln_1_plus(d * t) + d * (ln_of_sum(u, 0.0) - 1.0) + series - ln_1_plus(change);
    gammas - sines
}

/// C's `lgamma`.
#[inline]
pub fn lgamma(x: f64) -> f64 {
    lgamma_r(x).0
}

/// GNU's `lgammaf_r`.
#[inline]
pub fn lgammaf_r(x: f32) -> (f32, i32) {
    let (value, sign) = lgamma_r(wide(x));
    (value as f32, sign)
}

/// C's `lgammaf`.
#[inline]
pub fn lgammaf(x: f32) -> f32 {
    lgammaf_r(x).0
}

/// C's `tgammaf`.
#[inline]
pub fn tgammaf(x: f32) -> f32 {
    tgamma(wide(x)) as f32
}
