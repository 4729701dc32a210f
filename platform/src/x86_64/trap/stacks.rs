//! The stacks on which handlers run, and calls on another stack.

use core::cell::UnsafeCell;
use core::ops::Range;

use crate::memory::address::PAGE_SIZE;
use crate::stacks::named::{Named, Stack};

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
    Named::nothing("boot"),
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

/// Calls `function` with `argument` on the stack that ends at `top`, and comes back. Arguments come in `rdi`, `rsi` and
/// `rdx`, as C has them on every target that this crate is built for. The frame pointer stays the caller's,
/// by which traces find the way.
///
/// # Safety
///
/// - `top` is a multiple of 16; below it is stack, mapped and not in use, until this returns.
/// - `function` may be called with `argument`, and does not unwind.
#[unsafe(naked)]
pub unsafe extern "C" fn call_on(top: u64, function: extern "C" fn(*mut ()), argument: *mut ()) {
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
}
