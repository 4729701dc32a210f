//! Every stack the kernel has so far, each above a page that is never mapped.
//!
//! A stack is a static whose first page is its guard: running off the low end faults there instead
//! of writing over a neighbour, and the report can name the stack. The memory is `.bss`; loaders
//! zero it, so no instruction of ours is spent on it.

use core::cell::UnsafeCell;
use core::ops::Range;

use crate::memory::PAGE_SIZE;

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
    const fn new() -> Self {
        const { assert!(SIZE.is_multiple_of(GUARD), "the next guard must begin a page") };
        Stack { guard: [0; GUARD], bytes: UnsafeCell::new([0; SIZE]) }
    }

    /// One past the highest byte: where an empty stack's pointer stands, 16-byte aligned.
    pub fn top(&self) -> u64 {
        self.bytes.get() as u64 + SIZE as u64
    }

    const fn named(&'static self, name: &'static str) -> Named {
        Named { name, base: &raw const self.guard, len: GUARD + SIZE }
    }
}

/// Where `main` runs. Unoptimised formatting needs a few KiB; the rest is the kernel's.
pub const BOOT_BYTES: usize = 64 * 1024;
/// Enough for a full report in an unoptimised build.
const HANDLER_BYTES: usize = 16 * 1024;
/// How deep exceptions may nest before the next one is a double fault.
pub const EXCEPTION_LEVELS: usize = 3;

/// See [`BOOT_BYTES`]. The entry code switches to it first of all.
pub static BOOT: Stack<BOOT_BYTES> = Stack::new();
/// Exceptions other than the three below; each level takes [`LEVEL_BYTES`] of it.
pub static EXCEPTION: Stack<{ EXCEPTION_LEVELS * HANDLER_BYTES }> = Stack::new();
/// Interrupts.
pub static INTERRUPT: Stack<HANDLER_BYTES> = Stack::new();
/// #DF, which comes when a stack is unusable.
pub static DOUBLE_FAULT: Stack<HANDLER_BYTES> = Stack::new();
/// NMI, which comes at any time.
pub static NMI: Stack<HANDLER_BYTES> = Stack::new();
/// #MC, which comes at any time.
pub static MACHINE_CHECK: Stack<HANDLER_BYTES> = Stack::new();

/// How far apart the levels of [`EXCEPTION`] are.
pub const LEVEL_BYTES: u64 = HANDLER_BYTES as u64;

/// A stack as reports speak of it.
pub struct Named {
    /// What runs on it.
    pub name: &'static str,
    base: *const [u8; GUARD],
    len: usize,
}

// SAFETY: the pointer is only ever turned into an address.
unsafe impl Sync for Named {}

impl Named {
    /// The page that must not be mapped.
    pub fn guard(&self) -> Range<u64> {
        let base = self.base as u64;
        base..base + PAGE_SIZE
    }

    /// The mapped part.
    pub fn usable(&self) -> Range<u64> {
        let base = self.base as u64;
        base + PAGE_SIZE..base + self.len as u64
    }
}

/// All stacks, the boot stack first.
pub static ALL: [Named; 6] = [
    BOOT.named("boot"),
    EXCEPTION.named("exception"),
    INTERRUPT.named("interrupt"),
    DOUBLE_FAULT.named("double fault"),
    NMI.named("NMI"),
    MACHINE_CHECK.named("machine check"),
];

/// The mapped part of the stack that holds `address`: what a backtrace may read.
pub fn containing(address: usize) -> Option<Range<usize>> {
    let range = ALL.iter().map(Named::usable).find(|range| range.contains(&(address as u64)))?;
    Some(range.start as usize..range.end as usize)
}
