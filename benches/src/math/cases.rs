//! What is measured: symbols, and arguments for them.

// A vector is how C passes a float of 128 bits.
#![allow(improper_ctypes_definitions)]

use std::arch::x86_64::__m128i;
use std::ffi::c_void;
use std::hint::black_box;
use std::mem::transmute;

use freestone_math::{int, soft};

use crate::measure::{Contender, Random, measure, quartiles};
use crate::rivals;

/// Something that can be run and gives a row of the table.
pub trait Case {
    fn name(&self) -> &'static str;
    fn run(&self) -> String;
}

/// A type that crosses the border, and how to make arguments of it.
trait Argument: Copy {
    fn pick(random: &mut Random, how: How) -> Self;
    fn same(self, other: Self) -> bool;
}

/// Which arguments.
#[derive(Clone, Copy)]
enum How {
    /// Floats of either sign with exponents from -16 to 16; positive integers of any length.
    Plain,
    /// Positive floats from 1 up.
    Positive,
    /// Floats that are integers of up to 62 bits, for conversion.
    Integral,
    /// Integers whose first word is zero.
    Short,
    /// Integers whose first word is not zero.
    Long,
    /// A long dividend, then a short divisor, in turns: for functions of two.
    LongByShort,
}

fn float(random: &mut Random, how: How, fraction: u32, bias: u64) -> u128 {
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    let exponent = match how {
        How::Positive => bias + random.next() % 17,
        How::Integral => bias + random.next() % 62,
        _ => bias - 16 + random.next() % 33,
    };
    let negative = !matches!(how, How::Positive | How::Integral) && any >> 127 == 1;
    let sign = u128::from(negative) * 2 * (u128::from(bias) + 1);
    (sign | u128::from(exponent)) << fraction | any & ((1 << fraction) - 1)
}

impl Argument for f32 {
    fn pick(random: &mut Random, how: How) -> Self {
        Self::from_bits(float(random, how, 23, 127) as u32)
    }
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits() || self.is_nan() && other.is_nan()
    }
}

impl Argument for f64 {
    fn pick(random: &mut Random, how: How) -> Self {
        Self::from_bits(float(random, how, 52, 1023) as u64)
    }
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits() || self.is_nan() && other.is_nan()
    }
}

impl Argument for __m128i {
    fn pick(random: &mut Random, how: How) -> Self {
        // SAFETY: both are 16 bytes in which every pattern is a value.
        unsafe { transmute::<u128, Self>(float(random, how, 112, 16383)) }
    }
    fn same(self, other: Self) -> bool {
        // SAFETY: as above.
        unsafe { transmute::<Self, u128>(self) == transmute::<Self, u128>(other) }
    }
}

macro_rules! integers {
    ($($integer:ident)*) => {$(
        impl Argument for $integer {
            fn pick(random: &mut Random, how: How) -> Self {
                let any = u128::from(random.next()) << 64 | u128::from(random.next());
                let width = Self::BITS;
                let shift = random.next() as u32;
                let any = match how {
                    How::Short => any >> (64 + shift % 63),
                    How::Long => any >> (shift % 62) | 1 << 64,
                    How::LongByShort if shift.is_multiple_of(2) => any >> (64 + shift / 2 % 60),
                    How::LongByShort => any | 1 << 126,
                    _ => any >> (128 - width + shift % (width - 1)),
                };
                (any as Self) | 1
            }
            fn same(self, other: Self) -> bool {
                self == other
            }
        }
    )*};
}

integers! { i32 u32 i64 u64 i128 u128 }

impl Argument for isize {
    fn pick(random: &mut Random, _: How) -> Self {
        random.next() as Self
    }
    // What compilers look at: the sign, as an int.
    fn same(self, other: Self) -> bool {
        (self as i32).signum() == (other as i32).signum()
    }
}

struct Symbol<F> {
    name: &'static str,
    how: How,
    ours: F,
    rust: F,
    gcc: Option<F>,
    softfloat: Option<F>,
}

macro_rules! callable {
    ($($($argument:ident: $type:ident),*;)*) => {$(
        impl<$($type: Argument,)* R: Argument> Case for Symbol<extern "C" fn($($type),*) -> R> {
            fn name(&self) -> &'static str {
                self.name
            }

            fn run(&self) -> String {
                let pick = |random: &mut Random| ($($type::pick(random, self.how),)*);
                assert_ne!(self.ours as *const c_void, self.rust as *const c_void, "{}: one function", self.name);
                let mut random = Random(1);
                for _ in 0..4096 {
                    let ($($argument,)*) = pick(&mut random);
                    let (ours, theirs) = ((self.ours)($($argument),*), (self.rust)($($argument),*));
                    assert!(ours.same(theirs), "{}: different results", self.name);
                }
                let contenders = [Some(self.ours), Some(self.rust), self.gcc, self.softfloat];
                let present: Vec<_> = contenders.into_iter().flatten().collect();
                let runs: Vec<Contender<'_, ($($type,)*)>> = present
                    .into_iter()
                    .map(|function| {
                        Box::new(move |arguments: &[($($type,)*)]| {
                            let function = black_box(function);
                            for &($($argument,)*) in arguments {
                                black_box(function($($argument),*));
                            }
                        }) as Contender<'_, ($($type,)*)>
                    })
                    .collect();
                let times = measure(&runs, pick);
                let [low, _, high] = quartiles(&times.ratios[1]);
                let ratio = |at: usize| times.least[at] / times.least[0];
                let mut row = format!(
                    "| `{}` | {} | {:.2} | **{:.2}** | {low:.2} to {high:.2} |",
                    self.name, self.how.words(), times.least[0], ratio(1),
                );
                let mut next = 2;
                for present in [self.gcc.is_some(), self.softfloat.is_some()] {
                    let cell = if present { format!("{:.2}", ratio(next)) } else { "-".into() };
                    next += usize::from(present);
                    row += &format!(" {cell} |");
                }
                row
            }
        }
    )*};
}

callable! {
    a: A;
    a: A, b: B;
    a: A, b: B, c: C;
}

impl How {
    fn words(self) -> &'static str {
        match self {
            How::Plain => "",
            How::Positive => "from 1",
            How::Integral => "from 1 to 2^62",
            How::Short => "one word",
            How::Long => "two words",
            How::LongByShort => "one or two words",
        }
    }
}

/// `cases!(module: name(f64, f64) -> f64, Plain;)`
macro_rules! cases {
    ($($module:ident: $name:ident($($type:ty),*) -> $result:ty, $how:ident;)*) => {
        /// All cases, in the order of the table.
        pub fn all() -> Vec<Box<dyn Case>> {
            vec![$({
                // Without a signature, because stable Rust refuses vectors in declarations.
                unsafe extern "C" {
                    fn $name();
                }
                type Function = extern "C" fn($($type),*) -> $result;
                let named = |address: *const c_void| {
                    // SAFETY: every implementation of a symbol has the signature it has here.
                    unsafe { transmute::<*const c_void, Function>(address) }
                };
                Box::new(Symbol::<Function> {
                    name: stringify!($name),
                    how: How::$how,
                    ours: $module::export::$name,
                    rust: named($name as *const c_void),
                    gcc: rivals::gcc(stringify!($name)).map(named),
                    softfloat: rivals::softfloat(stringify!($name)).map(named),
                }) as Box<dyn Case>
            }),*]
        }
    };
}

cases! {
    soft: __addsf3(f32, f32) -> f32, Plain;
    soft: __subsf3(f32, f32) -> f32, Plain;
    soft: __mulsf3(f32, f32) -> f32, Plain;
    soft: __divsf3(f32, f32) -> f32, Plain;
    soft: __ltsf2(f32, f32) -> isize, Plain;
    soft: __unordsf2(f32, f32) -> isize, Plain;
    soft: __adddf3(f64, f64) -> f64, Plain;
    soft: __subdf3(f64, f64) -> f64, Plain;
    soft: __muldf3(f64, f64) -> f64, Plain;
    soft: __divdf3(f64, f64) -> f64, Plain;
    soft: __ltdf2(f64, f64) -> isize, Plain;
    soft: __unorddf2(f64, f64) -> isize, Plain;
    soft: __addtf3(__m128i, __m128i) -> __m128i, Plain;
    soft: __subtf3(__m128i, __m128i) -> __m128i, Plain;
    soft: __multf3(__m128i, __m128i) -> __m128i, Plain;
    soft: __divtf3(__m128i, __m128i) -> __m128i, Plain;
    soft: __lttf2(__m128i, __m128i) -> isize, Plain;
    soft: __unordtf2(__m128i, __m128i) -> isize, Plain;
    soft: sqrtf128(__m128i) -> __m128i, Positive;
    soft: fmaf128(__m128i, __m128i, __m128i) -> __m128i, Plain;
    soft: fmodf128(__m128i, __m128i) -> __m128i, Plain;
    soft: __extendsfdf2(f32) -> f64, Plain;
    soft: __truncdfsf2(f64) -> f32, Plain;
    soft: __extenddftf2(f64) -> __m128i, Plain;
    soft: __trunctfdf2(__m128i) -> f64, Plain;
    soft: __floatsisf(i32) -> f32, Plain;
    soft: __floatunsisf(u32) -> f32, Plain;
    soft: __fixsfsi(f32) -> i32, Positive;
    soft: __fixunssfsi(f32) -> u32, Positive;
    soft: __floatsidf(i32) -> f64, Plain;
    soft: __floatunsidf(u32) -> f64, Plain;
    soft: __fixdfsi(f64) -> i32, Positive;
    soft: __fixunsdfsi(f64) -> u32, Positive;
    soft: __floatsitf(i32) -> __m128i, Plain;
    soft: __floatunsitf(u32) -> __m128i, Plain;
    soft: __fixtfsi(__m128i) -> i32, Positive;
    soft: __fixunstfsi(__m128i) -> u32, Positive;
    soft: __floatdisf(i64) -> f32, Plain;
    soft: __floatundisf(u64) -> f32, Plain;
    soft: __fixsfdi(f32) -> i64, Integral;
    soft: __fixunssfdi(f32) -> u64, Integral;
    soft: __floatdidf(i64) -> f64, Plain;
    soft: __floatundidf(u64) -> f64, Plain;
    soft: __fixdfdi(f64) -> i64, Integral;
    soft: __fixunsdfdi(f64) -> u64, Integral;
    soft: __floatditf(i64) -> __m128i, Plain;
    soft: __floatunditf(u64) -> __m128i, Plain;
    soft: __fixtfdi(__m128i) -> i64, Integral;
    soft: __fixunstfdi(__m128i) -> u64, Integral;
    soft: __floattisf(i128) -> f32, Plain;
    soft: __floatuntisf(u128) -> f32, Plain;
    soft: __fixsfti(f32) -> i128, Integral;
    soft: __fixunssfti(f32) -> u128, Integral;
    soft: __floattidf(i128) -> f64, Plain;
    soft: __floatuntidf(u128) -> f64, Plain;
    soft: __fixdfti(f64) -> i128, Integral;
    soft: __fixunsdfti(f64) -> u128, Integral;
    soft: __floattitf(i128) -> __m128i, Plain;
    soft: __floatuntitf(u128) -> __m128i, Plain;
    soft: __fixtfti(__m128i) -> i128, Integral;
    soft: __fixunstfti(__m128i) -> u128, Integral;
    int: __udivti3(u128, u128) -> u128, Plain;
    int: __udivti3(u128, u128) -> u128, Long;
    int: __udivti3(u128, u128) -> u128, Short;
    int: __udivti3(u128, u128) -> u128, LongByShort;
    int: __umodti3(u128, u128) -> u128, Plain;
    int: __umodti3(u128, u128) -> u128, Long;
    int: __umodti3(u128, u128) -> u128, Short;
    int: __umodti3(u128, u128) -> u128, LongByShort;
    int: __divti3(i128, i128) -> i128, Plain;
    int: __divti3(i128, i128) -> i128, Long;
    int: __divti3(i128, i128) -> i128, Short;
    int: __divti3(i128, i128) -> i128, LongByShort;
    int: __modti3(i128, i128) -> i128, Plain;
    int: __modti3(i128, i128) -> i128, Long;
    int: __modti3(i128, i128) -> i128, Short;
    int: __modti3(i128, i128) -> i128, LongByShort;
    int: __multi3(u128, u128) -> u128, Plain;
    int: __ashlti3(u128, u32) -> u128, Plain;
    int: __lshrti3(u128, u32) -> u128, Plain;
    int: __ashrti3(i128, u32) -> i128, Plain;
    int: __clzti2(u128) -> i32, Plain;
    int: __ctzti2(u128) -> i32, Plain;
    int: __popcountti2(u128) -> i32, Plain;
    int: __popcountdi2(u64) -> i32, Plain;
    int: __parityti2(u128) -> i32, Plain;
    int: __bswapti2(u128) -> u128, Plain;
}
