//! Arithmetic for kernels: what the compiler calls for where a machine cannot compute, the methods that
//! `core` lacks, and the symbols of C.
//!
//! - [`int`] divides, multiplies and shifts integers of two words, counts bits, and reports overflow.
//! - [`soft`] computes with floats of five formats in integer registers.
//! - [`Float`] gives `f32` and `f64` the method names they have in `std`: `x.sqrt()`, `x.powi(3)`,
//!   `x.sin_cos()`.
//! - [`export`], [`int::export`] and [`soft::export`] have them under the names of C and of compilers, and
//!   with the feature `export` define them at link time.
//!
//! ```
//! # #![allow(unused_imports)] // this example runs with std, which has the method already
//! use freestone_math::Float as _;
//!
//! let diagonal = (3.0_f64 * 3.0 + 4.0 * 4.0).sqrt();
//! assert_eq!(diagonal, 5.0);
//! ```
//!
//! The values of `sin` and its like are its own where the `libm` crate's are slow or inaccurate; ACCURACY.md
//! has the errors of all.
//!
//! # When the symbols exist
//!
//! Only with the feature `export`, only under `panic = "abort"`, never in this crate's own tests. A
//! kernel on stable always aborts on panic and a host test always unwinds, so
//! `cargo test --workspace --all-features` cannot replace the functions of the process that runs
//! the tests. A kernel that sees undefined `fmod` has forgotten one of the two.

#![cfg_attr(not(test), no_std)]

mod abi;
pub mod export;
mod float;
pub mod int;
mod libm;
mod shifts;
mod shims;
pub mod soft;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toolchain_tests;
mod word;

pub use float::Float;
