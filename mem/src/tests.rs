//! Every body against the naive versions: small cases exhaustively, then guard pages, then random.

#[cfg(target_os = "linux")]
use crate::oracle::Repeated;
use crate::oracle::{BODIES, Guarded, naive, pattern};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// Everything up to here is tried at every length.
const SMALL: usize = 300;

/// Around each place where a body changes its method, and well into `rep`.
const LARGE: [usize; 21] = [
    503, 504, 505, 511, 512, 513, 519, 575, 640, 767, 768, 769, 1023, 1024, 1025, 1031, 2047, 4095,
    4096, 4097, 9001,
];

/// Where the vector bodies turn to `rep`.
const HUGE: [usize; 4] = [16_383, 16_384, 16_385, 20_011];

fn lengths() -> impl Iterator<Item = usize> {
    (0..=SMALL).chain(LARGE)
}

#[test]
fn copy_matches_naive_for_every_small_length_and_alignment() {
    const GAP: usize = 16;
    let before = pattern(2 * (9001 + 2 * GAP));
    let mut got = before.clone();
    for body in BODIES.iter() {
        for len in lengths() {
            for (from, to) in (0..GAP).flat_map(|from| (0..GAP).map(move |to| (from, to))) {
                let to = from + len + to;
                let touched = to + len + GAP;
                let mut want = before[..touched].to_vec();
                naive::shift(&mut want, to, from, len);
                let p = got.as_mut_ptr();
                // SAFETY: `to >= from + len`, and `to + len` is inside `got`.
                let returned = unsafe { (body.copy)(p.add(to), p.add(from), len) };
                assert_eq!(returned, p.wrapping_add(to), "{}: len {len}", body.name);
                assert!(got[..touched] == want, "{}: len {len}, from {from}, to {to}", body.name);
                got[..touched].copy_from_slice(&before[..touched]);
            }
        }
    }
}

#[test]
fn copy_onto_itself_changes_nothing() {
    let before = pattern(9001);
    let mut got = before.clone();
    for body in BODIES.iter() {
        for len in lengths() {
            let p = got.as_mut_ptr();
            // SAFETY: `len` bytes are inside `got`; the same pointer twice is allowed.
            unsafe { (body.copy)(p, p, len) };
            assert!(got == before, "{}: len {len}", body.name);
        }
    }
}

#[test]
fn shift_matches_naive_for_every_small_overlap() {
    // Every distance up to 80 in both directions, then some around the lengths themselves.
    let distances = |len: usize| {
        let len = len as isize;
        let far = [len / 2, len - 1, len, len + 1].into_iter().filter(|far| *far > 80);
        (-80..=80).chain(far.clone().map(|far| -far)).chain(far)
    };
    let before = pattern(3 * 9001 + 300);
    let mut got = before.clone();
    for body in BODIES.iter() {
        for (len, offset) in lengths().flat_map(|len| [0, 1, 5].map(|offset| (len, offset))) {
            for distance in distances(len) {
                let from = len.max(80) + 1 + offset;
                let to = from.strict_add_signed(distance);
                let touched = from.max(to) + len + 1;
                let mut want = before[..touched].to_vec();
                naive::shift(&mut want, to, from, len);
                let p = got.as_mut_ptr();
                // SAFETY: both ranges end before `touched`, which is inside `got`.
                let returned = unsafe { (body.shift)(p.add(to), p.add(from), len) };
                assert_eq!(returned, p.wrapping_add(to), "{}: len {len}", body.name);
                assert!(got[..touched] == want, "{}: len {len}, {from} to {to}", body.name);
                got[..touched].copy_from_slice(&before[..touched]);
            }
        }
    }
}

#[test]
fn shift_matches_naive_for_every_way_to_go_far() {
    // Blocks no longer than the distance, `rep` or loops, and distances that look close because
    // their low twelve bits are.
    const DISTANCES: [usize; 24] = [
        1, 31, 63, 64, 65, 127, 240, 247, 248, 249, 255, 256, 257, 511, 512, 513, 520, 1024, 2048,
        4096, 4097, 4111, 4127, 4129,
    ];
    const MARGIN: usize = 8;
    let before = pattern(2 * 20_011 + 2 * 4129 + MARGIN);
    let mut got = before.clone();
    for body in BODIES.iter() {
        for len in LARGE.into_iter().chain(HUGE).chain([257, 496, 497, 1489, 8192]) {
            for (distance, offset) in DISTANCES.into_iter().flat_map(|d| [(d, 0), (d, 3)]) {
                for (from, to) in [(offset, offset + distance), (offset + distance, offset)] {
                    let (from, to) = (MARGIN + from, MARGIN + to);
                    let touched = from.max(to) + len + MARGIN;
                    let mut want = before[..touched].to_vec();
                    naive::shift(&mut want, to, from, len);
                    let p = got.as_mut_ptr();
                    // SAFETY: both ranges end before `touched`, which is inside `got`.
                    let returned = unsafe { (body.shift)(p.add(to), p.add(from), len) };
                    assert_eq!(returned, p.wrapping_add(to), "{}: len {len}", body.name);
                    assert!(got[..touched] == want, "{}: len {len}, {from} to {to}", body.name);
                    got[..touched].copy_from_slice(&before[..touched]);
                }
            }
        }
    }
}

#[test]
fn copy_and_fill_match_naive_where_they_change_their_ways() {
    const PAGE: usize = 4096;
    let source = pattern(20_011 + PAGE);
    let mut target = Guarded::new(20_011 + 2 * PAGE);
    let target = target.bytes();
    for body in BODIES.iter() {
        for len in (60..270).step_by(3).chain(LARGE).chain(HUGE) {
            // Every small difference modulo pages, from just below to well above.
            for (from, ahead) in
                [0, 17].into_iter().flat_map(|from| (0..40).step_by(3).map(move |a| (from, a)))
            {
                // Where in its page `from` is decides which offset looks how close.
                let place = source[from..].as_ptr().addr() % PAGE + ahead;
                let to = 8 + (place + PAGE - 16) % PAGE;
                target[to - 1..=to + len].fill(0x5a);
                // SAFETY: both ranges are inside their memories.
                unsafe { (body.copy)(target[to..].as_mut_ptr(), source[from..].as_ptr(), len) };
                let name = body.name;
                assert!(target[to..to + len] == source[from..from + len], "{name}: {len} {ahead}");
                assert_eq!(
                    (target[to - 1], target[to + len]),
                    (0x5a, 0x5a),
                    "{name}: {len} {ahead}"
                );
                // SAFETY: the same range as above.
                unsafe { (body.fill)(target[to..].as_mut_ptr(), 0xc3, len) };
                assert!(target[to..to + len].iter().all(|b| *b == 0xc3), "{name}: {len} {ahead}");
                assert_eq!(
                    (target[to - 1], target[to + len]),
                    (0x5a, 0x5a),
                    "{name}: {len} {ahead}"
                );
            }
        }
    }
}

#[test]
fn fill_matches_naive_for_every_small_length_and_alignment() {
    let before = pattern(9001 + 64);
    let mut got = before.clone();
    for body in BODIES.iter() {
        for (len, to) in lengths().flat_map(|len| (0..32).map(move |to| (len, to))) {
            for byte in [0, 0x5a, 0x80, 0xff] {
                let touched = to + len + 32;
                let mut want = before[..touched].to_vec();
                naive::fill(&mut want, to, byte, len);
                let start = got[to..].as_mut_ptr();
                // SAFETY: `to + len` is inside `got`.
                let returned = unsafe { (body.fill)(start, byte, len) };
                assert_eq!(returned, start, "{}: len {len}", body.name);
                assert!(got[..touched] == want, "{}: len {len}, to {to}, {byte}", body.name);
                got[..touched].copy_from_slice(&before[..touched]);
            }
        }
    }
}

/// Calls both comparisons and holds them against the naive one.
fn check_comparisons(left: &[u8], right: &[u8]) {
    let want = naive::compare(left, right);
    for body in BODIES.iter() {
        // SAFETY: both slices have the same length.
        let (order, differ) = unsafe {
            (
                (body.compare)(left.as_ptr(), right.as_ptr(), left.len()),
                (body.differs)(left.as_ptr(), right.as_ptr(), left.len()),
            )
        };
        let name = body.name;
        assert_eq!(order.signum(), want, "{name}: {left:x?} {right:x?}");
        assert_eq!(differ != 0, want != 0, "{name}: {left:x?} {right:x?}");
    }
}

#[test]
fn comparisons_find_a_difference_at_every_place() {
    for len in
        (0..=64).chain([65, 127, 128, 129, 191, 192, 193, 255, 256, 257, 300, 511, 512, 513, 600])
    {
        for (offset, other) in [(0, 0), (1, 0), (3, 5), (8, 7)] {
            let mut left = vec![0; offset];
            left.extend(pattern(len));
            let mut right = vec![0; other];
            right.extend(pattern(len));
            check_comparisons(&left[offset..], &right[other..]);
            for place in (0..len).rev() {
                let (l, r) = (&mut left[offset..], &mut right[other..]);
                // Bytes from 0x80 on are large, not negative.
                for (small, large) in [(0x7f, 0x80), (0x00, 0xff), (0x80, 0x81)] {
                    (l[place], r[place]) = (small, large);
                    check_comparisons(l, r);
                    check_comparisons(r, l);
                }
                // What follows a difference must not matter: from here on all say the opposite.
                (l[place], r[place]) = (0xff, 0);
            }
        }
    }
}

#[test]
fn length_stops_at_the_first_zero_for_every_alignment() {
    // 0x01 and 0x80 are what quick tests for a zero byte take for one; zeros before the string and
    // bytes after its end must not count.
    for byte in [0x01, 0x80, 0x81, 0xff, b'a'] {
        for (len, offset) in lengths().flat_map(|len| (0..16).map(move |offset| (len, offset))) {
            let mut memory = vec![0; offset];
            memory.resize(offset + len, byte);
            memory.push(0);
            memory.extend([byte; 16]);
            for body in BODIES.iter() {
                // SAFETY: `memory` has a zero after `offset`, with sixteen more bytes behind it.
                let got = unsafe { (body.length)(memory[offset..].as_ptr()) };
                assert_eq!(got, len, "{}: offset {offset}, {byte:#x}", body.name);
            }
        }
    }
}

/// Calls `check` with `len` bytes at the start and at the end of `memory`'s pages.
fn at_both_ends(memory: &mut Guarded, len: usize, mut check: impl FnMut(&mut [u8])) {
    let bytes = memory.bytes();
    let end = bytes.len();
    check(&mut bytes[..len]);
    check(&mut bytes[end - len..]);
}

#[test]
fn nothing_is_touched_beyond_either_end() {
    let (mut source, mut target) = (Guarded::new(9001), Guarded::new(9001));
    for body in BODIES.iter() {
        for len in lengths() {
            at_both_ends(&mut source, len, |from| {
                at_both_ends(&mut target, len, |to| {
                    // SAFETY: both slices are `len` bytes long, in different mappings.
                    unsafe {
                        (body.fill)(to.as_mut_ptr(), 0, len);
                        assert!(to.iter().all(|byte| *byte == 0), "{}: len {len}", body.name);
                        (body.copy)(to.as_mut_ptr(), from.as_ptr(), len);
                        assert!(to == from, "{}: len {len}", body.name);
                        assert_eq!((body.compare)(to.as_ptr(), from.as_ptr(), len), 0);
                        assert_eq!((body.differs)(to.as_ptr(), from.as_ptr(), len), 0);
                    }
                });
            });
        }
    }
}

#[test]
fn shift_stays_between_the_guard_pages() {
    let before = pattern(1024);
    let mut memory = Guarded::new(1024);
    for body in BODIES.iter() {
        for len in (0..=SMALL).chain([512, 639, 640, 641, 1000]) {
            for distance in [1, 7, 8, 15, 16, 24] {
                at_both_ends(&mut memory, len + distance, |bytes| {
                    for (from, to) in [(0, distance), (distance, 0)] {
                        bytes.copy_from_slice(&before[..len + distance]);
                        let mut want = bytes.to_vec();
                        naive::shift(&mut want, to, from, len);
                        let p = bytes.as_mut_ptr();
                        // SAFETY: both ranges end within `len + distance`.
                        unsafe { (body.shift)(p.add(to), p.add(from), len) };
                        assert!(bytes == want, "{}: len {len}, {from} to {to}", body.name);
                    }
                });
            }
        }
    }
}

#[test]
fn length_does_not_cross_into_the_next_page() {
    let mut memory = Guarded::new(1);
    let bytes = memory.bytes();
    *bytes.last_mut().unwrap() = 0;
    for body in BODIES.iter() {
        for len in 0..bytes.len() {
            let start = bytes.len() - 1 - len;
            // SAFETY: the last byte is zero.
            assert_eq!(unsafe { (body.length)(bytes[start..].as_ptr()) }, len, "{}", body.name);
        }
    }
}

#[test]
fn zero_bytes_at_a_dangling_pointer_are_not_touched() {
    // Small enough to be in a page that no process has; `core` makes such pointers for empty slices.
    for address in [1, 2, 8, 4095] {
        let nowhere = core::ptr::without_provenance_mut(address);
        for body in BODIES.iter() {
            // SAFETY: no byte is read or written.
            unsafe {
                assert_eq!((body.copy)(nowhere, nowhere, 0), nowhere);
                assert_eq!((body.shift)(nowhere, nowhere.wrapping_add(1), 0), nowhere);
                assert_eq!((body.shift)(nowhere.wrapping_add(1), nowhere, 0).addr(), address + 1);
                assert_eq!((body.fill)(nowhere, 1, 0), nowhere);
                assert_eq!((body.compare)(nowhere, nowhere.wrapping_add(1), 0), 0);
                assert_eq!((body.differs)(nowhere, nowhere.wrapping_add(1), 0), 0);
            }
        }
    }
}

#[test]
fn larger_sizes_match_naive() {
    const MEMORY: usize = 20_000;
    let config = ProptestConfig {
        cases: if std::env::var_os("FREESTONE_LONG").is_some() { 30_000 } else { 300 },
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xf4ee_5704),
        ..ProptestConfig::default()
    };
    let before = pattern(MEMORY);
    let cases = (0..MEMORY / 2, 0..MEMORY / 2, 0..MEMORY / 2, any::<u8>(), any::<u8>());
    let run = TestRunner::new(config).run(&cases, |(len, from, to, byte, flipped)| {
        let mut want = before.clone();
        naive::shift(&mut want, to, from, len);
        naive::fill(&mut want, from, byte, len / 7);
        for body in BODIES.iter() {
            let mut got = before.clone();
            let p = got.as_mut_ptr();
            // SAFETY: every start and every length is below half of the memory.
            unsafe {
                (body.shift)(p.add(to), p.add(from), len);
                (body.fill)(p.add(from), byte, len / 7);
            }
            prop_assert!(got == want, "{}", body.name);
            let mut copied = vec![0; len];
            // SAFETY: `copied` and the memory from `to` on hold `len` bytes.
            unsafe { (body.copy)(copied.as_mut_ptr(), p.add(to), len) };
            prop_assert!(copied == want[to..to + len], "{}", body.name);
        }
        let mut other = want[to..to + len].to_vec();
        if let Some(byte) = other.get_mut(from) {
            *byte = byte.wrapping_add(flipped);
        }
        check_comparisons(&want[to..to + len], &other);
        Ok(())
    });
    run.unwrap();
}

/// Lengths whose lower 32 bits are small numbers. Minutes, so only when asked for.
#[cfg(target_os = "linux")]
#[test]
fn lengths_beyond_4_gib_are_lengths() {
    if std::env::var_os("FREESTONE_LONG").is_none() {
        return;
    }
    const LEN: usize = (1 << 32) + 4097;
    let (mut source, mut target) = (Repeated::new(LEN), Repeated::new(LEN));
    let first = pattern(Repeated::PERIOD);
    for body in BODIES.iter() {
        let name = body.name;
        source.window().copy_from_slice(&first);
        target.window().fill(0);
        let (from, to) = (source.start(), target.start());
        // SAFETY: both mappings are longer than `LEN`; each byte written stands for all at its place.
        unsafe {
            assert_eq!((body.copy)(to, from, LEN), to, "{name}");
            assert!(target.window() == source.window(), "{name}");
            assert_eq!((body.compare)(to, from, LEN), 0, "{name}");
            assert_eq!((body.differs)(to, from, LEN), 0, "{name}");
            // The string ends in the guard page's stead: a page of zeros after the mapping.
            assert_eq!((body.length)(from), source.len(), "{name}");
            assert_eq!((body.fill)(to, 7, LEN), to, "{name}");
            assert!(target.window().iter().all(|byte| *byte == 7), "{name}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_direction_flag_stays_clear() {
    const DIRECTION: u64 = 1 << 10;
    let mut memory = pattern(2000);
    for body in BODIES.iter() {
        let p = memory.as_mut_ptr();
        let flags: u64;
        // SAFETY: both ranges are inside `memory`; reading the flags goes through the stack, so
        // `nostack` is absent.
        unsafe {
            (body.shift)(p.add(1), p, 1999);
            core::arch::asm!("pushfq", "pop {}", out(reg) flags);
        }
        assert_eq!(flags & DIRECTION, 0, "{}", body.name);
    }
}

/// The host's functions, under their C names.
mod host {
    use core::ffi::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
        pub fn memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void;
        pub fn memset(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void;
        pub fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
        pub fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> c_int;
        pub fn strlen(string: *const c_char) -> usize;
    }
}

#[test]
fn the_tests_run_on_the_hosts_functions_and_test_ours() {
    macro_rules! differ {
        ($($name:ident)*) => {
            $(assert_ne!(crate::$name as *const (), host::$name as *const (), stringify!($name));)*
        };
    }
    differ!(memcpy memmove memset memcmp bcmp strlen);
}

#[test]
fn exports_txt_lists_what_lib_rs_exports() {
    let exported = include_str!("lib.rs").split("\nexported! {").skip(1).map(|rest| {
        let (_, signature) = rest.split_once("extern \"C\" fn ").unwrap();
        signature.split_once('(').unwrap().0
    });
    let mut exported: Vec<_> = exported.collect();
    exported.sort_unstable();
    let listed: Vec<_> = include_str!("../exports.txt").lines().collect();
    assert_eq!(listed, exported);
}
