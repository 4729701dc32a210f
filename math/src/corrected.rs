//! Functions that `libm` gets wrong in places beyond rounding, put right around it.

/// `libm` 0.2.16 gives a number instead of NaN for most arguments below -1.
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// As [`acosh`].
pub fn acoshf(x: f32) -> f32 {
    if x < 1.0 { f32::NAN } else { libm::acoshf(x) }
}
