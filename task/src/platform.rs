//! What an executor needs of the machine, or of the system, under it.

use core::num::NonZeroUsize;

/// A clock, a way to idle, and the answer to one question: who runs.
///
/// # Safety
///
/// - [`context`](Self::context) gives the same number only to code that runs strictly one after the other: no two pieces
///   of it at the same time, and none interrupted by another. A core's ordinary code is one context, a thread is one. The
///   handlers of interrupts are none.
/// - [`stands_still`](Self::stands_still) is true only if the code of that context makes no step before the caller goes
///   on.
pub unsafe trait Platform: 'static {
    /// A number for the context of the caller; `None` in a handler.
    fn context() -> Option<NonZeroUsize>;

    /// Whether the code of that context stands still while the caller runs: it is the caller, or is interrupted by it.
    fn stands_still(context: NonZeroUsize) -> bool {
        Self::context() == Some(context)
    }

    /// Nanoseconds since some moment. It never goes back.
    fn now() -> u64;

    /// A cheap counter by which the time of tasks is told: it is read before and after each poll. Without one, that time
    /// is 0.
    fn ticks() -> u64 {
        0
    }

    /// Waits until [`wake_up`](Self::wake_up) is called for this context, or [`now`](Self::now) is `until`; it may return
    /// sooner. A call of `wake_up` that comes after `is_idle` has said yes, or that `is_idle` has not seen, must not be
    /// missed: `is_idle` is asked when such a call would end the wait.
    fn idle(until: Option<u64>, is_idle: impl Fn() -> bool);

    /// Ends [`idle`](Self::idle) in that context. Called in any context, handlers included.
    fn wake_up(context: NonZeroUsize);
}
