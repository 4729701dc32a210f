//! An async executor for kernels.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod sync;
