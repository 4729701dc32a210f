//! The last step of the `f32` functions: from an `f64` with some bits to spare to the nearest `f32`.
//!
//! An error of about 2^-52 moves a result across the middle between two neighbouring `f32` only if the true
//! value is that close to the middle: for a handful of all arguments. They were found by trying all of
//! them (`tests/correctly_rounded.rs`), and are listed beside each function with their results. The same
//! operations on `f64` give the same bits on every machine, so the lists are complete everywhere; that is
//! why nothing here uses a fused multiply-add.

/// Arguments that are rounded the wrong way, and their results, as bits.
pub type Exceptions = [(u32, u32)];

/// How far from a middle, in units of the last place of `f64`, results are looked up.
const NEAR: u64 = 64;
/// The bits of an `f64`'s fraction that an `f32` has no place for, and the middle of them.
const SPARE: u64 = (1 << 29) - 1;
const MIDDLE: u64 = 1 << 28;

/// `y` to the nearest `f32`, as the result for `argument`.
#[inline(always)]
pub fn narrow(y: f64, argument: f32, exceptions: &Exceptions) -> f32 {
    if is_settled(y, NEAR) { y as f32 } else { look_up(y, argument.to_bits(), exceptions) }
}

/// Whether an error of `doubt` units of the last place would not change the `f32` next to `y`, a normal one.
///
/// Most arguments are done with after a short computation that is not good enough for all: where it leaves a
/// doubt, a longer one follows. Source: Ziv, Fast evaluation of elementary mathematical functions with
/// correctly rounded last bit, ACM TOMS 17, 1991.
#[inline(always)]
pub fn is_settled(y: f64, doubt: u64) -> bool {
    y.to_bits().wrapping_sub(MIDDLE.wrapping_sub(doubt)) & SPARE > 2 * doubt
}

/// As [`narrow`], for an odd function whose value at |`argument`| is `y`.
#[inline(always)]
pub fn narrow_odd(y: f64, argument: f32, exceptions: &Exceptions) -> f32 {
    let size = narrow(y, argument.abs(), exceptions);
    f32::from_bits(size.to_bits() ^ argument.to_bits() & 1 << 31)
}

#[cold]
fn look_up(y: f64, argument: u32, mut exceptions: &Exceptions) -> f32 {
    while let [(exception, result), rest @ ..] = exceptions {
        if *exception == argument {
            return f32::from_bits(*result);
        }
        exceptions = rest;
    }
    y as f32
}
