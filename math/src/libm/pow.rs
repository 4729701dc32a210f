//! Powers of any base: x^y = e^(y ln x), with ln x in two parts.
//!
//! y ln x is up to 745, and an error in it is a relative one of the result; so ln x is had to 2^-68, and the product in
//! two parts as well. For `f32` an `f64` has bits enough for all of that.

use super::convert::wide;
use super::double::split;
use super::exp::{exp_of_sum, quick_power};
use super::log::{
    Scaled, is_positive_normal, is_positive_normal_single, quick_log2, scaled, scaled_subnormal,
};

/// C's `pow`.
#[inline]
pub fn pow(x: f64, y: f64) -> f64 {
    if is_positive_normal(x) && y.abs() < f64::INFINITY {
        return power(scaled(x), y);
    }
    edge(x, y)
}

#[inline(always)]
fn power(x: Scaled, y: f64) -> f64 {
    let (sum, rest) = x.ln_terms();
    let (ln, _) = split(sum + rest);
    let ln_low = (sum - ln) + rest;
    let (y_high, y_low) = split(y);
    // Of 26 bits each, so that the product is exact; what is left is below 2^-25 of it.
    exp_of_sum(y_high * ln, y_low * ln + y * ln_low)
}

/// What ISO C11 F.10.4.4 lists, negative and subnormal bases.
#[cold]
fn edge(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return x + y;
    }
    let size = x.abs();
    if y.is_infinite() {
        return if size == 1.0 {
            1.0
        } else if (size > 1.0) == (y > 0.0) {
            f64::INFINITY
        } else {
            0.0
        };
    }
    let parity = parity(y);
    if x < 0.0 && size < f64::INFINITY && parity == Parity::Fraction {
        return f64::NAN;
    }
    let result = if size == 0.0 || size == f64::INFINITY {
        if (size == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY }
    } else if size < f64::MIN_POSITIVE {
        power(scaled_subnormal(size), y)
    } else {
        power(scaled(size), y)
    };
    if x.is_sign_negative() && parity == Parity::Odd { -result } else { result }
}

#[derive(PartialEq)]
enum Parity {
    Fraction,
    Even,
    Odd,
}

/// Of a finite number.
fn parity(y: f64) -> Parity {
    if y.abs() >= 9_007_199_254_740_992.0 {
        // From 2^53 on there are only even ones.
        return Parity::Even;
    }
    let whole = y as i64;
    if whole as f64 != y {
        Parity::Fraction
    } else if whole & 1 == 0 {
        Parity::Even
    } else {
        Parity::Odd
    }
}

/// C's `powf`: 2^(y log2 x), in steps of 1/128.
#[inline]
pub fn powf(x: f32, y: f32) -> f32 {
    if is_positive_normal_single(x) && y.abs() < f32::INFINITY {
        let steps = wide(y) * 128.0 * quick_log2(x);
        if steps.abs() < 160.0 * 128.0 {
            return quick_power(steps) as f32;
        }
        return if steps > 0.0 { f32::INFINITY } else { 0.0 };
    }
    edge(x.into(), y.into()) as f32
}
