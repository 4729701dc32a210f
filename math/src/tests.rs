//! The methods against those of `std`, the C functions against the host's.

mod lists;

use crate::{Float, export};
use core::ffi::{c_int, c_long, c_void};
use std::ffi::CString;
use std::fmt::Debug;
use std::mem::transmute;

pub use lists::Declaration;

/// Arguments per function. Half of them are edges, so pairs of edges come up as well.
const ROUNDS: usize = 6000;

/// A generator with a fixed seed (xorshift, Marsaglia 2003), so that failures repeat.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// How often to try: `n` times, or with FREESTONE_LONG=1 fifty times as often.
pub fn rounds(n: u32) -> u32 {
    let long = std::env::var_os("FREESTONE_LONG").is_some_and(|value| value == "1");
    if long { n.saturating_mul(50) } else { n }
}

/// What a function under test takes or gives.
trait Value: Copy + Debug + PartialEq {
    /// An edge, any bits, or a number in the middle range where most functions do their work.
    fn pick(random: &mut Random) -> Self;

    /// How many representable numbers apart two results are: none between NaNs, infinitely many
    /// between numbers of different sign, both zeros included.
    fn ulps(self, other: Self) -> f64;
}

macro_rules! value {
    ($float:ident, $bits:ident) => {
        impl Value for $float {
            fn pick(random: &mut Random) -> Self {
                const ULP: $float = $float::EPSILON;
                const WHOLE: $float = 1.0 / ULP;
                const LEAST: $float = $float::MIN_POSITIVE;
                #[rustfmt::skip]
                const EDGES: [$float; 40] = [
                    0.0, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5, 10.0, 27.0, 100.5, 1e-3,
                    0.5 - ULP / 4.0, 0.5 + ULP / 2.0, 1.0 - ULP / 2.0, 1.0 + ULP,
                    WHOLE / 2.0, WHOLE / 2.0 - 0.5, WHOLE / 2.0 + 0.5, WHOLE, WHOLE - 0.5,
                    WHOLE + 1.0, WHOLE * 2.0, 1e10, 1e22,
                    std::$float::consts::PI, std::$float::consts::FRAC_PI_2,
                    ULP, LEAST, LEAST / 4.0, LEAST * 2.0, $float::from_bits(1), $float::from_bits(3),
                    $float::MAX, $float::MAX / 2.0, $float::INFINITY, $float::NAN,
                ];
                match random.next() % 8 {
                    0..4 => {
                        let edge = EDGES[random.next() as usize % EDGES.len()];
                        if random.next() % 2 == 0 { edge } else { -edge }
                    }
                    4..6 => {
                        let any = $float::from_bits(random.next() as $bits);
                        // Quiet ones only: C libraries differ about signalling NaNs.
                        if any.is_nan() { $float::NAN } else { any }
                    }
                    _ => (random.next() as i64 as f64 / 2f64.powi(59)) as $float,
                }
            }

            fn ulps(self, other: Self) -> f64 {
                if self.is_nan() || other.is_nan() {
                    return if self.is_nan() == other.is_nan() { 0.0 } else { f64::INFINITY };
                }
                let alike = self.is_infinite() == other.is_infinite()
                    && self.is_sign_negative() == other.is_sign_negative();
                let apart = self.to_bits().abs_diff(other.to_bits()) as f64;
                if alike { apart } else { f64::INFINITY }
            }
        }
    };
}

value!(f64, u64);
value!(f32, u32);

impl Value for c_int {
    fn pick(random: &mut Random) -> Self {
        // No larger ones: the Bessel functions count up to their order one by one.
        match random.next() % 2 {
            0 => random.next() as c_int % 2200,
            _ => random.next() as c_int % 20,
        }
    }

    fn ulps(self, other: Self) -> f64 {
        f64::from(self.abs_diff(other))
    }
}

impl Value for c_long {
    fn pick(random: &mut Random) -> Self {
        c_int::pick(random).into()
    }

    fn ulps(self, other: Self) -> f64 {
        // What does not fit is one number for the host's instruction, and another here.
        if other == Self::MIN { 0.0 } else { self.abs_diff(other) as f64 }
    }
}

/// `std` takes the transcendental functions from the host's C library, or from formulas of its own,
/// and those have errors too. The bounds are for both together.
mod methods {
    use super::*;

    fn one<T: Value>(most: f64, ours: fn(T) -> T, std: fn(T) -> T) {
        let mut random = Random(1);
        for _ in 0..ROUNDS {
            let x = T::pick(&mut random);
            let (got, want) = (ours(x), std(x));
            assert!(got.ulps(want) <= most, "{x:?}: {got:?}, std {want:?}");
        }
    }

    fn two<T: Value, U: Value>(most: f64, ours: fn(T, U) -> T, std: fn(T, U) -> T) {
        let mut random = Random(2);
        for _ in 0..ROUNDS {
            let (x, y) = (T::pick(&mut random), U::pick(&mut random));
            let (got, want) = (ours(x, y), std(x, y));
            assert!(got.ulps(want) <= most, "{x:?}, {y:?}: {got:?}, std {want:?}");
        }
    }

    fn three<T: Value>(most: f64, ours: fn(T, T, T) -> T, std: fn(T, T, T) -> T) {
        let mut random = Random(3);
        for _ in 0..ROUNDS {
            let [x, y, z] = [(); 3].map(|()| T::pick(&mut random));
            let (got, want) = (ours(x, y, z), std(x, y, z));
            assert!(got.ulps(want) <= most, "{x:?}, {y:?}, {z:?}: {got:?}, std {want:?}");
        }
    }

    /// One test per method, for both types: `two powf 2` allows two ulp.
    macro_rules! methods {
        ($($arity:ident $method:ident $ulps:literal)*) => {
            $(#[test]
            fn $method() {
                $arity(f64::from($ulps), <f64 as Float>::$method, f64::$method);
                $arity(f64::from($ulps), <f32 as Float>::$method, f32::$method);
            })*
        };
    }

    methods! {
        one floor 0 one ceil 0 one round 0 one round_ties_even 0 one trunc 0 one fract 0
        three mul_add 0 two div_euclid 0 two rem_euclid 0 one sqrt 0 two powi 0
        two powf 1 one cbrt 1 two hypot 1
        one exp 1 one exp2 1 one exp_m1 1
        one ln 1 two log 4 one log2 1 one log10 1 one ln_1p 1
        one sin 1 one cos 1 one tan 1 one asin 1 one acos 1 one atan 1 two atan2 1
        one sinh 2 one cosh 2 one tanh 3
    }

    /// For these `std` has short formulas that lose many digits in places; the C functions, which
    /// are held against the host's, are the better reference.
    #[test]
    fn inverse_hyperbolic_methods_are_the_c_functions() {
        let mut random = Random(4);
        for _ in 0..ROUNDS {
            let (x, y) = (f64::pick(&mut random), f32::pick(&mut random));
            assert_eq!(Float::acosh(x).ulps(export::acosh(x)), 0.0, "{x:?}");
            assert_eq!(Float::asinh(x).ulps(export::asinh(x)), 0.0, "{x:?}");
            assert_eq!(Float::atanh(x).ulps(export::atanh(x)), 0.0, "{x:?}");
            assert_eq!(Float::acosh(y).ulps(export::acoshf(y)), 0.0, "{y:?}");
            assert_eq!(Float::asinh(y).ulps(export::asinhf(y)), 0.0, "{y:?}");
            assert_eq!(Float::atanh(y).ulps(export::atanhf(y)), 0.0, "{y:?}");
        }
    }

    #[test]
    fn sin_cos() {
        let mut random = Random(4);
        for _ in 0..ROUNDS {
            let (x, y) = (f64::pick(&mut random), f32::pick(&mut random));
            let ((sine, cosine), (sine_f, cosine_f)) = (Float::sin_cos(x), Float::sin_cos(y));
            assert_eq!(sine.ulps(Float::sin(x)) + cosine.ulps(Float::cos(x)), 0.0, "{x:e}");
            assert_eq!(sine_f.ulps(Float::sin(y)) + cosine_f.ulps(Float::cos(y)), 0.0, "{y:e}");
        }
    }
}

/// The C functions, each against the function of the same name in the host's library.
mod exports {
    use super::*;
    use crate::export::*;

    /// The host's function, if it has it.
    fn host(name: &str) -> Option<*const c_void> {
        let name = CString::new(name).unwrap();
        // SAFETY: the name ends in zero; looking one up in the libraries already loaded runs no
        // code of theirs.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found.cast_const())
    }

    /// How far a result may be from the host's (glibc 2.36 when this was written), in ulp: mostly the
    /// host's error; ours are held against MPFR. What is defined exactly must agree exactly.
    fn most(name: &str) -> f64 {
        match name
            .strip_suffix('f')
            .filter(|name| !name.is_empty() && *name != "er")
            .unwrap_or(name)
        {
            "ceil" | "copysign" | "fabs" | "fdim" | "floor" | "fma" | "fmax" | "fmaximum"
            | "fmaximum_num" | "fmin" | "fminimum" | "fminimum_num" | "fmod" | "ilogb"
            | "ldexp" | "llrint" | "llround" | "logb" | "lrint" | "lround" | "nearbyint"
            | "nextafter" | "remainder" | "rint" | "round" | "roundeven" | "scalbln" | "scalbn"
            | "sqrt" | "trunc" => 0.0,
            "sinh" | "cosh" | "log10" => 2.0,
            "tanh" | "erfc" | "exp10" => 3.0,
            "cbrt" => 4.0,
            "tgamma" => 10.0,
            // Many beside their zeros.
            "lgamma" | "j0" | "j1" | "jn" | "y0" | "y1" | "yn" => 100_000.0,
            _ => 1.0,
        }
    }

    /// C leaves the sign of a zero open for `fmax` and `fmin`; the host has the other one for the
    /// others in places.
    fn any_zero(name: &str) -> bool {
        ["fmax", "fmin", "remainder", "j1", "jn", "yn"].contains(&name.trim_end_matches('f'))
    }

    #[test]
    fn results_agree_with_the_hosts() {
        let mut compared = 0;
        for (name, function) in by_value() {
            let Some(host) = host(name) else { continue };
            compared += 1;
            assert_ne!(function.address(), host, "{name}");
            let mut check = |ulps, zeros, call| {
                let right = ulps <= most(name) || zeros && any_zero(name);
                assert!(right, "{name}{call}, {ulps} ulp");
            };
            // SAFETY: the host's function of that name has the signature C gives it, as ours has.
            unsafe { function.compare(host, &mut check) };
        }
        assert!(compared > 100, "the host has only {compared} of the functions");
    }

    #[test]
    fn acosh_is_nan_below_one() {
        for x in [0.999, 0.5, 0.0, -0.0, -1.0, -1.5, -20718.0, f32::MIN, f32::NEG_INFINITY] {
            assert!(acoshf(x).is_nan() && acosh(x.into()).is_nan(), "{x}");
        }
        assert_eq!((acosh(1.0), acoshf(1.0)), (0.0, 0.0));
    }

    /// Calls a function with a second result and gives both.
    fn both<T, U: Default>(function: impl FnOnce(*mut U) -> T) -> (T, U) {
        let mut second = U::default();
        (function(&mut second), second)
    }

    /// `pair!(frexp(8.0))` calls ours.
    macro_rules! pair {
        ($name:ident($($argument:expr),*)) => {
            // SAFETY: `both` passes a place for the second result.
            both(|second| unsafe { $name($($argument,)* second) })
        };
    }

    #[test]
    fn second_results_arrive() {
        assert_eq!(pair!(frexp(-8.0)), (-0.5, 4));
        assert_eq!(pair!(frexpf(0.75)), (0.75, 0));
        assert_eq!(pair!(frexp(f64::from_bits(1))), (0.5, -1073));
        assert_eq!(pair!(modf(-3.25)), (-0.25, -3.0));
        assert_eq!(pair!(modff(3.25)), (0.25, 3.0));
        assert_eq!(pair!(modf(f64::INFINITY)), (0.0, f64::INFINITY));
        assert_eq!(pair!(remquo(29.0, 3.0)), (-1.0, 10));
        assert_eq!(pair!(remquof(-7.0, 2.0)), (1.0, -4));
        assert_eq!(pair!(lgamma_r(3.0)), (2f64.ln(), 1));
        assert_eq!(pair!(lgammaf_r(-0.5)).1, -1);
        assert_eq!(pair!(lgammaf_r(-0.5)).0, lgammaf(-0.5));
        let (mut sine, mut cosine, mut sine_f, mut cosine_f) = (0.0, 0.0, 0.0, 0.0);
        // SAFETY: four places for four results.
        unsafe {
            sincos(0.5, &mut sine, &mut cosine);
            sincosf(0.5, &mut sine_f, &mut cosine_f);
        }
        assert_eq!((sine, cosine), (sin(0.5), cos(0.5)));
        assert_eq!((sine_f, cosine_f), (sinf(0.5), cosf(0.5)));
    }
}

/// A function of the export table.
pub trait Exported {
    /// Calls `check` for many arguments: with the distance to the host's result in ulp, whether both
    /// are equal but for the sign of a zero, and the call.
    ///
    /// # Safety
    ///
    /// `host` is a function of the same signature.
    unsafe fn compare(&self, host: *const c_void, check: &mut dyn FnMut(f64, bool, String));

    fn address(&self) -> *const c_void;
}

macro_rules! exported {
    ($(($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(impl Exported for extern "C" fn($($type),*) -> $result {
            unsafe fn compare(&self, host: *const c_void, check: &mut dyn FnMut(f64, bool, String)) {
                // SAFETY: the caller promised a function of this signature.
                let host = unsafe { transmute::<*const c_void, Self>(host) };
                let mut random = Random(5);
                for _ in 0..ROUNDS {
                    $(let $argument = <$type>::pick(&mut random);)*
                    let (got, want) = (self($($argument),*), host($($argument),*));
                    let call = format!("{:?}: {got:?}, host {want:?}", ($($argument,)*));
                    check(got.ulps(want), got == want, call);
                }
            }

            fn address(&self) -> *const c_void {
                *self as *const c_void
            }
        })*
    };
}

exported! {
    (x: f64) -> f64;
    (x: f32) -> f32;
    (x: f64, y: f64) -> f64;
    (x: f32, y: f32) -> f32;
    (x: f64, y: f64, z: f64) -> f64;
    (x: f32, y: f32, z: f32) -> f32;
    (x: f64, n: c_int) -> f64;
    (x: f32, n: c_int) -> f32;
    (n: c_int, x: f64) -> f64;
    (n: c_int, x: f32) -> f32;
    (x: f64) -> c_int;
    (x: f64) -> c_long;
    (x: f32) -> c_long;
    (x: f64, n: c_long) -> f64;
    (x: f32, n: c_long) -> f32;
    (x: f32) -> c_int;
}
