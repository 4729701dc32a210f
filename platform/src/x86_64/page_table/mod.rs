//! Page tables: their format, the first ones, changes of any, those in use, and the proof that they are right.

pub(crate) mod active;
pub(crate) mod audit;
mod editor;
pub(crate) mod format;
pub(crate) mod initial;
#[cfg(test)]
mod model;
