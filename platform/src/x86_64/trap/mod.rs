//! Exceptions, NMIs and interrupts, and the report of an exception without a handler.

pub mod descriptors;
pub(crate) mod frame;
pub(crate) mod interrupts;
mod nesting;
mod report;
pub(crate) mod stacks;
pub mod traps;
