// The bodies of `sse2.rs` and `avx2.rs`, which include this file after saying what a register is.
//
// Up to 64 bytes the classes are those of the general-purpose body, in pieces of 4 and of 16 bytes.
// Up to eight registers everything is read before anything is written, so `memcpy` is `memmove`.

include!("vector/copy.rs");
include!("vector/fill.rs");
include!("vector/compare.rs");
include!("vector/length.rs");
