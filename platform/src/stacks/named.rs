//! A stack with its guard page, and its name in reports.

use core::cell::UnsafeCell;
use core::ops::Range;

use crate::memory::address::PAGE_SIZE;

const GUARD: usize = PAGE_SIZE as usize;

/// `SIZE` bytes of stack above a guard page.
#[repr(C, align(4096))]
pub struct Stack<const SIZE: usize> {
    guard: [u8; GUARD],
    bytes: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: the bytes are only ever used through the stack pointer; no reference to them is made.
unsafe impl<const SIZE: usize> Sync for Stack<SIZE> {}

impl<const SIZE: usize> Stack<SIZE> {
    /// A stack of zeroes.
    #[expect(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        const { assert!(SIZE.is_multiple_of(GUARD), "the next guard must begin a page") };
        Stack { guard: [0; GUARD], bytes: UnsafeCell::new([0; SIZE]) }
    }

    /// One past the highest byte: where an empty stack's pointer stands, 16-byte aligned.
    pub fn top(&self) -> u64 {
        self.bytes.get() as u64 + SIZE as u64
    }

    /// The lowest byte; below it is the guard page.
    pub fn bottom(&self) -> u64 {
        self.top() - SIZE as u64
    }

    /// Whether `address` is in the mapped part.
    pub fn holds(&self, address: u64) -> bool {
        (self.bottom()..self.top()).contains(&address)
    }

    /// All of it, the guard page first.
    pub fn range(&self) -> Range<u64> {
        self.bottom() - PAGE_SIZE..self.top()
    }

    pub(crate) const fn named(&'static self, name: &'static str) -> Named {
        Named { name, base: &raw const self.guard, len: GUARD + SIZE }
    }
}

/// Where `main` runs, if the kernel does not say how much. In unoptimised builds serde_json's deepest nesting, 128
/// levels, takes 164 KiB, a regular expression with Unicode classes 123, an interpreter of WebAssembly 48, a parser of
/// HTTP 5 (benches/records/stack.md). It is `.bss`: no byte of the file, and 2 MiB of memory have room for it.
pub const BOOT_BYTES: usize = 256 * 1024;
/// Booting an unoptimised kernel takes 40 KiB.
const LEAST_BOOT_BYTES: usize = 64 * 1024;

/// `bytes` of boot stack in whole pages, for [`boot!`](crate::boot!). Refuses what cannot be booted on.
pub const fn boot_bytes(bytes: usize) -> usize {
    assert!(bytes >= LEAST_BOOT_BYTES, "a boot stack of less than 64 KiB is not enough");
    assert!(bytes <= 256 << 20, "more than 256 MiB of boot stack: make a KernelStack for that");
    bytes.next_multiple_of(GUARD)
}

/// A stack as reports speak of it.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What runs on it.
    pub name: &'static str,
    /// Its guard page first.
    base: *const [u8; GUARD],
    len: usize,
}

// SAFETY: the pointer is only ever turned into an address.
unsafe impl Sync for Named {}

impl Named {
    /// A stack of no bytes.
    pub(crate) const fn nothing(name: &'static str) -> Named {
        Named { name, base: core::ptr::null(), len: GUARD }
    }

    /// The stack in `range`, the first page of which is its guard.
    pub const fn new(name: &'static str, range: Range<u64>) -> Named {
        let base = core::ptr::without_provenance(range.start as usize);
        Named { name, base, len: (range.end - range.start) as usize }
    }

    /// The page that must not be mapped.
    pub(crate) fn guard(&self) -> Range<u64> {
        let base = self.base as u64;
        base..base + PAGE_SIZE
    }

    /// How many KiB are mapped.
    pub fn len_kib(&self) -> u64 {
        ((self.len - GUARD) >> 10) as u64
    }

    /// The mapped part.
    pub fn usable(&self) -> Range<u64> {
        let base = self.base as u64;
        base + PAGE_SIZE..base + self.len as u64
    }
}
