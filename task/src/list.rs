//! What is seen of the tasks from outside: in a report, by a watchdog, on a page of a service.

use alloc::vec::Vec;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use crate::executor::Executor;
use crate::header::Header;
use crate::platform::Platform;

/// A task that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// Its name, or the file in which it was spawned.
    pub name: &'static str,
    /// The line in that file; 0 with a name.
    pub line: u32,
    /// Whether it is being polled; else it waits, or is queued.
    pub is_running: bool,
    /// How many times it has been polled.
    pub polls: u64,
    /// How long that took, by [`Platform::ticks`], up to the end of its last poll.
    pub ticks: u64,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.line != 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {} polls", self.polls)?;
        if self.is_running { f.write_str(", running") } else { Ok(()) }
    }
}

impl TaskInfo {
    fn of<P: Platform>(header: &Header<P>, running: *const Header<P>) -> TaskInfo {
        TaskInfo {
            name: header.name,
            line: header.line,
            is_running: ptr::eq(header, running),
            polls: header.polls.load(Ordering::Relaxed),
            ticks: header.ticks.load(Ordering::Relaxed),
        }
    }
}

impl<P: Platform> Executor<P> {
    /// The tasks that have not ended, the youngest first. Empty where the executor does not
    /// [stand still](Platform::stands_still).
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let mut count = 0;
        // SAFETY: it only counts.
        unsafe { self.for_each_task(|_| count += 1) };
        let mut all = Vec::with_capacity(count);
        // SAFETY: there is room, so pushing runs no other code.
        unsafe {
            self.for_each_task(|task| {
                if all.len() < count {
                    all.push(task);
                }
            })
        };
        all
    }

    /// Calls `look` with each of [`tasks`](Self::tasks), without memory for all of them: for reports. It may be called in a
    /// handler that interrupts the executor; `false`, and nothing done, where the executor does not stand still.
    ///
    /// # Safety
    ///
    /// - `look` spawns no task and ends none: what would be next might be gone.
    pub unsafe fn for_each_task(&self, mut look: impl FnMut(TaskInfo)) -> bool {
        let Some(owner) = self.owner() else { return true };
        if !P::stands_still(owner) {
            return false;
        }
        let mut next = self.first().load(Ordering::Acquire);
        while let Some(task) = NonNull::new(next) {
            // SAFETY: in the list, so it has not ended: the executor stands still, `look` ends none.
            let header = unsafe { task.as_ref() };
            next = header.next.load(Ordering::Acquire);
            look(TaskInfo::of(header, self.current()));
        }
        true
    }

    /// The task that is being polled, and the reading of [`Platform::ticks`] when that began. `None` where the executor does not stand still, too.
    pub fn running(&self) -> Option<(TaskInfo, u64)> {
        self.owner().filter(|owner| P::stands_still(*owner))?;
        let task = NonNull::new(self.current())?;
        // SAFETY: it is being polled, so the executor, which stands still, keeps it.
        let info = TaskInfo::of(unsafe { task.as_ref() }, self.current());
        Some((info, self.current_since()))
    }
}
