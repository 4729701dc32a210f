//! Every stack the kernel begins with, each above a page that is never mapped; and what reports ask about
//! stacks, these and those that are [made later](crate::memory::KernelStack).
//!
//! A stack is a static whose first page is its guard: running off the low end faults there instead
//! of writing over a neighbour, and the report can name the stack. The memory is `.bss`; loaders
//! zero it, so no instruction of ours is spent on it.

use core::cell::UnsafeCell;
use core::ops::Range;

use crate::memory::{PAGE_SIZE, stack};

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

    /// The lowest byte; below it is the guard page.
    pub fn bottom(&self) -> u64 {
        self.top() - SIZE as u64
    }

    /// Whether `address` is in the mapped part.
    pub fn holds(&self, address: u64) -> bool {
        (self.bottom()..self.top()).contains(&address)
    }

    const fn named(&'static self, name: &'static str) -> Named {
        Named { name, base: &raw const self.guard, len: GUARD + SIZE }
    }
}

/// Where `main` runs. Unoptimised formatting needs a few KiB; the rest is the kernel's.
pub const BOOT_BYTES: usize = 64 * 1024;
/// Enough for a full report in an unoptimised build.
pub const HANDLER_BYTES: usize = 16 * 1024;
/// Interrupts stay on the stack they enter on for a dozen instructions.
pub const ENTRY_BYTES: usize = 4 * 1024;
/// How deep exceptions may nest, and NMIs, before the next one is a double fault.
pub const LEVELS: usize = 3;

/// See [`BOOT_BYTES`]. The entry code switches to it first of all.
pub static BOOT: Stack<BOOT_BYTES> = Stack::new();
/// Where exceptions and NMIs enter: see [`EXCEPTIONS`] and what follows it. One array, so that the stack that
/// holds an address is found by a division.
pub static TRAPS: [Stack<HANDLER_BYTES>; 2 * LEVELS + 2] = [const { Stack::new() }; 2 * LEVELS + 2];
/// Of [`TRAPS`]: exceptions other than those below, one stack per level of nesting.
pub const EXCEPTIONS: Range<usize> = 0..LEVELS;
/// NMI, which comes at any time, and in the handler of another one if that has taken an exception.
pub const NMIS: Range<usize> = LEVELS..2 * LEVELS;
/// #DF, which comes when a stack is unusable.
pub const DOUBLE_FAULT: usize = 2 * LEVELS;
/// #MC, which comes at any time.
pub const MACHINE_CHECK: usize = 2 * LEVELS + 1;

/// The one of [`TRAPS`] that holds `address`.
pub fn trap_stack(address: u64) -> Option<usize> {
    let offset = address.checked_sub(TRAPS.as_ptr() as u64)?;
    let size = size_of::<Stack<HANDLER_BYTES>>() as u64;
    let is_held = offset < size_of_val(&TRAPS) as u64 && offset % size >= PAGE_SIZE;
    is_held.then_some((offset / size) as usize)
}

/// Where interrupts enter, and what they leave at once.
pub static INTERRUPT_ENTRY: Stack<ENTRY_BYTES> = Stack::new();
/// Interrupt handlers, one below the other if they nest.
pub static INTERRUPT: Stack<HANDLER_BYTES> = Stack::new();
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
pub fn all() -> &'static [Named] {
    // The length is hidden from the optimiser: it would unroll every loop over it, at 200 bytes each.
    core::hint::black_box(&ALL)
}

static ALL: [Named; 11] = [
    BOOT.named("boot"),
    TRAPS[0].named("exception"),
    TRAPS[1].named("nested exception"),
    TRAPS[2].named("twice nested exception"),
    TRAPS[3].named("NMI"),
    TRAPS[4].named("nested NMI"),
    TRAPS[5].named("twice nested NMI"),
    TRAPS[DOUBLE_FAULT].named("double fault"),
    TRAPS[MACHINE_CHECK].named("machine check"),
    INTERRUPT_ENTRY.named("interrupt entry"),
    INTERRUPT.named("interrupt"),
];

/// The first guard page at or behind `at`; the end of the address space if there is none.
pub fn next_guard(at: u64) -> Range<u64> {
    let mut next = u64::MAX..u64::MAX;
    for guard in all().iter().map(Named::guard) {
        if guard.start >= at && guard.start < next.start {
            next = guard;
        }
    }
    next
}

/// The name of the stack whose guard page `range` touches.
#[inline(never)]
pub fn guarded(range: Range<u64>) -> Option<&'static str> {
    let touches = |guard: Range<u64>| guard.start < range.end && range.start < guard.end;
    let first = all().iter().find(|stack| touches(stack.guard())).map(|stack| stack.name);
    first.or_else(|| stack::find(|node| touches(node.guard())).map(|node| node.name))
}

/// The mapped part of the stack that holds `address`: what a backtrace may read.
pub fn containing(address: usize) -> Option<Range<usize>> {
    let holds = |range: &Range<u64>| range.contains(&(address as u64));
    let first = all().iter().map(Named::usable).find(holds);
    let range = first.or_else(|| stack::find(|node| holds(&node.usable())).map(|n| n.usable()))?;
    Some(range.start as usize..range.end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_of_an_address_is_found() {
        for (number, stack) in TRAPS.iter().enumerate() {
            for inside in [stack.bottom(), stack.top() - 1] {
                assert_eq!(trap_stack(inside), Some(number));
            }
            assert_eq!(trap_stack(stack.bottom() - 1), None);
        }
        let end = TRAPS[MACHINE_CHECK].top();
        assert_eq!(
            [0, TRAPS[0].bottom() - PAGE_SIZE - 1, end, u64::MAX].map(trap_stack),
            [None; 4]
        );
    }

    #[test]
    fn every_stack_has_its_guard_and_no_two_overlap() {
        let mut guards = 0;
        let mut at = 0;
        while next_guard(at).start != u64::MAX {
            let guard = next_guard(at);
            let stack = all().iter().find(|stack| stack.guard() == guard).unwrap();
            assert_eq!(stack.usable().start, guard.end);
            assert!(next_guard(guard.end).start >= stack.usable().end, "{}", stack.name);
            assert_eq!(containing(guard.start as usize), None);
            assert!(containing(stack.usable().end as usize - 1).is_some());
            at = guard.end;
            guards += 1;
        }
        assert_eq!(guards, all().len());
    }
}
