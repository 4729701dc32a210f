//! The functions of C's `math.h`, under their C names.
//!
//! Most come from the crate `libm`; what is slow or inaccurate there is written here, on top of a few
//! kernels in `f64`. Every `f32` function of this folder is computed in `f64` and rounded once, and for most of
//! them the result is the correctly rounded one for every argument (`narrow.rs`).
//!
//! `pub` in a file of those that are taken whole below is a function of C's; what they share is `pub(super)`.
//!
//! The same operations in the same order everywhere, none of them fused: a result has the same bits with
//! the hardware's floats as with soft ones. `tables.rs` is written by `tools/tables.py`.

// `!(x < limit)` is meant: NaN goes the way of what is too large.
#![allow(clippy::neg_cmp_op_on_partial_ord, clippy::manual_range_contains)]

mod area;
mod convert;
mod double;
mod error;
mod exp;
mod gamma;
mod hyperbolic;
mod integral;
mod inverse;
mod log;
mod narrow;
mod own_float;
mod pow;
mod remainder;
mod tables;
#[cfg(test)]
mod tests;
mod trig;

pub use ::libm::{
    acos, asin, atan, cbrt, cbrtf, ceil, ceilf, copysign, copysignf, cos, erf, fabs, fabsf, fdim,
    fdimf, floor, floorf, fmax, fmaxf, fmaximum, fmaximum_num, fmaximum_numf, fmaximumf, fmin,
    fminf, fminimum, fminimum_num, fminimum_numf, fminimumf, frexp, frexpf, hypot, ilogb, ilogbf,
    j0, j0f, j1, j1f, jn, jnf, ldexp, ldexpf, modf, modff, nextafter, nextafterf, rint, rintf,
    round, roundeven, roundevenf, roundf, scalbn, scalbnf, sin, sincos, tan, trunc, truncf, y0,
    y0f, y1, y1f, yn, ynf,
};
pub use area::*;
pub use error::*;
pub use exp::*;
pub use gamma::*;
pub use hyperbolic::*;
pub use integral::*;
pub use inverse::*;
pub use log::*;
pub use own_float::*;
pub use pow::*;
pub use remainder::*;
pub use trig::*;

/// C's `hypotf`: the squares of an `f32` are exact as `f64`, and far from its ends.
#[inline]
pub fn hypotf(x: f32, y: f32) -> f32 {
    if x.is_infinite() || y.is_infinite() {
        return f32::INFINITY;
    }
    let (x, y) = (convert::wide(x), convert::wide(y));
    sqrt(x * x + y * y) as f32
}
