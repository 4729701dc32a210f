//! The program that `soft.rs` builds for `x86_64-unknown-none`: the functions where every operation on floats is a call.
//!
//! It prints for each its name, our time and that of the crate `libm`, in thousandths of a tick of the time-stamp
//! counter. Without the feature `ours` there is only the crate, and the toolchain's soft float under it.

#![no_std]
#![no_main]

include!("FUNCTIONS");

core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call start", "ud2");

const ARGUMENTS: usize = 256;
const ROUNDS: usize = 41;

/// xorshift, Marsaglia 2003.
struct Random(u64);

impl Random {
    fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (high - low) * ((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// The least over all rounds, for one call.
fn least(x: (f64, f64), y: (f64, f64), mut call: impl FnMut(f64, f64)) -> u64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let arguments = [(); ARGUMENTS].map(|()| (random.between(x), random.between(y)));
        // SAFETY: every x86_64 has it.
        let begin = unsafe { core::arch::x86_64::_rdtsc() };
        for (x, y) in arguments {
            call(x, y);
        }
        // SAFETY: every x86_64 has it.
        let end = unsafe { core::arch::x86_64::_rdtsc() };
        least = least.min(end.wrapping_sub(begin).wrapping_mul(1000) / ARGUMENTS as u64);
    }
    least
}

fn write(text: &[u8]) {
    // SAFETY: Linux's write, number 1, to standard output.
    unsafe {
        core::arch::asm!("syscall", inout("rax") 1_u64 => _, in("rdi") 1, in("rsi") text.as_ptr(),
            in("rdx") text.len(), out("rcx") _, out("r11") _);
    }
}

fn write_number(mut n: u64) {
    let mut digits = [b' '; 24];
    for place in digits[1..].iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        n /= 10;
    }
    write(&digits);
}

macro_rules! measure {
    ($($kind:ident $name:ident $x:expr $(, $y:expr)?;)*) => {
        fn all() {
            $(
                let (x, y) = ($x, ($((($y).0, ($y).1),)? (0.0, 0.0),).0);
                write(stringify!($name).as_bytes());
                #[cfg(feature = "ours")]
                write_number(least(x, y, |x, y| measure!(@$kind freestone_math::export::$name, x, y)));
                write_number(least(x, y, |x, y| measure!(@$kind libm::$name, x, y)));
                write(b"\n");
            )*
        }
    };
    (@One $function:path, $x:ident, $y:ident) => {{
        let _ = $y;
        core::hint::black_box($function(core::hint::black_box($x)));
    }};
    (@Two $function:path, $x:ident, $y:ident) => {{
        core::hint::black_box($function(core::hint::black_box($x), core::hint::black_box($y)));
    }};
    (@OneSingle $function:path, $x:ident, $y:ident) => {{
        let _ = $y;
        core::hint::black_box($function(core::hint::black_box($x as f32)));
    }};
    (@TwoSingle $function:path, $x:ident, $y:ident) => {{
        core::hint::black_box($function(core::hint::black_box($x as f32), core::hint::black_box($y as f32)));
    }};
}

functions!(measure);

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    all();
    // SAFETY: Linux's exit, number 60.
    unsafe { core::arch::asm!("syscall", in("rax") 60, in("rdi") 0, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: ends the program.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
