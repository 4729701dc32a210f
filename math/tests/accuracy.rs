//! The error of every function that is not exact, against MPFR: `ACCURACY.md`.
//!
//! `cargo test` tries some thousand arguments of each and holds the errors against the bounds in the table below.
//! `ACCURACY.md` comes from 100,000 arguments of each, in some minutes:
//!
//! `FREESTONE_BLESS=1 cargo test --release -p freestone-math --test accuracy -- --ignored`

mod reference;

use freestone_math::export;
use reference::{Function, Mpfr};
use std::fmt::Write;

/// Arguments are half uniform over the interval, half of any magnitude in it; of both signs if it begins below 0.
#[derive(Clone, Copy)]
struct Span(f64, f64);

enum Ours {
    One(extern "C" fn(f64) -> f64),
    Two(extern "C" fn(f64, f64) -> f64),
    OneSingle(extern "C" fn(f32) -> f32),
    TwoSingle(extern "C" fn(f32, f32) -> f32),
}

struct Case {
    name: &'static str,
    mpfr: &'static str,
    ours: Ours,
    x: Span,
    y: Span,
    /// No error may be larger, in ulp.
    bound: f64,
}

macro_rules! cases {
    ($($kind:ident $name:ident $mpfr:literal $x:expr, $y:expr, $bound:literal;)*) => {
        fn cases() -> Vec<Case> {
            vec![$(Case {
                name: stringify!($name),
                mpfr: $mpfr,
                ours: Ours::$kind(export::$name),
                x: $x,
                y: $y,
                bound: $bound,
            }),*]
        }
    };
}

const NONE: Span = Span(0.0, 0.0);
const ALL: Span = Span(-f64::MAX, f64::MAX);
const POSITIVE: Span = Span(5e-324, f64::MAX);
const ALL_SINGLE: Span = Span(-f32::MAX as f64, f32::MAX as f64);
const UNIT: Span = Span(-1.0, 1.0);

cases! {
    One exp "exp" Span(-745.2, 709.8), NONE, 0.52;
    One exp2 "exp2" Span(-1075.0, 1024.0), NONE, 0.52;
    One exp10 "exp10" Span(-323.4, 308.3), NONE, 0.52;
    One expm1 "expm1" Span(-40.0, 709.8), NONE, 0.6;
    One expm1 "expm1" Span(-0.5, 0.5), NONE, 0.6;
    One log "log" POSITIVE, NONE, 0.52;
    One log "log" Span(0.5, 2.0), NONE, 0.52;
    One log2 "log2" POSITIVE, NONE, 0.53;
    One log2 "log2" Span(0.5, 2.0), NONE, 0.53;
    One log10 "log10" POSITIVE, NONE, 0.53;
    One log10 "log10" Span(0.5, 2.0), NONE, 0.53;
    One log1p "log1p" Span(-1.0, f64::MAX), NONE, 0.53;
    One log1p "log1p" UNIT, NONE, 0.53;
    Two pow "pow" Span(1e-3, 1e3), Span(-100.0, 100.0), 0.52;
    Two pow "pow" POSITIVE, UNIT, 0.52;
    Two pow "pow" Span(0.999, 1.001), Span(-1e6, 1e6), 0.52;
    TwoSingle powf "pow" Span(1e-3, 1e3), Span(-13.0, 13.0), 0.501;
    TwoSingle powf "pow" Span(0.999, 1.001), Span(-1e5, 1e5), 0.501;
    One sin "sin" Span(-10.0, 10.0), NONE, 0.8;
    One sin "sin" ALL, NONE, 0.8;
    One cos "cos" Span(-10.0, 10.0), NONE, 0.8;
    One cos "cos" ALL, NONE, 0.8;
    One tan "tan" Span(-10.0, 10.0), NONE, 0.9;
    One tan "tan" ALL, NONE, 0.9;
    One asin "asin" UNIT, NONE, 1.0;
    One acos "acos" UNIT, NONE, 1.0;
    One atan "atan" Span(-10.0, 10.0), NONE, 1.0;
    One atan "atan" ALL, NONE, 1.0;
    Two atan2 "atan2" Span(-2.0, 2.0), Span(-2.0, 2.0), 0.6;
    Two atan2 "atan2" ALL, ALL, 0.6;
    TwoSingle atan2f "atan2" Span(-2.0, 2.0), Span(-2.0, 2.0), 0.501;
    TwoSingle atan2f "atan2" ALL_SINGLE, ALL_SINGLE, 0.501;
    One sinh "sinh" Span(-2.0, 2.0), NONE, 1.0;
    One sinh "sinh" Span(-711.0, 711.0), NONE, 1.0;
    One cosh "cosh" Span(-2.0, 2.0), NONE, 1.0;
    One cosh "cosh" Span(-711.0, 711.0), NONE, 1.0;
    One tanh "tanh" Span(-2.0, 2.0), NONE, 1.0;
    One tanh "tanh" Span(-25.0, 25.0), NONE, 1.0;
    One asinh "asinh" Span(-2.0, 2.0), NONE, 0.53;
    One asinh "asinh" ALL, NONE, 0.53;
    One acosh "acosh" Span(1.0, 2.0), NONE, 0.53;
    One acosh "acosh" Span(1.0, f64::MAX), NONE, 0.53;
    One atanh "atanh" UNIT, NONE, 0.53;
    One cbrt "cbrt" ALL, NONE, 0.5;
    Two hypot "hypot" Span(-2.0, 2.0), Span(-2.0, 2.0), 1.0;
    TwoSingle hypotf "hypot" Span(-2.0, 2.0), Span(-2.0, 2.0), 0.501;
    One erf "erf" Span(-6.0, 6.0), NONE, 1.0;
    OneSingle erff "erf" Span(-4.0, 4.0), NONE, 0.501;
    One erfc "erfc" Span(-6.0, 27.2), NONE, 2.0;
    One erfc "erfc" Span(0.5, 1.5), NONE, 2.0;
    OneSingle erfcf "erfc" Span(-4.0, 10.0), NONE, 0.501;
    One tgamma "gamma" Span(-185.0, 171.6), NONE, 5.0;
    One tgamma "gamma" Span(-5.0, 5.0), NONE, 5.0;
    OneSingle tgammaf "gamma" Span(-43.0, 35.0), NONE, 0.51;
    One lgamma "lgamma" Span(-3.0, -2.0), NONE, 5.0;
    One lgamma "lgamma" Span(-20.0, 20.0), NONE, 5.0;
    One lgamma "lgamma" Span(-200.0, 200.0), NONE, 5.0;
    One lgamma "lgamma" POSITIVE, NONE, 5.0;
    One lgamma "lgamma" BESIDE_ZEROS, NONE, 5.0;
    OneSingle lgammaf "lgamma" Span(-20.0, 20.0), NONE, 0.51;
    OneSingle lgammaf "lgamma" Span(-1000.0, 1e6), NONE, 0.51;
    OneSingle lgammaf "lgamma" BESIDE_ZEROS, NONE, 0.51;
}

/// Not an interval: arguments as close to a zero of lgamma as can be, or somewhat further.
const BESIDE_ZEROS: Span = Span(f64::NAN, f64::NAN);

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

/// What the table's first lines say.
const HEAD: &str = "\
# Accuracy

The worst errors found, in units of the last place, against MPFR: 0.5 is a correctly rounded result. Written by

`FREESTONE_BLESS=1 cargo test --release -p freestone-math --test accuracy -- --ignored`

Results have the same bits on every machine and in soft float, so these are the errors everywhere.

## Correctly rounded, every argument

`expf exp2f exp10f expm1f logf log2f log10f log1pf sinf cosf tanf asinf acosf atanf sinhf coshf tanhf asinhf acoshf
atanhf cbrtf`: all 2^32 arguments of each were compared, by `tests/correctly_rounded.rs`.

By definition: `sqrt`, `fma`, the roundings, the remainders, and what only moves bits, for `double` and `float`.

## Sampled

100,000 arguments for each line, half of them uniform over the range and half of any magnitude in it; *zeros* are
arguments beside the zeros of lgamma, around each of which, down to -40, a test of its own tries a thousand more. Not
measured: the Bessel functions, which lose digits beside their zeros.

| function | range | worst error (ulp) | at |
|---|---|---|---|
";

#[test]
#[ignore = "100,000 arguments of every function"]
fn accuracy_md_is_what_is_measured() {
    let mut mpfr = Mpfr::new(160).expect("libmpfr.so.6");
    let mut text = HEAD.to_owned();
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
