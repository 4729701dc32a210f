//! Memory between guard pages, and operations that the input encodes, by every body, each compared with plain
//! Rust on a copy. `run.sh` says how to start it.
#![no_main]

use std::cell::RefCell;

use freestone_mem::{Strings, generic, x86_64};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 10 * PAGE;
const PAGE: usize = 4096;

/// Pages between two that cannot be touched.
fn guarded() -> &'static mut [u8] {
    // SAFETY: a fresh mapping, of which all but the first and the last page are opened; never unmapped.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let pages =
            libc::mmap(std::ptr::null_mut(), MEMORY + 2 * PAGE, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(pages, libc::MAP_FAILED);
        let open = pages.byte_add(PAGE);
        assert_eq!(libc::mprotect(open, MEMORY, libc::PROT_READ | libc::PROT_WRITE), 0);
        std::slice::from_raw_parts_mut(open.cast(), MEMORY)
    }
}

thread_local! {
    static MEMORIES: RefCell<(&'static mut [u8], Vec<u8>)> =
        RefCell::new((guarded(), vec![0; MEMORY]));
}

/// One operation: what, where, how many, and one byte more.
struct Operation {
    what: u8,
    to: usize,
    from: usize,
    len: usize,
    byte: u8,
}

impl Operation {
    /// Eight bytes each. Small numbers, those near the ends, and those near each other come up often.
    fn read(input: &[u8]) -> Self {
        let number = |at: usize| usize::from(u16::from_le_bytes([input[at], input[at + 1]]));
        let what = input[0];
        let len = if what & 0x80 == 0 { number(2) % 600 } else { number(2) % (MEMORY / 2) };
        let room = MEMORY - len;
        let place = |number: usize| match number >> 14 {
            0 => number % 64 % (room + 1),
            1 => room - number % 64 % (room + 1),
            _ => number % (room + 1),
        };
        let to = place(number(4));
        let from = if what & 0x40 == 0 {
            place(number(6))
        } else {
            (to + usize::from(input[6])).saturating_sub(128).min(room)
        };
        Self { what: what & 7, to, from, len, byte: input[1] }
    }
}

macro_rules! run {
    ($body:path, $operations:expr, $name:expr) => {{
        use $body as body;
        MEMORIES.with_borrow_mut(|(memory, want)| {
            for (i, (byte, same)) in memory.iter_mut().zip(want.iter_mut()).enumerate() {
                *byte = (i * 7 + (i >> 8)) as u8 | 1;
                *same = *byte;
            }
            let p = memory.as_mut_ptr();
            for Operation { what, to, from, len, byte } in $operations {
                let (to, from, len, byte) = (*to, *from, *len, *byte);
                let apart = to.abs_diff(from) >= len || to == from;
                // SAFETY: `Operation::read` keeps every range inside the memory.
                unsafe {
                    match what {
                        0 | 1 if apart => {
                            assert_eq!(body::copy(p.add(to), p.add(from), len), p.add(to));
                            want.copy_within(from..from + len, to);
                        }
                        0..=2 => {
                            assert_eq!(body::shift(p.add(to), p.add(from), len), p.add(to));
                            want.copy_within(from..from + len, to);
                        }
                        3 | 4 => {
                            assert_eq!(body::fill(p.add(to), byte, len), p.add(to));
                            want[to..to + len].fill(byte);
                        }
                        5 | 6 => {
                            let (left, right) = (&want[to..to + len], &want[from..from + len]);
                            let order = body::compare(p.add(to), p.add(from), len);
                            assert_eq!(order.signum(), left.cmp(right) as i32, "{} compare", $name);
                            let differ = body::differs(p.add(to), p.add(from), len) != 0;
                            assert_eq!(differ, left != right, "{} differs", $name);
                        }
                        _ => {
                            let to = to.min(MEMORY - 1);
                            let end = to + len.min(MEMORY - 1 - to);
                            want[end] = 0;
                            p.add(end).write(0);
                            let length = want[to..].iter().position(|byte| *byte == 0);
                            assert_eq!(Some(body::length(p.add(to))), length, "{} length", $name);
                        }
                    }
                }
            }
            assert!(memory[..] == want[..], "{}", $name);
        });
    }};
}

fuzz_target!(|input: &[u8]| {
    let operations: Vec<_> = input.chunks_exact(8).take(64).map(Operation::read).collect();
    run!(generic, &operations, "generic");
    run!(x86_64::small, &operations, "small");
    for strings in [Strings::Unknown, Strings::Long, Strings::Short] {
        freestone_mem::assume(strings);
        run!(x86_64::gpr, &operations, "gpr");
        run!(x86_64::sse2, &operations, "sse2");
        if is_x86_feature_detected!("avx2") {
            run!(x86_64::avx2, &operations, "avx2");
        }
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
            run!(x86_64::avx512, &operations, "avx512");
        }
    }
});
