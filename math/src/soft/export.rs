//! Soft float under the names that compilers call.
//!
//! Shims over the functions of [`soft`](crate::soft). The letters in a name are the formats: `hf` is
//! `F16`, `bf` is `Bf16`, `sf` is `F32`, `df` is `F64`, `tf` is `F128`; `si`, `di` and `ti` are
//! integers of 32, 64 and 128 bits.
//!
//! - Domain: IEEE 754 for every argument. How NaNs come out is in [`soft`](crate::soft).
//! - Accuracy: correctly rounded, to nearest with ties to even, whatever mode is set.
//! - Source: the GCC internals manual, *Routines for floating point emulation*, names them; the
//!   arithmetic is IEEE 754-2019 section 5.4. Written for this project.

use super::*;
use crate::abi::{Carried, Carrier};
use crate::shims::shims;

shims! { PROVIDED;
    "Exact conversion to a wider format.":
        __extendhfsf2(x: F16) -> F32 = extend;
    "Conversion to a narrower format.":
        __truncsfhf2(x: F32) -> F16 = truncate;
}
