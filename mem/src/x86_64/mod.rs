//! x86_64 bodies, in assembly because the compiler would use vector registers.
//!
//! There is one so far, right on every x86_64 processor and in every emulator. A second one, chosen
//! by the processor's features, would be chosen here.

mod gpr;

pub use gpr::{compare, copy, differs, fill, length, shift};
