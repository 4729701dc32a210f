//! A format of eight bits, which has every case of a longer one, in words of all three widths.
//!
//! All its numbers, their sums and their products are exact in `f64`, and so is the remainder; a
//! quotient and a root are rounded there far beyond where it matters.

use super::*;

macro_rules! tiny {
    ($($name:ident $word:ident)*) => {$(
        #[derive(Clone, Copy)]
        struct $name($word);

        impl format::sealed::Sealed for $name {}

        impl Format for $name {
            type Word = $word;
            const FRACTION: u32 = 3;
            const EXPONENT: u32 = 4;
            fn word(self) -> $word {
                self.0
            }
            fn from_word(word: $word) -> Self {
                Self(word & 0xff)
            }
        }
    )*};
}

tiny! { In32 u32 In64 u64 In128 u128 }

fn value(bits: u8) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 3 & 15), f64::from(bits & 7));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-9),
        15 if fraction == 0.0 => f64::INFINITY,
        15 => f64::NAN,
        _ => (8.0 + fraction) * 2_f64.powi(exponent - 10),
    };
    if bits >> 7 == 1 { -magnitude } else { magnitude }
}

/// The nearest number, found by looking at all; in order of size, so ties are seen at the lower one.
fn nearest(x: f64) -> Option<u8> {
    if x.is_nan() {
        return None;
    }
    let sign = if x.is_sign_negative() { 0x80 } else { 0 };
    let x = x.abs();
    // As if the numbers went on: what is nearer to the next power than to the last number is ∞.
    let at = |bits: u8| if bits == 0x78 { 256.0 } else { value(bits) };
    let below = (0..0x78).rev().find(|&bits| at(bits) <= x).unwrap_or(0);
    if x.is_infinite() {
        return Some(sign | 0x78);
    }
    let (down, up) = (x - at(below), at(below + 1) - x);
    let odd = below & 1 == 1;
    Some(sign | if up < down || up == down && odd { below + 1 } else { below })
}

fn check<F: Format>(got: F, want: f64, what: &str, operands: &[u8]) {
    let bits = got.word().cast::<u32>() as u8;
    match nearest(want) {
        None => assert!(value(bits).is_nan(), "{what} {operands:x?}: {bits:#x} is not NaN"),
        Some(want) => assert_eq!(bits, want, "{what} {operands:x?}: {bits:#x}, not {want:#x}"),
    }
}

fn every_pair<F: Format>() {
    let of = |bits: u8| F::from_word(F::Word::from_i32(bits.into()));
    for a in 0..=u8::MAX {
        for b in 0..=u8::MAX {
            let (x, y, both) = (value(a), value(b), &[a, b]);
            check(add(of(a), of(b)), x + y, "add", both);
            check(sub(of(a), of(b)), x - y, "sub", both);
            check(mul(of(a), of(b)), x * y, "mul", both);
            check(div(of(a), of(b)), x / y, "div", both);
            check(rem(of(a), of(b)), x % y, "rem", both);
            assert_eq!(compare(of(a), of(b)), x.partial_cmp(&y), "{a:#x} {b:#x}");
        }
        let (x, one) = (value(a), &[a]);
        check(trunc(of(a)), x.trunc(), "trunc", one);
        check(floor(of(a)), x.floor(), "floor", one);
        check(ceil(of(a)), x.ceil(), "ceil", one);
        check(super::super::round(of(a)), x.round(), "round", one);
        check(round_ties_even(of(a)), x.round_ties_even(), "round_ties_even", one);
        assert_eq!(to_signed::<F, i32>(of(a)), x as i32, "{a:#x}");
        assert_eq!(to_unsigned::<F, u32>(of(a)), x as u32, "{a:#x}");
        assert_eq!(to_signed::<F, i128>(of(a)), x as i128, "{a:#x}");
    }
    for n in -4000..4000_i32 {
        check(from_signed::<i32, F>(n), n.into(), "from i32", &[]);
        check(from_signed::<i64, F>(n.into()), n.into(), "from i64", &[]);
        check(from_signed::<i128, F>(n.into()), n.into(), "from i128", &[]);
    }
}

fn every_triple<F: Format>(step: usize) {
    let of = |bits: u8| F::from_word(F::Word::from_i32(bits.into()));
    for a in (0..=u8::MAX).step_by(step) {
        for b in 0..=u8::MAX {
            for c in 0..=u8::MAX {
                let want = value(a).mul_add(value(b), value(c));
                check(fma(of(a), of(b), of(c)), want, "fma", &[a, b, c]);
            }
        }
    }
}

#[test]
fn every_pair_is_right_in_every_word() {
    every_pair::<In32>();
    every_pair::<In64>();
    every_pair::<In128>();
}

#[test]
fn every_triple_is_right() {
    // All of them with FREESTONE_LONG=1; else every 17th first factor.
    let step = if rounds(1) == 1 { 17 } else { 1 };
    every_triple::<In32>(step);
    every_triple::<In64>(step);
    every_triple::<In128>(step);
}
