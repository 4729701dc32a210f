//! Floating point in integer registers.

mod convert;
pub mod export;
mod format;
mod round;
#[cfg(test)]
mod tests;

pub use convert::{extend, truncate};
pub use format::{Bf16, F16, F32, F64, F128, Format};
