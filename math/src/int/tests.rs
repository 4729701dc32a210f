//! Integers against the operators of the language, which on the host are other code.

use super::bits::*;
use super::div::*;
use super::export::*;
use super::mul::*;
use super::shift::*;
use crate::tests::{Random, rounds};

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
    for _ in 0..rounds(400_000) {
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
            assert_eq!(div_rem_double_u32(n, d), (n / d, n % d), "{n:#x} / {d:#x}");
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
    for _ in 0..rounds(400_000) {
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

#[test]
fn products_agree_with_the_operators() {
    let mut random = Random(3);
    for _ in 0..rounds(300_000) {
        let (a, b) = (shaped(&mut random), shaped(&mut random));
        assert_eq!(mul_u128(a, b), a.wrapping_mul(b), "{a:#x} * {b:#x}");
        assert_eq!(overflowing_u128(a, b), a.overflowing_mul(b), "{a:#x} * {b:#x}");
        let (i, j) = (a as i128, b as i128);
        assert_eq!(overflowing_i128(i, j), i.overflowing_mul(j), "{a:#x} * {b:#x}");
        let (a, b) = (a as u64, b as u64);
        let wide = u128::from(a) * u128::from(b);
        assert_eq!((wide_64(a, b), wide_64_by_halves(a, b)), (wide, wide), "{a:#x} * {b:#x}");
        assert_eq!(mul_double_u32(a, b), a.wrapping_mul(b), "{a:#x} * {b:#x}");
        assert_eq!(overflowing_u64(a, b), a.overflowing_mul(b), "{a:#x} * {b:#x}");
        let (i, j) = (a as i64, b as i64);
        assert_eq!(overflowing_i64(i, j), i.overflowing_mul(j), "{a:#x} * {b:#x}");
        let (a, b) = (a as u32, b as u32);
        assert_eq!(wide_32_by_halves(a, b), u64::from(a) * u64::from(b), "{a:#x} * {b:#x}");
        assert_eq!(mul_u32_by_additions(a, b), a.wrapping_mul(b), "{a:#x} * {b:#x}");
        let (i, j) = (a as i32, b as i32);
        assert_eq!(overflowing_i32(i, j), i.overflowing_mul(j), "{a:#x} * {b:#x}");
    }
}

#[test]
fn edges_of_every_width_multiply_with_and_without_overflow() {
    let edges = |bits: u32| {
        (0..bits).flat_map(move |at| [-1, 0, 1].map(|by| (1_i128 << at).wrapping_add(by)))
    };
    for a in edges(128).chain(edges(128).map(i128::wrapping_neg)) {
        for b in edges(128) {
            assert_eq!(overflowing_i128(a, b), a.overflowing_mul(b), "{a:#x} * {b:#x}");
            let (u, v) = (a as u128, b as u128);
            assert_eq!(overflowing_u128(u, v), u.overflowing_mul(v), "{a:#x} * {b:#x}");
            let (i, j) = (a as i64, b as i64);
            assert_eq!(overflowing_i64(i, j), i.overflowing_mul(j), "{i:#x} * {j:#x}");
            let (i, j) = (a as i32, b as i32);
            assert_eq!(overflowing_i32(i, j), i.overflowing_mul(j), "{i:#x} * {j:#x}");
        }
    }
}

#[test]
fn shifts_by_every_number_of_bits_agree_with_the_operators() {
    let mut random = Random(4);
    for _ in 0..rounds(2_000) {
        let a = shaped(&mut random);
        for bits in 0..128 {
            assert_eq!(left_u128(a, bits), a << bits, "{a:#x}, {bits}");
            assert_eq!(right_u128(a, bits), a >> bits, "{a:#x}, {bits}");
            assert_eq!(right_i128(a as i128, bits), a as i128 >> bits, "{a:#x}, {bits}");
        }
        for bits in 0..64 {
            let a = a as u64;
            assert_eq!(left_u64(a, bits), a << bits, "{a:#x}, {bits}");
            assert_eq!(right_u64(a, bits), a >> bits, "{a:#x}, {bits}");
            assert_eq!(right_i64(a as i64, bits), a as i64 >> bits, "{a:#x}, {bits}");
        }
        for bits in 0..32 {
            assert_eq!(right_i32(a as i32, bits), a as i32 >> bits, "{a:#x}, {bits}");
            assert_eq!(__ashlsi3(a as u32, bits), (a as u32) << bits, "{a:#x}, {bits}");
            assert_eq!(__lshrsi3(a as u32, bits), a as u32 >> bits, "{a:#x}, {bits}");
        }
    }
}

#[test]
fn counts_agree_with_the_methods() {
    let mut random = Random(5);
    for round in 0..rounds(200_000) {
        let n = if round == 0 { 0 } else { shaped(&mut random) };
        let (a, b) = (n as u64, n as u32);
        let counts = [__popcountti2(n), __popcountdi2(a), __popcountsi2(b)];
        assert_eq!(counts, [n.count_ones(), a.count_ones(), b.count_ones()].map(|n| n as i32));
        assert_eq!([__parityti2(n), __paritydi2(a), __paritysi2(b)], counts.map(|n| n & 1));
        let leading = [n.leading_zeros(), a.leading_zeros(), b.leading_zeros()].map(|n| n as i32);
        assert_eq!([__clzti2(n), __clzdi2(a), __clzsi2(b)], leading, "{n:#x}");
        let trailing = [n.trailing_zeros(), a.trailing_zeros(), b.trailing_zeros()];
        let trailing = trailing.map(|n| n as i32);
        assert_eq!([__ctzti2(n), __ctzdi2(a), __ctzsi2(b)], trailing, "{n:#x}");
        assert_eq!(smeared_leading_zeros(a), a.leading_zeros(), "{a:#x}");
        assert_eq!(smeared_trailing_zeros(a), a.trailing_zeros(), "{a:#x}");
        let first = |zero: bool, trailing: i32| if zero { 0 } else { trailing + 1 };
        assert_eq!(__ffsti2(n), first(n == 0, trailing[0]), "{n:#x}");
        assert_eq!(__ffsdi2(a), first(a == 0, trailing[1]), "{n:#x}");
        assert_eq!(__ffssi2(b), first(b == 0, trailing[2]), "{n:#x}");
        let signs = |ones: u32, zeros: u32| ones.max(zeros) as i32 - 1;
        assert_eq!(__clrsbti2(n as i128), signs(n.leading_ones(), n.leading_zeros()), "{n:#x}");
        assert_eq!(__clrsbdi2(a as i64), signs(a.leading_ones(), a.leading_zeros()), "{n:#x}");
        assert_eq!(__clrsbsi2(b as i32), signs(b.leading_ones(), b.leading_zeros()), "{n:#x}");
        assert_eq!(__bswapti2(n).to_be_bytes(), n.to_le_bytes());
        assert_eq!(__bswapdi2(a).to_be_bytes(), a.to_le_bytes());
        assert_eq!(__bswapsi2(b).to_be_bytes(), b.to_le_bytes());
    }
}

#[test]
fn comparisons_give_zero_one_and_two() {
    let mut random = Random(6);
    for _ in 0..rounds(20_000) {
        let a = shaped(&mut random);
        let b = if random.one_in(4) { a } else { shaped(&mut random) };
        let order = |order: std::cmp::Ordering| order as i32 + 1;
        assert_eq!(__ucmpti2(a, b), order(a.cmp(&b)));
        assert_eq!(__cmpti2(a as i128, b as i128), order((a as i128).cmp(&(b as i128))));
        assert_eq!(__ucmpdi2(a as u64, b as u64), order((a as u64).cmp(&(b as u64))));
        assert_eq!(__cmpdi2(a as i64, b as i64), order((a as i64).cmp(&(b as i64))));
    }
}

/// Those that trap do so by an exception, which ends the process; so each runs in one of its own.
#[test]
fn results_that_fit_are_given_and_those_that_do_not_trap() {
    macro_rules! cases {
        ($($call:expr, $want:expr;)*) => {{
            $(assert_eq!($call.checked(), $want, stringify!($call));)*
        }};
    }
    cases! {
        Trap(|| __addvsi3(i32::MAX, 1)), None;
        Trap(|| __addvsi3(i32::MAX, -1)), Some(i32::MAX - 1);
        Trap(|| __addvdi3(i64::MIN, -1)), None;
        Trap(|| __addvdi3(-5, 7)), Some(2);
        Trap(|| __addvti3(i128::MIN, i128::MIN)), None;
        Trap(|| __addvti3(1 << 64, -1)), Some(u64::MAX as i128);
        Trap(|| __subvsi3(i32::MIN, 1)), None;
        Trap(|| __subvsi3(7, 9)), Some(-2);
        Trap(|| __subvdi3(0, i64::MIN)), None;
        Trap(|| __subvdi3(-1, i64::MIN)), Some(i64::MAX);
        Trap(|| __subvti3(0, i128::MIN)), None;
        Trap(|| __subvti3(-1, i128::MIN)), Some(i128::MAX);
        Trap(|| __mulvsi3(1 << 16, 1 << 15)), None;
        Trap(|| __mulvsi3(1 << 16, -1 << 15)), Some(i32::MIN);
        Trap(|| __mulvdi3(i64::MIN, -1)), None;
        Trap(|| __mulvdi3(1 << 31, 1 << 31)), Some(1 << 62);
        Trap(|| __mulvti3(1 << 64, 1 << 63)), None;
        Trap(|| __mulvti3(-1 << 64, 1 << 63)), Some(i128::MIN);
        Trap(|| __negvsi2(i32::MIN)), None;
        Trap(|| __negvdi2(i64::MIN)), None;
        Trap(|| __negvti2(i128::MIN)), None;
        Trap(|| __negvti2(-3)), Some(3);
        Trap(|| __absvsi2(i32::MIN)), None;
        Trap(|| __absvdi2(i64::MIN)), None;
        Trap(|| __absvti2(i128::MIN)), None;
        Trap(|| __absvti2(-3)), Some(3);
    }
}

/// A call that may raise an exception.
struct Trap<T>(fn() -> T);

impl<T> Trap<T> {
    /// What it gives; `None` if it ends its process by the signal for an invalid instruction.
    #[cfg(unix)]
    fn checked(self) -> Option<T> {
        let mut status = 0;
        // SAFETY: the child calls one function that allocates nothing and locks nothing, and ends.
        let waited = unsafe {
            let child = libc::fork();
            if child == 0 {
                self.0();
                libc::_exit(0);
            }
            libc::waitpid(child, &mut status, 0)
        };
        assert!(waited > 0);
        if libc::WIFEXITED(status) { Some(self.0()) } else { None }
    }
}
