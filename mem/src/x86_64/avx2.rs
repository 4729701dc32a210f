//! AVX2, for kernels that own the vector state: `--cfg freestone_mem="avx2"`.
//!
//! Needs AVX2 in every processor the kernel runs on, enabled in `CR4` and `XCR0` before the first call, and
//! interrupt handlers that save what they use. Nothing checks that: a processor without it raises an
//! invalid-opcode exception. The bodies are in `vector.rs`.

use core::arch::naked_asm;

use super::choose::STRINGS;

/// Bytes in a register.
const WIDTH: usize = 32;

/// Bytes from which on `rep movsb` and `rep stosb` are used, where [`STRINGS`] says that they are fast. On
/// Zen 4, between aligned buffers: 4 KiB takes 0.8 of the time of `rep movsb`, 64 KiB the same.
const REP: usize = 16 << 10;

macro_rules! load {
    ($to:literal, $from:literal) => {
        concat!("vmovdqu ymm", $to, ", ", $from)
    };
}
macro_rules! store {
    ($to:literal, $from:literal) => {
        concat!("vmovdqu ", $to, ", ymm", $from)
    };
}
/// `op!("pand", "0", "1")`: register 0 becomes the result.
macro_rules! op {
    ($op:literal, $to:literal, $with:literal) => {
        concat!("v", $op, " ymm", $to, ", ymm", $to, ", ymm", $with)
    };
}
macro_rules! mask {
    ($to:literal, $from:literal) => {
        concat!("vpmovmskb ", $to, ", ymm", $from)
    };
}
/// The same for sixteen bytes, which leave the upper halves clean.
macro_rules! load16 {
    ($to:literal, $from:literal) => {
        concat!("vmovdqu xmm", $to, ", ", $from)
    };
}
macro_rules! store16 {
    ($to:literal, $from:literal) => {
        concat!("vmovdqu ", $to, ", xmm", $from)
    };
}
macro_rules! op16 {
    ($op:literal, $to:literal, $with:literal) => {
        concat!("v", $op, " xmm", $to, ", xmm", $to, ", xmm", $with)
    };
}
macro_rules! mask16 {
    ($to:literal, $from:literal) => {
        concat!("vpmovmskb ", $to, ", xmm", $from)
    };
}
macro_rules! store4 {
    ($to:literal, $from:literal) => {
        concat!("vmovd ", $to, ", xmm", $from)
    };
}
/// Register 0 becomes sixteen times the low byte of esi; then the same for a whole register.
macro_rules! spread16 {
    () => {
        "vmovd xmm0, esi\nvpbroadcastb xmm0, xmm0"
    };
}
macro_rules! spread {
    () => {
        "vpbroadcastb ymm0, xmm0"
    };
}
/// After the last use of a whole register: dirty upper halves slow down other people's SSE.
macro_rules! done {
    () => {
        "vzeroupper"
    };
}

include!("vector.rs");
