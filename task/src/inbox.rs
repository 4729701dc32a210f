//! The inbox: tasks that were woken outside of their executor's context, by handlers and other cores.
//!
//! Anybody puts a task in, by one exchange; its executor alone takes all of them out at once. A task that is in it is not put
//! in again: its flag says so. The flag is taken back before the task is polled, so a wake-up that comes during the poll
//! counts.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::header::{Header, Task};
use crate::platform::Platform;

pub(crate) struct Inbox<P: Platform>(AtomicPtr<Header<P>>);

impl<P: Platform> Inbox<P> {
    pub const fn new() -> Inbox<P> {
        Inbox(AtomicPtr::new(ptr::null_mut()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire).is_null()
    }

    /// Puts a task in. `false` if it is in it already, or has been retired.
    ///
    /// # Safety
    ///
    /// - A reference keeps the task during the call.
    pub unsafe fn put(&self, task: Task<P>) -> bool {
        // SAFETY: the caller's promise.
        let header = unsafe { task.as_ref() };
        // An exchange even if it is set: what was done before this wake-up is seen by the poll that it leads to.
        if header.is_in_inbox.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            header.next_in_inbox.store(first, Ordering::Relaxed);
            let order = (Ordering::Release, Ordering::Relaxed);
            match self.0.compare_exchange_weak(first, task.as_ptr(), order.0, order.1) {
                Ok(_) => return true,
                Err(other) => first = other,
            }
        }
    }

    /// Takes all out: the first of them as a list, the one that came first in front.
    pub fn take_all(&self) -> *mut Header<P> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        let mut from = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        let mut list = ptr::null_mut();
        while let Some(task) = NonNull::new(from) {
            // SAFETY: the executor keeps its reference to a task that is in its inbox, ended or not.
            let link = &unsafe { task.as_ref() }.next_in_inbox;
            from = link.load(Ordering::Relaxed);
            link.store(list, Ordering::Relaxed);
            list = task.as_ptr();
        }
        list
    }
}
