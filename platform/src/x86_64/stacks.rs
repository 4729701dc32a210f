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

    const fn named(&'static self, name: &'static str) -> Named {
        Named { name, base: &raw const self.guard, len: GUARD + SIZE }
    }
}

/// Where `main` runs, if the kernel does not say how much. In unoptimised builds serde_json's deepest nesting, 128
/// levels, takes 164 KiB, a regular expression with Unicode classes 123, an interpreter of WebAssembly 48, a parser of
/// HTTP 5 (benches/records/stack.md). It is `.bss`: no byte of the file, and 2 MiB of memory have room for it.
pub const BOOT_BYTES: usize = 256 * 1024;
/// Booting an unoptimised kernel takes 40 KiB.
const LEAST_BOOT_BYTES: usize = 64 * 1024;

/// `bytes` of boot stack in whole pages, for [`boot!`](crate::boot). Refuses what cannot be booted on.
pub const fn boot_bytes(bytes: usize) -> usize {
    assert!(bytes >= LEAST_BOOT_BYTES, "a boot stack of less than 64 KiB is not enough");
    assert!(bytes <= 256 << 20, "more than 256 MiB of boot stack: make a KernelStack for that");
    bytes.next_multiple_of(GUARD)
}

/// Enough for a full report in an unoptimised build.
pub const HANDLER_BYTES: usize = 16 * 1024;
/// Interrupts stay on the stack they enter on for a dozen instructions.
pub const ENTRY_BYTES: usize = 4 * 1024;
/// How deep exceptions may nest, and NMIs, before the next one is a double fault.
pub const LEVELS: usize = 3;

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
    /// The stack in `range`, the first page of which is its guard.
    pub const fn new(name: &'static str, range: Range<u64>) -> Named {
        let base = core::ptr::without_provenance(range.start as usize);
        Named { name, base, len: (range.end - range.start) as usize }
    }

    /// The page that must not be mapped.
    pub fn guard(&self) -> Range<u64> {
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

/// Calls `function` with `argument` on the stack that ends at `top`, and comes back. The frame pointer stays the caller's,
/// by which traces find the way.
///
/// # Safety
///
/// - `top` is a multiple of 16; below it is stack, mapped and not in use, until this returns.
/// - `function` may be called with `argument`, and does not unwind.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn call_on(
    top: u64,
    function: extern "sysv64" fn(*mut ()),
    argument: *mut (),
) {
    core::arch::naked_asm!(
        // A debugger takes the way back, to another stack, for an error unless it is a signal's.
        ".cfi_startproc",
        ".cfi_signal_frame",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "leave",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// All stacks, the boot stack first.
pub fn all() -> &'static [Named] {
    // SAFETY: `set_boot` ran before, or nobody runs yet who calls it.
    let all = unsafe { &*ALL.0.get() };
    // The length is hidden from the optimiser: it would unroll every loop over it, at 200 bytes each.
    core::hint::black_box(all)
}

/// Makes known where `main` runs, guard page included: a static of the kernel's, as it says how large.
///
/// # Safety
///
/// - Called before anything else here, and nothing else runs.
pub unsafe fn set_boot(range: Range<u64>) {
    // SAFETY: nobody looks, as the caller promises.
    let [boot, ..] = unsafe { &mut *ALL.0.get() };
    *boot = Named::new(boot.name, range);
}

struct All(UnsafeCell<[Named; 11]>);

// SAFETY: written by `set_boot` alone, before anybody reads.
unsafe impl Sync for All {}

static ALL: All = All(UnsafeCell::new([
    // Until `set_boot`: a stack of no bytes.
    Named { name: "boot", base: core::ptr::null(), len: GUARD },
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
]));

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

/// The stack whose guard page `range` touches.
#[inline(never)]
pub fn guarded(range: Range<u64>) -> Option<Named> {
    let touches = |stack: &Named| {
        let guard = stack.guard();
        guard.start < range.end && range.start < guard.end
    };
    let first = all().iter().find(|stack| touches(stack)).copied();
    first.or_else(|| stack::find(touches))
}

/// The mapped part of the stack that holds `address`: what a backtrace may read.
pub fn containing(address: usize) -> Option<Range<usize>> {
    let holds = |range: &Range<u64>| range.contains(&(address as u64));
    let first = all().iter().map(Named::usable).find(holds);
    let range = first
        .or_else(|| stack::find(|stack| holds(&stack.usable())).map(|stack| stack.usable()))?;
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
        static BOOT: Stack<BOOT_BYTES> = Stack::new();
        // SAFETY: the only test that asks for all of them.
        unsafe { set_boot(BOOT.range()) };
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
