//! The inbox: tasks that were woken outside of their executor's context, by handlers and other cores.
//!
//! Anybody puts a task in, by one exchange; its executor alone takes all of them out at once. A task that is in it is not put
//! in again: its flag says so. The flag is taken back before the task is polled, so a wake-up that comes during the poll
//! counts. A task that has ended is retired: its flag stays set.
//!
//! `tests/models` runs this file with every order that the memory model allows.

use core::ptr::{self, NonNull};

use crate::atomic::{AtomicBool, AtomicPtr, Ordering};

/// What can be put into an inbox.
pub trait Letter: Sized {
    /// Whether it is in, or has been retired.
    fn is_in(&self) -> &AtomicBool;
    /// The next one.
    fn next_in(&self) -> &AtomicPtr<Self>;
}

/// See the [module](self).
pub struct Inbox<T>(AtomicPtr<T>);

impl<T: Letter> Inbox<T> {
    /// With this one in it, or null.
    pub const fn of(first: AtomicPtr<T>) -> Inbox<T> {
        Inbox(first)
    }

    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire).is_null()
    }

    /// Puts a task in. `false` if it is in already, or has been retired.
    ///
    /// # Safety
    ///
    /// - A reference keeps the task during the call.
    pub unsafe fn put(&self, task: NonNull<T>) -> bool {
        // SAFETY: the caller's promise.
        let letter = unsafe { task.as_ref() };
        // An exchange even if it is set: what was done before this wake-up is seen by the poll that it leads to.
        if letter.is_in().swap(true, Ordering::AcqRel) {
            return false;
        }
        // SAFETY: the caller's promise, and it was not in.
        unsafe { self.put_retired(task) };
        true
    }

    /// Puts in a task that is not in, and that nobody else puts in.
    ///
    /// # Safety
    ///
    /// - As it says; a reference keeps the task.
    pub unsafe fn put_retired(&self, task: NonNull<T>) {
        // SAFETY: the caller's promise.
        let letter = unsafe { task.as_ref() };
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            letter.next_in().store(first, Ordering::Relaxed);
            let (done, failed) = (Ordering::Release, Ordering::Relaxed);
            match self.0.compare_exchange_weak(first, task.as_ptr(), done, failed) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    /// Takes all out: the first of them as a list, the one that came first in front.
    ///
    /// # Safety
    ///
    /// - What is in it is kept by the caller, who alone takes out.
    pub unsafe fn take_all(&self) -> *mut T {
        if self.0.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        let mut from = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        let mut list = ptr::null_mut();
        while let Some(task) = NonNull::new(from) {
            // SAFETY: the caller's promise.
            let link = unsafe { task.as_ref() }.next_in();
            from = link.load(Ordering::Relaxed);
            link.store(list, Ordering::Relaxed);
            list = task.as_ptr();
        }
        list
    }
}

/// It has come out, and may be put in again: what was done before its last wake-up is seen from now on.
pub fn came_out(letter: &impl Letter) {
    letter.is_in().swap(false, Ordering::AcqRel);
}

/// Nobody puts it in from now on. Whether it is in, and so comes out once more.
pub fn retire(letter: &impl Letter) -> bool {
    letter.is_in().swap(true, Ordering::AcqRel)
}
