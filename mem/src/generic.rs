//! The portable bodies: word loops in plain Rust, for every machine without its own.
//!
//! Each range is treated as words of the machine's size that start on a boundary of the range that
//! is written, plus one word at either end that may overlap its neighbour. So there is no loop over
//! leftover bytes, and ranges shorter than a word are the only ones that go byte by byte.
//!
//! Machines without unaligned loads are served by the compiler: it builds a word from bytes where a
//! pointer may be unaligned. Loops therefore test once whether the other range happens to be
//! aligned as well, and use whole loads when it is.
//!
//! The six are never inlined: in another crate, without `#![no_builtins]`, their loops would become calls
//! to these functions themselves.
//!
//! Two rules keep an unoptimised build free of calls, panics and recursion:
//!
//! - Arithmetic wraps, and pointers move by `wrapping_add`: their checked forms call into `core`.
//! - Memory is reached by [`load`] and [`store`], not by `ptr::read` and its relatives.
//!
//! Almost every line here handles raw memory; the contracts are those of the C functions in the
//! crate's root, and each `unsafe` block argues from them.

use core::mem::{MaybeUninit, transmute};

const WORD: usize = size_of::<usize>();

/// Every byte 0x01: multiplied by a byte, it repeats that byte.
const EACH_BYTE: usize = usize::MAX / 0xff;

/// What copying moves: bytes that may be padding or parts of pointers, which no integer may hold.
type Opaque<T> = MaybeUninit<T>;

/// A value at any address.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned<T>(T);

/// There is nothing to find out.
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "called where this is the body"))]
pub fn detect() {}

/// `memcpy`, and also `memmove` towards lower addresses.
#[inline(never)]
pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    if n < WORD {
        // SAFETY: the caller's contract, unchanged.
        unsafe { bytes_up(dst, src, n) };
    } else {
        // SAFETY: the caller's contract, and `n` was just compared.
        unsafe { words_up(dst, src, n) };
    }
    dst
}

/// `memmove`.
#[inline(never)]
pub unsafe fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    // How far `dst` is above `src`; when it is below, this wraps to a number no object is long.
    let above = dst.addr().wrapping_sub(src.addr());
    if above >= n {
        // SAFETY: the caller's contract; `dst` is below `src` or past its end, which `copy` takes.
        unsafe { copy(dst, src, n) };
    } else if n < WORD {
        // SAFETY: the caller's contract, unchanged.
        unsafe { bytes_down(dst, src, n) };
    } else {
        // SAFETY: the caller's contract, and `n` was just compared.
        unsafe { words_down(dst, src, n) };
    }
    dst
}

/// `memset`.
#[inline(never)]
pub unsafe fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
    let mut at = 0;
    if n < WORD {
        while at < n {
            // SAFETY: `at < n`, and `dst` is writable for `n` bytes.
            unsafe { store(dst.wrapping_add(at), byte) };
            at = at.wrapping_add(1);
        }
        return dst;
    }
    let word = EACH_BYTE.wrapping_mul(byte as usize);
    let last = n.wrapping_sub(WORD);
    // SAFETY: a word fits at offset 0, because `n >= WORD`.
    unsafe { store(dst, word) };
    at = to_boundary(dst);
    while at < last {
        // SAFETY: a word fits at offset `at`, because `at < n - WORD`; it starts on a boundary,
        // because `at` did and grows by words.
        unsafe { store_aligned(dst.wrapping_add(at), word) };
        at = at.wrapping_add(WORD);
    }
    // SAFETY: a word fits at offset `n - WORD`.
    unsafe { store(dst.wrapping_add(last), word) };
    dst
}

/// `memcmp`.
#[inline(never)]
pub unsafe fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    let mut at = 0;
    if n < WORD {
        while at < n {
            // SAFETY: `at < n`, and both ranges are readable for `n` bytes.
            let (l, r): (u8, u8) =
                unsafe { (load(left.wrapping_add(at)), load(right.wrapping_add(at))) };
            if l != r {
                return order(l as usize, r as usize);
            }
            at = at.wrapping_add(1);
        }
        return 0;
    }
    let aligned = is_boundary(left) && is_boundary(right);
    let last = n.wrapping_sub(WORD);
    while at < last {
        // SAFETY: a word fits at offset `at`, because `at < n - WORD`; `aligned` was true of both
        // starts, and `at` grows by words.
        let (l, r): (usize, usize) = unsafe {
            (load_word(left.wrapping_add(at), aligned), load_word(right.wrapping_add(at), aligned))
        };
        if l != r {
            return order(l.to_be(), r.to_be());
        }
        at = at.wrapping_add(WORD);
    }
    // SAFETY: a word fits at offset `n - WORD`, because `n >= WORD`.
    let (l, r): (usize, usize) =
        unsafe { (load(left.wrapping_add(last)), load(right.wrapping_add(last))) };
    // What this word shares with the one before is equal, and so does not disturb the order.
    order(l.to_be(), r.to_be())
}

/// `bcmp`.
#[inline(never)]
pub unsafe fn differs(left: *const u8, right: *const u8, n: usize) -> i32 {
    // The order costs two byte swaps at the very end: not worth a second loop here.
    // SAFETY: the caller's contract, unchanged.
    (unsafe { compare(left, right, n) } != 0) as i32
}

/// `strlen`, byte by byte: a whole word could reach past the end of the string's memory, which
/// plain Rust must not do even where the machine does not mind.
#[inline(never)]
pub unsafe fn length(string: *const u8) -> usize {
    let mut at = 0;
    // SAFETY: no byte before `at` was zero, so this one still belongs to the string.
    while unsafe { load::<u8>(string.wrapping_add(at)) } != 0 {
        at = at.wrapping_add(1);
    }
    at
}

/// Copies fewer bytes than a word, lowest first.
unsafe fn bytes_up(dst: *mut u8, src: *const u8, n: usize) {
    let mut at = 0;
    while at < n {
        // SAFETY: `at < n`, and both ranges are `n` bytes long.
        unsafe { store::<Opaque<u8>>(dst.wrapping_add(at), load(src.wrapping_add(at))) };
        at = at.wrapping_add(1);
    }
}

/// Copies fewer bytes than a word, highest first.
unsafe fn bytes_down(dst: *mut u8, src: *const u8, n: usize) {
    let mut at = n;
    while at > 0 {
        at = at.wrapping_sub(1);
        // SAFETY: `at < n`, and both ranges are `n` bytes long.
        unsafe { store::<Opaque<u8>>(dst.wrapping_add(at), load(src.wrapping_add(at))) };
    }
}

/// Copies a word or more, lowest first: right whenever `dst` is not inside the source.
///
/// ```text
/// dst  |head word|                          |tail word|     written last, read first
///         |word|word|word| ... |word|word|word|             on boundaries of dst
/// ```
unsafe fn words_up(dst: *mut u8, src: *const u8, n: usize) {
    let last = n.wrapping_sub(WORD);
    // SAFETY: a word fits at offsets 0 and `n - WORD`, because `n >= WORD`.
    let (head, tail): (Opaque<usize>, Opaque<usize>) =
        unsafe { (load(src), load(src.wrapping_add(last))) };
    let mut at = to_boundary(dst);
    let aligned = is_boundary(src.wrapping_add(at));
    while at < last {
        // SAFETY: a word fits at offset `at`, because `at < n - WORD`; `dst + at` started on a
        // boundary, `src + at` too if `aligned`, and `at` grows by words.
        unsafe {
            let word: Opaque<usize> = load_word(src.wrapping_add(at), aligned);
            store_aligned(dst.wrapping_add(at), word);
        }
        at = at.wrapping_add(WORD);
    }
    // SAFETY: as for the loads above.
    unsafe {
        store(dst, head);
        store(dst.wrapping_add(last), tail);
    }
}

/// Copies a word or more, highest first: right whenever `dst` is above `src`.
unsafe fn words_down(dst: *mut u8, src: *const u8, n: usize) {
    let last = n.wrapping_sub(WORD);
    // SAFETY: a word fits at offsets 0 and `n - WORD`, because `n >= WORD`.
    let (head, tail): (Opaque<usize>, Opaque<usize>) =
        unsafe { (load(src), load(src.wrapping_add(last))) };
    // The highest boundary in `dst`: less than a word below its end, so more than 0.
    let mut at = n.wrapping_sub(dst.wrapping_add(n).addr() % WORD);
    let aligned = is_boundary(src.wrapping_add(at));
    while at > WORD {
        at = at.wrapping_sub(WORD);
        // SAFETY: the word at offset `at` ends where the last one began, or below `n`; `dst + at`
        // started on a boundary, `src + at` too if `aligned`, and `at` shrinks by words.
        unsafe {
            let word: Opaque<usize> = load_word(src.wrapping_add(at), aligned);
            store_aligned(dst.wrapping_add(at), word);
        }
    }
    // SAFETY: as for the loads above.
    unsafe {
        store(dst, head);
        store(dst.wrapping_add(last), tail);
    }
}

/// -1, 0 or 1.
fn order(left: usize, right: usize) -> i32 {
    ((left > right) as i32).wrapping_sub((left < right) as i32)
}

/// How many bytes lie between `at` and the next word boundary.
fn to_boundary(at: *const u8) -> usize {
    at.addr().wrapping_neg() % WORD
}

fn is_boundary(at: *const u8) -> bool {
    to_boundary(at) == 0
}

/// Reads a `T` at any address.
///
/// # Safety
///
/// `at` is readable for a `T`, and what is there is one.
#[inline(always)]
unsafe fn load<T: Copy>(at: *const u8) -> T {
    // SAFETY: the caller's promise; `Unaligned` needs no alignment.
    unsafe { (*at.cast::<Unaligned<T>>()).0 }
}

/// Reads a word, in one piece if it is `aligned`.
///
/// # Safety
///
/// `at` is readable for a `T`, what is there is one, and it is on a boundary if `aligned`.
#[inline(always)]
unsafe fn load_word<T: Copy>(at: *const u8, aligned: bool) -> T {
    if aligned {
        // As in `store_aligned`.
        #[expect(clippy::transmute_ptr_to_ref, reason = "`&*` brings a check that can panic")]
        // SAFETY: readable, a `T` and on a boundary, as the caller promised; the reference is gone
        // before anything is written.
        unsafe {
            *transmute::<*const u8, &T>(at)
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { load(at) }
    }
}

/// Writes a `T` at any address.
///
/// # Safety
///
/// `at` is writable for a `T`.
#[inline(always)]
unsafe fn store<T: Copy>(at: *mut u8, value: T) {
    // The field, not the whole: without optimisation a structure is written by a call of `memcpy` where the
    // machine has no unaligned stores.
    // SAFETY: the caller's promise; `Unaligned` needs no alignment, and `T: Copy` has no drop.
    unsafe { (*at.cast::<Unaligned<T>>()).0 = value }
}

/// Writes a `T` on a boundary, in one piece.
///
/// A build with debug assertions checks the alignment of every raw pointer it follows, and panics;
/// a reference it trusts.
///
/// # Safety
///
/// `at` is writable for a `T` and on its boundary.
#[inline(always)]
#[expect(clippy::transmute_ptr_to_ref, reason = "`&mut *` brings a check that can panic")]
unsafe fn store_aligned<T: Copy>(at: *mut u8, value: T) {
    // SAFETY: writable and on a boundary, as the caller promised. `MaybeUninit` allows whatever is
    // there now, and nobody else uses the range during the call.
    *unsafe { transmute::<*mut u8, &mut MaybeUninit<T>>(at) } = MaybeUninit::new(value);
}
