//! SSE2, for kernels whose vector state is saved where it must be: `--cfg freestone_mem="sse2"`.
//!
//! Every x86_64 processor has it; the kernel must have enabled it (`CR4.OSFXSR`) before the first call,
//! and interrupt handlers must save what they use. The bodies are in `vector.rs`.

use core::arch::naked_asm;

use super::choose::STRINGS;

/// Bytes in a register.
const WIDTH: usize = 16;

/// Bytes from which on `rep movsb` and `rep stosb` are used, where [`STRINGS`] says that they are fast. On
/// Zen 4, between aligned buffers: 1 KiB takes 1.05 of the time of `rep movsb`, 4 KiB 1.5.
const REP: usize = 1 << 10;

/// A whole register: `load!("0", "[rsi]")`, `store!("[rdi]", "0")`.
macro_rules! load {
    ($to:literal, $from:literal) => {
        concat!("movdqu xmm", $to, ", ", $from)
    };
}
macro_rules! store {
    ($to:literal, $from:literal) => {
        concat!("movdqu ", $to, ", xmm", $from)
    };
}
/// `op!("pand", "0", "1")`: register 0 becomes the result.
macro_rules! op {
    ($op:literal, $to:literal, $with:literal) => {
        concat!($op, " xmm", $to, ", xmm", $with)
    };
}
macro_rules! mask {
    ($to:literal, $from:literal) => {
        concat!("pmovmskb ", $to, ", xmm", $from)
    };
}
/// The same for sixteen bytes, whatever the width.
macro_rules! load16 {
    ($to:literal, $from:literal) => {
        concat!("movdqu xmm", $to, ", ", $from)
    };
}
macro_rules! store16 {
    ($to:literal, $from:literal) => {
        concat!("movdqu ", $to, ", xmm", $from)
    };
}
macro_rules! op16 {
    ($op:literal, $to:literal, $with:literal) => {
        concat!($op, " xmm", $to, ", xmm", $with)
    };
}
macro_rules! mask16 {
    ($to:literal, $from:literal) => {
        concat!("pmovmskb ", $to, ", xmm", $from)
    };
}
macro_rules! store4 {
    ($to:literal, $from:literal) => {
        concat!("movd ", $to, ", xmm", $from)
    };
}
/// Register 0 becomes sixteen times the low byte of esi; then the same for a whole register.
macro_rules! spread16 {
    () => {
        "movd xmm0, esi\npunpcklbw xmm0, xmm0\npshuflw xmm0, xmm0, 0\npunpcklqdq xmm0, xmm0"
    };
}
macro_rules! spread {
    () => {
        ""
    };
}
/// After the last use of a whole register.
macro_rules! done {
    () => {
        ""
    };
}

include!("vector.rs");
