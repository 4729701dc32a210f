//! x86_64 bodies, in assembly because the compiler would use vector registers. Which is chosen here:
//!
//! | `--cfg freestone_mem=` | body | for |
//! |---|---|---|
//! | (nothing) | `gpr/` | every kernel |
//! | `"small"` | `small.rs` | images where bytes count more than time |
//! | `"sse2"`, `"avx2"` | `vector.rs`, in two widths | kernels that own the vector state |
//! | `"avx512"` | `avx512.rs` | the same, with masks |
//!
//! The flag is set where the kernel is built (`RUSTFLAGS`, or `build.rustflags` in its Cargo configuration): it says
//! something about the whole machine that no library can know. A Cargo feature could be switched on by any dependency.
//!
//! `choose.rs` keeps one byte about the processor, which the bodies read.

/// A second name for the function whose first instruction follows. The shims in the crate's root only
/// jump here, and a jump is a cycle of the nine that a short `memcpy` takes.
///
/// The function itself keeps its own name, by which `shift` reaches `copy`: should a program bring
/// its own `memcpy`, our `memmove` must not end up there, because it asks for more than `memcpy` promises.
#[cfg(all(
    feature = "export",
    panic = "abort",
    not(any(test, feature = "bodies", windows, target_os = "uefi"))
))]
macro_rules! c_name {
    ($name:literal) => {
        concat!(".globl ", $name, "\n.type ", $name, ", @function\n", $name, ":")
    };
}
#[cfg(not(all(
    feature = "export",
    panic = "abort",
    not(any(test, feature = "bodies", windows, target_os = "uefi"))
)))]
macro_rules! c_name {
    ($name:literal) => {
        ""
    };
}

mod choose;
#[macro_use]
mod short;

#[cfg(any(test, feature = "bodies", freestone_mem = "avx2"))]
pub mod avx2;
#[cfg(any(test, feature = "bodies", freestone_mem = "avx512"))]
pub mod avx512;
#[cfg(any(
    test,
    feature = "bodies",
    not(any(
        freestone_mem = "small",
        freestone_mem = "sse2",
        freestone_mem = "avx2",
        freestone_mem = "avx512"
    ))
))]
pub mod gpr;
#[cfg(any(test, feature = "bodies", freestone_mem = "small"))]
pub mod small;
#[cfg(any(test, feature = "bodies", freestone_mem = "sse2"))]
pub mod sse2;

#[cfg(freestone_mem = "avx2")]
use avx2 as chosen;
#[cfg(freestone_mem = "avx512")]
use avx512 as chosen;
#[cfg(not(any(
    freestone_mem = "small",
    freestone_mem = "sse2",
    freestone_mem = "avx2",
    freestone_mem = "avx512"
)))]
use gpr as chosen;
#[cfg(freestone_mem = "small")]
use small as chosen;
#[cfg(freestone_mem = "sse2")]
use sse2 as chosen;

pub use choose::{Strings, assume, assumed, detect};
pub use chosen::{compare, copy, differs, fill, length, shift};
