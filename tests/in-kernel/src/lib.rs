//! Nothing: this package exists for its tests, which run inside a kernel.
#![no_std]
