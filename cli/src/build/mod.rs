//! Cargo and compilers: chooses the kernel that is meant, and builds it.

pub mod advice;
pub mod build_args;
pub mod cargo;
pub mod cargo_args;
pub mod cargo_config;
pub mod compile;
pub mod crate_flags;
pub mod crates_here;
pub mod flags;
pub mod host_tests;
pub mod kernel_test;
pub mod meant;
pub mod mode;
pub mod package;
pub mod program;
pub mod sysroot;
pub mod target_file;
pub mod toolchains;
pub mod workspace;
