//! Powers with integer exponents, by repeated multiplication.

use super::div::div;
use super::format::{Format, Parts};
use super::mul::mul;

/// `x` to the power `n`. Each product is rounded, in the same order as in `f64::powi`.
pub fn powi<F: Format>(x: F, n: i32) -> F {
    let one = F::from_word(F::exponent(F::BIAS));
    let (mut power, mut square, mut left) = (one, x, n.unsigned_abs());
    loop {
        if left & 1 != 0 {
            power = mul(power, square);
        }
        left >>= 1;
        if left == 0 {
            break;
        }
        square = mul(square, square);
    }
    if n < 0 { div(one, power) } else { power }
}
