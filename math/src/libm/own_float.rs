//! Functions that are instructions of most machines, and that [`soft`](crate::soft) does faster than `libm` in a
//! build without the hardware's floats.

pub use imp::{fma, fmaf, sqrt, sqrtf};

#[cfg(hardware_floats)]
mod imp {
    pub use ::libm::{fma, fmaf, sqrt, sqrtf};
}

/// What `libm` has for these is also soft float, by way of the compiler's calls for each operation.
#[cfg(not(hardware_floats))]
mod imp {
    use crate::soft::{self, F32, F64};

    fn single(x: f32) -> F32 {
        F32::from_bits(x.to_bits())
    }

    fn double(x: f64) -> F64 {
        F64::from_bits(x.to_bits())
    }

    pub fn sqrt(x: f64) -> f64 {
        f64::from_bits(soft::sqrt(double(x)).to_bits())
    }

    pub fn sqrtf(x: f32) -> f32 {
        f32::from_bits(soft::sqrt(single(x)).to_bits())
    }

    pub fn fma(x: f64, y: f64, z: f64) -> f64 {
        f64::from_bits(soft::fma(double(x), double(y), double(z)).to_bits())
    }

    pub fn fmaf(x: f32, y: f32, z: f32) -> f32 {
        f32::from_bits(soft::fma(single(x), single(y), single(z)).to_bits())
    }
}
