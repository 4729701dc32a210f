//! The six memory symbols that `core`, `alloc` and the compiler expect to find at link time.
//!
//! `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp` and `strlen`, without vector registers, without
//! a C compiler, on stable. They are ordinary Rust functions here; the feature `export` also gives
//! them their C names at link time:
//!
//! ```toml
//! [dependencies]
//! freestone-mem = { version = "0.1", features = ["export"] }
//! ```
//!
//! # When the symbols exist
//!
//! Only with the feature `export`, only under `panic = "abort"`, never in this crate's own tests. A
//! kernel on stable always aborts on panic and a host test always unwinds, so
//! `cargo test --workspace --all-features` cannot replace the `memcpy` of the process that runs
//! the tests. If the linker reports an undefined `memcpy`, one of the two is missing.
//!
//! # Why nothing here calls itself
//!
//! A loop that copies bytes may be compiled into a call to `memcpy`, which is this function. Three
//! things prevent that.
//!
//! - The x86_64 bodies are assembly.
//! - `#![no_builtins]` tells the compiler to leave loops as they are. It is needed: without it the
//!   portable `memset` and `strlen` become calls to themselves at every level of optimisation.
//! - The portable bodies move single words by plain loads and stores, because in a build without
//!   optimisation `ptr::read` and its relatives are calls into `core`, with checks that can panic.
//!
//! The README says how the result is tested.
//!
//! # What callers promise
//!
//! The conditions in each function's *Safety* section, and a rule of the C ABI: on x86_64 the direction flag
//! is clear. No function here sets it.

#![cfg_attr(not(test), no_std)]
#![no_builtins]

use core::ffi::{c_char, c_int, c_void};

// Built on every machine, so that each machine's own body can be tested beside it.
#[cfg_attr(
    all(target_arch = "x86_64", target_pointer_width = "64", not(any(test, feature = "bodies"))),
    expect(dead_code, reason = "x86_64 uses its own body; the tests use both")
)]
#[cfg(not(feature = "bodies"))]
mod generic;
// Assembly: LLVM turns even the plainest loop into SSE, whose registers belong to somebody else in
// a kernel.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(feature = "bodies")))]
mod x86_64;

// For measurements, which take each body by itself.
#[cfg(feature = "bodies")]
#[doc(hidden)]
pub mod generic;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", feature = "bodies"))]
#[doc(hidden)]
pub mod x86_64;

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
use generic as imp;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
use x86_64 as imp;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub use x86_64::{Strings, assume, assumed};

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

/// Gives a function its C name where it is wanted, unless the body has it already.
macro_rules! exported {
    ($function:item) => {
        #[cfg_attr(
            all(
                feature = "export",
                panic = "abort",
                not(test),
                any(
                    feature = "bodies",
                    not(target_arch = "x86_64"),
                    not(target_pointer_width = "64"),
                    windows,
                    target_os = "uefi"
                )
            ),
            unsafe(no_mangle)
        )]
        $function
    };
}

/// Lets the bodies use what this processor is good at.
///
/// Not calling it is right as well, only slower where string instructions are fast: on x86_64 this
/// asks `CPUID` once and keeps one byte, whose zero means that nothing is known. Call it at boot, on
/// one core; a second call finds the same. Elsewhere, and in builds that chose a body with
/// `--cfg freestone_mem`, it may do nothing.
///
/// The crate `freestone` calls it before `main`.
#[inline]
pub fn detect() {
    imp::detect();
}

exported! {
/// Copies `n` bytes from `src` to `dst`; the two ranges do not overlap.
///
/// - Shape: two pointers, any alignment; returns `dst`.
/// - Units: `n` counts bytes; 0 is allowed and touches nothing.
/// - Errors: none inside the contract.
/// - Source: ISO C11 7.24.2.1; written for this project.
///
/// `dst` and `src` may be the same pointer: the compiler emits such calls.
///
/// # Safety
///
/// - `src` is readable for `n` bytes and `dst` writable for `n` bytes.
/// - The ranges are disjoint, or the same.
///
/// ```
/// let from = *b"kernel";
/// let mut to = [0; 6];
/// // SAFETY: both arrays hold six bytes and are different arrays.
/// unsafe { freestone_mem::memcpy(to.as_mut_ptr().cast(), from.as_ptr().cast(), 6) };
/// assert_eq!(to, from);
/// ```
pub unsafe extern "C" fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller promised exactly what `copy` asks for.
    unsafe { imp::copy(dst.cast(), src.cast(), n) }.cast()
}
}

exported! {
/// Copies `n` bytes from `src` to `dst`; the two ranges may overlap.
///
/// - Shape: two pointers, any alignment; returns `dst`.
/// - Units: `n` counts bytes; 0 is allowed and touches nothing.
/// - Errors: none inside the contract.
/// - Source: ISO C11 7.24.2.2; written for this project.
///
/// # Safety
///
/// - `src` is readable for `n` bytes and `dst` writable for `n` bytes.
///
/// ```
/// let mut line = *b"abcdef--";
/// let start = line.as_mut_ptr();
/// // SAFETY: bytes 0..6 and 2..8 are both inside the array.
/// unsafe { freestone_mem::memmove(start.add(2).cast(), start.cast(), 6) };
/// assert_eq!(&line, b"ababcdef");
/// ```
pub unsafe extern "C" fn memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller promised exactly what `shift` asks for.
    unsafe { imp::shift(dst.cast(), src.cast(), n) }.cast()
}
}

exported! {
/// Sets `n` bytes at `dst` to the low eight bits of `byte`.
///
/// - Shape: a pointer, any alignment, and a value; returns `dst`.
/// - Units: `n` counts bytes; 0 is allowed and touches nothing.
/// - Errors: none inside the contract.
/// - Source: ISO C11 7.24.6.1; written for this project.
///
/// # Safety
///
/// - `dst` is writable for `n` bytes.
///
/// ```
/// let mut page = [0xff_u8; 32];
/// // SAFETY: the array holds 32 bytes.
/// unsafe { freestone_mem::memset(page.as_mut_ptr().cast(), 0x107, 32) };
/// assert_eq!(page, [7; 32]);
/// ```
pub unsafe extern "C" fn memset(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void {
    // SAFETY: the caller promised exactly what `fill` asks for.
    unsafe { imp::fill(dst.cast(), byte as u8, n) }.cast()
}
}

exported! {
/// Orders two ranges of `n` bytes by their first different byte, compared as `unsigned char`.
///
/// - Shape: two pointers, any alignment; returns less than 0, 0, or more.
/// - Units: `n` counts bytes; 0 is allowed, touches nothing and gives 0.
/// - Errors: none inside the contract.
/// - Source: ISO C11 7.24.4.1, which asks only for the sign; written for this project.
///
/// # Safety
///
/// - `left` and `right` are readable for `n` bytes, all of them: reading does not stop at the
///   first difference.
///
/// ```
/// let (left, right) = ([1_u8, 0x7f], [1_u8, 0x80]);
/// // SAFETY: both arrays hold two bytes.
/// let order = unsafe { freestone_mem::memcmp(left.as_ptr().cast(), right.as_ptr().cast(), 2) };
/// assert!(order < 0);
/// ```
pub unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int {
    // SAFETY: the caller promised exactly what `compare` asks for.
    unsafe { imp::compare(left.cast(), right.cast(), n) }
}
}

exported! {
/// Tells whether two ranges of `n` bytes differ.
///
/// - Shape: two pointers, any alignment; returns 0 if they are equal, else something else.
/// - Units: `n` counts bytes; 0 is allowed, touches nothing and gives 0.
/// - Errors: none inside the contract.
/// - Source: POSIX.1-2001 `bcmp`, which asks only for zero or not; written for this project.
///
/// # Safety
///
/// - `left` and `right` are readable for `n` bytes, all of them.
///
/// ```
/// let (left, right) = ([1_u8, 2, 3], [1_u8, 2, 4]);
/// // SAFETY: both arrays hold three bytes.
/// let differ = unsafe { freestone_mem::bcmp(left.as_ptr().cast(), right.as_ptr().cast(), 3) };
/// assert_ne!(differ, 0);
/// ```
pub unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int {
    // SAFETY: the caller promised exactly what `differs` asks for.
    unsafe { imp::differs(left.cast(), right.cast(), n) }
}
}

exported! {
/// Counts the bytes before the first zero byte at or after `string`.
///
/// - Shape: a pointer, any alignment; returns the length without the zero.
/// - Units: bytes.
/// - Errors: none inside the contract.
/// - Source: ISO C11 7.24.6.3; written for this project.
///
/// The x86_64 bodies read whole aligned words, lines or vectors, so some bytes on either side of the
/// string: never in another page, but visible to a memory checker.
///
/// # Safety
///
/// - From `string` on, everything up to and including the first zero byte is readable.
///
/// ```
/// // SAFETY: a `CStr` ends in zero.
/// assert_eq!(unsafe { freestone_mem::strlen(c"console=hvc0".as_ptr()) }, 12);
/// ```
pub unsafe extern "C" fn strlen(string: *const c_char) -> usize {
    // SAFETY: the caller promised exactly what `length` asks for.
    unsafe { imp::length(string.cast()) }
}
}
