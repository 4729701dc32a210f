//! Stacks made while the kernel runs: frames of their own, above a page that is not mapped.
//!
//! Running off the low end faults instead of writing over other memory, the report names the stack, and backtraces go
//! through it. All stacks are in a list for the reports; each entry lies in its stack, at the top.
//!
//! A dropped stack is put on a second list, of stacks to be given back, and that list is emptied at once. A handler may have
//! interrupted a use of the first list, or a change of the page tables, without which the guard page cannot be mapped again.
//! Then the stack stays on the second list until the page tables are changed, or a stack is made or dropped, the next time.

use core::fmt;
use core::mem::{align_of, size_of};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::access::MapError;
use super::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use super::frames::Frames;
use crate::arch::page_table::active;
use crate::stacks::named::Named;
use crate::stacks::{Node, add, take_out};

/// Stacks to be given back. Anybody puts one in front, and takes all: so nobody's list changes while he walks it.
static DROPPED: AtomicPtr<Node> = AtomicPtr::new(core::ptr::null_mut());

/// Puts a stack where [`give_back_dropped`] finds it.
///
/// # Safety
///
/// - It is whole, and from now on nobody uses it.
unsafe fn put(node: NonNull<Node>) {
    let mut first = DROPPED.load(Ordering::Relaxed);
    loop {
        // SAFETY: ours until it is in the list, as the caller promises.
        unsafe { node.as_ref() }.next_dropped.store(first, Ordering::Relaxed);
        // Again only if a handler came in between that has put or taken something.
        let put =
            DROPPED.compare_exchange(first, node.as_ptr(), Ordering::Release, Ordering::Relaxed);
        match put {
            Ok(_) => return,
            Err(other) => first = other,
        }
    }
}

/// Gives back every stack that was dropped, as far as that is possible now. Called after every change of the page tables,
/// since a handler that interrupts a change cannot give stacks back.
#[inline]
pub(crate) fn give_back_dropped() {
    if !DROPPED.load(Ordering::Relaxed).is_null() {
        give_back_all();
    }
}

/// As long as it gets on: a handler may drop stacks in the middle of this too.
#[cold]
fn give_back_all() {
    let mut gets_on = true;
    while gets_on {
        gets_on = false;
        let mut next = NonNull::new(DROPPED.swap(core::ptr::null_mut(), Ordering::Acquire));
        while let Some(node) = next {
            // SAFETY: who has put it there promised that it is whole, and the list is ours alone now.
            unsafe {
                next = NonNull::new(node.as_ref().next_dropped.load(Ordering::Relaxed));
                match give_back(node) {
                    true => gets_on = true,
                    false => put(node),
                }
            }
        }
    }
}

/// Gives a stack back. If that cannot be done now it is still there.
///
/// # Safety
///
/// - It is whole, and nobody uses it any more.
unsafe fn give_back(node: NonNull<Node>) -> bool {
    // Out of the list first: what is in it has a guard page that nobody maps.
    if take_out(node).is_none() {
        return false;
    }
    // SAFETY: it is whole, as the caller promises.
    let named = unsafe { node.as_ref() }.named;
    let (guard, end) = (named.guard(), named.usable().end);
    if active::map_guard(guard.clone()).is_err() {
        return false;
    }
    // SAFETY: the frames that `new` has kept, all of them and mapped again, which nobody uses. Nothing gives them back
    // twice: the list that this node was in was one caller's.
    let done =
        unsafe { Frames::give_back(PhysAddr::new(guard.start), (end - guard.start) / PAGE_SIZE) };
    debug_assert_eq!(done, Ok(()));
    true
}

/// Why there is no stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// No run of free frames is long enough.
    OutOfFrames,
    /// The guard page could not be unmapped.
    Map(MapError),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackError::OutOfFrames => f.write_str("no memory for a stack"),
            StackError::Map(error) => write!(f, "a stack without guard page: {error}"),
        }
    }
}

impl core::error::Error for StackError {}

/// A stack above a guard page. Dropping it gives the memory back: no code may run on it then, and code that switches to it
/// by itself must ensure that. If a handler that interrupts a change of the page tables drops it, the memory is given back
/// after that change.
#[derive(Debug)]
pub struct KernelStack {
    /// At the top of frames that are ours.
    node: NonNull<Node>,
}

// SAFETY: the node is only read and linked by atomic operations, wherever the stack is owned.
unsafe impl Send for KernelStack {}

impl KernelStack {
    /// A stack of at least `bytes`, which reports call `name`. 64 bytes at the top are not for use. Not for
    /// handlers.
    ///
    /// # Errors
    ///
    /// As [`StackError`] says.
    pub fn new(name: &'static str, bytes: usize) -> Result<KernelStack, StackError> {
        give_back_dropped();
        let pages = (bytes as u64).saturating_add(size_of::<Node>() as u64).div_ceil(PAGE_SIZE);
        let frames = Frames::take(pages + 1).map_err(|_| StackError::OutOfFrames)?;
        let start = frames.start().as_u64();
        let end = start + frames.count() * PAGE_SIZE;
        active::unmap(start..start + PAGE_SIZE).map_err(StackError::Map)?;
        let at = VirtAddr::new(end - size_of::<Node>() as u64).as_ptr::<Node>();
        debug_assert!(at.addr().is_multiple_of(align_of::<Node>()));
        let node = Node::new(Named::new(name, start..end));
        // SAFETY: the last bytes of frames that are ours; not null, as no frame is.
        let stack = unsafe {
            at.write(node);
            KernelStack { node: NonNull::new_unchecked(at) }
        };
        // Whoever gives the stack back has them from its node.
        frames.into_raw();
        // SAFETY: whole, in frames that stay until `give_back` has taken it out.
        let listed = unsafe { add(stack.node) };
        // If it is not, dropping it does what there is to do.
        listed.map(|()| stack).ok_or(StackError::Map(MapError::Busy))
    }

    /// Runs `f` on this stack and returns what it returns. Its borrows are those of any closure; a panic in it ends the
    /// kernel as anywhere. On another stack `run` may be called from within.
    ///
    /// ```no_run
    /// use freestone_platform::memory::KernelStack;
    ///
    /// let mut stack = KernelStack::new("parser", 1 << 20).expect("a MiB is free");
    /// let depth = stack.run(|| 7);
    /// assert_eq!(depth, 7);
    /// ```
    pub fn run<R, F: FnOnce() -> R>(&mut self, f: F) -> R {
        /// What goes in and what comes out.
        struct Call<F, R>(Option<F>, Option<R>);

        extern "C" fn call<F: FnOnce() -> R, R>(call: *mut ()) {
            // SAFETY: `run`'s own, which waits.
            let call = unsafe { &mut *call.cast::<Call<F, R>>() };
            call.1 = call.0.take().map(|f| f());
        }

        let mut all = Call(Some(f), None);
        // SAFETY: the stack is whole and nobody else's, as it is borrowed: so nobody runs on it, and it is not dropped
        // before this returns. `call` gets what it asks for, and does not unwind: nothing in a kernel does.
        unsafe {
            let argument = (&raw mut all).cast();
            crate::arch::trap::stacks::call_on(self.top().as_u64(), call::<F, R>, argument);
        }
        // There is one: `call` has returned.
        all.1.unwrap_or_else(|| unreachable!())
    }

    fn node(&self) -> &Node {
        // SAFETY: written in `new`, and there as long as the stack.
        unsafe { self.node.as_ref() }
    }

    /// One past the highest byte for use: where an empty stack's pointer stands, 64-byte aligned.
    pub fn top(&self) -> VirtAddr {
        VirtAddr::from(self.node.as_ptr())
    }

    /// The lowest byte; below it is the guard page.
    pub fn bottom(&self) -> VirtAddr {
        VirtAddr::new(self.node().named.usable().start)
    }

    /// What reports call it.
    pub fn name(&self) -> &'static str {
        self.node().named.name
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        // SAFETY: the last use of it.
        unsafe { put(self.node) };
        give_back_all();
    }
}
