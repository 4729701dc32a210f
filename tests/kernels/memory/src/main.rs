//! The C memory functions as a kernel has them, each way they can go on this processor or another.
//!
//! Called by their C names and held against naive versions, with every vector register full of something
//! that must still be there afterwards, and a clear direction flag. `tests/memory.rs` boots it.
#![no_std]
#![no_main]

use core::arch::asm;
use core::ffi::{c_int, c_void};
use core::hint::black_box;

use freestone::{Exit, println};
use freestone_mem::Strings;

freestone::entry!(main);

unsafe extern "C" {
    fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
    fn memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
    fn memset(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void;
    fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
    fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
    fn strlen(string: *const c_void) -> usize;
}

const MEMORY: usize = 3 * 4096;

/// What the functions work on, and what should come out.
struct Memory {
    got: [u8; MEMORY],
    want: [u8; MEMORY],
}

static mut MEMORIES: Memory = Memory { got: [0; MEMORY], want: [0; MEMORY] };

fn main(_boot: &'static freestone::BootInfo) -> Exit {
    println!("detected: {}", name(freestone_mem::assumed()));
    // SAFETY: `main` runs once, on one processor, and nothing else names this.
    let memory = unsafe { (&raw mut MEMORIES).as_mut_unchecked() };
    for strings in [Strings::Unknown, Strings::Long, Strings::Short] {
        freestone_mem::assume(strings);
        let checks = check(memory);
        println!("{}: {checks} checks", name(strings));
    }
    Exit::Success
}

fn name(strings: Strings) -> &'static str {
    match strings {
        Strings::Unknown => "Unknown",
        Strings::Long => "Long",
        Strings::Short => "Short",
    }
}

/// Every function at small lengths and around those where the way changes; panics where one is wrong.
fn check(memory: &mut Memory) -> u32 {
    let lengths = (0..=33).chain([47, 48, 49, 63, 64, 65, 66, 96, 127, 128, 129, 159, 160, 192]);
    let mut checks = 0;
    // The machine code in `call` takes addresses.
    let got = (&raw mut memory.got).expose_provenance();
    let want = (&raw mut memory.want).expose_provenance();
    let at = |offset: usize| got + offset;
    for n in lengths.chain([248, 249, 256, 300, 511, 512, 513, 1024, 1100, 4097]) {
        // Apart; with loads that look as if they needed earlier stores; overlapping closely and widely.
        for (from, to) in [(0, 4200), (1, 4203), (5000, 903), (64, 0), (24, 0), (3, 0)]
            .into_iter()
            .chain([(0, 3), (0, 24), (8, 264), (8, 1032), (100, 100)])
        {
            fill(&mut memory.got, n);
            memory.want = memory.got;
            shift(&mut memory.want, to, from, n);
            let apart = from.abs_diff(to) >= n || from == to;
            let function = if apart { memcpy as *const () } else { memmove as *const () };
            // SAFETY: here and below, every place is below 5001 and every length below 4098.
            let returned = unsafe { call(function, at(to), at(from), n) };
            assert_eq!(returned, at(to) as u64);
            assert!(memory.got == memory.want, "{n} bytes from {from} to {to}");

            memory.want[to..to + n].iter_mut().for_each(|byte| *byte = black_box(0xa5));
            // SAFETY: as above.
            let returned = unsafe { call(memset as *const (), at(to), 0x7a5, n) };
            assert_eq!(returned, at(to) as u64);
            assert!(memory.got == memory.want, "{n} bytes at {to}");

            // Equal but for the last byte, which is larger as an unsigned number and smaller as a signed one.
            if n > 0 {
                memory.got[to + n - 1] = 0x25;
            }
            // SAFETY: as above.
            let (order, differ) = unsafe {
                let order = call(memcmp as *const (), want + to, at(to), n) as i32;
                (order, call(bcmp as *const (), want + to, at(to), n) as i32)
            };
            assert_eq!(((order > 0), differ != 0), (n > 0, n > 0), "{n} bytes at {to}");
            assert!(order >= 0, "{n} bytes at {to}");

            memory.got[to..to + n].iter_mut().for_each(|byte| *byte |= black_box(0x81));
            memory.got[to + n] = 0;
            // SAFETY: the string ends inside the memory.
            let length = unsafe { call(strlen as *const (), at(to), 0, 0) };
            assert_eq!(length, n as u64, "a string at {to}");
            checks += 5;
        }
    }
    checks
}

/// Different bytes for each `seed`, by a loop that is no `memset`.
fn fill(memory: &mut [u8; MEMORY], seed: usize) {
    for (at, byte) in memory.iter_mut().enumerate() {
        *byte = (at * 7 + (at >> 8) + seed) as u8;
    }
}

/// A naive `memmove`: byte by byte, from the end that is not overwritten.
fn shift(memory: &mut [u8; MEMORY], to: usize, from: usize, n: usize) {
    for step in 0..n {
        let at = if to > from { n - 1 - step } else { step };
        // What the compiler cannot see through it cannot make a call of.
        let byte = black_box(memory[from + at]);
        memory[to + at] = byte;
    }
}

/// Calls `function` with marks in all sixteen vector registers; panics unless they are still there afterwards
/// and the direction flag is clear.
///
/// # Safety
///
/// `function` is one of the six, and the arguments are what it asks for.
unsafe fn call(function: *const (), first: usize, second: usize, third: usize) -> u64 {
    const MARK: u64 = 0x0123_4567_89ab_cdef;
    let (returned, changed, flags): (u64, u64, u64);
    // SAFETY: the caller's promise; what a C function may change is declared, the stack is the compiler's and
    // aligned, as `nostack` is absent.
    unsafe {
        asm!(
            ".irp r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movq xmm\\r, rcx",
            ".endr",
            "call rax",
            "pushfq",
            "pop rdx",
            "mov rcx, {mark}",
            "xor esi, esi",
            ".irp r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movq rdi, xmm\\r",
            "xor rdi, rcx",
            "or rsi, rdi",
            ".endr",
            mark = const MARK,
            inout("rax") function => returned,
            inout("rcx") MARK => _,
            inout("rdi") first => _,
            inout("rsi") second => changed,
            inout("rdx") third => flags,
            clobber_abi("sysv64"),
        );
    }
    assert_eq!(changed, 0, "a vector register");
    assert_eq!(flags & 1 << 10, 0, "the direction flag");
    returned
}
