//! Conversions to `f64` that wait for nothing but their argument; and numbers that are computed one at a time.
//!
//! On x86 the instructions keep the upper half of the register they write, and so wait for it: for what the call
//! before left there. LLVM clears a register that it wrote itself shortly before, but not at the start of a
//! function, where nothing in sight writes it; calls then run one after the other that could overlap. AVX's
//! instructions name the register whose upper half they take, and LLVM names the argument's.

pub use imp::{alone, float, wide};

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(target_feature = "avx")))]
mod imp {
    use core::arch::asm;

    /// `x` as an `f64`.
    #[inline(always)]
    pub fn wide(x: f32) -> f64 {
        let wide: f64;
        // SAFETY: from register to register.
        unsafe {
            asm!(
                "xorps {1}, {1}",
                "cvtss2sd {1}, {0}",
                in(xmm_reg) x,
                out(xmm_reg) wide,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        wide
    }

    /// `n` as an `f64`.
    #[inline(always)]
    pub fn float(n: i32) -> f64 {
        let float: f64;
        // SAFETY: from register to register.
        unsafe {
            asm!(
                "xorps {1}, {1}",
                "cvtsi2sd {1}, {0:e}",
                in(reg) n,
                out(xmm_reg) float,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        float
    }

    /// `x`, computed by itself: else LLVM makes one operation on two numbers in a register out of two that are
    /// alike, and moving them there and back takes longer than what it saves.
    #[inline(always)]
    pub fn alone(mut x: f64) -> f64 {
        // SAFETY: no instruction.
        unsafe {
            asm!("/* {0} */", inout(xmm_reg) x, options(pure, nomem, nostack, preserves_flags))
        };
        x
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(target_feature = "avx"))))]
mod imp {
    #[inline(always)]
    pub fn wide(x: f32) -> f64 {
        f64::from(x)
    }

    #[inline(always)]
    pub fn float(n: i32) -> f64 {
        f64::from(n)
    }

    #[inline(always)]
    pub fn alone(x: f64) -> f64 {
        x
    }
}
