//! Against the machine's own instructions, NaNs and all.
#![cfg(target_arch = "x86_64")]

use std::arch::asm;

use super::*;

macro_rules! two {
    ($($name:ident $bits:ident $instruction:literal;)*) => {$(
        fn $name(a: $bits, b: $bits) -> $bits {
            let mut x = f64::from_bits(a as u64);
            // SAFETY: touches two registers; the upper part of both is ignored.
            unsafe {
                asm!(concat!($instruction, " {x}, {y}"), x = inout(xmm_reg) x,
                    y = in(xmm_reg) f64::from_bits(b as u64), options(pure, nomem, nostack));
            }
            x.to_bits() as $bits
        }
    )*};
}

two! {
    addss u32 "addss"; subss u32 "subss"; mulss u32 "mulss"; divss u32 "divss";
    addsd u64 "addsd"; subsd u64 "subsd"; mulsd u64 "mulsd"; divsd u64 "divsd";
    second_sqrtss u32 "sqrtss"; second_sqrtsd u64 "sqrtsd";
    second_cvtss2sd u64 "cvtss2sd"; second_cvtsd2ss u64 "cvtsd2ss";
}

macro_rules! fused {
    ($($name:ident $bits:ident $instruction:literal;)*) => {$(
        fn $name(a: $bits, b: $bits, c: $bits) -> $bits {
            let mut x = f64::from_bits(a as u64);
            // SAFETY: the processor has the instruction; it touches three registers.
            unsafe {
                asm!(concat!($instruction, " {x}, {y}, {z}"), x = inout(xmm_reg) x,
                    y = in(xmm_reg) f64::from_bits(b as u64), z = in(xmm_reg) f64::from_bits(c as u64),
                    options(pure, nomem, nostack));
            }
            x.to_bits() as $bits
        }
    )*};
}

// The first operand is the second factor: the one whose NaN gives way to the other's.
fused! { vfmadd213ss u32 "vfmadd213ss"; vfmadd213sd u64 "vfmadd213sd"; }

macro_rules! agrees {
    ($test:ident $format:ident $bits:ident, $add:ident $sub:ident $mul:ident $div:ident $sqrt:ident $fma:ident) => {
        #[test]
        fn $test() {
            let mut random = Random(11);
            let of = $format::from_bits;
            let has_fma = is_x86_feature_detected!("fma");
            let edges = edges::edges::<$format>();
            let grid = edges.iter().flat_map(|&a| edges.iter().map(move |&b| [a, b, a ^ b << 1]));
            // With FREESTONE_LONG=1, a hundred million.
            let times = if rounds(1) == 1 { 400_000 } else { 100_000_000 };
            let any = (0..times).map(|_| [(); 3].map(|()| shaped::<$format>(&mut random)));
            for [a, b, c] in grid.chain(any).map(|numbers| numbers.map(|bits| bits as $bits)) {
                assert_eq!(add(of(a), of(b)).to_bits(), $add(a, b), "{a:#x} + {b:#x}");
                assert_eq!(sub(of(a), of(b)).to_bits(), $sub(a, b), "{a:#x} - {b:#x}");
                assert_eq!(mul(of(a), of(b)).to_bits(), $mul(a, b), "{a:#x} * {b:#x}");
                assert_eq!(div(of(a), of(b)).to_bits(), $div(a, b), "{a:#x} / {b:#x}");
                assert_eq!(sqrt(of(a)).to_bits(), $sqrt(0, a), "sqrt {a:#x}");
                if has_fma {
                    let got = fma(of(a), of(b), of(c)).to_bits();
                    assert_eq!(got, $fma(b, a, c), "{a:#x} * {b:#x} + {c:#x}");
                }
            }
        }
    };
}

agrees!(f32_arithmetic_is_the_machines F32 u32, addss subss mulss divss second_sqrtss vfmadd213ss);
agrees!(f64_arithmetic_is_the_machines F64 u64, addsd subsd mulsd divsd second_sqrtsd vfmadd213sd);

#[test]
fn conversions_between_f32_and_f64_are_the_machines() {
    let mut random = Random(12);
    for _ in 0..rounds(400_000) {
        let a = shaped::<F32>(&mut random) as u32;
        let got: F64 = extend(F32::from_bits(a));
        assert_eq!(got.to_bits(), second_cvtss2sd(0, a.into()), "{a:#x}");
        let b = shaped::<F64>(&mut random) as u64;
        let got: F32 = truncate(F64::from_bits(b));
        assert_eq!(u64::from(got.to_bits()), second_cvtsd2ss(0, b), "{b:#x}");
    }
}

#[test]
fn long_every_f32_has_the_machines_square_root() {
    // Two binades are all there is to a root but the exponent; with FREESTONE_LONG=1, all numbers.
    let (first, last) = if rounds(1) == 1 { (0x3f80_0000, 0x407f_ffff) } else { (0, u32::MAX) };
    let step = if cfg!(debug_assertions) && rounds(1) == 1 { 7 } else { 1 };
    for bits in (first..=last).step_by(step) {
        assert_eq!(sqrt(F32::from_bits(bits)).to_bits(), second_sqrtss(0, bits), "{bits:#x}");
    }
}

/// The sum, product and quotient of every pair, where `F32`'s are rounded a second time: it has more
/// than twice the precision, so that this is as good as once.
#[test]
fn long_pairs_of_f16_have_the_machines_sums_products_and_quotients() {
    if !is_x86_feature_detected!("f16c") {
        return;
    }
    // Every pair with FREESTONE_LONG=1; else every 509th first operand.
    let step = if rounds(1) == 1 { 509 } else { 1 };
    let wide = |bits: u16| half::extend(bits).expect("it has F16C");
    for a in (0..=u16::MAX).step_by(step) {
        let x = wide(a);
        for b in 0..=u16::MAX {
            let (p, q, y) = (F16::from_bits(a), F16::from_bits(b), wide(b));
            for (got, want) in
                [(add(p, q), addss(x, y)), (mul(p, q), mulss(x, y)), (div(p, q), divss(x, y))]
            {
                assert_eq!(Some(got.to_bits()), half::truncate(want), "{a:#x} {b:#x}");
            }
        }
    }
}

/// libgcc has its own idea of NaNs, so those are left out.
#[test]
fn f128_arithmetic_is_libgccs() {
    use std::arch::x86_64::__m128i;
    // SAFETY: both names end in zero; the library is a C runtime's and stays open.
    let named = |name: &std::ffi::CStr| unsafe {
        let library = libc::dlopen(c"libgcc_s.so.1".as_ptr(), libc::RTLD_NOW);
        libc::dlsym(library, name.as_ptr())
    };
    type Ours = fn(F128, F128) -> F128;
    let operations: [(_, Ours); 4] =
        [(c"__addtf3", add), (c"__subtf3", sub), (c"__multf3", mul), (c"__divtf3", div)];
    let mut random = Random(13);
    for (name, ours) in operations {
        let theirs = named(name);
        assert!(!theirs.is_null(), "libgcc_s has no {name:?}");
        #[allow(improper_ctypes_definitions)] // how C passes a float of 128 bits
        type Theirs = extern "C" fn(__m128i, __m128i) -> __m128i;
        // SAFETY: that is the signature of the four.
        let theirs = unsafe { std::mem::transmute::<*mut libc::c_void, Theirs>(theirs) };
        for _ in 0..rounds(40_000) {
            let (a, b) = (shaped::<F128>(&mut random), shaped::<F128>(&mut random));
            let got = ours(F128::from_bits(a), F128::from_bits(b));
            // SAFETY: both are 16 bytes in which every pattern is a value.
            let vector = |bits| unsafe { std::mem::transmute::<u128, __m128i>(bits) };
            // SAFETY: as above.
            let want =
                unsafe { std::mem::transmute::<__m128i, u128>(theirs(vector(a), vector(b))) };
            let nan = format::is_nan::<F128>(want) && format::is_nan::<F128>(got.to_bits());
            assert!(nan || got.to_bits() == want, "{name:?} {a:#x} {b:#x}: {:#x}", got.to_bits());
        }
    }
}
