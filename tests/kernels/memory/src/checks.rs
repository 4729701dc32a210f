//! The six by their C names, beside naive versions: shared by every program that links `freestone-mem`.

use core::ffi::{c_int, c_void};
use core::hint::black_box;

// Linked for its symbols.
use freestone_mem as _;

unsafe extern "C" {
    fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
    fn memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
    fn memset(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void;
    fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
    fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
    fn strlen(string: *const c_void) -> usize;
}

/// Bytes of a memory.
const MEMORY: usize = 3 * 4096;

/// What the functions work on, and what should come out.
pub struct Memory {
    got: [u8; MEMORY],
    want: [u8; MEMORY],
}

impl Memory {
    pub const fn new() -> Self {
        Self { got: [0; MEMORY], want: [0; MEMORY] }
    }
}

/// Calls one of the six with its arguments, of which it may take fewer; an `int` comes back in the low half.
///
/// # Safety
///
/// `function` is one of the six, and the arguments are what it asks for.
pub type Call = unsafe fn(function: *const (), usize, usize, usize) -> u64;

/// Every function at small lengths and around those where the way changes; panics where one is wrong.
///
/// With the source `fine` bytes apart, one after the other: a word's size gives every relative alignment.
pub fn check(memory: &mut Memory, fine: usize, call: Call) -> u32 {
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
            .flat_map(|(from, to)| (0..fine).map(move |further| (from + further, to)))
        {
            fill(&mut memory.got, n);
            memory.want = memory.got;
            shift(&mut memory.want, to, from, n);
            let apart = from.abs_diff(to) >= n || from == to;
            let function = if apart { memcpy as *const () } else { memmove as *const () };
            // SAFETY: here and below, every place is below 5008 and every length below 4098.
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
