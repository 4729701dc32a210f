//! Special cases, one by one: ISO C11 annex F.10.

use super::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Equal in every bit, or both NaN.
fn same(got: f64, want: f64) -> bool {
    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
}

/// One list per function: arguments and results, for `f64` and for `f32`.
macro_rules! special {
    ($($test:ident: $double:path, $single:path; $($x:expr => $want:expr),+;)*) => {
        $(#[test]
        fn $test() {
            for (x, want) in [$(($x, $want)),+] {
                let (x, want): (f64, f64) = (x, want);
                assert!(same($double(x), want), "{x:?}: {:?}, want {want:?}", $double(x));
                let got = f64::from($single(x as f32));
                assert!(same(got, want), "{x:?} as f32: {got:?}, want {want:?}");
            }
        })*
    };
}

special! {
    acos_f_10_1_1: acos, acosf; 1.0 => 0.0, 1.5 => NAN, -2.0 => NAN, INF => NAN, NAN => NAN;
    asin_f_10_1_2: asin, asinf; 0.0 => 0.0, -0.0 => -0.0, 1.5 => NAN, -INF => NAN, NAN => NAN;
    atan_f_10_1_3: atan, atanf; 0.0 => 0.0, -0.0 => -0.0, NAN => NAN;
    cos_f_10_1_5: cos, cosf; 0.0 => 1.0, -0.0 => 1.0, INF => NAN, -INF => NAN, NAN => NAN;
    sin_f_10_1_6: sin, sinf; 0.0 => 0.0, -0.0 => -0.0, INF => NAN, -INF => NAN, NAN => NAN;
    tan_f_10_1_7: tan, tanf; 0.0 => 0.0, -0.0 => -0.0, INF => NAN, -INF => NAN, NAN => NAN;
    acosh_f_10_2_1: acosh, acoshf; 1.0 => 0.0, 0.5 => NAN, -3.0 => NAN, INF => INF, -INF => NAN,
        NAN => NAN;
    asinh_f_10_2_2: asinh, asinhf; 0.0 => 0.0, -0.0 => -0.0, INF => INF, -INF => -INF, NAN => NAN;
    atanh_f_10_2_3: atanh, atanhf; 0.0 => 0.0, -0.0 => -0.0, 1.0 => INF, -1.0 => -INF,
        1.5 => NAN, -INF => NAN, NAN => NAN;
    cosh_f_10_2_4: cosh, coshf; 0.0 => 1.0, -0.0 => 1.0, INF => INF, -INF => INF, NAN => NAN;
    sinh_f_10_2_5: sinh, sinhf; 0.0 => 0.0, -0.0 => -0.0, INF => INF, -INF => -INF, NAN => NAN;
    tanh_f_10_2_6: tanh, tanhf; 0.0 => 0.0, -0.0 => -0.0, INF => 1.0, -INF => -1.0, NAN => NAN;
    exp_f_10_3_1: exp, expf; 0.0 => 1.0, -0.0 => 1.0, -INF => 0.0, INF => INF, NAN => NAN,
        1e4 => INF, -1e4 => 0.0;
    exp2_f_10_3_2: exp2, exp2f; 0.0 => 1.0, -0.0 => 1.0, -INF => 0.0, INF => INF, NAN => NAN,
        10.0 => 1024.0, -3.0 => 0.125, 1e4 => INF, -1e4 => 0.0;
    exp10_as_exp: exp10, exp10f; 0.0 => 1.0, -0.0 => 1.0, -INF => 0.0, INF => INF, NAN => NAN,
        2.0 => 100.0, 10.0 => 1e10, 1e4 => INF, -1e4 => 0.0;
    expm1_f_10_3_3: expm1, expm1f; 0.0 => 0.0, -0.0 => -0.0, -INF => -1.0, INF => INF, NAN => NAN;
    log_f_10_3_7: log, logf; 0.0 => -INF, -0.0 => -INF, 1.0 => 0.0, -1.0 => NAN, -INF => NAN,
        INF => INF, NAN => NAN;
    log10_f_10_3_8: log10, log10f; 0.0 => -INF, -0.0 => -INF, 1.0 => 0.0, -1.0 => NAN, INF => INF,
        NAN => NAN, 1000.0 => 3.0, 1e10 => 10.0;
    log1p_f_10_3_9: log1p, log1pf; 0.0 => 0.0, -0.0 => -0.0, -1.0 => -INF, -2.0 => NAN,
        -INF => NAN, INF => INF, NAN => NAN;
    log2_f_10_3_10: log2, log2f; 0.0 => -INF, -0.0 => -INF, 1.0 => 0.0, -1.0 => NAN, INF => INF,
        NAN => NAN, 0.125 => -3.0, 1024.0 => 10.0;
    erf_f_10_5_1: erf, erff; 0.0 => 0.0, -0.0 => -0.0, INF => 1.0, -INF => -1.0, NAN => NAN;
    erfc_f_10_5_2: erfc, erfcf; 0.0 => 1.0, -INF => 2.0, INF => 0.0, 30.0 => 0.0, -9.0 => 2.0, NAN => NAN;
    lgamma_f_10_5_3: lgamma, lgammaf; 1.0 => 0.0, 2.0 => 0.0, 0.0 => INF, -0.0 => INF, -3.0 => INF,
        -INF => INF, INF => INF, NAN => NAN;
    tgamma_f_10_5_4: tgamma, tgammaf; 0.0 => INF, -0.0 => -INF, -3.0 => NAN, -INF => NAN,
        INF => INF, NAN => NAN, 1.0 => 1.0, 5.0 => 24.0, 200.0 => INF;
}

#[test]
fn pow_f_10_4_4() {
    let odd = [1.0, 3.0, 5.0, 1_048_577.0];
    let even = [2.0, 4.0, 1e30, f64::MAX];
    let fractions = [0.5, 1.5, 2.25];
    let mut list = Vec::new();
    for y in odd {
        list.extend([(0.0, -y, INF), (-0.0, -y, -INF), (0.0, y, 0.0), (-0.0, y, -0.0)]);
        list.extend([(-INF, -y, -0.0), (-INF, y, -INF), (-1.0, y, -1.0)]);
    }
    for y in even.into_iter().chain(fractions) {
        list.extend([(0.0, -y, INF), (-0.0, -y, INF), (0.0, y, 0.0), (-0.0, y, 0.0)]);
        list.extend([(-INF, -y, 0.0), (-INF, y, INF), (INF, -y, 0.0), (INF, y, INF)]);
    }
    list.extend(fractions.map(|y| (-2.0, y, NAN)));
    list.extend(even.map(|y| (-1.0, y, 1.0)));
    for zero in [0.0, -0.0] {
        list.extend([(zero, -INF, INF), (zero, INF, 0.0)]);
        list.extend([0.0, 1.0, -2.0, INF, -INF, NAN].map(|x| (x, zero, 1.0)));
    }
    list.extend([0.0, 2.0, -5.0, INF, -INF, NAN].map(|y| (1.0, y, 1.0)));
    list.extend([(-1.0, INF, 1.0), (-1.0, -INF, 1.0)]);
    list.extend([(0.5, -INF, INF), (-0.5, -INF, INF), (2.0, -INF, 0.0), (-2.0, -INF, 0.0)]);
    list.extend([(0.5, INF, 0.0), (-0.5, INF, 0.0), (2.0, INF, INF), (-2.0, INF, INF)]);
    list.extend([(NAN, 2.0, NAN), (2.0, NAN, NAN), (0.0, NAN, NAN)]);
    list.extend([(2.0, 10.0, 1024.0), (-2.0, 3.0, -8.0), (10.0, -2.0, 0.01), (9.0, 0.5, 3.0)]);
    for (x, y, want) in list {
        assert!(same(pow(x, y), want), "{x:?}, {y:?}: {:?}, want {want:?}", pow(x, y));
        let (got, want) = (powf(x as f32, y as f32), want as f32);
        // The largest f64 is infinite as an f32, and then another case.
        if y.abs() < 1e38 || y.is_infinite() || y.is_nan() {
            assert!(same(got.into(), want.into()), "{x:?}, {y:?}: {got:?}, want {want:?}");
        }
    }
    assert_eq!(pow(f64::from_bits(1), 0.5), 2_f64.powi(-537));
    assert_eq!(pow(2.0, -1074.0), f64::from_bits(1));
    assert_eq!(pow(-f64::MAX, 3.0), -INF);
}

#[test]
fn atan2_f_10_1_4() {
    let pi = core::f64::consts::PI;
    let mut list =
        vec![(0.0, -0.0, pi), (0.0, 0.0, 0.0), (1.0, 0.0, pi / 2.0), (1.0, -0.0, pi / 2.0)];
    list.extend([(0.0, -1.0, pi), (0.0, 1.0, 0.0), (1.0, -INF, pi), (1.0, INF, 0.0)]);
    list.extend([(INF, 1.0, pi / 2.0), (INF, -INF, 0.75 * pi), (INF, INF, pi / 4.0)]);
    list.extend([(1.0, 1.0, pi / 4.0), (NAN, 1.0, NAN), (1.0, NAN, NAN)]);
    list.extend([(5e-324, f64::MAX, 0.0), (f64::MAX, 5e-324, pi / 2.0)]);
    for (y, x, want) in list {
        for sign in [1.0, -1.0] {
            let (y, want) = (y * sign, want * sign);
            assert!(same(atan2(y, x), want), "{y:?}, {x:?}: {:?}, want {want:?}", atan2(y, x));
            let (got, want) = (atan2f(y as f32, x as f32), want as f32);
            if y.abs() < 1e38 && x.abs() < 1e38 && y.abs() != 5e-324 {
                assert!(same(got.into(), want.into()), "{y:?}, {x:?}: {got:?}, want {want:?}");
            }
        }
    }
}

#[test]
fn hypot_f_10_4_3() {
    let list =
        [(INF, NAN, INF), (NAN, -INF, INF), (INF, 1.0, INF), (NAN, 1.0, NAN), (1.0, NAN, NAN)];
    for (x, y, want) in
        list.into_iter().chain([(3.0, -4.0, 5.0), (-0.0, -7.5, 7.5), (0.0, -0.0, 0.0)])
    {
        assert!(same(hypot(x, y), want), "{x} {y}: {:?}", hypot(x, y));
        assert!(same(hypotf(x as f32, y as f32).into(), want), "{x} {y}");
    }
    assert_eq!(hypotf(f32::MAX, f32::MAX), f32::INFINITY);
    assert_eq!(hypotf(f32::MAX, 1.0), f32::MAX);
    assert_eq!(hypotf(f32::from_bits(3), f32::from_bits(4)), f32::from_bits(5));
}

#[test]
fn gamma_has_a_sign() {
    let signs = [(0.5, 1), (-0.5, -1), (-1.5, 1), (-2.5, -1), (-17.5, 1), (-30.5, -1), (-0.0, -1)];
    for (x, sign) in signs {
        assert_eq!(lgamma_r(x).1, sign, "{x}");
        assert_eq!(lgammaf_r(x as f32).1, sign, "{x}");
    }
}

#[test]
fn sine_and_cosine_come_together() {
    for x in [0.0, 0.5, -3.0, 1e6, 1e30, f32::MAX] {
        assert_eq!(sincosf(x), (sinf(x), cosf(x)));
    }
}

#[test]
fn remainders_are_those_of_a_loop_of_subtractions() {
    use proptest::prelude::*;

    // Any two numbers, and two of neighbouring magnitudes, where quotients are small and ties happen.
    let bits = any::<u64>();
    let near = (0_u64..1 << 52, 997_u64..1060, 1_u64..64, 0_u32..52).prop_map(
        |(fraction, exponent, few, at)| {
            (exponent << 52 | fraction >> at << at, 1000 << 52 | few << 46)
        },
    );
    proptest!(ProptestConfig::with_cases(20_000), |(any in (bits, bits), near in near)| {
        for (x, y) in [any, near] {
            let (a, b) = (f64::from_bits(x), f64::from_bits(y));
            prop_assert!(same(fmod(a, b), ::libm::fmod(a, b)), "{a:e} {b:e}");
            let (rest, quotient) = remquo(a, b);
            let (want, wanted) = ::libm::remquo(a, b);
            prop_assert!(same(rest, want) && (rest.is_nan() || quotient == wanted),
                "{a:e} {b:e}: {rest:e} {quotient}, want {want:e} {wanted}");
            let (a, b) = (f32::from_bits(x as u32), f32::from_bits(y as u32));
            prop_assert!(same(fmodf(a, b).into(), ::libm::fmodf(a, b).into()), "{a:e} {b:e}");
            let (rest, quotient) = remquof(a, b);
            let (want, wanted) = ::libm::remquof(a, b);
            prop_assert!(same(rest.into(), want.into()) && (rest.is_nan() || quotient == wanted),
                "{a:e} {b:e}: {rest:e} {quotient}, want {want:e} {wanted}");
        }
    });
}

#[test]
fn fmod_f_10_7_1() {
    let list =
        [(0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (3.0, INF, 3.0), (-4.0, 2.0, -0.0), (-5.5, 2.0, -1.5)];
    for (x, y, want) in list {
        for y in [y, -y] {
            assert!(same(fmod(x, y), want), "{x} {y}: {:?}", fmod(x, y));
            assert!(same(fmodf(x as f32, y as f32).into(), want));
        }
    }
    for (x, y) in [(INF, 1.0), (1.0, 0.0), (0.0, 0.0), (NAN, 1.0), (1.0, NAN), (INF, INF)] {
        let all = [fmod(x, y), remainder(x, y), remquo(x, y).0, fmodf(x as f32, y as f32).into()];
        assert!(all.iter().all(|it| it.is_nan()), "{x} {y}: {all:?}");
    }
}

#[test]
fn remainder_f_10_7_2() {
    // Ties to the even quotient; a zero has the dividend's sign.
    let list =
        [(5.0, 2.0, 1.0), (7.0, 2.0, -1.0), (-5.0, 2.0, -1.0), (-6.0, 2.0, -0.0), (1.0, INF, 1.0)];
    let list = list.into_iter().chain([
        (3.0, 4.0, -1.0),
        (2.0, 4.0, 2.0),
        (1.0, 4.0, 1.0),
        (6.0, 4.0, -2.0),
    ]);
    for (x, y, want) in list {
        for y in [y, -y] {
            assert!(same(remainder(x, y), want), "{x} {y}: {:?}", remainder(x, y));
            assert!(same(remainderf(x as f32, y as f32).into(), want), "{x} {y}");
        }
    }
}

#[test]
fn tables_fit_16_kib() {
    use tables::*;
    let sizes = [
        size_of_val(&POWERS),
        size_of_val(&LOGS),
        size_of_val(&LOGS2),
        size_of_val(&CURVES),
        size_of_val(&ATAN_CELLS),
        size_of_val(&ATANS),
        size_of_val(&TWO_OVER_PI),
        size_of_val(&GAMMA_ZEROS),
        size_of_val(&GAMMA_VALLEY),
    ];
    let text = include_str!("tables.rs");
    assert_eq!(text.matches("pub static").count(), sizes.len());
    assert!(sizes.iter().sum::<usize>() < 16 * 1024, "{sizes:?}");
}
