//! Sums and products of `f64` without loss: the rounded result, and what rounding took from it.
//!
//! Source: Dekker, A floating-point technique for extending the available precision, 1971; Knuth, The Art
//! of Computer Programming volume 2, 4.2.2. Not with a fused multiply-add: see `narrow.rs`.

/// `a` + `b` where |`a`| ≥ |`b`| or `a` is 0.
#[inline(always)]
pub fn fast_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `a` + `b`.
#[inline(always)]
pub fn sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let second = sum - a;
    (sum, (a - (sum - second)) + (b - second))
}

/// The first 26 bits of `x`, and the rest.
#[inline(always)]
pub fn split(x: f64) -> (f64, f64) {
    let high = f64::from_bits(x.to_bits() & !0x7ff_ffff);
    (high, x - high)
}

/// `a` · `b`, unless it overflows or comes near the subnormal numbers.
#[inline(always)]
pub fn product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a, a_low), (b, b_low)) = (split(a), split(b));
    (product, ((a * b - product) + a * b_low + a_low * b) + a_low * b_low)
}

/// `table[at]` for `at` modulo the length, without the code of a failing index.
#[inline(always)]
pub fn entry<T: Copy + Default, const N: usize>(table: &'static [T; N], at: usize) -> T {
    const { assert!(N.is_power_of_two()) };
    table.get(at & (N.wrapping_sub(1))).copied().unwrap_or_default()
}
