//! All stacks, for reports and checks: those that the kernel begins with, and those that are
//! [made later](crate::memory::KernelStack), in a list.
//!
//! A stack that the kernel begins with is a static whose first page is its guard page, never mapped: running off the low
//! end faults there instead of writing over other memory, and the report can name the stack. It lies in `.bss`, which
//! loaders zero, so it costs no instruction at boot.

pub mod named;

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch::cpu;
pub use crate::arch::trap::stacks::all;
use crate::lock::Lock;
use named::Named;

/// What reports know of a stack. Lies at its top.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Node {
    next: AtomicPtr<Node>,
    /// The next one in a list of those that were dropped.
    pub(crate) next_dropped: AtomicPtr<Node>,
    pub(crate) named: Named,
}

impl Node {
    /// In no list.
    pub(crate) const fn new(named: Named) -> Node {
        let [next, next_dropped] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 2];
        Node { next, next_dropped, named }
    }
}

static FIRST: AtomicPtr<Node> = AtomicPtr::new(core::ptr::null_mut());

/// Of the list of all stacks.
static LIST: Lock<()> = Lock::new(());

/// Runs `work`, which changes the list, with interrupts off. `None` for a handler that interrupts another such `work`, which
/// may be at any node. Code that only reads the list may do so at any time: the list is valid after every instruction.
fn on_list<R>(work: impl FnOnce() -> R) -> Option<R> {
    cpu::without_interrupts(|| LIST.with(|()| work()))
}

/// Puts a node into the list of all stacks. `None` where that cannot be done now.
///
/// # Safety
///
/// - It is whole, and stays until [`take_out`] has taken it out.
pub(crate) unsafe fn add(own: NonNull<Node>) -> Option<()> {
    on_list(|| {
        // SAFETY: the caller's promise.
        let node = unsafe { own.as_ref() };
        node.next.store(FIRST.load(Ordering::Relaxed), Ordering::Relaxed);
        FIRST.store(own.as_ptr(), Ordering::Release);
    })
}

/// Takes a node out of the list of all stacks, if it is in it. `None` where that cannot be done now.
pub(crate) fn take_out(own: NonNull<Node>) -> Option<()> {
    on_list(|| unlink(own))
}

fn unlink(own: NonNull<Node>) {
    let mut link = &FIRST;
    while let Some(node) = NonNull::new(link.load(Ordering::Relaxed)) {
        // SAFETY: in the list, and so in a stack that is there: none goes meanwhile.
        let next = unsafe { &(*node.as_ptr()).next };
        if node == own {
            return link.store(next.load(Ordering::Relaxed), Ordering::Release);
        }
        link = next;
    }
}

/// The first stack for which `is_it` holds. Can be called in any context.
pub(crate) fn find(is_it: impl Fn(&Named) -> bool) -> Option<Named> {
    if FIRST.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // Interrupts stay: a handler that wants to change the list sees that it is busy.
    LIST.look(|| {
        let mut next = &FIRST;
        loop {
            // SAFETY: null, or a node that is in the list, and so in a stack that is alive: none goes meanwhile.
            let node = unsafe { next.load(Ordering::Acquire).as_ref() };
            match node {
                Some(node) if !is_it(&node.named) => next = &node.next,
                found => break found.map(|node| node.named),
            }
        }
    })
}

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
    first.or_else(|| find(touches))
}

/// The mapped part of the stack that holds `address`: what a backtrace may read.
pub fn containing(address: usize) -> Option<Range<usize>> {
    let holds = |range: &Range<u64>| range.contains(&(address as u64));
    let first = all().iter().map(Named::usable).find(holds);
    let range =
        first.or_else(|| find(|stack| holds(&stack.usable())).map(|stack| stack.usable()))?;
    Some(range.start as usize..range.end as usize)
}

#[cfg(test)]
mod tests {
    use super::named::{BOOT_BYTES, Stack};
    use super::*;
    use crate::arch::trap::stacks::set_boot;

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
