//! Soft float against the machine's own, against software of others, and in formats small enough to
//! try everything.

use rustc_apfloat::ieee::{BFloat, Double, Half, Quad, Single};
use rustc_apfloat::{Float as Oracle, FloatConvert, Round, StatusAnd};

use super::*;
use crate::tests::{Random, rounds};
use crate::word::Word;

mod edges;
mod machine;
mod tiny;

/// A number of a format, as bits: anything, or what arithmetic goes wrong at.
fn shaped<F: Format>(random: &mut Random) -> u128 {
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    let width = F::SIGN + 1;
    let fraction_mask = (1_u128 << F::FRACTION) - 1;
    let fraction = match random.next() % 6 {
        0 => 0,
        1 => fraction_mask,
        2 => 1_u128 << (random.next() % u64::from(F::FRACTION)),
        3 => fraction_mask ^ ((1_u128 << (random.next() % u64::from(F::FRACTION))) - 1),
        _ => any & fraction_mask,
    };
    let bias = F::BIAS as u64;
    let exponent = match random.next() % 12 {
        0 => 0,
        1 => 1,
        2 => F::SPECIAL as u64,
        3 => F::SPECIAL as u64 - 1,
        4..8 => bias + random.next() % 8,
        8..10 => bias + 60 - (random.next() % 120).min(bias + 59),
        _ => random.next(),
    };
    let exponent = u128::from(exponent & F::SPECIAL as u64) << F::FRACTION;
    let sign = any >> 127 << (width - 1);
    sign | exponent | fraction
}

/// A format, and the same of the oracle.
trait Checked: SquareRoot {
    type Oracle: Oracle;
    fn of(bits: u128) -> Self {
        Self::from_word(Self::Word::from_u128(bits))
    }
    fn bits(self) -> u128 {
        self.word().cast()
    }
    /// Equal, or both NaN: the oracle has other payloads.
    fn expect(self, want: StatusAnd<Self::Oracle>, what: &str, operands: &[u128]) {
        let same = if want.value.is_nan() {
            format::is_nan::<Self>(self.word())
        } else {
            self.bits() == want.value.to_bits()
        };
        let (got, want) = (self.bits(), want.value.to_bits());
        assert!(same, "{what} {operands:#x?}: {got:#x}, not {want:#x}");
    }
}

macro_rules! checked {
    ($($format:ident $oracle:ident)*) => {
        $(impl Checked for $format {
            type Oracle = $oracle;
        })*
    };
}

checked! { F16 Half Bf16 BFloat F32 Single F64 Double F128 Quad }

fn check_arithmetic<F: Checked>() {
    let mut random = Random(1);
    for _ in 0..rounds(60_000) {
        let bits = [(); 3].map(|()| shaped::<F>(&mut random));
        let [a, b, c] = bits.map(F::of);
        let [x, y, z] = bits.map(F::Oracle::from_bits);
        let two = &bits[..2];
        add(a, b).expect(x.add_r(y, Round::NearestTiesToEven), "add", two);
        sub(a, b).expect(x.sub_r(y, Round::NearestTiesToEven), "sub", two);
        mul(a, b).expect(x.mul_r(y, Round::NearestTiesToEven), "mul", two);
        div(a, b).expect(x.div_r(y, Round::NearestTiesToEven), "div", two);
        let near = x.mul_add_r(y, z, Round::NearestTiesToEven);
        fma(a, b, c).expect(near, "fma", &bits);
        // The third number so that it takes away most of the product.
        let product = mul(a, b);
        let third = neg(product);
        let oracle = F::Oracle::from_bits(third.bits());
        let near = x.mul_add_r(y, oracle, Round::NearestTiesToEven);
        fma(a, b, third).expect(near, "fma", &[bits[0], bits[1], third.bits()]);
    }
}

fn check_rem<F: Checked>(times: u32) {
    let mut random = Random(2);
    for _ in 0..rounds(times) {
        let bits = [(); 2].map(|()| shaped::<F>(&mut random));
        let [a, b] = bits.map(F::of);
        let [x, y] = bits.map(F::Oracle::from_bits);
        rem(a, b).expect(x.c_fmod(y), "rem", &bits);
    }
}

/// Digit by digit, as on paper.
fn paper_root<F: Checked>(bits: u128) -> F {
    let x = format::unpack::<F>(F::of(bits).word());
    let even = (x.exponent - F::BIAS) & 1 == 0;
    let significand: u128 = x.significand.cast();
    let (mut rest, mut root) = (0_u128, 0_u128);
    // Pairs of bits from the top: two before the point and then the fraction, and zeros behind it.
    let m = significand << (127 - F::FRACTION - u32::from(even));
    for pair in 0..F::FRACTION + 3 {
        let next = if pair < 64 { m >> (126 - 2 * pair) & 3 } else { 0 };
        rest = rest << 2 | next;
        let trial = root << 2 | 1;
        root <<= 1;
        if rest >= trial {
            rest -= trial;
            root |= 1;
        }
    }
    // Two bits more than fit, and the rest, decide.
    let lost = root & 3;
    let mut nearest = root >> 2;
    if lost > 2 || lost == 2 && (rest != 0 || nearest & 1 == 1) {
        nearest += 1;
    }
    let exponent = u128::from(((x.exponent - F::BIAS).div_euclid(2) + F::BIAS) as u32 - 1);
    F::of((exponent << F::FRACTION) + nearest)
}

fn check_sqrt<F: Checked>() {
    let mut random = Random(3);
    for _ in 0..rounds(60_000) {
        let bits = shaped::<F>(&mut random);
        let got = sqrt(F::of(bits));
        let x = F::Oracle::from_bits(bits);
        let want = match () {
            () if x.is_nan() || x.is_negative() && !x.is_zero() => {
                assert!(format::is_nan::<F>(got.word()), "{bits:#x}");
                continue;
            }
            () if x.is_zero() || x.is_infinite() => bits,
            () => paper_root::<F>(bits).bits(),
        };
        assert_eq!(got.bits(), want, "sqrt {bits:#x}: {:#x}, not {want:#x}", got.bits());
    }
}

fn check_comparison<F: Checked>() {
    let mut random = Random(4);
    for _ in 0..rounds(100_000) {
        let a = shaped::<F>(&mut random);
        let b = match random.next() % 4 {
            0 => a,
            1 => a ^ 1 << F::SIGN,
            _ => shaped::<F>(&mut random),
        };
        let (x, y) = (F::Oracle::from_bits(a), F::Oracle::from_bits(b));
        let want = x.partial_cmp(&y);
        assert_eq!(compare(F::of(a), F::of(b)), want, "{a:#x} {b:#x}");
        assert_eq!(unordered(F::of(a), F::of(b)), want.is_none(), "{a:#x} {b:#x}");
        let number = want.map_or(2, |order| order as isize);
        assert_eq!(order(F::of(a), F::of(b), 2), number, "{a:#x} {b:#x}");
    }
}

fn check_integral<F: Checked>() {
    let mut random = Random(5);
    type Rounding<F> = (&'static str, fn(F) -> F, Round);
    let roundings: [Rounding<F>; 5] = [
        ("trunc", trunc, Round::TowardZero),
        ("floor", floor, Round::TowardNegative),
        ("ceil", ceil, Round::TowardPositive),
        ("round", super::round, Round::NearestTiesToAway),
        ("round_ties_even", round_ties_even, Round::NearestTiesToEven),
    ];
    for _ in 0..rounds(40_000) {
        let mut bits = shaped::<F>(&mut random);
        if random.one_in(2) {
            // A half, or beside one.
            let half = from_signed::<i32, F>(random.next() as i32 % 64);
            let half = div(half, from_unsigned(2_u32)).bits();
            bits = half.wrapping_add(u128::from(random.next() % 3)).wrapping_sub(1);
            bits &= u128::MAX >> (127 - F::SIGN);
        }
        let x = F::Oracle::from_bits(bits);
        for (name, function, direction) in roundings {
            function(F::of(bits)).expect(x.round_to_integral(direction), name, &[bits]);
        }
    }
}

fn check_choices<F: Checked>() {
    let mut random = Random(6);
    for _ in 0..rounds(40_000) {
        let a = shaped::<F>(&mut random);
        let b = if random.one_in(4) { a ^ 1 << F::SIGN } else { shaped::<F>(&mut random) };
        let (x, y) = (F::Oracle::from_bits(a), F::Oracle::from_bits(b));
        let (p, q) = (F::of(a), F::of(b));
        let both = &[a, b];
        let ok = |value| StatusAnd { status: rustc_apfloat::Status::OK, value };
        maximum(p, q).expect(ok(x.maximum(y)), "maximum", both);
        minimum(p, q).expect(ok(x.minimum(y)), "minimum", both);
        // The oracle leaves the order of zeros open where a NaN is not the answer.
        let numbers = !x.is_nan() && !y.is_nan();
        let want = if numbers { x.maximum(y) } else { x.max(y) };
        maximum_number(p, q).expect(ok(want), "maximum_number", both);
        let want = if numbers { x.minimum(y) } else { x.min(y) };
        minimum_number(p, q).expect(ok(want), "minimum_number", both);
        copysign(p, q).expect(ok(x.copy_sign(y)), "copysign", both);
        assert_eq!(abs(p).bits(), a & !(1 << F::SIGN));
        assert_eq!(neg(p).bits(), a ^ 1 << F::SIGN);
        let zero = F::Oracle::from_bits(0);
        let want = match x.partial_cmp(&y) {
            Some(std::cmp::Ordering::Greater) => x.sub_r(y, Round::NearestTiesToEven),
            Some(_) => ok(zero),
            None => ok(F::Oracle::qnan(None)),
        };
        positive_difference(p, q).expect(want, "fdim", both);
    }
}

fn check_integers<F: Checked>() {
    let mut random = Random(7);
    for _ in 0..rounds(40_000) {
        let any = u128::from(random.next()) << 64 | u128::from(random.next());
        let mut n = any >> (random.next() % 128);
        if random.one_in(2) {
            // Few ones, so that ties come up.
            n &= any.rotate_left(13) & any.rotate_left(57);
        }
        macro_rules! from {
            ($($unsigned:ident $signed:ident)*) => {$(
                let (u, i) = (n as $unsigned, n as $signed);
                let near = Round::NearestTiesToEven;
                let want = F::Oracle::from_u128_r(u.into(), near);
                from_unsigned::<_, F>(u).expect(want, stringify!($unsigned), &[n]);
                let want = F::Oracle::from_i128_r(i.into(), near);
                from_signed::<_, F>(i).expect(want, stringify!($signed), &[n]);
            )*};
        }
        from! { u32 i32 u64 i64 u128 i128 }

        let bits = if random.one_in(2) {
            from_signed::<i128, F>(n as i128).bits()
        } else {
            shaped::<F>(&mut random)
        };
        let x = F::Oracle::from_bits(bits);
        macro_rules! to {
            ($($unsigned:ident $signed:ident $width:literal)*) => {$(
                let want = x.to_u128($width).value as $unsigned;
                assert_eq!(to_unsigned::<F, $unsigned>(F::of(bits)), want, "{bits:#x}");
                let want = x.to_i128($width).value as $signed;
                assert_eq!(to_signed::<F, $signed>(F::of(bits)), want, "{bits:#x}");
            )*};
        }
        to! { u32 i32 32 u64 i64 64 u128 i128 128 }
    }
}

macro_rules! every_format {
    ($($module:ident $format:ident $rems:literal;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn arithmetic_agrees_with_the_oracle() {
                check_arithmetic::<$format>();
            }
            #[test]
            fn remainders_agree_with_the_oracle() {
                check_rem::<$format>($rems);
            }
            #[test]
            fn square_roots_agree_with_those_on_paper() {
                check_sqrt::<$format>();
            }
            #[test]
            fn comparisons_agree_with_the_oracle() {
                check_comparison::<$format>();
            }
            #[test]
            fn roundings_to_integers_agree_with_the_oracle() {
                check_integral::<$format>();
            }
            #[test]
            fn choices_agree_with_the_oracle() {
                check_choices::<$format>();
            }
            #[test]
            fn conversions_to_and_from_integers_agree_with_the_oracle() {
                check_integers::<$format>();
            }
        }
    )*};
}

// The oracle subtracts as often as the quotient is long: with F128's exponents, for a second.
every_format! {
    f16 F16 50_000;
    bf16 Bf16 50_000;
    f32 F32 50_000;
    f64 F64 10_000;
    f128 F128 100;
}

/// Extension and truncation between two formats.
fn check_conversion<Narrow: Checked, Wide: Checked>()
where
    Narrow::Oracle: FloatConvert<Wide::Oracle>,
    Wide::Oracle: FloatConvert<Narrow::Oracle>,
{
    let mut random = Random(8);
    for _ in 0..rounds(60_000) {
        let bits = shaped::<Narrow>(&mut random);
        let mut loses = false;
        let want = Narrow::Oracle::from_bits(bits).convert(&mut loses);
        let wide = extend::<Narrow, Wide>(Narrow::of(bits));
        wide.expect(want, "extend", &[bits]);
        // Beside a number of the narrow format, or beside the middle of two.
        let step = match random.next() % 4 {
            0 => 0,
            1 => u128::from(random.next() % 3).wrapping_sub(1),
            2 => 1 << (Wide::FRACTION - Narrow::FRACTION - 1),
            _ => shaped::<Wide>(&mut random),
        };
        let bits = (wide.bits() ^ step) & (u128::MAX >> (127 - Wide::SIGN));
        let want = Wide::Oracle::from_bits(bits).convert(&mut loses);
        truncate::<Wide, Narrow>(Wide::of(bits)).expect(want, "truncate", &[bits]);
    }
}

#[test]
fn conversions_between_formats_agree_with_the_oracle() {
    check_conversion::<F16, F32>();
    check_conversion::<F16, F64>();
    check_conversion::<F16, F128>();
    check_conversion::<Bf16, F32>();
    check_conversion::<Bf16, F64>();
    check_conversion::<Bf16, F128>();
    check_conversion::<F32, F64>();
    check_conversion::<F32, F128>();
    check_conversion::<F64, F128>();
}

/// The remainder with its last digits at the same place in the word as the divisor's first.
#[test]
fn quotients_whose_digits_are_all_ones_come_out() {
    let mut random = Random(9);
    for _ in 0..rounds(200_000) {
        let d = F128::of(shaped::<F128>(&mut random)).word() | 1 << 127;
        let n = d - 1 - u128::from(random.next()) % 3;
        let low = u128::from(random.next()) << 64 | u128::from(random.next());
        let (q, r) = crate::word::divided_u128(n, low, d);
        let (high, product) = q.wide_mul(d);
        let (sum, carry) = product.overflowing_add(r);
        assert!(r < d, "{n:#x} {low:#x} {d:#x}");
        assert_eq!((high + u128::from(carry), sum), (n, low), "{n:#x} {low:#x} {d:#x}");
    }
}

#[test]
fn complex_products_and_quotients_keep_infinities() {
    use complex::{Complex, div, mul};
    let at = |re: f64, im: f64| Complex {
        re: F64::from_bits(re.to_bits()),
        im: F64::from_bits(im.to_bits()),
    };
    let floats = |z: Complex<F64>| (f64::from_bits(z.re.to_bits()), f64::from_bits(z.im.to_bits()));
    let (far, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!(floats(mul(at(1.0, 2.0), at(3.0, 4.0))), (-5.0, 10.0));
    assert_eq!(floats(div(at(-5.0, 10.0), at(3.0, 4.0))), (1.0, 2.0));
    assert_eq!(floats(div(at(1e307, 1e307), at(2e307, 2e307))), (0.5, 0.0));
    assert_eq!(floats(mul(at(far, nan), at(1.0, 0.0))).0, far);
    assert!(floats(mul(at(far, far), at(1.0, 1.0))).1.is_infinite());
    assert_eq!(floats(div(at(1.0, 1.0), at(far, far))), (0.0, 0.0));
    assert!(floats(div(at(1.0, 1.0), at(0.0, 0.0))).0.is_infinite());
    assert!(floats(div(at(far, 1.0), at(1.0, 1.0))).0.is_infinite());
    let quad = |n: i32| from_signed::<i32, F128>(n);
    let z = mul(Complex { re: quad(1), im: quad(2) }, Complex { re: quad(3), im: quad(4) });
    assert_eq!((to_signed::<_, i32>(z.re), to_signed::<_, i32>(z.im)), (-5, 10));
    let z = div(z, Complex { re: quad(3), im: quad(4) });
    assert_eq!((to_signed::<_, i32>(z.re), to_signed::<_, i32>(z.im)), (1, 2));
}

#[test]
fn powers_agree_with_those_of_std() {
    let mut random = Random(10);
    for _ in 0..rounds(20_000) {
        let (x, n) = (f64::from_bits(shaped::<F64>(&mut random) as u64), random.next() as i32 % 40);
        let got = f64::from_bits(powi(F64::from_bits(x.to_bits()), n).to_bits());
        let want = x.powi(n);
        assert!(got == want || got.is_nan() && want.is_nan(), "{x:e} {n}: {got:e}, not {want:e}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    proptest! {
        #![proptest_config(Config { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::with_cases(2_000) })]

        #[test]
        fn sums_and_products_do_not_depend_on_the_order(a: u128, b: u128) {
            let (x, y) = (F128::from_bits(a), F128::from_bits(b));
            if !unordered(x, y) {
                prop_assert_eq!(add(x, y).to_bits(), add(y, x).to_bits());
                prop_assert_eq!(mul(x, y).to_bits(), mul(y, x).to_bits());
            }
        }

        #[test]
        fn what_was_extended_truncates_back(a: u64) {
            let x = F64::from_bits(a);
            let quiet = if unordered(x, x) { a | 1 << 51 } else { a };
            prop_assert_eq!(truncate::<F128, F64>(extend(x)).to_bits(), quiet);
        }

        #[test]
        fn a_remainder_is_smaller_and_has_the_dividends_sign(a: u128, b: u128) {
            let (x, y) = (F128::from_bits(a), F128::from_bits(b));
            let r = rem(x, y);
            if !unordered(r, r) {
                prop_assert!(order(abs(r), abs(y), 0) < 0);
                prop_assert_eq!(r.to_bits() >> 127, a >> 127);
            }
        }
    }
}

/// F16C, for both directions. `None` on a machine without it.
#[cfg(target_arch = "x86_64")]
mod half;

/// What the bits of a binary16 say, by the definition.
fn half_value(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[test]
fn every_binary16_extends_to_its_value_and_truncates_back() {
    for bits in 0..=u16::MAX {
        let got: F32 = extend(F16::from_bits(bits));
        let (value, want) = (f32::from_bits(got.to_bits()), half_value(bits));
        assert!(value == want || value.is_nan() && want.is_nan(), "{bits:#x}: {value}");
        assert_eq!(value.is_sign_negative(), bits >> 15 == 1, "{bits:#x}");
        let quiet = if want.is_nan() { bits | 0x200 } else { bits };
        assert_eq!(truncate::<F32, F16>(got).to_bits(), quiet, "{bits:#x}");
        if let Some(wide) = half::extend(bits) {
            assert_eq!(got.to_bits(), wide, "{bits:#x}");
        }
    }
}

#[test]
fn truncation_to_binary16_agrees_with_the_machine() {
    // Every number whose last bits are all alike but for one, which has every tie and its neighbours.
    let check = |bits: u32| {
        let got = truncate::<F32, F16>(F32::from_bits(bits)).to_bits();
        if let Some(narrow) = half::truncate(bits) {
            assert_eq!(got, narrow, "{bits:#x}");
        }
    };
    for upper in 0..=u32::MAX >> 12 {
        for low in [0, 1, 0x7ff, 0x800, 0x801, 0xfff] {
            check(upper << 12 | low);
        }
    }
    let mut random = Random(1);
    for _ in 0..rounds(1_000_000) {
        check(random.next() as u32);
    }
}
