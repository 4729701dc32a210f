//! Arithmetic for kernels: the functions that the compiler calls where a machine lacks an instruction, the methods that
//! `core` lacks, and the functions of C's `math.h`.
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
//! Where the crate `libm` is slow or inaccurate, functions such as `exp` are implemented here; the others come from it.
//! ACCURACY.md has the errors of all.
//!
//! # When the symbols exist
//!
//! Only with the feature `export`, only under `panic = "abort"`, never in this crate's own tests. A
//! kernel on stable always aborts on panic and a host test always unwinds, so
//! `cargo test --workspace --all-features` cannot replace the functions of the process that runs
//! the tests. If the linker reports an undefined `fmod`, one of the two is missing.

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
