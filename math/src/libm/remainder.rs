//! Remainders: `fmod`, `remainder`, `remquo`, all exact.
//!
//! Both numbers are integers times a power of two. The dividend's larger power is worked off as many bits at a
//! time as a register has left beside the divisor, each time by one division of integers; most often there is one.

use core::hint::select_unpredictable;
use core::num::NonZero;

/// The bits of a dividend or divisor: an integer below 2^53, and the biased exponent of its unit.
struct Parts {
    significand: u64,
    exponent: u32,
}

/// n 2^`apart` modulo `d`, and the quotient modulo 2^64; of n and d below 2^(64 - `step`).
#[inline(always)]
fn divide(n: u64, d: NonZero<u64>, mut apart: u32, step: u32) -> (u64, u64) {
    let (mut quotient, mut rest) = (0_u64, n);
    loop {
        let now = if apart < step { apart } else { step };
        let lifted = rest << (now & 63);
        quotient = (quotient << (now & 63)).wrapping_add(lifted / d);
        rest = lifted % d;
        apart = apart.wrapping_sub(now);
        if apart == 0 {
            return (rest, quotient);
        }
    }
}

/// Stamps out the functions for a type: its bits, the digits of its fraction, and the names.
macro_rules! remainders {
    ($float:ident, $bits:ident, $digits:literal, $module:ident: $fmod:ident, $remainder:ident, $remquo:ident) => {
        mod $module {
            use super::{NonZero, Parts, divide, select_unpredictable};

            const SIGN: $bits = 1 << ($bits::BITS - 1);
            const INFINITY: $bits = $float::INFINITY.to_bits();

            /// Of a finite number without its sign.
            #[inline(always)]
            fn parts(x: $bits) -> Parts {
                let exponent = (x >> $digits) as u32;
                let fraction = u64::from(x) & ((1 << $digits) - 1);
                match exponent {
                    0 => Parts { significand: fraction, exponent: 1 },
                    _ => Parts { significand: fraction | 1 << $digits, exponent },
                }
            }

            /// `significand` units of that exponent, with a sign.
            #[inline(always)]
            fn number(sign: $bits, Parts { significand, exponent }: Parts) -> $float {
                if significand == 0 {
                    return $float::from_bits(sign);
                }
                let (free, above) = (significand.leading_zeros(), exponent.wrapping_sub(1));
                let free = free.wrapping_sub(63 - $digits);
                let up = if free < above { free } else { above };
                // A significand with its first bit in place adds one to the exponent.
                let exponent = (above.wrapping_sub(up) as $bits) << $digits;
                $float::from_bits(sign | exponent.wrapping_add((significand << (up & 63)) as $bits))
            }

            /// What there is no remainder of: NaN, infinity divided, division by zero.
            #[cold]
            fn none(x: $float, y: $float) -> $float {
                if x.is_nan() || y.is_nan() { x + y } else { $float::NAN }
            }

            /// The remainder with the dividend's sign: the quotient is rounded towards 0.
            #[inline]
            pub fn $fmod(x: $float, y: $float) -> $float {
                let (n, d) = (x.to_bits() & !SIGN, y.to_bits() & !SIGN);
                if n >= INFINITY || d > INFINITY || d == 0 {
                    return none(x, y);
                }
                if n < d {
                    return x;
                }
                let (n, d) = (parts(n), parts(d));
                let Some(divisor) = NonZero::new(d.significand) else { return x };
                let apart = n.exponent.wrapping_sub(d.exponent);
                let (rest, _) = divide(n.significand, divisor, apart, 63 - $digits);
                number(x.to_bits() & SIGN, Parts { significand: rest, exponent: d.exponent })
            }

            /// The least remainder, and the last 31 bits of the quotient rounded to nearest, ties to even, with its sign.
            #[inline]
            pub fn $remquo(x: $float, y: $float) -> ($float, i32) {
                let (n, d) = (x.to_bits() & !SIGN, y.to_bits() & !SIGN);
                if n >= INFINITY || d > INFINITY || d == 0 {
                    return (none(x, y), 0);
                }
                let (n, mut d) = (parts(n), if d == INFINITY { return (x, 0) } else { parts(d) });
                if n.exponent.wrapping_add(1) < d.exponent {
                    return (x, 0);
                }
                if n.exponent < d.exponent {
                    // One apart.
                    d = Parts { significand: d.significand << 1, exponent: n.exponent };
                }
                let Some(divisor) = NonZero::new(d.significand) else { return (x, 0) };
                let apart = n.exponent.wrapping_sub(d.exponent);
                let (rest, quotient) = divide(n.significand, divisor, apart, 62 - $digits);
                // Nothing foretells it: no branch.
                let up = (rest << 1).wrapping_add(quotient & 1) > d.significand;
                let rest = select_unpredictable(up, d.significand.wrapping_sub(rest), rest);
                let quotient = quotient.wrapping_add(u64::from(up));
                // What is rounded up is not 0.
                let sign = (x.to_bits() & SIGN) ^ ($bits::from(up) << ($bits::BITS - 1));
                let quotient = (quotient & 0x7fff_ffff) as i32;
                let negative = (x.to_bits() ^ y.to_bits()) & SIGN != 0;
                (
                    number(sign, Parts { significand: rest, exponent: d.exponent }),
                    if negative { quotient.wrapping_neg() } else { quotient },
                )
            }

            /// The remainder of the quotient rounded to nearest, ties to even.
            #[inline]
            pub fn $remainder(x: $float, y: $float) -> $float {
                $remquo(x, y).0
            }
        }
        pub use $module::{$fmod, $remainder, $remquo};
    };
}

remainders! { f64, u64, 52, double: fmod, remainder, remquo }
remainders! { f32, u32, 23, single: fmodf, remainderf, remquof }
