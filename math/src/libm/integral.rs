//! What is left of C99's `math.h` about integers and exponents: short names for what `libm` has under others.

use core::ffi::{c_long, c_longlong};

// A conversion with `as` takes what is too large to the largest, and NaN to 0; C leaves both open.

/// C's `lrint`.
pub fn lrint(x: f64) -> c_long {
    super::rint(x) as c_long
}

/// C's `lrintf`.
pub fn lrintf(x: f32) -> c_long {
    super::rintf(x) as c_long
}

/// C's `llrint`.
pub fn llrint(x: f64) -> c_longlong {
    super::rint(x) as c_longlong
}

/// C's `llrintf`.
pub fn llrintf(x: f32) -> c_longlong {
    super::rintf(x) as c_longlong
}

/// C's `lround`.
pub fn lround(x: f64) -> c_long {
    super::round(x) as c_long
}

/// C's `lroundf`.
pub fn lroundf(x: f32) -> c_long {
    super::roundf(x) as c_long
}

/// C's `llround`.
pub fn llround(x: f64) -> c_longlong {
    super::round(x) as c_longlong
}

/// C's `llroundf`.
pub fn llroundf(x: f32) -> c_longlong {
    super::roundf(x) as c_longlong
}

/// C's `nearbyint`: rounding is always to nearest, and nothing is raised.
pub fn nearbyint(x: f64) -> f64 {
    super::rint(x)
}

/// C's `nearbyintf`.
pub fn nearbyintf(x: f32) -> f32 {
    super::rintf(x)
}

/// C's `logb`.
pub fn logb(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x.is_finite() {
        f64::from(super::ilogb(x))
    } else {
        x * x
    }
}

/// C's `logbf`.
pub fn logbf(x: f32) -> f32 {
    // Exponents are small integers.
    logb(x.into()) as f32
}

/// C's `scalbln`.
pub fn scalbln(x: f64, n: c_long) -> f64 {
    super::scalbn(x, shift(n))
}

/// C's `scalblnf`.
pub fn scalblnf(x: f32, n: c_long) -> f32 {
    super::scalbnf(x, shift(n))
}

/// Beyond these every number is 0 or infinite. `clamp` could panic.
fn shift(n: c_long) -> i32 {
    if n > 10_000 {
        10_000
    } else if n < -10_000 {
        -10_000
    } else {
        n as i32
    }
}
