//! The error of every function that is not exact, against MPFR: `ACCURACY.md`.
//!
//! `cargo test` tries some thousand arguments of each and holds the errors against the bounds in
//! `reference/functions.rs`.
//! `ACCURACY.md` comes from 100,000 arguments of each, in some minutes:
//!
//! `FREESTONE_BLESS=1 cargo test --release -p freestone-math --test accuracy -- --ignored`

mod reference;

use freestone_math::export;
use reference::functions::{CORRECTLY_ROUNDED, Case, Ours, Span, cases};
use reference::{Function, Mpfr};
use std::fmt::Write;

/// xorshift, Marsaglia 2003.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn coin(&mut self) -> bool {
        self.next() >> 63 == 0
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick(&mut self, Span(low, high): Span, zeros: &[f64]) -> f64 {
        if low.is_nan() {
            let zero = zeros[self.next() as usize % zeros.len()];
            let steps = (2_f64).powf(self.unit() * 46.0) as i64;
            let steps = if self.coin() { steps } else { -steps };
            return f64::from_bits(zero.to_bits().wrapping_add_signed(steps));
        }
        if self.coin() {
            let at = self.unit();
            return low * (1.0 - at) + high * at;
        }
        loop {
            let from = if low > 0.0 { low } else { 1e-310 }.log2();
            let from = if self.coin() { from } else { from.max(-30.0) };
            let to = high.max(-low).log2();
            let size = (from + (to - from) * self.unit()).exp2();
            let x = if self.coin() { size } else { -size };
            if x >= low && x <= high {
                return x;
            }
        }
    }
}

/// Where lgamma is 0, as well as an `f64` can say: on both slopes between two poles, and at 1 and 2.
fn zeros(poles: i32) -> Vec<f64> {
    let mut zeros = vec![1.0, 2.0];
    for n in 2..poles {
        let n = -f64::from(n);
        for pole in [n, n - 1.0] {
            let (mut near, mut far) = (pole, n - 0.5);
            while (near + far) / 2.0 != near && (near + far) / 2.0 != far {
                let middle = (near + far) / 2.0;
                if export::tgamma(middle).abs() > 1.0 {
                    near = middle;
                } else {
                    far = middle;
                }
            }
            zeros.push(far);
        }
    }
    zeros
}

/// The worst error in ulp, and its arguments.
fn worst(mpfr: &mut Mpfr, case: &Case, tries: usize) -> (f64, f64, f64) {
    let function = match (&case.ours, case.mpfr) {
        (_, "lgamma") => mpfr.log_gamma(),
        (Ours::One(_) | Ours::OneSingle(_), name) => mpfr.one(name),
        (Ours::Two(_) | Ours::TwoSingle(_), name) => mpfr.two(name),
    };
    let function: Function = function;
    let zeros = if case.x.0.is_nan() { zeros(19) } else { Vec::new() };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut worst = (0.0, 0.0, 0.0);
    for _ in 0..tries {
        let (mut x, mut y) = (random.pick(case.x, &zeros), 0.0);
        if case.y.1 != 0.0 {
            y = random.pick(case.y, &zeros);
        }
        if matches!(case.ours, Ours::OneSingle(_) | Ours::TwoSingle(_)) {
            (x, y) = (f64::from(x as f32), f64::from(y as f32));
        }
        let (got, single) = match case.ours {
            Ours::One(function) => (function(x), false),
            Ours::Two(function) => (function(x, y), false),
            Ours::OneSingle(function) => (function(x as f32).into(), true),
            Ours::TwoSingle(function) => (function(x as f32, y as f32).into(), true),
        };
        let (want, distance) = mpfr.distance(function, (x, y), got, single);
        let largest = if single { f64::from(f32::MAX) } else { f64::MAX };
        let error = if want.is_nan() || got.is_nan() {
            if want.is_nan() == got.is_nan() { 0.0 } else { f64::INFINITY }
        } else if want.abs() > largest || got.is_infinite() {
            // Beside the largest number, infinity is right from half a unit on.
            let both = want.abs() >= largest && got.is_infinite() && (want > 0.0) == (got > 0.0);
            if both { 0.0 } else { f64::INFINITY }
        } else {
            distance
        };
        if error > worst.0 {
            worst = (error, x, y);
        }
    }
    worst
}

#[test]
fn errors_stay_within_their_bounds() {
    let Some(mut mpfr) = Mpfr::new(160) else {
        println!("not run: there is no libmpfr.so.6");
        return;
    };
    let mut wrong = Vec::new();
    for case in cases() {
        let (error, x, y) = worst(&mut mpfr, &case, 2000);
        if error.is_nan() || error > case.bound {
            wrong.push(format!("{}({x:e}, {y:e}): {error} ulp", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Steps away from every zero of lgamma down to -40: each of the nearest, then ever larger ones; and the whole
/// way between the poles.
#[test]
fn lgamma_has_its_digits_around_every_zero() {
    let Some(mut mpfr) = Mpfr::new(160) else {
        println!("not run: there is no libmpfr.so.6");
        return;
    };
    let function = mpfr.log_gamma();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut arguments = Vec::new();
    for zero in zeros(40) {
        for steps in 0..40 {
            arguments.push(zero.to_bits() + steps);
            arguments.push(zero.to_bits() - steps);
        }
        for _ in 0..400 {
            let steps = 2_f64.powf(5.0 + random.unit() * 46.0) as u64;
            arguments.push(zero.to_bits() + steps);
            arguments.push(zero.to_bits() - steps);
        }
    }
    for at in 0..40_000 {
        arguments.push((-(f64::from(at) + random.unit()) / 1000.0).to_bits());
        arguments.push((-2.0 - (f64::from(at) + random.unit()) / 40_000.0).to_bits());
    }
    let mut worst = vec![(0.0, 0.0); 41];
    let arguments = arguments.into_iter().map(f64::from_bits);
    for x in arguments.filter(|x| x.fract() != 0.0 && *x > -41.0) {
        let (_, error) = mpfr.distance(function, (x, 0.0), export::lgamma(x), false);
        let worst = &mut worst[(-x).max(0.0) as usize];
        if error > worst.0 {
            *worst = (error, x);
        }
    }
    let wrong: Vec<_> = worst.iter().filter(|(error, _)| error.is_nan() || *error > 5.0).collect();
    println!("{worst:?}");
    assert!(wrong.is_empty(), "{wrong:?} of {worst:?}");
}

/// What stands before the table.
fn head() -> String {
    let functions = CORRECTLY_ROUNDED.join(" ");
    format!(
        "\
# Accuracy

The worst errors found, in units of the last place, against MPFR: 0.5 is a correctly rounded result. Written by

`FREESTONE_BLESS=1 cargo test --release -p freestone-math --test accuracy -- --ignored`

Results have the same bits on every machine and in soft float, so these are the errors everywhere.

## Correctly rounded, every argument

`{functions}`: all 2^32 arguments of each were compared, by `tests/correctly_rounded.rs`.

By definition: `sqrt`, `fma`, the roundings, the remainders, and what only moves bits, for `double` and `float`.

## Sampled

100,000 arguments for each line, half of them uniform over the range and half of any magnitude in it; *zeros* are
arguments beside the zeros of lgamma, around each of which, down to -40, a test of its own tries a thousand more. Not
measured: the Bessel functions, which lose digits beside their zeros.

| function | range | worst error (ulp) | at |
|---|---|---|---|
"
    )
}

#[test]
#[ignore = "100,000 arguments of every function"]
fn accuracy_md_is_what_is_measured() {
    let mut mpfr = Mpfr::new(160).expect("libmpfr.so.6");
    let mut text = head();
    for case in cases() {
        let (error, x, y) = worst(&mut mpfr, &case, 100_000);
        let range = |Span(low, high)| {
            if low == -f64::MAX {
                "all".to_owned()
            } else if low == 5e-324 {
                "above 0".to_owned()
            } else if f64::is_nan(low) {
                "zeros".to_owned()
            } else if high == f64::MAX {
                format!("from {low}")
            } else if high > 1e10 {
                "all".to_owned()
            } else {
                format!("{low} to {high}")
            }
        };
        let (range, at) = if case.y.1 == 0.0 {
            (range(case.x), format!("{x:?}"))
        } else {
            (format!("{}; {}", range(case.x), range(case.y)), format!("{x:?}, {y:?}"))
        };
        // Rounded up, as a bound is.
        let shown = (error * 1000.0).ceil() / 1000.0;
        writeln!(text, "| `{}` | {range} | {shown:.3} | {at} |", case.name).unwrap();
        println!("{}", text.lines().last().unwrap());
        assert!(error <= case.bound, "{} is {error}, not below {}", case.name, case.bound);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ACCURACY.md");
    if std::env::var_os("FREESTONE_BLESS").is_some_and(|value| value == "1") {
        return std::fs::write(path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}
