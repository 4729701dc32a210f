//! Powers of e, 2 and 10.
//!
//! b^x = 2^(k/128) · b^r with the k that makes r smallest: 2^(k/128) from a table, b^r by a polynomial. The
//! table has each power rounded, and a correction for that, so that the error of the result is that of the last
//! sum and little more: 0.51 ulp for `f64`. Source: Tang, Table-driven implementation of the exponential
//! function, ACM TOMS 15, 1989; in the arrangement with a correcting factor, as also in Arm's optimized
//! routines (MIT).

use super::convert::{alone, wide};
use super::double::{entry, sum};
use super::narrow::{Exceptions, is_settled, narrow};
use super::tables::{
    E_PER_STEP_HIGH, E_PER_STEP_LOW, EXP, EXP2, EXP10, EXPM1, POWERS, QUICK_POWER, STEPS_PER_10,
    STEPS_PER_E, TEN_PER_STEP_HIGH, TEN_PER_STEP_LOW,
};

/// Adding it rounds a small number to an integer, in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52

/// A power as 2^(`steps`/128) · (1 + `rest`).
#[derive(Clone, Copy)]
pub(super) struct Power {
    steps: i64,
    rest: f64,
}

/// The nearest integer, also as a float.
#[inline(always)]
pub(super) fn nearest(x: f64) -> (i64, f64) {
    let sum = x + ROUNDER;
    (sum.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64, sum - ROUNDER)
}

/// e^(`x` + `low`), for a `low` so small that it does not matter for the number of steps: up to 2.5e-5.
#[inline(always)]
pub(super) fn power_of_e(x: f64, low: f64) -> Power {
    let (steps, k) = nearest(x * STEPS_PER_E);
    let r = (x - k * E_PER_STEP_HIGH) - (k * E_PER_STEP_LOW - low);
    let [a, b, c, d] = EXP;
    let square = r * r;
    Power { steps, rest: r + square * ((a + alone(b * r)) + square * (c + d * r)) }
}

#[inline(always)]
fn power_of_2(x: f64) -> Power {
    let (steps, k) = nearest(x * 128.0);
    let r = x - k * (1.0 / 128.0);
    Power { steps, rest: five(r, EXP2) }
}

#[inline(always)]
fn power_of_10(x: f64) -> Power {
    let (steps, k) = nearest(x * STEPS_PER_10);
    let r = (x - k * TEN_PER_STEP_HIGH) - k * TEN_PER_STEP_LOW;
    Power { steps, rest: five(r, EXP10) }
}

/// r · (a + b r + c r² + d r³ + e r⁴)
#[inline(always)]
fn five(r: f64, [a, b, c, d, e]: [f64; 5]) -> f64 {
    let square = r * r;
    r * a + square * ((b + c * r) + square * (d + e * r))
}

impl Power {
    /// The large part, and the small one, of a power that is a normal number.
    #[inline(always)]
    pub fn parts(self) -> (f64, f64) {
        let (large, correction) = entry(&POWERS, self.steps as usize);
        let whole = (self.steps >> 7) as u64;
        let large = f64::from_bits(large.to_bits().wrapping_add(whole << 52));
        (large, large * (correction + self.rest))
    }

    /// The power, if it is a normal number.
    #[inline(always)]
    pub fn value(self) -> f64 {
        let (large, small) = self.parts();
        large + small
    }

    /// The power less 1, with the digits that an `f32` needs.
    #[inline(always)]
    pub fn less_1(self) -> f64 {
        let (large, small) = self.parts();
        (large - 1.0) + small
    }

    /// The power, rounded once more if it is subnormal, infinite where it is too large; for up to 2^2000.
    #[cold]
    fn extreme(self) -> f64 {
        let whole = self.steps >> 7;
        let fraction = Power { steps: self.steps & 127, rest: self.rest };
        let (large, small) = fraction.parts();
        if whole > 0 {
            return (large + small)
                * f64::from_bits(0x7fe << 52)
                * two_to(whole.wrapping_sub(1023));
        }
        // 2^-1022 times a number below 1 has 52 bits behind the point, as sums with 1 have.
        let scale = two_to(whole.wrapping_add(1022));
        let (large, small) = (large * scale, small * scale);
        if large >= 1.0 {
            return (large + small) * f64::MIN_POSITIVE;
        }
        let sum = 1.0 + large;
        let rest = (large - (sum - 1.0)) + small;
        ((sum + rest) - 1.0) * f64::MIN_POSITIVE
    }
}

/// 2^n for -1022 ≤ n ≤ 1023.
#[inline(always)]
pub(super) fn two_to(n: i64) -> f64 {
    f64::from_bits((n.wrapping_add(1023) as u64) << 52)
}

/// The result for an argument that is NaN, or too large in absolute value: `least` is the limit below.
#[cold]
fn beyond(x: f64, least: f64) -> f64 {
    if x.is_nan() {
        x + x
    } else if x > 0.0 {
        f64::INFINITY
    } else {
        least
    }
}

/// Half of e^`x` for an `x` from 700 up.
#[cold]
pub(super) fn half_power(x: f64) -> f64 {
    if x > 711.0 {
        return f64::INFINITY;
    }
    let Power { steps, rest } = power_of_e(x, 0.0);
    Power { steps: steps.wrapping_sub(128), rest }.extreme()
}

/// e^(`x` + `low`) for any `x`, with a `low` up to 2^-25 of it.
#[inline(always)]
pub(super) fn exp_of_sum(x: f64, low: f64) -> f64 {
    if x.abs() < 702.0 {
        return power_of_e(x, low).value();
    }
    if x.abs() < 746.0 {
        return power_of_e(x, low).extreme();
    }
    beyond(x, 0.0)
}

/// Stamps out an `f64` function from the way to a power, the bound within which it and its small part are
/// normal, and the one beyond which it is 0 or infinite.
macro_rules! double {
    ($name:ident, $power:expr, $normal:literal, $bound:literal) => {
        #[doc = concat!("C's `", stringify!($name), "`.")]
        #[inline]
        pub fn $name(x: f64) -> f64 {
            if x.abs() < $normal {
                return $power(x).value();
            }
            if x.abs() < $bound {
                return $power(x).extreme();
            }
            beyond(x, 0.0)
        }
    };
}

double! { exp, |x| power_of_e(x, 0.0), 702.0, 746.0 }
double! { exp2, power_of_2, 1013.0, 1076.0 }
double! { exp10, power_of_10, 304.0, 324.0 }

/// 2^(`steps`/128), with an error below 2^-40.
#[inline(always)]
pub(super) fn quick_power(steps: f64) -> f64 {
    let (whole, k) = nearest(steps);
    let r = steps - k;
    let [a, b, c] = QUICK_POWER;
    let (large, _) = Power { steps: whole, rest: 0.0 }.parts();
    large + large * (r * (a + r * (b + r * c)))
}

/// 2^-40, in units of the last place.
const DOUBT: u64 = 1 << 13;

/// Stamps out an `f32` function from the steps to a power, the bound within which it is normal, the way to the power
/// that does for all arguments, and the bound beyond which it is 0 or infinite.
macro_rules! single {
    ($name:ident, $steps:expr, $normal:literal;
        $every:ident, $power:expr, $bound:literal, $exceptions:expr) => {
        #[doc = concat!("C's `", stringify!($name), "`, correctly rounded.")]
        #[inline]
        pub fn $name(x: f32) -> f32 {
            if x.abs() < $normal {
                let y = quick_power(wide(x) * $steps);
                if is_settled(y, DOUBT) {
                    return y as f32;
                }
            }
            $every(x)
        }

        #[cold]
        #[inline(never)]
        fn $every(x: f32) -> f32 {
            if x.abs() < $bound {
                return narrow($power(f64::from(x)).value(), x, &$exceptions);
            }
            beyond(x.into(), 0.0) as f32
        }
    };
}

single! { expf, STEPS_PER_E, 87.0; every_expf, |x| power_of_e(x, 0.0), 105.0, [] }
single! { exp2f, 128.0, 126.0; every_exp2f, power_of_2, 151.0, [
    (0x3b42_9d37, 0x3f80_4385),
    (0xbcf3_a937, 0x3f7a_c6b1),
] }
single! { exp10f, STEPS_PER_10, 37.0; every_exp10f, power_of_10, 46.0, [] }

/// C's `expm1`.
#[inline]
pub fn expm1(x: f64) -> f64 {
    let size = x.abs();
    // From there on the steps' small part is small beside the result, and its errors with it.
    if size < 0.0625 {
        // Also to keep the sign of a zero.
        if size < 1.0 / (1_u64 << 54) as f64 {
            return x;
        }
        let [a, b, c, d, e, f, g] = EXPM1;
        let square = x * x;
        let curve = (a + b * x) + square * ((c + d * x) + square * ((e + f * x) + square * g));
        return x + square * (0.5 + x * curve);
    }
    if size < 60.0 {
        let (large, small) = power_of_e(x, 0.0).parts();
        let (less_1, lost) = sum(large, -1.0);
        return less_1 + (lost + small);
    }
    if x < 0.0 { -1.0 } else { exp(x) }
}

const EXPM1F: &Exceptions = &[];

/// C's `expm1f`, correctly rounded.
#[inline]
pub fn expm1f(x: f32) -> f32 {
    if x.abs() < 105.0 {
        let y = power_of_e(wide(x), 0.0).less_1();
        return narrow(y, x, EXPM1F).copysign(x);
    }
    beyond(x.into(), -1.0) as f32
}

/// e^`x` for 0 ≤ `x` < 700, and that less 1.
pub(super) fn power_and_less_1(x: f64) -> (f64, f64) {
    let power = power_of_e(x, 0.0);
    (power.value(), power.less_1())
}
