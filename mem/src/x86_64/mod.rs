//! x86_64 bodies, in assembly because the compiler would use vector registers.

/// A second name for the function whose first instruction follows. The shims in the crate's root only
/// jump here, and a jump is a cycle of the nine that a short `memcpy` takes.
///
/// The function itself keeps its own name, by which `shift` reaches `copy`: should a program bring
/// its own `memcpy`, our `memmove` must not end up there, because it asks for more than `memcpy` promises.
#[cfg(all(feature = "export", panic = "abort", not(test), not(any(windows, target_os = "uefi"))))]
macro_rules! c_name {
    ($name:literal) => {
        concat!(".globl ", $name, "\n.type ", $name, ", @function\n", $name, ":")
    };
}
#[cfg(not(all(
    feature = "export",
    panic = "abort",
    not(test),
    not(any(windows, target_os = "uefi"))
)))]
macro_rules! c_name {
    ($name:literal) => {
        ""
    };
}

mod choose;
pub mod gpr;

pub use choose::detect;
#[cfg(any(test, feature = "bodies"))]
pub use choose::{LONG, SHORT, STRINGS, UNKNOWN};
pub use gpr::{compare, copy, differs, fill, length, shift};
