//! What is measured: symbols, and arguments for them.

use std::arch::x86_64::__m128i;
use std::ffi::c_void;
use std::hint::black_box;
use std::marker::PhantomData;
use std::mem::{transmute, transmute_copy};

use crate::images::{Convention, Images, PLACES};
use crate::measure::{Contender, Random, measure, median};
use crate::report::{Ratio, Row};

/// Something that can be run and gives a row of the table.
pub trait Case {
    fn name(&self) -> &'static str;
    /// `None` where the convention is no concern of it, or nobody else has it.
    fn run(&self, convention: Convention, images: &Images) -> Option<Row>;
}

/// Which arguments.
#[derive(Clone, Copy)]
enum How {
    /// Floats of either sign with exponents from -16 to 16; integers of any length, with signs if they have them.
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

/// What functions take and give, and how it crosses the border under each convention.
trait Kind {
    type General: Copy;
    type Vector: Copy;
    const FLOAT: bool;
    fn pick(random: &mut Random, how: How) -> u128;
    /// Whether two results are as good as equal.
    fn same(a: u128, b: u128) -> bool {
        a == b
    }
}

/// A calling convention, as what it makes of kinds.
trait Side {
    type Of<K: Kind>: Copy;
}

struct General;
struct Vector;

impl Side for General {
    type Of<K: Kind> = K::General;
}
impl Side for Vector {
    type Of<K: Kind> = K::Vector;
}

fn any(random: &mut Random) -> u128 {
    u128::from(random.next()) << 64 | u128::from(random.next())
}

macro_rules! floats {
    ($($name:ident $general:ident $vector:ident $fraction:literal $bias:literal;)*) => {$(
        struct $name;

        impl Kind for $name {
            type General = $general;
            type Vector = $vector;
            const FLOAT: bool = true;
            /// What is above a narrow number in its register means nothing.
            fn same(a: u128, b: u128) -> bool {
                a as $general == b as $general
            }
            fn pick(random: &mut Random, how: How) -> u128 {
                let any = any(random);
                let exponent = match how {
                    How::Positive => $bias + random.next() % 15,
                    How::Integral => $bias + random.next() % 62,
                    _ => $bias - 14 + random.next() % 29,
                };
                let positive = matches!(how, How::Positive | How::Integral);
                let sign = if positive { 0 } else { (any >> 127) * 2 * ($bias + 1) };
                (sign | u128::from(exponent)) << $fraction | any & ((1 << $fraction) - 1)
            }
        }
    )*};
}

floats! {
    F16 u16 f32 10 15;
    F32 u32 f32 23 127;
    F64 u64 f64 52 1023;
    F128 u128 __m128i 112 16383;
}

macro_rules! integers {
    ($($name:ident $integer:ident $signed:literal)*) => {$(
        struct $name;

        impl Kind for $name {
            type General = $integer;
            type Vector = $integer;
            const FLOAT: bool = false;
            fn pick(random: &mut Random, how: How) -> u128 {
                let any = any(random);
                let shift = random.next() as u32;
                let any = match how {
                    How::Short => any >> (64 + shift % 63),
                    How::Long => any >> (shift % 62) | 1 << 64,
                    How::LongByShort if shift.is_multiple_of(2) => any >> (64 + shift / 2 % 60),
                    How::LongByShort => any | 1 << 126,
                    _ => any >> (129 - $integer::BITS + shift % ($integer::BITS - 1)),
                };
                let negative = $signed && random.next() % 2 == 1;
                if negative { (any | 1).wrapping_neg() } else { any | 1 }
            }
        }
    )*};
}

integers! { I32 i32 true U32 u32 false I64 i64 true U64 u64 false I128 i128 true U128 u128 false }

/// An exponent for powers.
struct Power;

impl Kind for Power {
    type General = i32;
    type Vector = i32;
    const FLOAT: bool = false;
    fn pick(random: &mut Random, _: How) -> u128 {
        u128::from(random.next() % 32)
    }
}

/// What a comparison gives. Compilers look at the sign of the int.
struct Order;

impl Kind for Order {
    type General = isize;
    type Vector = isize;
    const FLOAT: bool = false;
    fn pick(_: &mut Random, _: How) -> u128 {
        unreachable!("nothing takes one")
    }
    fn same(a: u128, b: u128) -> bool {
        (a as i32).signum() == (b as i32).signum()
    }
}

/// A complex number, on the way back.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pair<T>(T, T);

struct Complex<K>(PhantomData<K>);

impl<K: Kind> Kind for Complex<K> {
    type General = Pair<K::General>;
    type Vector = Pair<K::Vector>;
    const FLOAT: bool = true;
    fn pick(_: &mut Random, _: How) -> u128 {
        unreachable!("its parts are passed apart")
    }
    /// The formulas differ in the last bits.
    fn same(_: u128, _: u128) -> bool {
        true
    }
}

/// The value with these bits; those above its size are ignored.
fn value<T: Copy>(bits: u128) -> T {
    assert!(size_of::<T>() <= 16);
    // SAFETY: no larger than what it is read from, and a number or vector, of which every pattern is one.
    unsafe { transmute_copy(&bits) }
}

/// The bits of a value, as far as they fit.
fn bits<T: Copy>(value: T) -> u128 {
    let mut bits = 0_u128;
    // SAFETY: both are as long as what is copied, and apart.
    unsafe {
        std::ptr::copy_nonoverlapping(
            (&raw const value).cast::<u8>(),
            (&raw mut bits).cast(),
            size_of::<T>().min(16),
        );
    }
    bits
}

struct Symbol<F> {
    name: &'static str,
    how: How,
    /// Measured where floats are in vector registers, too.
    both: bool,
    kinds: PhantomData<F>,
}

macro_rules! callable {
    ($($($argument:ident: $kind:ident),*;)*) => {$(
        impl<$($kind: Kind,)* R: Kind> Case for Symbol<fn($($kind),*) -> R> {
            fn name(&self) -> &'static str {
                self.name
            }

            fn run(&self, convention: Convention, images: &Images) -> Option<Row> {
                match convention {
                    Convention::General => self.measure::<General>(images, false),
                    Convention::Vector if self.both => self.measure::<Vector>(images, true),
                    Convention::Vector => None,
                }
            }
        }

        impl<$($kind: Kind,)* R: Kind> Symbol<fn($($kind),*) -> R> {
            fn measure<S: Side>(&self, images: &Images, libgcc: bool) -> Option<Row> {
                type Function<S, $($kind,)* R> =
                    extern "C" fn($(<S as Side>::Of<$kind>),*) -> <S as Side>::Of<R>;
                let function = |address: *const c_void| {
                    // SAFETY: every implementation of a symbol has the signature it has here.
                    unsafe { transmute::<*const c_void, Function<S, $($kind,)* R>>(address) }
                };
                // libgcc's functions are the host's, but where there are floats that is no matter.
                let libgcc = (libgcc || !($($kind::FLOAT ||)* R::FLOAT)).then(|| images.libgcc(self.name));
                let libgcc = libgcc.flatten();
                let softfloat = softfloat(self.name);
                let (mut nanoseconds, mut ratios) = (Vec::new(), [const { Vec::new() }; 3]);
                for place in 0..PLACES {
                    let ours = *images.ours[place].get(self.name)?;
                    let rust = images.rust[place].get(self.name).copied();
                    let soft = softfloat.as_ref().and_then(|name| {
                        images.softfloat.get(place)?.get(name).copied()
                    });
                    let rivals = [rust, soft, libgcc];
                    let pick = |random: &mut Random| ($(value::<S::Of<$kind>>($kind::pick(random, self.how)),)*);
                    if let Some(rust) = rust.filter(|_| place == 0) {
                        let mut random = Random(1);
                        for _ in 0..4096 {
                            let ($($argument,)*) = pick(&mut random);
                            let got = bits(function(ours)($($argument),*));
                            let want = bits(function(rust)($($argument),*));
                            assert!(R::same(got, want), "{}: {got:#x}, not {want:#x}", self.name);
                        }
                    }
                    let present: Vec<_> = std::iter::once(ours).chain(rivals.into_iter().flatten()).collect();
                    if present.len() == 1 {
                        return None;
                    }
                    let runs: Vec<Contender<'_, ($(S::Of<$kind>,)*)>> = present
                        .into_iter()
                        .map(|address| {
                            let function = function(address);
                            Box::new(move |arguments: &[($(S::Of<$kind>,)*)]| {
                                let function = black_box(function);
                                for &($($argument,)*) in arguments {
                                    black_box(function($($argument),*));
                                }
                            }) as Contender<'_, ($(S::Of<$kind>,)*)>
                        })
                        .collect();
                    let mut times = measure(&runs, 2 + place as u64, pick).into_iter();
                    let ours = times.next().expect("ours ran");
                    nanoseconds.push(ours);
                    for (ratios, rival) in ratios.iter_mut().zip(rivals) {
                        if rival.is_some() {
                            ratios.push(times.next().expect("it ran") / ours);
                        }
                    }
                }
                let [rust, softfloat, libgcc] = ratios.map(|mut ratios| {
                    let middle = (!ratios.is_empty()).then(|| median(&mut ratios))?;
                    Some(Ratio { least: ratios[0], middle, most: *ratios.last()? })
                });
                Some(Row {
                    name: self.name,
                    arguments: self.how.words(),
                    ours: median(&mut nanoseconds),
                    rust,
                    softfloat,
                    libgcc,
                })
            }
        }
    )*};
}

callable! {
    a: A;
    a: A, b: B;
    a: A, b: B, c: C;
    a: A, b: B, c: C, d: D;
}

/// Berkeley SoftFloat's name for a function.
fn softfloat(name: &str) -> Option<String> {
    let format = |letters: &str| match letters {
        "hf" | "f16" => Some("f16"),
        "sf" | "f" => Some("f32"),
        "df" | "" => Some("f64"),
        "tf" | "f128" => Some("f128"),
        "si" => Some("i32"),
        "di" => Some("i64"),
        "unsi" => Some("ui32"),
        "undi" => Some("ui64"),
        _ => None,
    };
    for (start, operation) in [("sqrt", "sqrt"), ("fma", "mulAdd")] {
        if let Some(format) = name.strip_prefix(start).and_then(format) {
            return Some(format!("{format}_{operation}"));
        }
    }
    let name = name.strip_prefix("__")?.trim_end_matches(['2', '3']);
    for operation in ["add", "sub", "mul", "div", "lt"] {
        if let Some(format) = name.strip_prefix(operation).and_then(format) {
            return Some(format!("{format}_{operation}"));
        }
    }
    let formats = |letters: &str, at: usize| {
        let (from, to) = letters.split_at_checked(at)?;
        Some((format(from)?, format(to)?))
    };
    if let Some(rest) = name.strip_prefix("extend").or(name.strip_prefix("trunc")) {
        let (from, to) = formats(rest, 2)?;
        return Some(format!("{from}_to_{to}"));
    }
    if let Some(rest) = name.strip_prefix("float") {
        let (from, to) = formats(rest, rest.len().checked_sub(2)?)?;
        return Some(format!("{from}_to_{to}"));
    }
    let rest = name.strip_prefix("fix")?;
    let (sign, rest) = rest.strip_prefix("uns").map_or(("", rest), |rest| ("u", rest));
    let (from, to) = formats(rest, 2)?;
    Some(format!("{from}_to_{sign}{to}_r_minMag"))
}

/// `cases!(both name(F64, F64) -> F64, Plain;)`
macro_rules! cases {
    ($($where:ident $name:ident($($kind:ty),*) -> $result:ty, $how:ident;)*) => {
        /// All cases, in the order of the table.
        pub fn all() -> Vec<Box<dyn Case>> {
            vec![$(
                Box::new(Symbol::<fn($($kind),*) -> $result> {
                    name: stringify!($name),
                    how: How::$how,
                    both: stringify!($where) == "both",
                    kinds: PhantomData,
                }) as Box<dyn Case>
            ),*]
        }
    };
}

cases! {
    soft __addsf3(F32, F32) -> F32, Plain;
    soft __subsf3(F32, F32) -> F32, Plain;
    soft __mulsf3(F32, F32) -> F32, Plain;
    soft __divsf3(F32, F32) -> F32, Plain;
    soft sqrtf(F32) -> F32, Positive;
    soft fmaf(F32, F32, F32) -> F32, Plain;
    soft fmodf(F32, F32) -> F32, Plain;
    soft __ltsf2(F32, F32) -> Order, Plain;
    soft __unordsf2(F32, F32) -> Order, Plain;
    soft __powisf2(F32, Power) -> F32, Positive;
    soft __adddf3(F64, F64) -> F64, Plain;
    soft __subdf3(F64, F64) -> F64, Plain;
    soft __muldf3(F64, F64) -> F64, Plain;
    soft __divdf3(F64, F64) -> F64, Plain;
    soft sqrt(F64) -> F64, Positive;
    soft fma(F64, F64, F64) -> F64, Plain;
    soft fmod(F64, F64) -> F64, Plain;
    soft __ltdf2(F64, F64) -> Order, Plain;
    soft __unorddf2(F64, F64) -> Order, Plain;
    soft __powidf2(F64, Power) -> F64, Positive;
    both __addtf3(F128, F128) -> F128, Plain;
    both __subtf3(F128, F128) -> F128, Plain;
    both __multf3(F128, F128) -> F128, Plain;
    both __divtf3(F128, F128) -> F128, Plain;
    both sqrtf128(F128) -> F128, Positive;
    both fmaf128(F128, F128, F128) -> F128, Plain;
    both fmodf128(F128, F128) -> F128, Plain;
    both __lttf2(F128, F128) -> Order, Plain;
    both __unordtf2(F128, F128) -> Order, Plain;
    both __powitf2(F128, Power) -> F128, Positive;
    both __mulsc3(F32, F32, F32, F32) -> Complex<F32>, Plain;
    both __divsc3(F32, F32, F32, F32) -> Complex<F32>, Plain;
    both __muldc3(F64, F64, F64, F64) -> Complex<F64>, Plain;
    both __divdc3(F64, F64, F64, F64) -> Complex<F64>, Plain;
    both __multc3(F128, F128, F128, F128) -> Complex<F128>, Plain;
    both __divtc3(F128, F128, F128, F128) -> Complex<F128>, Plain;
    both __extendhfsf2(F16) -> F32, Plain;
    both __truncsfhf2(F32) -> F16, Plain;
    both __truncdfhf2(F64) -> F16, Plain;
    soft __extendsfdf2(F32) -> F64, Plain;
    soft __truncdfsf2(F64) -> F32, Plain;
    both __extenddftf2(F64) -> F128, Plain;
    both __trunctfdf2(F128) -> F64, Plain;
    soft __floatsisf(I32) -> F32, Plain;
    soft __floatunsisf(U32) -> F32, Plain;
    soft __fixsfsi(F32) -> I32, Positive;
    soft __fixunssfsi(F32) -> U32, Positive;
    soft __floatsidf(I32) -> F64, Plain;
    soft __floatunsidf(U32) -> F64, Plain;
    soft __fixdfsi(F64) -> I32, Positive;
    soft __fixunsdfsi(F64) -> U32, Positive;
    both __floatsitf(I32) -> F128, Plain;
    both __floatunsitf(U32) -> F128, Plain;
    both __fixtfsi(F128) -> I32, Positive;
    both __fixunstfsi(F128) -> U32, Positive;
    soft __floatdisf(I64) -> F32, Plain;
    soft __floatundisf(U64) -> F32, Plain;
    soft __fixsfdi(F32) -> I64, Integral;
    soft __fixunssfdi(F32) -> U64, Integral;
    soft __floatdidf(I64) -> F64, Plain;
    soft __floatundidf(U64) -> F64, Plain;
    soft __fixdfdi(F64) -> I64, Integral;
    soft __fixunsdfdi(F64) -> U64, Integral;
    both __floatditf(I64) -> F128, Plain;
    both __floatunditf(U64) -> F128, Plain;
    both __fixtfdi(F128) -> I64, Integral;
    both __fixunstfdi(F128) -> U64, Integral;
    both __floattisf(I128) -> F32, Plain;
    both __floatuntisf(U128) -> F32, Plain;
    both __fixsfti(F32) -> I128, Integral;
    both __fixunssfti(F32) -> U128, Integral;
    both __floattidf(I128) -> F64, Plain;
    both __floatuntidf(U128) -> F64, Plain;
    both __fixdfti(F64) -> I128, Integral;
    both __fixunsdfti(F64) -> U128, Integral;
    both __floattitf(I128) -> F128, Plain;
    both __floatuntitf(U128) -> F128, Plain;
    both __fixtfti(F128) -> I128, Integral;
    both __fixunstfti(F128) -> U128, Integral;
    both __udivti3(U128, U128) -> U128, Plain;
    both __udivti3(U128, U128) -> U128, Long;
    both __udivti3(U128, U128) -> U128, Short;
    both __udivti3(U128, U128) -> U128, LongByShort;
    both __umodti3(U128, U128) -> U128, Plain;
    both __umodti3(U128, U128) -> U128, Long;
    both __umodti3(U128, U128) -> U128, Short;
    both __umodti3(U128, U128) -> U128, LongByShort;
    both __divti3(I128, I128) -> I128, Plain;
    both __divti3(I128, I128) -> I128, Long;
    both __divti3(I128, I128) -> I128, Short;
    both __divti3(I128, I128) -> I128, LongByShort;
    both __modti3(I128, I128) -> I128, Plain;
    both __modti3(I128, I128) -> I128, Long;
    both __modti3(I128, I128) -> I128, Short;
    both __modti3(I128, I128) -> I128, LongByShort;
    both __multi3(U128, U128) -> U128, Plain;
    both __ashlti3(U128, U32) -> U128, Plain;
    both __lshrti3(U128, U32) -> U128, Plain;
    both __ashrti3(I128, U32) -> I128, Plain;
    both __clzti2(U128) -> I32, Plain;
    both __ctzti2(U128) -> I32, Plain;
    both __popcountti2(U128) -> I32, Plain;
    both __popcountdi2(U64) -> I32, Plain;
    both __parityti2(U128) -> I32, Plain;
    both __bswapti2(U128) -> U128, Plain;
}
