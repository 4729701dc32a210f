//! Page tables: the format, the initial tables, the editor, the tables in use, and the audit that they are right.

pub(crate) mod active;
pub(crate) mod audit;
mod editor;
pub(crate) mod format;
pub(crate) mod initial;
#[cfg(test)]
mod model;
