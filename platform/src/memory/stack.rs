//! Stacks made while the kernel runs: frames of their own, above a page that is not mapped.
//!
//! Running off the low end faults instead of writing over a neighbour, the report names the stack, and
//! backtraces go through it. What reports need to know stands in the stack itself, at its top, in a list.

use core::fmt;
use core::mem::{ManuallyDrop, align_of, size_of};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{Access, Frames, MapError, PAGE_SIZE, VirtAddr};
use crate::arch::live;
use crate::arch::stacks::Named;
use crate::interrupts;

/// What reports know of a stack. Lies at its top.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Node {
    next: AtomicPtr<Node>,
    pub(crate) named: Named,
}

static FIRST: AtomicPtr<Node> = AtomicPtr::new(core::ptr::null_mut());

/// Whether the list is being walked or changed.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Runs `work`, which changes the list, with interrupts out. It is told whether it is alone: if not, it is a handler in the
/// middle of another one's work, who may stand on any node. Then it must change nothing. Whoever only looks may do so at
/// any time, as the list is whole after every instruction.
fn on_list<R>(work: impl FnOnce(bool) -> R) -> R {
    interrupts::without(|| {
        let is_alone = !BUSY.swap(true, Ordering::Acquire);
        let done = work(is_alone);
        if is_alone {
            BUSY.store(false, Ordering::Release);
        }
        done
    })
}

/// The first stack for which `is_it` holds. Can be called in any context.
pub(crate) fn find(is_it: impl Fn(&Named) -> bool) -> Option<Named> {
    if FIRST.load(Ordering::Relaxed).is_null() {
        return None;
    }
    // Interrupts stay: a handler that wants to change the list sees that it is busy.
    let was_busy = BUSY.swap(true, Ordering::Acquire);
    let mut next = &FIRST;
    let found = loop {
        // SAFETY: null, or a node that is in the list, and so in a stack that is alive: none goes meanwhile.
        let node = unsafe { next.load(Ordering::Acquire).as_ref() };
        match node {
            Some(node) if !is_it(&node.named) => next = &node.next,
            found => break found.map(|node| node.named),
        }
    };
    BUSY.store(was_busy, Ordering::Release);
    found
}

/// Why there is no stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// No run of free frames is long enough.
    OutOfFrames,
    /// The guard page could not be taken out of the map.
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

/// A stack above a guard page. Dropping it gives the memory back: nobody may run on it then, which is for
/// whoever switches to it to see to.
#[derive(Debug)]
pub struct KernelStack {
    frames: ManuallyDrop<Frames>,
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
        let pages = (bytes as u64).saturating_add(size_of::<Node>() as u64).div_ceil(PAGE_SIZE);
        let frames = Frames::take(pages + 1).map_err(|_| StackError::OutOfFrames)?;
        let start = frames.start().as_u64();
        let end = start + frames.count() * PAGE_SIZE;
        live::unmap(start..start + PAGE_SIZE).map_err(StackError::Map)?;
        let at = VirtAddr::new(end - size_of::<Node>() as u64).as_ptr::<Node>();
        debug_assert!(at.addr().is_multiple_of(align_of::<Node>()));
        // SAFETY: the last bytes of frames that are ours; not null, as no frame is.
        let node = unsafe {
            at.write(Node { next: AtomicPtr::default(), named: Named::new(name, start..end) });
            NonNull::new_unchecked(at)
        };
        let stack = KernelStack { frames: ManuallyDrop::new(frames), node };
        let is_listed = on_list(|is_alone| {
            if is_alone {
                stack.node().next.store(FIRST.load(Ordering::Relaxed), Ordering::Relaxed);
                FIRST.store(at, Ordering::Release);
            }
            is_alone
        });
        if is_listed {
            return Ok(stack);
        }
        stack.give_back();
        Err(StackError::Map(MapError::Busy))
    }

    /// Gives the frames back, of a stack that is in no list.
    fn give_back(self) {
        let mut stack = ManuallyDrop::new(self);
        let guard = stack.node().named.guard();
        // The table for the guard page is there, so this fails only where the map is busy: then the
        // frames are lost, rather than handed out with a hole.
        if live::map(guard.clone(), guard.start, Access::ReadWrite).is_ok() {
            // SAFETY: once, and the frames are whole again.
            unsafe { ManuallyDrop::drop(&mut stack.frames) };
        }
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

        extern "sysv64" fn call<F: FnOnce() -> R, R>(call: *mut ()) {
            // SAFETY: `run`'s own, which waits.
            let call = unsafe { &mut *call.cast::<Call<F, R>>() };
            call.1 = call.0.take().map(|f| f());
        }

        let mut all = Call(Some(f), None);
        // SAFETY: the stack is whole and nobody else's, as it is borrowed: so nobody runs on it, and it is not dropped
        // before this returns. `call` gets what it asks for, and does not unwind: nothing in a kernel does.
        unsafe {
            let argument = (&raw mut all).cast();
            crate::arch::stacks::call_on(self.top().as_u64(), call::<F, R>, argument);
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
        let own = self.node.as_ptr();
        let is_out = on_list(|is_alone| {
            if !is_alone {
                return false;
            }
            let mut link = &FIRST;
            loop {
                let node = link.load(Ordering::Relaxed);
                if node == own {
                    link.store(self.node().next.load(Ordering::Relaxed), Ordering::Release);
                    return true;
                }
                // SAFETY: as in `find`.
                match unsafe { node.as_ref() } {
                    Some(node) => link = &node.next,
                    None => return true,
                }
            }
        });
        // Else somebody whom we interrupt may be looking at it: it stays, and its frames are lost.
        if is_out {
            // SAFETY: the stack is not used after this: dropping what is in it does nothing.
            unsafe { core::ptr::read(self) }.give_back();
        }
    }
}
