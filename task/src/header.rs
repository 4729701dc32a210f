//! A task in memory: one allocation, which begins with what the executor and wakers know of it.
//!
//! ```text
//! Header   what to call, the executor, links, counters      120 bytes
//! Stage    the future, then its output, then nothing
//! ```
//!
//! It lives until nobody refers to it any more: the executor, until the task has ended; its [`JoinHandle`]; and each waker,
//! wherever that is kept. The future is dropped where the task ends, in the executor's context, so that the last waker to
//! go gives back memory and calls no code of the task's.
//!
//! [`JoinHandle`]: crate::JoinHandle

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence,
};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::executor::Executor;
use crate::inbox::Letter;
use crate::platform::Platform;

/// A pointer to a task, with the right to all of its memory.
pub(crate) type Task<P> = NonNull<Header<P>>;

/// What has become of a task. Only the executor's context changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// It waits, or is queued, or is being polled: the executor knows which task that is.
    Alive,
    /// It is being polled, and has been cancelled.
    Ending,
    /// It has ended, and its output is there. This and what follows is the end.
    Done,
    /// Its output has been taken.
    Taken,
    /// It was cancelled.
    Cancelled,
}

/// What differs from task to task.
struct Calls<P: Platform> {
    /// Whether the task is done now.
    poll: unsafe fn(Task<P>, &mut Context<'_>) -> bool,
    /// Drops the future, or the output.
    empty: unsafe fn(Task<P>),
    /// Moves the output there.
    take: unsafe fn(Task<P>, *mut ()),
    layout: Layout,
}

/// See the [module](self). Fields that are atomics without need for it in their own context are read by handlers.
pub(crate) struct Header<P: Platform> {
    calls: &'static Calls<P>,
    pub executor: &'static Executor<P>,
    references: AtomicUsize,
    /// The next one in the inbox.
    pub next_in_inbox: AtomicPtr<Header<P>>,
    /// The next one in the executor's own queue.
    pub next_queued: Cell<*mut Header<P>>,
    /// The list of all tasks.
    pub next: AtomicPtr<Header<P>>,
    pub previous: Cell<*mut Header<P>>,
    pub name: &'static str,
    pub line: u32,
    /// Whether it is in the inbox, or has been retired: then nobody puts it there any more.
    pub is_in_inbox: AtomicBool,
    /// Whether it is in the executor's queue, or has been retired.
    pub is_queued: Cell<bool>,
    state: AtomicU8,
    /// Whether its handle is gone, and nobody wants its output.
    pub is_detached: Cell<bool>,
    /// In how many places the executor has it, once it is over.
    pub places: Cell<u8>,
    pub polls: AtomicU64,
    pub ticks: AtomicU64,
    /// Who waits for its end.
    pub joiner: UnsafeCell<Option<Waker>>,
}

enum Stage<F: Future> {
    Future(F),
    Output(F::Output),
    Empty,
}

#[repr(C)]
struct Whole<P: Platform, F: Future> {
    header: Header<P>,
    stage: UnsafeCell<Stage<F>>,
}

impl<P: Platform> Letter for Header<P> {
    fn is_in(&self) -> &AtomicBool {
        &self.is_in_inbox
    }

    fn next_in(&self) -> &AtomicPtr<Header<P>> {
        &self.next_in_inbox
    }
}

impl<P: Platform> Header<P> {
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Alive,
            1 => State::Ending,
            2 => State::Done,
            3 => State::Taken,
            _ => State::Cancelled,
        }
    }

    pub fn is_alive(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Alive as u8
    }

    pub fn is_over(&self) -> bool {
        self.state.load(Ordering::Relaxed) >= State::Done as u8
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}

/// A task for this future, with two references: the executor's and the handle's. `Err` gives the future back, if there is
/// no memory.
pub(crate) fn new<P: Platform, F: Future + 'static>(
    executor: &'static Executor<P>,
    future: F,
    name: &'static str,
    line: u32,
) -> Result<Task<P>, F> {
    let layout = Layout::new::<Whole<P, F>>();
    // SAFETY: the header alone is larger than nothing.
    let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { return Err(future) };
    let header = Header {
        calls: Of::<P, F>::CALLS,
        executor,
        references: AtomicUsize::new(2),
        next_in_inbox: AtomicPtr::new(ptr::null_mut()),
        next_queued: Cell::new(ptr::null_mut()),
        next: AtomicPtr::new(ptr::null_mut()),
        previous: Cell::new(ptr::null_mut()),
        name,
        line,
        is_in_inbox: AtomicBool::new(false),
        is_queued: Cell::new(false),
        state: AtomicU8::new(State::Alive as u8),
        is_detached: Cell::new(false),
        places: Cell::new(0),
        polls: AtomicU64::new(0),
        ticks: AtomicU64::new(0),
        joiner: UnsafeCell::new(None),
    };
    let whole = start.cast::<Whole<P, F>>();
    // SAFETY: allocated for it.
    unsafe { whole.write(Whole { header, stage: UnsafeCell::new(Stage::Future(future)) }) };
    Ok(whole.cast())
}

/// How many bytes a task with such a future takes.
#[cfg(test)]
pub(crate) const fn whole_bytes<P: Platform, F: Future>() -> usize {
    size_of::<Whole<P, F>>()
}

struct Of<P, F>(PhantomData<(P, F)>);

impl<P: Platform, F: Future> Of<P, F> {
    const CALLS: &'static Calls<P> = &Calls {
        poll: poll::<P, F>,
        empty: empty::<P, F>,
        take: take::<P, F>,
        layout: Layout::new::<Whole<P, F>>(),
    };
}

/// The stage of a task.
///
/// # Safety
///
/// - A task of this future, in its executor's context, and no other reference to its stage is in use.
unsafe fn stage<'a, P: Platform, F: Future>(task: Task<P>) -> &'a mut Stage<F> {
    // SAFETY: the header is the first field of the whole, and the pointer has the right to all of it; the rest is the
    // caller's promise.
    unsafe { &mut *task.cast::<Whole<P, F>>().as_ref().stage.get() }
}

unsafe fn poll<P: Platform, F: Future>(task: Task<P>, context: &mut Context<'_>) -> bool {
    // SAFETY: the caller's promise: see `Header::poll`.
    let stage = unsafe { stage::<P, F>(task) };
    let Stage::Future(future) = stage else { return false };
    // SAFETY: the future stays in this allocation until it is dropped, here or in `empty`.
    let future = unsafe { Pin::new_unchecked(future) };
    match future.poll(context) {
        Poll::Pending => false,
        Poll::Ready(output) => {
            *stage = Stage::Output(output);
            true
        }
    }
}

unsafe fn empty<P: Platform, F: Future>(task: Task<P>) {
    // SAFETY: the caller's promise: see `Header::empty`.
    *unsafe { stage::<P, F>(task) } = Stage::Empty;
}

unsafe fn take<P: Platform, F: Future>(task: Task<P>, to: *mut ()) {
    // SAFETY: the caller's promise: see `Header::take`.
    let taken = core::mem::replace(unsafe { stage::<P, F>(task) }, Stage::Empty);
    if let Stage::Output(output) = taken {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<F::Output>().write(output) };
    }
}

/// What is done with a task. All but the first two in its executor's context only.
impl<P: Platform> Header<P> {
    /// One more reference.
    pub fn keep(&self) {
        // Relaxed: whoever has one can pass it on.
        self.references.fetch_add(1, Ordering::Relaxed);
    }

    /// One reference less; the memory is given back after the last, in the executor's context.
    ///
    /// # Safety
    ///
    /// - The reference was the caller's, who does not use it any more.
    pub unsafe fn release(task: Task<P>) {
        // SAFETY: a reference keeps it.
        let header = unsafe { task.as_ref() };
        if header.references.fetch_sub(1, Ordering::Release) == 1 {
            // What others did with it comes before.
            fence(Ordering::Acquire);
            if !header.executor.is_here() {
                // SAFETY: that was the last reference.
                return unsafe { header.executor.bury(task) };
            }
            let layout = header.calls.layout;
            // SAFETY: nobody refers to it any more. The executor has given up its reference, so the future is gone; the
            // handle has given up its own, so output and joiner are. Nothing in it is to be dropped.
            unsafe { dealloc(task.as_ptr().cast(), layout) };
        }
    }

    /// Whether the task is done now.
    ///
    /// # Safety
    ///
    /// - In the executor's context; it is neither being polled nor emptied.
    pub unsafe fn poll(task: Task<P>, context: &mut Context<'_>) -> bool {
        // SAFETY: the calls are those of the task's future; the rest is the caller's promise.
        unsafe { (task.as_ref().calls.poll)(task, context) }
    }

    /// Drops the future, or the output.
    ///
    /// # Safety
    ///
    /// - As for [`poll`](Self::poll).
    pub unsafe fn empty(task: Task<P>) {
        // SAFETY: as in `poll`.
        unsafe { (task.as_ref().calls.empty)(task) }
    }

    /// Moves the output to `to`.
    ///
    /// # Safety
    ///
    /// - As for [`poll`](Self::poll); its state is [`Done`](State::Done), and `to` has room for such an output.
    pub unsafe fn take(task: Task<P>, to: *mut ()) {
        // SAFETY: as in `poll`.
        unsafe { (task.as_ref().calls.take)(task, to) }
    }
}

/// A waker of the task that is not to be dropped: it has no reference of its own.
///
/// # Safety
///
/// - Somebody else's reference is there as long as it is used.
pub(crate) unsafe fn borrowed_waker<P: Platform>(task: Task<P>) -> ManuallyDrop<Waker> {
    // SAFETY: the functions are for a task's pointer, and may be called in any context.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw(task)) })
}

fn raw<P: Platform>(task: Task<P>) -> RawWaker {
    RawWaker::new(task.as_ptr().cast(), Waking::<P>::TABLE)
}

struct Waking<P>(PhantomData<P>);

impl<P: Platform> Waking<P> {
    const TABLE: &'static RawWakerVTable =
        &RawWakerVTable::new(Self::clone, Self::wake, Self::wake_by_ref, Self::drop);

    /// # Safety
    ///
    /// - The pointer of a waker's.
    unsafe fn task(data: *const ()) -> Task<P> {
        // SAFETY: the caller's promise: `raw` has put it there.
        unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
    }

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the contract of wakers.
        let task = unsafe { Self::task(data) };
        // SAFETY: the waker's reference keeps it.
        unsafe { task.as_ref() }.keep();
        raw(task)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: the contract of wakers.
        unsafe {
            Self::wake_by_ref(data);
            Self::drop(data);
        }
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: the contract of wakers; the waker's reference keeps it.
        unsafe {
            let task = Self::task(data);
            task.as_ref().executor.wake(task);
        }
    }

    unsafe fn drop(data: *const ()) {
        // SAFETY: the contract of wakers: its reference ends here.
        unsafe { Header::release(Self::task(data)) }
    }
}
