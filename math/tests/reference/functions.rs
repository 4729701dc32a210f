//! Which functions are measured, where, and what is asked of them.

use freestone_math::export;

/// Calls a macro with the functions of `f32` that are correctly rounded for every argument, and the names of the
/// `f64` functions of C and MPFR that they are compared with.
macro_rules! correctly_rounded {
    ($then:ident) => {
        $then! {
            expf: exp "exp";
            exp2f: exp2 "exp2";
            exp10f: exp10 "exp10";
            expm1f: expm1 "expm1";
            logf: log "log";
            log2f: log2 "log2";
            log10f: log10 "log10";
            log1pf: log1p "log1p";
            sinf: sin "sin";
            cosf: cos "cos";
            tanf: tan "tan";
            asinf: asin "asin";
            acosf: acos "acos";
            atanf: atan "atan";
            sinhf: sinh "sinh";
            coshf: cosh "cosh";
            tanhf: tanh "tanh";
            asinhf: asinh "asinh";
            acoshf: acosh "acosh";
            atanhf: atanh "atanh";
            cbrtf: cbrt "cbrt";
        }
    };
}

pub(crate) use correctly_rounded;

macro_rules! names {
    ($($name:ident: $double:ident $mpfr:literal;)*) => {
        pub const CORRECTLY_ROUNDED: &[&str] = &[$(stringify!($name)),*];
    };
}

correctly_rounded!(names);

/// Arguments are half uniform over the interval, half of any magnitude in it; of both signs if it begins below 0.
#[derive(Clone, Copy)]
pub struct Span(pub f64, pub f64);

pub enum Ours {
    One(extern "C" fn(f64) -> f64),
    Two(extern "C" fn(f64, f64) -> f64),
    OneSingle(extern "C" fn(f32) -> f32),
    TwoSingle(extern "C" fn(f32, f32) -> f32),
}

pub struct Case {
    pub name: &'static str,
    pub mpfr: &'static str,
    pub ours: Ours,
    pub x: Span,
    pub y: Span,
    /// No error may be larger, in ulp.
    pub bound: f64,
}

macro_rules! cases {
    ($($kind:ident $name:ident $mpfr:literal $x:expr, $y:expr, $bound:literal;)*) => {
        pub fn cases() -> Vec<Case> {
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
