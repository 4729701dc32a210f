//! Every pair of a grid of edges, and cases that are hard by construction, against the oracle.

use super::*;

/// Numbers at which something changes, with both signs: 240 of them or fewer.
pub fn edges<F: Checked>() -> Vec<u128> {
    let (unit, bias, special) = (1_u128 << F::FRACTION, F::BIAS, F::SPECIAL);
    let precision = F::FRACTION as i32 + 1;
    let exponents = [
        0,
        1,
        2,
        precision,
        bias / 2,
        bias - precision,
        bias - 1,
        bias,
        bias + 1,
        bias + precision,
        bias + bias / 2,
        special - precision,
        special - 2,
        special - 1,
        special,
    ];
    let fractions = [0, 1, 2, unit / 2 - 1, unit / 2, unit / 2 + 1, unit - 2, unit - 1];
    let mut edges = Vec::new();
    for exponent in exponents {
        for fraction in fractions {
            let bits = u128::from(exponent as u32) << F::FRACTION | fraction;
            edges.extend([bits, bits | 1 << F::SIGN]);
        }
    }
    edges
}

fn check_two<F: Checked>(a: u128, b: u128) {
    let (p, q) = (F::of(a), F::of(b));
    let (x, y) = (F::Oracle::from_bits(a), F::Oracle::from_bits(b));
    let near = Round::NearestTiesToEven;
    add(p, q).expect(x.add_r(y, near), "add", &[a, b]);
    sub(p, q).expect(x.sub_r(y, near), "sub", &[a, b]);
    mul(p, q).expect(x.mul_r(y, near), "mul", &[a, b]);
    div(p, q).expect(x.div_r(y, near), "div", &[a, b]);
    assert_eq!(compare(p, q), x.partial_cmp(&y), "compare {a:#x} {b:#x}");
}

fn check_three<F: Checked>(a: u128, b: u128, c: u128) {
    let [x, y, z] = [a, b, c].map(F::Oracle::from_bits);
    let want = x.mul_add_r(y, z, Round::NearestTiesToEven);
    fma(F::of(a), F::of(b), F::of(c)).expect(want, "fma", &[a, b, c]);
}

fn check_grid<F: Checked>() {
    let edges = edges::<F>();
    for &a in &edges {
        for (at, &b) in edges.iter().enumerate() {
            check_two::<F>(a, b);
            check_three::<F>(a, b, edges[(at * 7 + a as usize % 13) % edges.len()]);
        }
    }
}

/// The bits of `significand` · 2^`exponent`, if that is a normal number.
fn number<F: Checked>(significand: u128, exponent: i32) -> Option<u128> {
    let length = 128 - significand.leading_zeros();
    let biased = exponent + length as i32 - 1 + F::BIAS;
    if significand == 0 || length > F::FRACTION + 1 || !(1..F::SPECIAL).contains(&biased) {
        return None;
    }
    let fraction = significand << (F::FRACTION + 1 - length) & ((1 << F::FRACTION) - 1);
    Some(u128::from(biased as u32) << F::FRACTION | fraction)
}

/// An odd number of exactly so many bits.
fn odd(random: &mut Random, bits: u32) -> u128 {
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    any >> (128 - bits) | 1 | 1 << (bits - 1)
}

/// How often each kind of case came up, so that none is missing unnoticed.
#[derive(Debug, Default)]
struct Seen {
    ties: u32,
    fused_ties: u32,
    subnormal_ties: u32,
    half_units: u32,
    cancellations: u32,
    exact_quotients: u32,
}

fn check_hard_cases<F: Checked>() {
    let mut random = Random(20);
    let mut seen = Seen::default();
    let fraction = F::FRACTION as i32;
    for _ in 0..rounds(4_000) {
        let sign = u128::from(random.next() % 2) << F::SIGN;
        // Two odd numbers whose product has one bit more than fits, and that bit is a one.
        let first = 1 + random.next() as u32 % F::FRACTION;
        let (x, y) = (odd(&mut random, first), odd(&mut random, F::FRACTION + 2 - first));
        let tie = 128 - (x * y).leading_zeros() == F::FRACTION + 2;
        let exponent = (random.next() % 8) as i32 - 4 - fraction / 2;
        if let (Some(a), Some(b)) = (number::<F>(x, exponent), number::<F>(y, exponent)) {
            check_two::<F>(a ^ sign, b);
            seen.ties += u32::from(tie);
            // Far below the tie, on either side of it: rounding twice would not see it.
            let unit = 2 * exponent;
            for below in [1, 2, 3, fraction, fraction + 1, 2 * fraction] {
                if let Some(c) = number::<F>(1, unit - below) {
                    check_three::<F>(a, b, c);
                    check_three::<F>(a, b, c | 1 << F::SIGN);
                    seen.fused_ties += u32::from(tie);
                }
            }
        }
        // The same with the product where the format's precision ends early, bit by bit.
        let least = 1 - F::BIAS - fraction;
        let lost = (random.next() % u64::from(F::FRACTION + 4)) as i32 - 1;
        let other = least - lost - exponent;
        if let (Some(a), Some(b)) = (number::<F>(x, exponent), number::<F>(y, other)) {
            check_two::<F>(a, b ^ sign);
            check_three::<F>(a, b, sign);
            check_three::<F>(a, b, 1 | sign);
            seen.subnormal_ties += 1;
        }
        // Half a unit in the last place, and its neighbours.
        let a = odd(&mut random, F::FRACTION + 1) - u128::from(random.next() % 2);
        for (small, below) in [
            (1, 1),
            (3, 2),
            (1, 2),
            ((1 << F::FRACTION) + 1, fraction + 1),
            ((2 << F::FRACTION) - 1, fraction + 2),
        ] {
            if let (Some(a), Some(b)) =
                (number::<F>(a, -fraction), number::<F>(small, -fraction - below))
            {
                check_two::<F>(a, b ^ sign);
                seen.half_units += 1;
            }
        }
        // Neighbours, in the same binade and across its end, that leave a few bits or none.
        if let Some(a) = number::<F>(a, -fraction) {
            for apart in [0, 1, 2, 3, random.next() % 64] {
                let b = (a + u128::from(apart)) | 1 << F::SIGN;
                check_two::<F>(a, b);
                check_two::<F>(a + (1 << F::FRACTION), b);
                seen.cancellations += 1;
            }
        }
        // A quotient without a remainder, and with the least there can be.
        let first = 1 + random.next() as u32 % F::FRACTION;
        let (q, d) = (odd(&mut random, first), odd(&mut random, F::FRACTION + 1 - first));
        for n in [q * d, q * d + 1, q * d - 1] {
            if let (Some(n), Some(d)) = (number::<F>(n, -fraction), number::<F>(d, 1 - fraction)) {
                check_two::<F>(n, d ^ sign);
                seen.exact_quotients += 1;
            }
        }
    }
    let Seen { ties, fused_ties, subnormal_ties, half_units, cancellations, exact_quotients } =
        seen;
    let counts = [ties, fused_ties, subnormal_ties, half_units, cancellations, exact_quotients];
    assert!(counts.iter().all(|&count| count > 500), "{seen:?}");
}

macro_rules! every_format {
    ($($module:ident $format:ident)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn pairs_of_edges_agree_with_the_oracle() {
                check_grid::<$format>();
            }
            #[test]
            fn hard_cases_agree_with_the_oracle() {
                check_hard_cases::<$format>();
            }
        }
    )*};
}

every_format! { f16 F16 bf16 Bf16 f32 F32 f64 F64 f128 F128 }
