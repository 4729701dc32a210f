//! The formats: their bits, named.
//!
//! ```text
//!        sign  exponent  fraction   bias   significand, with the bit before the point
//! F16      1      5        10         15      11
//! Bf16     1      8         7        127       8
//! F32      1      8        23        127      24
//! F64      1     11        52       1023      53
//! F128     1     15       112      16383     113
//! ```
//!
//! Arithmetic happens in a [`Word`] that holds the bits with room above: `u32` also for the formats
//! of 16 bits. Its operations wrap.

use crate::shifts::Shift;
use crate::word::Word;

/// A binary floating-point format of IEEE 754, or [`Bf16`].
///
/// The value is in its bits; nothing here uses a floating-point register.
pub trait Format: Copy + sealed::Sealed {
    /// What arithmetic on it happens in.
    #[doc(hidden)]
    type Word: Word;
    /// Bits of the significand behind the point.
    #[doc(hidden)]
    const FRACTION: u32;
    /// Bits of the exponent.
    #[doc(hidden)]
    const EXPONENT: u32;
    #[doc(hidden)]
    fn word(self) -> Self::Word;
    /// Cuts to the format's width.
    #[doc(hidden)]
    fn from_word(word: Self::Word) -> Self;

    /// Where the sign is.
    #[doc(hidden)]
    const SIGN: u32 = Self::FRACTION + Self::EXPONENT;
    /// The biased exponent of infinities and NaNs.
    #[doc(hidden)]
    const SPECIAL: i32 = (1 << Self::EXPONENT) - 1;
    /// What the exponent is counted from.
    #[doc(hidden)]
    const BIAS: i32 = (1 << (Self::EXPONENT - 1)) - 1;
    /// Where a NaN says that it is quiet.
    #[doc(hidden)]
    const QUIET: u32 = Self::FRACTION - 1;
    /// How many bits a word has below a significand that begins at its top.
    #[doc(hidden)]
    const EXTRA: u32 = Self::Word::BITS - 1 - Self::FRACTION;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The constants of a format that are words. A trait's constant cannot be made by its functions.
pub(crate) trait Parts: Format {
    #[inline(always)]
    fn sign_bit() -> Self::Word {
        Self::Word::ONE.up(Self::SIGN)
    }
    /// Everything but the sign.
    #[inline(always)]
    fn magnitude() -> Self::Word {
        Self::sign_bit().minus(Self::Word::ONE)
    }
    /// The bit before the point, and also the least normal number.
    #[inline(always)]
    fn unit() -> Self::Word {
        Self::Word::ONE.up(Self::FRACTION)
    }
    #[inline(always)]
    fn fraction() -> Self::Word {
        Self::unit().minus(Self::Word::ONE)
    }
    #[inline(always)]
    fn infinity() -> Self::Word {
        Self::exponent(Self::SPECIAL)
    }
    /// The bit that makes a NaN quiet.
    #[inline(always)]
    fn quiet() -> Self::Word {
        Self::Word::ONE.up(Self::QUIET)
    }
    /// A biased exponent, in its place.
    #[inline(always)]
    fn exponent(biased: i32) -> Self::Word {
        Self::Word::from_i32(biased).up(Self::FRACTION)
    }
}

impl<F: Format> Parts for F {}

/// A finite number other than zero, in parts.
#[derive(Clone, Copy)]
pub(crate) struct Unpacked<W> {
    /// Biased; that of a subnormal number is 0 or less.
    pub exponent: i32,
    /// With the bit before the point, which is where a normal number has it.
    pub significand: W,
}

/// Takes a normal number apart; the sign may be there or not.
#[inline(always)]
pub(crate) fn unpack_normal<F: Format>(word: F::Word) -> Unpacked<F::Word> {
    Unpacked { exponent: biased::<F>(word), significand: word & F::fraction() | F::unit() }
}

/// Takes any finite number but zero apart.
#[inline]
pub(crate) fn unpack<F: Format>(word: F::Word) -> Unpacked<F::Word> {
    let magnitude = word & F::magnitude();
    if magnitude >= F::unit() {
        return unpack_normal::<F>(magnitude);
    }
    let shift = magnitude.leading_zeros().wrapping_sub(F::EXTRA);
    Unpacked { exponent: 1_i32.wrapping_sub(shift as i32), significand: magnitude.left(shift) }
}

/// The biased exponent.
#[inline(always)]
pub(crate) fn biased<F: Format>(word: F::Word) -> i32 {
    (word & F::magnitude()).down(F::FRACTION).to_i32()
}

/// Whether a number is neither zero nor subnormal, infinite or NaN, by its biased exponent.
#[inline(always)]
pub(crate) fn is_normal<F: Format>(exponent: i32) -> bool {
    (exponent as u32).wrapping_sub(1) < F::SPECIAL.wrapping_sub(1) as u32
}

#[inline(always)]
pub(crate) fn is_nan<F: Format>(word: F::Word) -> bool {
    word & F::magnitude() > F::infinity()
}

/// What x86 makes of two operands of which one is a NaN: the first NaN, made quiet.
#[inline]
pub(crate) fn nan<F: Format>(a: F::Word, b: F::Word) -> F {
    F::from_word(F::quiet() | if is_nan::<F>(a) { a } else { b })
}

/// What x86 makes of an invalid operation: a quiet NaN with the sign set and no payload.
#[inline]
pub(crate) fn invalid<F: Format>() -> F {
    F::from_word(F::sign_bit() | F::infinity() | F::quiet())
}

macro_rules! formats {
    ($($what:literal $name:ident($bits:ident) in $word:ident, $exponent:literal + $fraction:literal;)*) => {$(
        #[doc = $what]
        #[derive(Clone, Copy, Debug)]
        pub struct $name($bits);

        impl $name {
            /// The number with these bits.
            #[inline]
            pub const fn from_bits(bits: $bits) -> Self {
                Self(bits)
            }

            /// The bits.
            #[inline]
            pub const fn to_bits(self) -> $bits {
                self.0
            }
        }

        impl sealed::Sealed for $name {}

        impl Format for $name {
            type Word = $word;
            const FRACTION: u32 = $fraction;
            const EXPONENT: u32 = $exponent;

            #[inline(always)]
            fn word(self) -> $word {
                self.0 as $word
            }
            #[inline(always)]
            fn from_word(word: $word) -> Self {
                Self(word as $bits)
            }
        }
    )*};
}

formats! {
    "IEEE 754 binary16, C's `_Float16`." F16(u16) in u32, 5 + 10;
    "The upper half of a binary32, `__bf16` of compilers." Bf16(u16) in u32, 8 + 7;
    "IEEE 754 binary32, `f32`." F32(u32) in u32, 8 + 23;
    "IEEE 754 binary64, `f64`." F64(u64) in u64, 11 + 52;
    "IEEE 754 binary128, C's `_Float128`." F128(u128) in u128, 15 + 112;
}
