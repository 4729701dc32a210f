//! Shifts of words and the zeros in front of them, as short as can be: what all else is made of.
//!
//! In a dev build, an operator that can overflow contains a call to the panic machinery, and so does
//! `wrapping_shl`, for a check inside it that never fires. Shifts by a variable are therefore made of
//! rotations there, which have none.

/// A word to shift.
pub trait Shift: Copy {
    const BITS: u32;

    /// Shifts left by less than the width.
    fn left(self, bits: u32) -> Self;
    /// Shifts right by less than the width.
    fn right(self, bits: u32) -> Self;
    fn leading_zeros(self) -> u32;
    /// The place of the first one, counted from the last bit; there is one.
    #[inline(always)]
    fn first_one(self) -> u32 {
        self.leading_zeros() ^ (Self::BITS - 1)
    }
}

macro_rules! single {
    ($word:ident, $zeros:path) => {
        impl Shift for $word {
            const BITS: u32 = $word::BITS;

            #[cfg(not(debug_assertions))]
            #[inline(always)]
            fn left(self, bits: u32) -> Self {
                self.wrapping_shl(bits)
            }

            #[cfg(not(debug_assertions))]
            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                self.wrapping_shr(bits)
            }

            #[cfg(debug_assertions)]
            #[inline(always)]
            fn left(self, bits: u32) -> Self {
                self.rotate_left(bits) & (1 as $word).rotate_left(bits).wrapping_neg()
            }

            #[cfg(debug_assertions)]
            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                let last = (1 as $word).rotate_right(bits.wrapping_add(1));
                self.rotate_right(bits) & (last | last.wrapping_sub(1))
            }

            #[inline(always)]
            fn leading_zeros(self) -> u32 {
                $zeros(self)
            }
        }
    };
}

single!(u32, imp::zeros_u32);
single!(u64, imp::zeros_u64);

pub use imp::hidden;

/// What the compiler does worse than it could.
#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::asm;

    /// `n`, of which the compiler no longer knows how it came about.
    ///
    /// Two shifts with `hidden` amounts stay two shifts; else they are one of two words, `shld`,
    /// which takes AMD six steps.
    #[inline(always)]
    pub fn hidden(n: u32) -> u32 {
        let mut n = n;
        // SAFETY: no instruction at all.
        unsafe {
            asm!("/* {0:e} */", inout(reg) n, options(pure, nomem, nostack, preserves_flags))
        };
        n
    }

    /// Zeros before the first one.
    ///
    /// `bsr` keeps its destination if there is no one, and so always waits for what was there, which
    /// may be the result of a division. The compiler leaves it at that; a constant does not wait.
    #[inline(always)]
    pub fn zeros_u64(n: u64) -> u32 {
        let mut last = 127_u64;
        // SAFETY: touches two registers and the flags.
        unsafe {
            asm!("bsr {last}, {n}", n = in(reg) n, last = inout(reg) last,
                options(pure, nomem, nostack));
        }
        last as u32 ^ 63
    }

    #[inline(always)]
    pub fn zeros_u32(n: u32) -> u32 {
        let mut last = 63_u32;
        // SAFETY: touches two registers and the flags.
        unsafe {
            asm!("bsr {last:e}, {n:e}", n = in(reg) n, last = inout(reg) last,
                options(pure, nomem, nostack));
        }
        last ^ 31
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    #[inline(always)]
    pub fn hidden(n: u32) -> u32 {
        n
    }

    #[inline(always)]
    pub fn zeros_u64(n: u64) -> u32 {
        n.leading_zeros()
    }

    #[inline(always)]
    pub fn zeros_u32(n: u32) -> u32 {
        n.leading_zeros()
    }
}
