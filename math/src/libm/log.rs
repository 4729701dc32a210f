//! Logarithms.
//!
//! x = 2^k m with m from 0.82 to 1.64, log x = k log 2 + log c + log(1 + r) with the c in the middle of
//! the cell of m, r = m/c - 1, and a polynomial for log(1 + r). 1/c has few bits, so that r can be had without loss;
//! log c comes in two parts, the first of them a multiple of 2^-42, so that its sum with k log 2 is exact. Around
//! 1 is a cell with c = 1, where nothing cancels: r = x - 1, and the result has all its digits there as well.
//! Source: Tang, Table-driven implementation of the logarithm function, ACM TOMS 16, 1990; the cell around 1 as
//! in Arm's optimized routines (MIT).

use super::convert::{alone, float, wide};
use super::double::{entry, fast_sum, product, split, sum};
use super::exp::two_to;
use super::narrow::{Exceptions, is_settled, narrow};
use super::tables::{
    LN, LN_2_HIGH, LN_2_LOW, LN_LONG, LOG2, LOG2_E_HIGH, LOG2_E_LOW, LOG10_E, LOG10_E_TAIL, LOGS,
    LOGS2, QUICK_LN, QUICK_LOG2, START,
};

/// A positive number as 2^`k` · m, with m in the cell `cell`.
#[derive(Clone, Copy)]
pub(super) struct Scaled {
    k: i32,
    m: f64,
    cell: usize,
}

/// Of a positive normal number.
#[inline(always)]
pub(super) fn scaled(x: f64) -> Scaled {
    let from_start = x.to_bits().wrapping_sub(START);
    let k = (from_start as i64 >> 52) as i32;
    Scaled {
        k,
        m: f64::from_bits(x.to_bits().wrapping_sub(from_start & 0xfff << 52)),
        cell: (from_start >> 45) as usize & 127,
    }
}

/// As integers, that is one comparison.
#[inline(always)]
pub(super) fn is_positive_normal(x: f64) -> bool {
    const LEAST: u64 = f64::MIN_POSITIVE.to_bits();
    x.to_bits().wrapping_sub(LEAST) < f64::INFINITY.to_bits().wrapping_sub(LEAST)
}

/// The same of an `f32`.
#[inline(always)]
pub(super) fn is_positive_normal_single(x: f32) -> bool {
    const LEAST: u32 = f32::MIN_POSITIVE.to_bits();
    x.to_bits().wrapping_sub(LEAST) < f32::INFINITY.to_bits().wrapping_sub(LEAST)
}

/// Of a positive subnormal number.
#[cold]
pub(super) fn scaled_subnormal(x: f64) -> Scaled {
    let Scaled { k, m, cell } = scaled(x * two_to(64));
    Scaled { k: k.wrapping_sub(64), m, cell }
}

/// m/c - 1, and what it lost when it was rounded: nothing in the cell around 1.
#[inline(always)]
fn ratio(m: f64, inverse: f64) -> (f64, f64) {
    let first = first_24_bits(m);
    let (high, low) = (first * inverse - 1.0, (m - first) * inverse);
    let r = high + low;
    (r, (high - r) + low)
}

/// So few that the product with 1/c is exact.
#[inline(always)]
fn first_24_bits(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !0x1fff_ffff)
}

impl Scaled {
    /// The natural logarithm in two parts, the second with all that the first had to leave: good to 2^-60.
    #[inline(always)]
    fn ln(self) -> (f64, f64) {
        let (inverse, high, tail, _) = entry(&LOGS, self.cell);
        let (r, lost) = ratio(self.m, inverse);
        let k = float(self.k);
        let (sum, rest) = fast_sum(k * LN_2_HIGH + high, r);
        (sum, ln_curve(r) + ((k * LN_2_LOW + tail) + (rest + lost)))
    }

    /// The same, good to 2^-68.
    #[inline(always)]
    pub fn ln_long(self) -> (f64, f64) {
        let (sum, rest) = self.ln_terms();
        fast_sum(sum, rest)
    }

    /// The same again, as two terms, the second smaller by 2^-15.
    ///
    /// r² / 2 is too large to be rounded here: the first 26 bits of r have an exact square.
    #[inline(always)]
    pub fn ln_terms(self) -> (f64, f64) {
        let (inverse, high, tail, _) = entry(&LOGS, self.cell);
        let (r, lost) = ratio(self.m, inverse);
        let k = float(self.k);
        let (first, second) = split(r);
        let second = second + lost;
        let (sum, rest_1) = fast_sum(k * LN_2_HIGH + high, first);
        let (sum, rest_2) = fast_sum(sum, -0.5 * first * first);
        let [a, b, c, d, e, f] = LN_LONG;
        let square = r * r;
        let curve =
            square * r * ((a + b * r) + square * ((c + d * r) + square * (e + alone(f * r))));
        let rest =
            (k * LN_2_LOW + tail) + (rest_1 + rest_2) + (second - (first + 0.5 * second) * second);
        (sum, rest + curve)
    }

    #[inline(always)]
    fn log2(self) -> f64 {
        let (high, tail) = entry(&LOGS2, self.cell);
        let (r, lost) = ratio(self.m, entry(&LOGS, self.cell).0);
        let (first, second) = split(r);
        let line = first * LOG2_E_LOW + (second + lost) * (LOG2_E_HIGH + LOG2_E_LOW);
        let (sum, rest) = fast_sum(float(self.k) + high, first * LOG2_E_HIGH);
        sum + (log2_curve(r) + (line + (rest + tail)))
    }
}

/// ln(1 + r) - r
#[inline(always)]
fn ln_curve(r: f64) -> f64 {
    let [a, b, c, d, e] = LN;
    let square = r * r;
    square * (-0.5 + r * ((a + b * r) + square * ((c + d * r) + square * e)))
}

/// log2(1 + r) - r / ln 2
#[inline(always)]
pub(super) fn log2_curve(r: f64) -> f64 {
    let [a, b, c, d, e, f] = LOG2;
    let square = r * r;
    square * ((a + b * r) + square * ((c + d * r) + square * (e + f * r)))
}

/// ln of a positive number with no more than 24 significant bits, that is of any `f32`.
#[inline(always)]
pub(super) fn ln_short(x: f64) -> f64 {
    let Scaled { k, m, cell } = scaled(x);
    let (inverse, high, low, _) = entry(&LOGS, cell);
    let (k, r) = (float(k), m * inverse - 1.0);
    (k * LN_2_HIGH + high) + (r + (ln_curve(r) + (k * LN_2_LOW + low)))
}

/// ln(`x` + `low`), for a positive normal `x` and a `low` below its last bit.
#[inline(always)]
pub(super) fn ln_of_sum(x: f64, low: f64) -> f64 {
    let Scaled { k, m, cell } = scaled(x);
    let (inverse, high, tail, _) = entry(&LOGS, cell);
    // In this order m - 1 is exact where c is 1, and `low` added to it last.
    let (r, lost) = ratio(m, inverse);
    let r = r + (lost + low * two_to(i64::from(k.wrapping_neg())) * inverse);
    let k = float(k);
    (k * LN_2_HIGH + high) + (r + (ln_curve(r) + (k * LN_2_LOW + tail)))
}

/// The same with an error of little more than half a unit, beside 1 too, for `x` up to 2^1000.
#[inline(always)]
pub(super) fn ln_of_pair(x: f64, low: f64) -> f64 {
    let Scaled { k, m, cell } = scaled(x);
    let (inverse, high, tail, _) = entry(&LOGS, cell);
    let (r, lost) = ratio(m, inverse);
    let (r, r_low) = fast_sum(r, lost + low * two_to(i64::from(k.wrapping_neg())) * inverse);
    let k = float(k);
    let (sum, rest) = fast_sum(k * LN_2_HIGH + high, r);
    sum + (ln_curve(r) + ((k * LN_2_LOW + tail) + (rest + r_low)))
}

/// ln 2`x` for a positive normal `x`.
#[inline(always)]
pub(super) fn ln_of_double(x: f64) -> f64 {
    let Scaled { k, m, cell } = scaled(x);
    let (large, small) = Scaled { k: k.wrapping_add(1), m, cell }.ln();
    large + small
}

/// ln(1 + `x`) for an `x` above -1.
#[inline(always)]
pub(super) fn ln_1_plus(x: f64) -> f64 {
    let (large, small) = sum(1.0, x);
    ln_of_sum(large, small)
}

/// The logarithm of every `f64`, from that of a positive normal or subnormal one.
#[inline(always)]
fn every(x: f64, positive: impl Fn(Scaled) -> f64) -> f64 {
    if is_positive_normal(x) {
        return positive(scaled(x));
    }
    if x > 0.0 && x < f64::MIN_POSITIVE {
        return positive(scaled_subnormal(x));
    }
    outside(x)
}

/// C's `log`.
#[inline]
pub fn log(x: f64) -> f64 {
    every(x, |x| {
        let (large, small) = x.ln();
        large + small
    })
}

/// C's `log2`.
#[inline]
pub fn log2(x: f64) -> f64 {
    every(x, Scaled::log2)
}

/// C's `log10`: ln x / ln 10.
#[inline]
pub fn log10(x: f64) -> f64 {
    every(x, |x| {
        let (large, small) = x.ln();
        let (large, small) = fast_sum(large, small);
        let (result, rest) = product(large, LOG10_E);
        result + (rest + (large * LOG10_E_TAIL + small * LOG10_E))
    })
}

/// C's `log1p`.
#[inline]
pub fn log1p(x: f64) -> f64 {
    if x.abs() < TINY {
        return x;
    }
    if x > -1.0 && x < HUGE {
        let (large, small) = sum(1.0, x);
        return ln_of_pair(large, small);
    }
    log(1.0 + x)
}

/// From here on 1 does not show in the logarithm.
const HUGE: f64 = (1_u64 << 60) as f64;

/// Below, the square of a number does not show beside it.
const TINY: f64 = 1.0 / (1_u64 << 54) as f64;

/// The result at 0, below, at infinity and for NaN.
#[cold]
pub(super) fn outside(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x > 0.0 || x.is_nan() {
        x + x
    } else {
        f64::NAN
    }
}

/// Of a positive normal `f32`, as a [`scaled`] one.
#[inline(always)]
fn scaled_single(x: f32) -> Scaled {
    const START_SINGLE: u32 = (f64::from_bits(START) as f32).to_bits();
    let from_start = x.to_bits().wrapping_sub(START_SINGLE);
    let m = f32::from_bits(x.to_bits().wrapping_sub(from_start & 0x1ff << 23));
    Scaled { k: from_start as i32 >> 23, m: wide(m), cell: (from_start >> 16) as usize & 127 }
}

/// k and ln m of a positive normal `f32` 2^k m, with an error below 2^-36.
#[inline(always)]
fn quick_ln(x: f32) -> (f64, f64) {
    let Scaled { k, m, cell } = scaled_single(x);
    let (inverse, _, _, ln) = entry(&LOGS, cell);
    let r = m * inverse - 1.0;
    let [a, b, c] = QUICK_LN;
    (float(k), ln + (r + r * r * (a + r * (b + r * c))))
}

/// log2 of a positive normal `f32`, with an error below 2^-46.
#[inline(always)]
pub(super) fn quick_log2(x: f32) -> f64 {
    let Scaled { k, m, cell } = scaled_single(x);
    let r = m * entry(&LOGS, cell).0 - 1.0;
    let (high, tail) = entry(&LOGS2, cell);
    let [a, b, c, d, e] = QUICK_LOG2;
    let square = r * r;
    (alone(float(k)) + high)
        + ((r * a + tail) + square * ((b + alone(c * r)) + square * (d + e * r)))
}

/// Stamps out an `f32` function: what becomes of k and ln m on the quick way, and the value of the way for all
/// arguments.
macro_rules! single {
    ($name:ident, $k:ident, $ln:ident => $quick:expr;
        $every:ident, $x:ident => $value:expr, $exceptions:expr) => {
        #[doc = concat!("C's `", stringify!($name), "`, correctly rounded.")]
        #[inline]
        pub fn $name(x: f32) -> f32 {
            if is_positive_normal_single(x) {
                let ($k, $ln) = quick_ln(x);
                let y = $quick;
                if is_settled(y, DOUBT) {
                    return y as f32;
                }
            }
            $every(x)
        }

        #[cold]
        #[inline(never)]
        fn $every(argument: f32) -> f32 {
            if argument > 0.0 && argument < f32::INFINITY {
                let $x = f64::from(argument);
                return narrow($value, argument, &$exceptions);
            }
            outside(argument.into()) as f32
        }
    };
}

/// 2^-36, in units of the last place.
const DOUBT: u64 = 1 << 17;

const LN_2: f64 = LN_2_HIGH + LN_2_LOW;
const LOG2_E: f64 = LOG2_E_HIGH + LOG2_E_LOW;

single! { logf, k, ln => alone(k * LN_2) + ln; every_logf, x => ln_short(x), [
    (0x3c41_3d3a, 0xc08e_158f),
    (0x4117_8feb, 0x400f_e5e7),
    (0x4c5d_65a5, 0x418f_034b),
    (0x65d8_90d3, 0x4254_d1f9),
    (0x6f31_a8ec, 0x4284_5a89),
] }

single! { log10f, k, ln => (alone(k * LN_2) + ln) * LOG10_E;
every_log10f, x => ln_short(x) * LOG10_E, [
    (0x0a4d_4ce8, 0xc200_0527),
    (0x0efe_ee7a, 0xc1e9_9d23),
    (0x2f14_9212, 0xc11d_e885),
] }

single! { log2f, k, ln => k + ln * LOG2_E; every_log2f, x => {
    let Scaled { k, m, cell } = scaled(x);
    let r = m * entry(&LOGS, cell).0 - 1.0;
    let (high, low) = entry(&LOGS2, cell);
    (float(k) + high) + (r * LOG2_E + (log2_curve(r) + low))
}, [] }

const LOG1PF: &Exceptions = &[
    (0x3540_0003, 0x353f_ffff),
    (0x3710_001b, 0x370f_fff3),
    (0x3efd_81ad, 0x3ecd_eee1),
    (0x4107_8feb, 0x400f_e5e7),
    (0x65d8_90d3, 0x4254_d1f9),
    (0x6f31_a8ec, 0x4284_5a89),
    (0xb53f_fffd, 0xb540_0001),
    (0xb70f_ffe5, 0xb710_000d),
    (0xbb0e_c8c4, 0xbb0e_f0a5),
];

/// C's `log1pf`, correctly rounded.
#[inline]
pub fn log1pf(x: f32) -> f32 {
    if x > -1.0 && x < f32::INFINITY {
        return narrow(ln_1_plus(wide(x)), x, LOG1PF).copysign(x);
    }
    outside(f64::from(x) + 1.0) as f32
}
