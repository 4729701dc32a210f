//! How C passes numbers, also those that stable Rust has no type for.
//!
//! Where floats live in vector registers, one of 16 bits is the lowest quarter of what holds an
//! `f64`, as an `f32` is the lower half; the bits above mean nothing, except on RISC-V, where they
//! are ones. So it crosses as an `f32`, which is only moved and never computed with. One of 128 bits
//! crosses as a vector. In a soft-float build all cross in general registers, as integers.

use crate::soft::complex::Complex;
use crate::soft::{Bf16, F16, F32, F64, F128};

/// What crosses the border between C and Rust.
pub trait Carried: Copy {
    /// A type that C's calling convention passes in the same register.
    type Carrier;
    /// Out of the register.
    fn receive(carrier: Self::Carrier) -> Self;
    /// Into the register.
    fn send(self) -> Self::Carrier;
}

/// The type in C's place.
pub type Carrier<T> = <T as Carried>::Carrier;

macro_rules! carried {
    ($($type:ty: $carrier:ty, $receive:expr, $send:expr;)*) => {$(
        impl Carried for $type {
            type Carrier = $carrier;
            #[inline(always)]
            fn receive(carrier: $carrier) -> Self {
                ($receive)(carrier)
            }
            #[inline(always)]
            fn send(self) -> $carrier {
                ($send)(self)
            }
        }
    )*};
}

carried! {
    i32: i32, |n| n, |n| n;
    u32: u32, |n| n, |n| n;
    i64: i64, |n| n, |n| n;
    u64: u64, |n| n, |n| n;
    i128: i128, |n| n, |n| n;
    u128: u128, |n| n, |n| n;
    isize: isize, |n| n, |n| n;
}

/// A complex number as C passes it on the way back.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Parts<T> {
    re: T,
    im: T,
}

impl<F: Carried> Carried for Complex<F> {
    type Carrier = Parts<F::Carrier>;
    fn receive(carrier: Self::Carrier) -> Self {
        Self { re: F::receive(carrier.re), im: F::receive(carrier.im) }
    }
    fn send(self) -> Self::Carrier {
        Parts { re: self.re.send(), im: self.im.send() }
    }
}

/// Floats in vector or floating-point registers.
#[cfg(hardware_floats)]
mod floats {
    use super::*;

    /// All ones above 16 bits is how RISC-V marks a narrow number in a wide register.
    fn boxed(bits: u16) -> f32 {
        f32::from_bits(0xffff_0000 | bits as u32)
    }

    carried! {
        F16: f32, |x: f32| F16::from_bits(x.to_bits() as u16), |x: F16| boxed(x.to_bits());
        Bf16: f32, |x: f32| Bf16::from_bits(x.to_bits() as u16), |x: Bf16| boxed(x.to_bits());
        F32: f32, |x: f32| F32::from_bits(x.to_bits()), |x: F32| f32::from_bits(x.to_bits());
        F64: f64, |x: f64| F64::from_bits(x.to_bits()), |x: F64| f64::from_bits(x.to_bits());
    }
}

/// Floats in general registers.
#[cfg(not(hardware_floats))]
mod floats {
    use super::*;

    carried! {
        F16: u16, F16::from_bits, F16::to_bits;
        Bf16: u16, Bf16::from_bits, Bf16::to_bits;
        F32: u32, F32::from_bits, F32::to_bits;
        F64: u64, F64::from_bits, F64::to_bits;
    }
}

/// The vector that holds a float of 128 bits.
#[cfg(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon"),
))]
mod quad {
    use super::*;
    #[cfg(target_arch = "aarch64")]
    use core::arch::aarch64::uint8x16_t as Vector;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::__m128i as Vector;
    use core::mem::transmute;

    fn receive(vector: Vector) -> F128 {
        // SAFETY: both are 16 bytes in which every pattern is a value.
        F128::from_bits(unsafe { transmute::<Vector, u128>(vector) })
    }

    fn send(x: F128) -> Vector {
        // SAFETY: as above.
        unsafe { transmute::<u128, Vector>(x.to_bits()) }
    }

    carried! { F128: Vector, receive, send; }
}

/// Two general registers.
#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon"),
)))]
mod quad {
    use super::*;

    carried! { F128: u128, F128::from_bits, F128::to_bits; }
}
