//! Each body's routines once at each size, for `callgrind` to count.
//!
//! Run by `tests/mem_counts.rs` under `valgrind --tool=callgrind --collect-atstart=no`; each call ends in a
//! dump under its own name. Without `callgrind` it has no visible effect: `callgrind`'s requests are rotations
//! that cancel out.

use std::ffi::CString;
use std::hint::black_box;

use freestone_mem::{Strings, x86_64};

const SIZES: [usize; 14] = [0, 1, 4, 8, 16, 32, 64, 65, 128, 256, 512, 513, 1024, 4096];

/// Asks `callgrind`; its manual, section 6.5, and `callgrind.h` give the numbers.
fn request(number: usize, argument: *const i8) {
    const TOOL: usize = (b'C' as usize) << 24 | (b'T' as usize) << 16;
    let arguments = [TOOL | number, argument as usize, 0, 0, 0, 0];
    // SAFETY: four rotations by 128 in all and an exchange of a register with itself; under `callgrind` they
    // read the six words and the string.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &arguments,
            inout("rdx") 0_usize => _,
            inout("rdi") 0_usize => _,
        );
    }
}

/// Counts one call of `function`.
fn count(name: &str, function: *const (), arguments: [usize; 3]) {
    const ZERO: usize = 1;
    const TOGGLE: usize = 2;
    const DUMP: usize = 3;
    let name = CString::new(name).expect("a name");
    // SAFETY: one of the routines, or nothing, with three arguments inside the memory; those that take fewer
    // ignore the rest, and `sysv64` is what `extern "C"` is here.
    let function = unsafe {
        std::mem::transmute::<*const (), unsafe extern "sysv64" fn(usize, usize, usize)>(function)
    };
    request(ZERO, std::ptr::null());
    request(TOGGLE, std::ptr::null());
    // SAFETY: as above.
    unsafe { black_box(function)(arguments[0], arguments[1], arguments[2]) };
    request(TOGGLE, std::ptr::null());
    request(DUMP, name.as_ptr());
}

extern "sysv64" fn nothing() {}

/// What one routine does with the start of a memory full of ones, followed by another like it.
macro_rules! body {
    ($memory:expr, $name:expr, $module:path) => {{
        use $module as body;
        for n in SIZES {
            let memory = $memory;
            let (left, right) =
                (memory.as_mut_ptr() as usize, memory[8192..].as_mut_ptr() as usize);
            let run = |routine: &str, function: *const (), arguments| {
                count(&format!("{}, {routine}, {n}", $name), function, arguments);
            };
            run("memcpy", body::copy as *const (), [right, left, n]);
            run("memmove to 24 above", body::shift as *const (), [left + 24, left, n]);
            run("memmove to 24 below", body::shift as *const (), [left, left + 24, n]);
            run("memset", body::fill as *const (), [right, 1, n]);
            run("memcmp", body::compare as *const (), [left, right, n]);
            run("bcmp", body::differs as *const (), [left, right, n]);
            memory[n] = 0;
            run("strlen", body::length as *const (), [left, 0, 0]);
            memory[n] = 1;
        }
    }};
}

fn main() {
    // On a boundary, so that counts do not depend on where the system puts things.
    let mut memory = vec![1_u8; 5 * 4096];
    let start = memory.as_ptr().align_offset(4096);
    let memory = &mut memory[start..];
    count("nothing", nothing as *const (), [0; 3]);
    body!(&mut *memory, "gpr", x86_64::gpr);
    freestone_mem::assume(Strings::Short);
    body!(&mut *memory, "gpr with short strings", x86_64::gpr);
    freestone_mem::assume(Strings::Unknown);
    body!(&mut *memory, "small", x86_64::small);
    body!(&mut *memory, "sse2", x86_64::sse2);
    // `valgrind` offers what the processor has, up to this.
    if is_x86_feature_detected!("avx2") {
        body!(&mut *memory, "avx2", x86_64::avx2);
    }
}
