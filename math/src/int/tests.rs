//! Integers against the operators of the language, which on the host are other code.

use super::div::*;
use crate::tests::Random;

/// Numbers of every length, with runs of ones and zeros: the shapes at which division goes wrong.
fn shaped(random: &mut Random) -> u128 {
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    let short = any >> (random.next() % 128);
    match random.next() % 8 {
        0 => short & any.rotate_left(1),
        1 => !short,
        2 => (1 << (random.next() % 128)) - 1_u128,
        3 => 1_u128 << (random.next() % 128),
        4 => (short | 1).wrapping_neg(),
        _ => short,
    }
}

#[test]
fn division_of_every_shape_agrees_with_the_operators() {
    let mut random = Random(1);
    for _ in 0..crate::tests::rounds(400_000) {
        let (n, d) = (shaped(&mut random), shaped(&mut random));
        if d != 0 {
            assert_eq!(div_rem_u128(n, d), (n / d, n % d), "{n:#x} / {d:#x}");
            let (n, d) = (n as i128, d as i128);
            let want = (n.wrapping_div(d), n.wrapping_rem(d));
            assert_eq!(div_rem_i128(n, d), want, "{n:#x} / {d:#x}");
        }
        let (n, d) = (n as u64, d as u64);
        if d != 0 {
            assert_eq!(div_rem_u64(n, d), (n / d, n % d), "{n:#x} / {d:#x}");
            let (n, d) = (n as i64, d as i64);
            let want = (n.wrapping_div(d), n.wrapping_rem(d));
            assert_eq!(div_rem_i64(n, d), want, "{n:#x} / {d:#x}");
        }
        let (n, d) = (n as u32, d as u32);
        if d != 0 {
            assert_eq!(by_bits(n, d), (n / d, n % d), "{n:#x} / {d:#x}");
        }
    }
}

#[test]
fn division_by_halves_agrees_with_the_operators() {
    let mut random = Random(2);
    for _ in 0..crate::tests::rounds(400_000) {
        let (n, d) = (shaped(&mut random), shaped(&mut random) as u64);
        let (high, low) = ((n >> 64) as u64, n as u64);
        if high < d {
            let want = ((n / u128::from(d)) as u64, (n % u128::from(d)) as u64);
            assert_eq!(by_halves_64(high, low, d), want, "{n:#x} / {d:#x}");
        }
        let (n, d) = (low, d as u32);
        let (high, low) = ((n >> 32) as u32, n as u32);
        if high < d {
            let want = ((n / u64::from(d)) as u32, (n % u64::from(d)) as u32);
            assert_eq!(by_halves_32(high, low, d), want, "{n:#x} / {d:#x}");
        }
    }
}
