//! The exported functions against the toolchain's own of the same names: that each name has the right
//! function behind it, and takes its arguments where the compiler puts them.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(improper_ctypes_definitions)] // as in `soft/export.rs`

use std::ffi::c_void;
use std::fmt::Debug;
use std::mem::transmute;

use crate::abi::{Carried, Carrier};
use crate::soft::{F16, F32, F64, F128, unordered};
use crate::tests::{Random, rounds};

/// What the functions take and give.
trait Sample: Carried + Debug {
    fn pick(random: &mut Random) -> Self;
    /// The nearest that `name` accepts as its last argument.
    fn tame(self, _name: &str) -> Self {
        self
    }
    /// Equal as far as the two have to agree.
    fn same(self, other: Self) -> bool;
}

fn any(random: &mut Random) -> u128 {
    let any = u128::from(random.next()) << 64 | u128::from(random.next());
    match random.next() % 4 {
        0 => any >> (random.next() % 128),
        1 => !(any >> (random.next() % 128)),
        _ => any,
    }
}

macro_rules! integers {
    ($($integer:ident)*) => {$(
        impl Sample for $integer {
            fn pick(random: &mut Random) -> Self {
                any(random) as Self
            }
            fn tame(self, name: &str) -> Self {
                let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
                match () {
                    () if has(&["__ash", "__lsh"]) && name.contains("si") => self & 31,
                    () if has(&["__ash", "__lsh"]) && name.contains("di") => self & 63,
                    () if has(&["__ash", "__lsh"]) => self & 127,
                    () if has(&["div", "mod", "clz", "ctz"]) => self | 1,
                    () if has(&["powi"]) => self % 40,
                    () => self,
                }
            }
            fn same(self, other: Self) -> bool {
                self == other
            }
        }
    )*};
}

integers! { i32 u32 i64 u64 i128 u128 }

impl Sample for isize {
    fn pick(random: &mut Random) -> Self {
        any(random) as Self
    }
    /// The order that a comparison gives, as an int: its sign counts.
    fn same(self, other: Self) -> bool {
        (self as i32).signum() == (other as i32).signum()
    }
}

macro_rules! floats {
    ($($float:ident $bits:ident $fraction:literal $bias:literal;)*) => {$(
        impl Sample for $float {
            /// Half of them near 1, so that sums and conversions have something to do.
            fn pick(random: &mut Random) -> Self {
                let bits = any(random) as $bits;
                let near = random.one_in(2).then(|| {
                    let exponent = $bias - 8 + (random.next() % 20) as $bits;
                    let place = $bits::MAX >> 1 ^ ((1 << $fraction) - 1);
                    bits & !place | exponent << $fraction & place
                });
                Self::from_bits(near.unwrap_or(bits))
            }
            /// Any NaN is as good as any other: the toolchain's have other payloads.
            fn same(self, other: Self) -> bool {
                let nan = unordered(self, self) && unordered(other, other);
                nan || self.to_bits() == other.to_bits()
            }
        }
    )*};
}

floats! { F16 u16 10 15; F32 u32 23 127; F64 u64 52 1023; F128 u128 112 16383; }

macro_rules! by_value {
    ($name:ident, $module:ident: $($argument:ident: $type:ident),* => $result:ident) => {
        #[test]
        fn $name() {
            // Without a signature, because stable Rust refuses vectors in declarations.
            unsafe extern "C" {
                fn $name();
            }
            type Function = extern "C" fn($(Carrier<$type>),*) -> Carrier<$result>;
            let (ours, address) = (crate::$module::export::$name, $name as *const c_void);
            assert_ne!(ours as *const c_void, address);
            // SAFETY: the toolchain's function of a name has the signature that compilers call.
            let theirs = unsafe { transmute::<*const c_void, Function>(address) };
            let mut random = Random(1);
            for _ in 0..rounds(4_000) {
                $(let $argument = <$type>::pick(&mut random).tame(stringify!($name));)*
                let got = <$result>::receive(ours($($argument.send()),*));
                let want = <$result>::receive(theirs($($argument.send()),*));
                assert!(got.same(want), "{:x?}: {got:x?}, not {want:x?}", ($($argument,)*));
            }
        }
    };
}

macro_rules! with_second {
    ($name:ident: $integer:ident, $second:ident) => {
        #[test]
        fn $name() {
            unsafe extern "C" {
                fn $name(a: $integer, b: $integer, second: *mut $second) -> $integer;
            }
            let ours = crate::int::export::$name;
            assert_ne!(ours as *const c_void, $name as *const c_void);
            let mut random = Random(2);
            for _ in 0..rounds(4_000) {
                let a = $integer::pick(&mut random);
                let b = $integer::pick(&mut random).tame(stringify!($name));
                let (mut got, mut want) = (0, 0);
                // SAFETY: the second result has a place.
                let first = unsafe { ours(a, b, &mut got) };
                // SAFETY: as above.
                let theirs = unsafe { $name(a, b, &mut want) };
                assert_eq!((first, got), (theirs, want), "{a:#x}, {b:#x}");
            }
        }
    };
}

mod names {
    #![allow(non_snake_case)]
    use super::*;

    by_value!(__udivsi3, int: a: u32, b: u32 => u32);
    by_value!(__udivdi3, int: a: u64, b: u64 => u64);
    by_value!(__udivti3, int: a: u128, b: u128 => u128);
    by_value!(__umodsi3, int: a: u32, b: u32 => u32);
    by_value!(__umoddi3, int: a: u64, b: u64 => u64);
    by_value!(__umodti3, int: a: u128, b: u128 => u128);
    by_value!(__divsi3, int: a: i32, b: i32 => i32);
    by_value!(__divdi3, int: a: i64, b: i64 => i64);
    by_value!(__divti3, int: a: i128, b: i128 => i128);
    by_value!(__modsi3, int: a: i32, b: i32 => i32);
    by_value!(__moddi3, int: a: i64, b: i64 => i64);
    by_value!(__modti3, int: a: i128, b: i128 => i128);
    by_value!(__muldi3, int: a: u64, b: u64 => u64);
    by_value!(__multi3, int: a: u128, b: u128 => u128);
    by_value!(__ashlsi3, int: a: u32, b: u32 => u32);
    by_value!(__ashldi3, int: a: u64, b: u32 => u64);
    by_value!(__ashlti3, int: a: u128, b: u32 => u128);
    by_value!(__lshrsi3, int: a: u32, b: u32 => u32);
    by_value!(__lshrdi3, int: a: u64, b: u32 => u64);
    by_value!(__lshrti3, int: a: u128, b: u32 => u128);
    by_value!(__ashrsi3, int: a: i32, b: u32 => i32);
    by_value!(__ashrdi3, int: a: i64, b: u32 => i64);
    by_value!(__ashrti3, int: a: i128, b: u32 => i128);
    by_value!(__clzsi2, int: a: u32 => i32);
    by_value!(__clzdi2, int: a: u64 => i32);
    by_value!(__clzti2, int: a: u128 => i32);
    by_value!(__ctzsi2, int: a: u32 => i32);
    by_value!(__ctzdi2, int: a: u64 => i32);
    by_value!(__ctzti2, int: a: u128 => i32);
    by_value!(__ffsti2, int: a: u128 => i32);
    by_value!(__popcountsi2, int: a: u32 => i32);
    by_value!(__popcountdi2, int: a: u64 => i32);
    by_value!(__popcountti2, int: a: u128 => i32);
    by_value!(__paritysi2, int: a: u32 => i32);
    by_value!(__paritydi2, int: a: u64 => i32);
    by_value!(__parityti2, int: a: u128 => i32);
    by_value!(__bswapsi2, int: a: u32 => u32);
    by_value!(__bswapdi2, int: a: u64 => u64);
    by_value!(__bswapti2, int: a: u128 => u128);
    by_value!(__cmpdi2, int: a: i64, b: i64 => i32);
    by_value!(__cmpti2, int: a: i128, b: i128 => i32);
    by_value!(__ucmpdi2, int: a: u64, b: u64 => i32);
    by_value!(__ucmpti2, int: a: u128, b: u128 => i32);
    by_value!(__negdi2, int: a: i64 => i64);
    by_value!(__negti2, int: a: i128 => i128);
    by_value!(__rust_i128_add, int: a: i128, b: i128 => i128);
    by_value!(__rust_u128_add, int: a: u128, b: u128 => u128);
    by_value!(__rust_i128_sub, int: a: i128, b: i128 => i128);
    by_value!(__rust_u128_sub, int: a: u128, b: u128 => u128);
    by_value!(__addhf3, soft: a: F16, b: F16 => F16);
    by_value!(__addsf3, soft: a: F32, b: F32 => F32);
    by_value!(__adddf3, soft: a: F64, b: F64 => F64);
    by_value!(__addtf3, soft: a: F128, b: F128 => F128);
    by_value!(__subhf3, soft: a: F16, b: F16 => F16);
    by_value!(__subsf3, soft: a: F32, b: F32 => F32);
    by_value!(__subdf3, soft: a: F64, b: F64 => F64);
    by_value!(__subtf3, soft: a: F128, b: F128 => F128);
    by_value!(__mulhf3, soft: a: F16, b: F16 => F16);
    by_value!(__mulsf3, soft: a: F32, b: F32 => F32);
    by_value!(__muldf3, soft: a: F64, b: F64 => F64);
    by_value!(__multf3, soft: a: F128, b: F128 => F128);
    by_value!(__divsf3, soft: a: F32, b: F32 => F32);
    by_value!(__divdf3, soft: a: F64, b: F64 => F64);
    by_value!(__divtf3, soft: a: F128, b: F128 => F128);
    by_value!(__negsf2, soft: a: F32 => F32);
    by_value!(__negdf2, soft: a: F64 => F64);
    by_value!(__eqhf2, soft: a: F16, b: F16 => isize);
    by_value!(__eqsf2, soft: a: F32, b: F32 => isize);
    by_value!(__eqdf2, soft: a: F64, b: F64 => isize);
    by_value!(__eqtf2, soft: a: F128, b: F128 => isize);
    by_value!(__nehf2, soft: a: F16, b: F16 => isize);
    by_value!(__nesf2, soft: a: F32, b: F32 => isize);
    by_value!(__nedf2, soft: a: F64, b: F64 => isize);
    by_value!(__netf2, soft: a: F128, b: F128 => isize);
    by_value!(__lthf2, soft: a: F16, b: F16 => isize);
    by_value!(__ltsf2, soft: a: F32, b: F32 => isize);
    by_value!(__ltdf2, soft: a: F64, b: F64 => isize);
    by_value!(__lttf2, soft: a: F128, b: F128 => isize);
    by_value!(__lehf2, soft: a: F16, b: F16 => isize);
    by_value!(__lesf2, soft: a: F32, b: F32 => isize);
    by_value!(__ledf2, soft: a: F64, b: F64 => isize);
    by_value!(__letf2, soft: a: F128, b: F128 => isize);
    by_value!(__gehf2, soft: a: F16, b: F16 => isize);
    by_value!(__gesf2, soft: a: F32, b: F32 => isize);
    by_value!(__gedf2, soft: a: F64, b: F64 => isize);
    by_value!(__getf2, soft: a: F128, b: F128 => isize);
    by_value!(__gthf2, soft: a: F16, b: F16 => isize);
    by_value!(__gtsf2, soft: a: F32, b: F32 => isize);
    by_value!(__gtdf2, soft: a: F64, b: F64 => isize);
    by_value!(__gttf2, soft: a: F128, b: F128 => isize);
    by_value!(__unordhf2, soft: a: F16, b: F16 => isize);
    by_value!(__unordsf2, soft: a: F32, b: F32 => isize);
    by_value!(__unorddf2, soft: a: F64, b: F64 => isize);
    by_value!(__unordtf2, soft: a: F128, b: F128 => isize);
    by_value!(__extendhfsf2, soft: a: F16 => F32);
    by_value!(__extendhfdf2, soft: a: F16 => F64);
    by_value!(__extendhftf2, soft: a: F16 => F128);
    by_value!(__extendsfdf2, soft: a: F32 => F64);
    by_value!(__extendsftf2, soft: a: F32 => F128);
    by_value!(__extenddftf2, soft: a: F64 => F128);
    by_value!(__gnu_h2f_ieee, soft: a: F16 => F32);
    by_value!(__truncsfhf2, soft: a: F32 => F16);
    by_value!(__truncdfhf2, soft: a: F64 => F16);
    by_value!(__trunctfhf2, soft: a: F128 => F16);
    by_value!(__truncdfsf2, soft: a: F64 => F32);
    by_value!(__trunctfsf2, soft: a: F128 => F32);
    by_value!(__trunctfdf2, soft: a: F128 => F64);
    by_value!(__gnu_f2h_ieee, soft: a: F32 => F16);
    by_value!(__floatsisf, soft: a: i32 => F32);
    by_value!(__floatsidf, soft: a: i32 => F64);
    by_value!(__floatsitf, soft: a: i32 => F128);
    by_value!(__floatdisf, soft: a: i64 => F32);
    by_value!(__floatdidf, soft: a: i64 => F64);
    by_value!(__floatditf, soft: a: i64 => F128);
    by_value!(__floattisf, soft: a: i128 => F32);
    by_value!(__floattidf, soft: a: i128 => F64);
    by_value!(__floattitf, soft: a: i128 => F128);
    by_value!(__floatunsisf, soft: a: u32 => F32);
    by_value!(__floatunsidf, soft: a: u32 => F64);
    by_value!(__floatunsitf, soft: a: u32 => F128);
    by_value!(__floatundisf, soft: a: u64 => F32);
    by_value!(__floatundidf, soft: a: u64 => F64);
    by_value!(__floatunditf, soft: a: u64 => F128);
    by_value!(__floatuntisf, soft: a: u128 => F32);
    by_value!(__floatuntidf, soft: a: u128 => F64);
    by_value!(__floatuntitf, soft: a: u128 => F128);
    by_value!(__fixsfsi, soft: a: F32 => i32);
    by_value!(__fixdfsi, soft: a: F64 => i32);
    by_value!(__fixtfsi, soft: a: F128 => i32);
    by_value!(__fixsfdi, soft: a: F32 => i64);
    by_value!(__fixdfdi, soft: a: F64 => i64);
    by_value!(__fixtfdi, soft: a: F128 => i64);
    by_value!(__fixsfti, soft: a: F32 => i128);
    by_value!(__fixdfti, soft: a: F64 => i128);
    by_value!(__fixtfti, soft: a: F128 => i128);
    by_value!(__fixunssfsi, soft: a: F32 => u32);
    by_value!(__fixunsdfsi, soft: a: F64 => u32);
    by_value!(__fixunstfsi, soft: a: F128 => u32);
    by_value!(__fixunssfdi, soft: a: F32 => u64);
    by_value!(__fixunsdfdi, soft: a: F64 => u64);
    by_value!(__fixunstfdi, soft: a: F128 => u64);
    by_value!(__fixunssfti, soft: a: F32 => u128);
    by_value!(__fixunsdfti, soft: a: F64 => u128);
    by_value!(__fixunstfti, soft: a: F128 => u128);
    by_value!(__powisf2, soft: a: F32, b: i32 => F32);
    by_value!(__powidf2, soft: a: F64, b: i32 => F64);
    by_value!(__powitf2, soft: a: F128, b: i32 => F128);
    by_value!(fabsf16, soft: a: F16 => F16);
    by_value!(fabsf128, soft: a: F128 => F128);
    by_value!(ceilf16, soft: a: F16 => F16);
    by_value!(ceilf128, soft: a: F128 => F128);
    by_value!(floorf16, soft: a: F16 => F16);
    by_value!(floorf128, soft: a: F128 => F128);
    by_value!(truncf16, soft: a: F16 => F16);
    by_value!(truncf128, soft: a: F128 => F128);
    by_value!(roundf16, soft: a: F16 => F16);
    by_value!(roundf128, soft: a: F128 => F128);
    by_value!(roundevenf16, soft: a: F16 => F16);
    by_value!(roundevenf128, soft: a: F128 => F128);
    by_value!(rintf16, soft: a: F16 => F16);
    by_value!(rintf128, soft: a: F128 => F128);
    by_value!(sqrtf16, soft: a: F16 => F16);
    by_value!(sqrtf128, soft: a: F128 => F128);
    by_value!(copysignf16, soft: a: F16, b: F16 => F16);
    by_value!(copysignf128, soft: a: F128, b: F128 => F128);
    by_value!(fmodf16, soft: a: F16, b: F16 => F16);
    by_value!(fmodf128, soft: a: F128, b: F128 => F128);
    by_value!(fdimf16, soft: a: F16, b: F16 => F16);
    by_value!(fdimf128, soft: a: F128, b: F128 => F128);
    by_value!(fmaxf16, soft: a: F16, b: F16 => F16);
    by_value!(fmaxf128, soft: a: F128, b: F128 => F128);
    by_value!(fminf16, soft: a: F16, b: F16 => F16);
    by_value!(fminf128, soft: a: F128, b: F128 => F128);
    by_value!(fmaximumf16, soft: a: F16, b: F16 => F16);
    by_value!(fmaximumf128, soft: a: F128, b: F128 => F128);
    by_value!(fminimumf16, soft: a: F16, b: F16 => F16);
    by_value!(fminimumf128, soft: a: F128, b: F128 => F128);
    by_value!(fmaf128, soft: a: F128, b: F128, c: F128 => F128);
    with_second!(__udivmodsi4: u32, u32);
    with_second!(__udivmoddi4: u64, u64);
    with_second!(__udivmodti4: u128, u128);
    with_second!(__divmodsi4: i32, i32);
    with_second!(__divmoddi4: i64, i64);
    with_second!(__divmodti4: i128, i128);
    with_second!(__mulosi4: i32, i32);
    with_second!(__mulodi4: i64, i32);
    with_second!(__muloti4: i128, i32);
    with_second!(__rust_i128_mulo: i128, i32);
    with_second!(__rust_u128_mulo: u128, i32);
    with_second!(__rust_i128_addo: i128, i32);
    with_second!(__rust_u128_addo: u128, i32);
    with_second!(__rust_i128_subo: i128, i32);
    with_second!(__rust_u128_subo: u128, i32);
}
