//! Arithmetic as one number, to be the same on every machine and with every way to pass floats.
//!
//! [`operators`] computes with the language's operators: instructions where the machine has them, else
//! calls of this crate's symbols. [`functions`] does the same with this crate's functions. [`methods`] are
//! those of `Float`, from `sin` to `atanh`. All run here and, by including this file, inside a kernel.

use freestone_math::Float;
use freestone_math::int::{div, mul};
use freestone_math::soft::{self, F32, F64};

/// What both give.
pub const ANSWER: u64 = 0x4204_3dd9_6a70_c567;

/// What the methods give.
pub const OF_METHODS: u64 = 0xe160_052a_915b_c94c;

const ROUNDS: u32 = 3_000;

/// Fewer of what takes thousands of instructions without hardware floats.
const ROUNDS_OF_METHODS: u32 = 400;

/// Numbers of many shapes (xorshift, Marsaglia 2003), and a digest of what became of them.
struct Run {
    random: u64,
    digest: u64,
}

impl Run {
    fn new() -> Self {
        Self { random: 1, digest: 0 }
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// A number, often with an exponent near the middle and a fraction near an end.
    fn double(&mut self) -> u64 {
        let (any, how) = (self.next(), self.next());
        let fraction = match how % 4 {
            0 => 0,
            1 => (1 << 52) - 1,
            _ => any & ((1 << 52) - 1),
        };
        let exponent = match how / 4 % 8 {
            0 => any >> 52 & 0x7ff,
            1 => 0,
            2 => 0x7ff,
            _ => 1023 - 30 + (any >> 52) % 60,
        };
        any >> 63 << 63 | exponent << 52 | fraction
    }

    fn single(&mut self) -> u32 {
        let (any, how) = (self.next() as u32, self.next());
        let exponent = match how % 8 {
            0 => any >> 23 & 0xff,
            1 => 0,
            2 => 0xff,
            _ => 127 - 12 + (any >> 23) % 24,
        };
        any >> 31 << 31 | exponent << 23 | any & 0x7f_ffff
    }

    fn wide(&mut self) -> u128 {
        let any = u128::from(self.next()) << 64 | u128::from(self.next());
        any >> (self.next() % 127)
    }

    fn add(&mut self, part: u64) {
        self.digest = (self.digest ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// All NaNs are one: which operand's comes first is the compiler's choice.
    fn add_double(&mut self, bits: u64) {
        let nan = bits & (u64::MAX >> 1) > 0x7ff << 52;
        self.add(if nan { u64::MAX } else { bits });
    }

    fn add_single(&mut self, bits: u32) {
        let nan = bits & (u32::MAX >> 1) > 0xff << 23;
        self.add(if nan { u64::MAX } else { bits.into() });
    }

    fn add_wide(&mut self, n: u128) {
        self.add((n >> 64) as u64);
        self.add(n as u64);
    }
}

/// With the operators of the language.
pub fn operators() -> u64 {
    let mut run = Run::new();
    for _ in 0..ROUNDS {
        let (a, b) = (f64::from_bits(run.double()), f64::from_bits(run.double()));
        for result in [a + b, a - b, a * b, a / b] {
            run.add_double(result.to_bits());
        }
        run.add(a.partial_cmp(&b).map_or(3, |order| order as u64));
        run.add_single((a as f32).to_bits());
        run.add(a as i64 as u64);
        run.add(a as u64);
        run.add_wide(a as i128 as u128);
        let (a, b) = (f32::from_bits(run.single()), f32::from_bits(run.single()));
        for result in [a + b, a - b, a * b, a / b] {
            run.add_single(result.to_bits());
        }
        run.add(a.partial_cmp(&b).map_or(3, |order| order as u64));
        run.add_double(f64::from(a).to_bits());
        run.add(a as i32 as u64);
        run.add(a as u32 as u64);
        let (n, d) = (run.wide(), run.wide() | 1);
        for result in [n / d, n % d, n.wrapping_mul(d), (n as i128 / d as i128) as u128] {
            run.add_wide(result);
        }
        run.add_double((n as f64).to_bits());
        run.add_double((n as i64 as f64).to_bits());
        run.add_single((n as i32 as f32).to_bits());
    }
    run.digest
}

/// With this crate's functions.
pub fn functions() -> u64 {
    let mut run = Run::new();
    for _ in 0..ROUNDS {
        let (a, b) = (F64::from_bits(run.double()), F64::from_bits(run.double()));
        for result in [soft::add(a, b), soft::sub(a, b), soft::mul(a, b), soft::div(a, b)] {
            run.add_double(result.to_bits());
        }
        run.add(soft::compare(a, b).map_or(3, |order| order as u64));
        run.add_single(soft::truncate::<F64, F32>(a).to_bits());
        run.add(soft::to_signed::<_, i64>(a) as u64);
        run.add(soft::to_unsigned(a));
        run.add_wide(soft::to_signed::<_, i128>(a) as u128);
        let (a, b) = (F32::from_bits(run.single()), F32::from_bits(run.single()));
        for result in [soft::add(a, b), soft::sub(a, b), soft::mul(a, b), soft::div(a, b)] {
            run.add_single(result.to_bits());
        }
        run.add(soft::compare(a, b).map_or(3, |order| order as u64));
        run.add_double(soft::extend::<F32, F64>(a).to_bits());
        run.add(soft::to_signed::<_, i32>(a) as u64);
        run.add(u64::from(soft::to_unsigned::<_, u32>(a)));
        let (n, d) = (run.wide(), run.wide() | 1);
        let (q, r) = div::div_rem_u128(n, d);
        let signed = div::div_rem_i128(n as i128, d as i128).0;
        for result in [q, r, mul::mul_u128(n, d), signed as u128] {
            run.add_wide(result);
        }
        run.add_double(soft::from_unsigned::<_, F64>(n).to_bits());
        run.add_double(soft::from_signed::<_, F64>(n as i64).to_bits());
        run.add_single(soft::from_signed::<_, F32>(n as i32).to_bits());
    }
    run.digest
}

/// By path: where there is a `std` its methods of these names would be taken.
macro_rules! unary {
    ($run:ident, $add:ident, $x:expr) => {
        unary!($run, $add, $x; exp exp2 exp_m1 ln log2 log10 ln_1p sin cos tan asin acos atan sinh cosh
            tanh asinh acosh atanh cbrt sqrt floor ceil round round_ties_even trunc)
    };
    ($run:ident, $add:ident, $x:expr; $($method:ident)*) => {
        $($run.$add(Float::$method($x).to_bits());)*
    };
}

/// With the methods of `Float`.
pub fn methods() -> u64 {
    let mut run = Run::new();
    for _ in 0..ROUNDS_OF_METHODS {
        let (a, b) = (f64::from_bits(run.double()), f64::from_bits(run.double()));
        // Once as it comes, once where asin, atanh and the like have something to say.
        for x in [a, Float::fract(a)] {
            unary!(run, add_double, x);
            for result in [Float::powf(x, b), Float::atan2(x, b), Float::hypot(x, b)] {
                run.add_double(result.to_bits());
            }
        }
        let (a, b) = (f32::from_bits(run.single()), f32::from_bits(run.single()));
        for x in [a, Float::fract(a)] {
            unary!(run, add_single, x);
            for result in [Float::powf(x, b), Float::atan2(x, b), Float::hypot(x, b)] {
                run.add_single(result.to_bits());
            }
        }
    }
    run.digest
}

#[test]
fn methods_give_the_answer() {
    assert_eq!(methods(), OF_METHODS, "{:#x}", methods());
}

#[test]
fn operators_and_functions_give_the_answer() {
    assert_eq!(operators(), functions());
    assert_eq!(functions(), ANSWER, "{:#x}", functions());
}
