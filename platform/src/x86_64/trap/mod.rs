//! What interrupts code: exceptions, NMIs, interrupts, and the report of what nobody handles.

pub mod descriptors;
pub(crate) mod frame;
pub(crate) mod interrupts;
mod nesting;
mod report;
pub(crate) mod stacks;
pub mod traps;
