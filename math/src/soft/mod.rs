//! Floating point in integer registers: IEEE 754 arithmetic for five formats, as generic functions.
//!
//! ```
//! use freestone_math::soft::{self, F128};
//!
//! let two: F128 = soft::from_unsigned(2_u32);
//! let root = soft::sqrt(two);
//! assert_eq!(root.to_bits(), 0x3fff_6a09_e667_f3bc_c908_b2fb_1366_ea95);
//! ```
//!
//! - Rounding: to nearest, ties to even. Subnormal numbers, infinities and signed zeros are there.
//! - NaNs: as x86 has them. A NaN among the operands is the result, the first of several, made
//!   quiet; an invalid operation gives a quiet NaN with the sign set and no payload.
//! - Flags: none are kept.
//! - Integers: conversion to one is as Rust's `as`, towards zero, with the nearest for what does not
//!   fit, and 0 for NaN.
//! - Speed: no vector registers, and for normal numbers no branch that depends on more than the
//!   exponent's extremes. In a dev build it is slow; `[profile.dev.package.freestone-math]
//!   opt-level = 3` helps.

mod add;
mod compare;
pub mod complex;
mod convert;
mod div;
pub mod export;
mod fma;
mod format;
mod integral;
mod mul;
mod powi;
mod rem;
mod round;
mod sqrt;
#[cfg(test)]
mod tests;

pub use add::{add, sub};
pub use compare::{compare, unordered};
pub use convert::{Integer, extend, from_signed, from_unsigned, to_signed, to_unsigned, truncate};
pub use div::div;
pub use fma::fma;
pub use format::{Bf16, F16, F32, F64, F128, Format};
pub use integral::{
    abs, ceil, copysign, floor, maximum, maximum_number, minimum, minimum_number, neg,
    positive_difference, round, round_ties_even, trunc,
};
pub use mul::mul;
pub use powi::powi;
pub use rem::rem;
pub use sqrt::{SquareRoot, sqrt};

pub(crate) use compare::order;
