//! What tasks and interrupt handlers share: locks, events, channels.
//!
//! | to | there is |
//! |---|---|
//! | keep a value for one task at a time | [`Mutex`] |
//! | keep a value for many readers or one writer | [`RwLock`] |
//! | limit how many do something | [`Semaphore`] |
//! | tell any number of tasks that something happened | [`Event`] |
//! | hand each value to one of the receivers, and wait when there is no room | [`channel`](channel()) |
//! | hand each value to every receiver | [`broadcast`] |
//! | show the latest value | [`watch`] |
//! | hand over one value | [`oneshot`] |
//!
//! They need no executor, just [`core::task`]. What holds for all of them:
//!
//! - **Handlers may call everything that does not wait.** The state of each is kept in critical sections of the crate
//!   `critical-section`. The kernel provides these, once: `freestone::critical_section!()`, or its own, which with several
//!   cores also keeps these out. A section takes constant time, and nobody is woken in it.
//! - **They wake outside of sections, but where they are called.** So a handler that sends wakes in the handler: `Waker::wake`
//!   of the executor must allow for that. `Waker::clone` is called in a section, and must be short.
//! - **They are fair**: first come, first served.
//! - **They are cancel-safe**: a pending future can be dropped, and neither a value nor a permit nor a wake-up is lost.
//! - **Waiting allocates nothing.** The place in line is in the future. Channels allocate when they are made; the rest never
//!   does, and can be a `static`.
//! - **Not for handlers of exceptions and NMIs**, which come into critical sections too.
//!
//! # Why not an existing crate
//!
//! maitake-sync 0.3 is fair and cancel-safe. Its `Mutex` and `WaitQueue` honour its feature `critical-section`; its
//! `Semaphore` and `RwLock` do not: they want a lock that returns guards, for which critical sections are no base, and take
//! a spin lock. A handler that finds that one taken by the task it has interrupted spins for ever. It has no channels. And
//! it is twelve crates, half of them for a derive macro, which build in 9.4 s where what is used here takes 0.6 s (both from
//! nothing, with one job).
//!
//! embassy-sync 0.8 keeps one waker for a mutex, and one for each side of a channel. Of two tasks that wait there, each
//! wakes the other to take its place, again and again, and in no order.
//!
//! Here everything stands in one kind of line (`line.rs`, which has nearly all of the `unsafe`), for one of two rules:
//! permits ([`Semaphore`]) or happenings ([`Event`]). Locks and channels are made of these two. Only a oneshot, for which one
//! waits, needs no line.

use core::fmt;

pub mod broadcast;
mod channel;
mod event;
mod guarded;
mod line;
mod mutex;
pub mod oneshot;
mod rwlock;
mod semaphore;
#[cfg(test)]
mod tests;
pub mod watch;

pub use channel::{Receiver, Sender, Slot, TrySendError, Values, channel};
pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{Permit, Semaphore};

/// The other side is gone, or closed. What could not be handed over comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<T = ()>(pub T);

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other side is gone")
    }
}

impl<T: fmt::Debug> core::error::Error for Closed<T> {}
