//! Integer arithmetic under the names that compilers call.
//!
//! Shims over the functions beside this file. The letters in a name are the width: `si`, `di` and
//! `ti` are integers of 32, 64 and 128 bits.
//!
//! - Errors: none but for division by zero, which [`div`](super::div) describes.
//! - Source: the GCC internals manual, *Routines for integer arithmetic*. Written for this project.

use super::div::*;
use crate::abi::{Carried, Carrier};
use crate::shims::{shims, shims_with_second};

shims! { PROVIDED;
    "Quotient.":
        __udivti3(n: u128, d: u128) -> u128 = |n, d| div_rem_u128(n, d).0;
    "Remainder.":
        __umodti3(n: u128, d: u128) -> u128 = |n, d| div_rem_u128(n, d).1;
    "Quotient, rounded towards zero.":
        __divti3(n: i128, d: i128) -> i128 = |n, d| div_rem_i128(n, d).0;
    "Remainder, with the sign of `n`.":
        __modti3(n: i128, d: i128) -> i128 = |n, d| div_rem_i128(n, d).1;
}

shims_with_second! { PROVIDED_WITH_SECOND;
    "Quotient, and in `second` the remainder unless it is null.":
        __udivmodti4(n: u128, d: u128; u128) -> u128 = div_rem_u128;
    "Quotient, rounded towards zero, and in `second` the remainder unless it is null.":
        __divmodti4(n: i128, d: i128; i128) -> i128 = div_rem_i128;
}
