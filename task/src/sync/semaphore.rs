//! A number of permits, which tasks take and give back.

use core::fmt;

use super::Closed;
use super::line::{Line, Rule};

/// A number of permits: who wants one waits for it.
///
/// - **Cancellation.** A pending [`acquire`](Self::acquire) that is dropped leaves the line; permits that it was granted
///   already go to the next.
/// - **Fairness.** First come, first served, whatever the numbers: who wants many is not overtaken by those who want few.
/// - **In an interrupt handler**: everything but to wait.
/// - **Memory**: none is allocated.
///
/// ```no_run
/// use freestone_task::sync::Semaphore;
///
/// static REQUESTS: Semaphore = Semaphore::new(2);
///
/// let first = REQUESTS.try_acquire(1).unwrap();
/// assert!(REQUESTS.try_acquire(2).is_none());
/// drop(first);
/// assert!(REQUESTS.try_acquire(2).is_some());
/// ```
pub struct Semaphore {
    line: Line<Permits>,
}

/// The rule of a semaphore.
pub(super) struct Permits {
    available: usize,
    is_closed: bool,
}

impl Rule for Permits {
    type Want = usize;
    type Answer = Result<(), Closed>;

    fn grant(&mut self, want: usize, is_first: bool) -> Option<Result<(), Closed>> {
        if self.is_closed {
            return Some(Err(Closed(())));
        }
        if !is_first {
            return None;
        }
        self.available = self.available.checked_sub(want)?;
        Some(Ok(()))
    }

    fn take_back(&mut self, want: usize, answer: Result<(), Closed>) {
        if answer.is_ok() {
            // Others may have been added meanwhile.
            self.available = (self.available + want).min(Semaphore::MAX_PERMITS);
        }
    }
}

impl Semaphore {
    /// The largest number of permits that there can be.
    pub const MAX_PERMITS: usize = usize::MAX >> 1;

    /// With so many permits.
    ///
    /// # Panics
    ///
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Self::MAX_PERMITS);
        Semaphore { line: Line::new(Permits { available: permits, is_closed: false }) }
    }

    /// Waits for `permits`, all at once. If there will never be so many, it waits for ever, and so do all behind it.
    pub async fn acquire(&self, permits: usize) -> Result<Permit<'_>, Closed> {
        self.line.wait(permits).await?;
        Ok(Permit { semaphore: self, permits })
    }

    /// Takes `permits` if there are so many, nobody waits, and it is not closed.
    pub fn try_acquire(&self, permits: usize) -> Option<Permit<'_>> {
        self.line.try_grant(permits)?.ok()?;
        Some(Permit { semaphore: self, permits })
    }

    /// Adds `permits`, and wakes those who get them.
    ///
    /// # Panics
    ///
    /// If there were more than [`MAX_PERMITS`](Self::MAX_PERMITS) then.
    pub fn add(&self, permits: usize) {
        self.line.change(|rule| {
            assert!(permits <= Self::MAX_PERMITS - rule.available, "too many permits");
            rule.available += permits;
        });
    }

    /// How many permits are free now.
    pub fn available(&self) -> usize {
        self.line.look(|rule| rule.available)
    }

    /// From now on, [`acquire`](Self::acquire) fails, also for those who wait.
    pub fn close(&self) {
        self.line.change(|rule| rule.is_closed = true);
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.line.look(|rule| rule.is_closed)
    }

    /// For locks, which never close theirs.
    pub(super) async fn acquire_open(&self, permits: usize) -> Permit<'_> {
        match self.acquire(permits).await {
            Ok(permit) => permit,
            Err(Closed(())) => unreachable!("a lock was closed"),
        }
    }

    pub(super) fn line(&self) -> &Line<Permits> {
        &self.line
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`], given back when this is dropped.
#[derive(Debug)]
#[must_use = "permits that are dropped are given back"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl Permit<'_> {
    /// Keeps them for ever: the semaphore has so many fewer.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.add(self.permits);
    }
}
