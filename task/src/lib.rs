//! An async executor for kernels: tasks, timers and what they share, on stable Rust.
//!
//! It needs a heap, a clock, a way to idle, and to know who runs: the four functions of [`Platform`]. A kernel of Freestone's
//! façade has all of that as `freestone::task`, with `entry!(async main)`; `examples/host.rs` is a platform for tests on a host.
//!
//! ```
//! use core::{num::NonZeroUsize, time::Duration};
//! use freestone_task::{Executor, Platform};
//! # use machine::*;
//! # mod machine {
//! #     pub fn in_handler() -> bool { false }
//! #     pub fn nanoseconds() -> u64 {
//! #         static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
//! #         START.elapsed().as_nanos() as u64
//! #     }
//! #     pub fn mask_interrupts() {}
//! #     pub fn unmask_interrupts() {}
//! #     pub fn unmask_and_halt_until(_: Option<u64>) { std::thread::yield_now() }
//! # }
//!
//! struct Machine;
//!
//! // SAFETY: there is one core, whose ordinary code is context 1, and runs one after the other.
//! unsafe impl Platform for Machine {
//!     fn context() -> Option<NonZeroUsize> {
//!         if in_handler() { None } else { NonZeroUsize::new(1) }
//!     }
//!     fn now() -> u64 {
//!         nanoseconds()
//!     }
//!     fn idle(until: Option<u64>, is_idle: impl Fn() -> bool) {
//!         mask_interrupts();
//!         if is_idle() {
//!             unmask_and_halt_until(until);
//!         }
//!         unmask_interrupts();
//!     }
//!     fn wake_up(_: NonZeroUsize) {} // it is called in an interrupt, and that ends the halt
//! }
//!
//! static EXECUTOR: Executor<Machine> = Executor::new();
//!
//! let sum = EXECUTOR.run(async {
//!     let slow = EXECUTOR.spawn(async {
//!         EXECUTOR.sleep(Duration::from_millis(5)).await;
//!         2
//!     });
//!     let quick = EXECUTOR.spawn(async { 40 });
//!     slow.await.unwrap() + quick.await.unwrap()
//! });
//! assert_eq!(sum, 42);
//! ```
//!
//! # How it works
//!
//! A task is one allocation: a header, and the future or its output. A task that is woken in the executor's own context goes
//! into a queue that nobody else touches, by plain loads and stores. A task that is woken in a handler or on another core goes
//! into the inbox, by atomic exchanges. [`run`](Executor::run) works in rounds: it polls its own future, if that was woken, moves
//! the inbox to the end of the queue, wakes the timers whose time has come, and polls 64 tasks at most, from the front of the queue.
//! If nothing is left to poll after a round, it calls [`Platform::idle`] with the next deadline.
//!
//! So a task that wakes itself again and again holds up neither handlers' wake-ups nor timers. But nobody takes the processor
//! away from a task: one that computes for a second without an `await` that waits holds up everything else for a
//! second. There are no priorities.
//!
//! An executor belongs to the context that uses it first, and its tasks stay there: futures need not be `Send`. Several cores
//! have an executor each; their tasks wake each other, and talk through [`sync`].
//!
//! # Tasks
//!
//! [`spawn`](Executor::spawn) names a task by the file and line of the call, [`try_spawn_named`](Executor::try_spawn_named) as it
//! is told. [`tasks`](Executor::tasks) lists all that have not ended, with how often and how long each was
//! polled, and [`running`](Executor::running) the one that is being polled, in a handler too: for reports and watchdogs.
//!
//! To await a [`JoinHandle`] gives the task's output. **A handle that is dropped detaches its task**, which goes on. When `run`
//! returns, the other tasks stay as they are, until the next `run`.
//!
//! # Cancellation
//!
//! A future that is dropped before it is ready is cancelled: its code never goes on behind the `await` at which it waited, and
//! the variables that it had there are dropped, the last one first. So an `await` is a place where a function may end, as `?`
//! is. This happens to
//!
//! - the future of a task, in [`JoinHandle::cancel`]: at once, before `cancel` returns. A task that cancels itself is dropped
//!   when it yields next;
//! - the future in [`timeout`](Executor::timeout), when the time runs out;
//! - the futures that lose in a [`select`](select::select).
//!
//! An operation is **cancel-safe** if dropping its future, and calling it again later, loses nothing: what it waited for is still
//! there for the next call. Ours are:
//!
//! | pending | when it is dropped |
//! |---|---|
//! | [`sleep`](Executor::sleep), [`sleep_until`](Executor::sleep_until) | the timer is taken out; a new `sleep` counts anew, a new `sleep_until` does not |
//! | [`Interval::tick`] | nothing: the next `tick` counts the same moments |
//! | [`timeout`](Executor::timeout) | the future in it is dropped too |
//! | [`JoinHandle`] | the task goes on, and nobody learns its output; to ask again later, await `&mut handle` |
//! | in [`sync`] | no value, permit or wake-up is lost, and who waits next gets it; [`send`](sync::Sender::send) drops its own value, [`reserve`](sync::Sender::reserve) waits without one; a [oneshot](sync::oneshot)'s receiver is its future, so await `&mut receiver` |
//!
//! What is made of several of them is as safe as what stands between its awaits. A loop that receives a value and then awaits
//! something else has the value in a variable there: if it is dropped at the second `await`, the value is gone. Keep such
//! state outside of what can be dropped, or `spawn` that part as a task, and await its handle.
//!
//! # Handlers of interrupts
//!
//! | a handler | |
//! |---|---|
//! | may | wake, clone and drop any waker; call what does not wait in [`sync`], such as [`Sender::try_send`](sync::Sender::try_send), [`Event::pulse`](sync::Event::pulse), [`Semaphore::add`](sync::Semaphore::add); list tasks |
//! | may not | spawn ([`Refusal::Elsewhere`]), `run`, [`block_on`], or poll a timer (all three panic) |
//! | cannot | cancel: a handle is not `Send` |
//!
//! Where the last waker of a task that is over is dropped elsewhere, the task's memory waits in the inbox, and is given back in
//! the executor's context: the heap need not allow more than that.
//!
//! # Timers
//!
//! A timer is part of the future that waits for it, so there is no fixed number of them, and none needs memory of its own.
//! Deadlines are rounded up to a microsecond, and none comes early. How late it comes is up to the tasks that are polled before
//! it, and to the machine's own timer. An [`Interval`] does not drift: its moments are multiples of the period after its
//! first, and a late `tick` says how many have passed.
//!
//! # Panics
//!
//! A panic in a task ends the kernel, as every panic does there: tasks share all memory, and none is isolated from another.
//! Where panics unwind, as in tests on a host, the task is cancelled and the panic goes on through `run`.
//!
//! # What happens if
//!
//! | | |
//! |---|---|
//! | there is no memory for a task | [`try_spawn`](Executor::try_spawn) gives the future back; [`spawn`](Executor::spawn) panics |
//! | there is no memory for the waker of [`run`](Executor::run) or [`block_on`], or for a channel | that ends as for any `Arc` or `Vec` |
//! | a waker is kept for ever | the task's memory stays; its future is dropped when the task ends |
//! | a task is woken that has ended | nothing |
//! | a task is woken twice before it is polled | one poll; at most two, if once here and once elsewhere |
//! | a task is woken while it is polled | one more poll |
//! | a task's output is asked for twice | a panic |
//! | an executor is dropped that has tasks | that cannot be: to spawn and to run want it `&'static` |
//! | another context spawns, runs, or polls a timer | as in a handler |
//! | `run` is called in a task | a panic: await instead |

#![no_std]

extern crate alloc;
// For what the tests share with examples.
#[cfg(test)]
extern crate self as freestone_task;
#[cfg(test)]
extern crate std;

/// Under one name for `tests/models`, which has others.
mod atomic {
    pub use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
}

mod block_on;
mod executor;
mod handle;
mod header;
mod inbox;
mod list;
mod platform;
mod run;
mod spawn;
pub mod sync;
#[cfg(test)]
mod tests;
mod timer;

pub use block_on::block_on;
/// Several futures at once in one task, from the crate `embassy-futures`: [`join`](join::join) waits for all of them,
/// [`select`](select::select) for the first; [`yield_now`] lets the other tasks run.
pub use embassy_futures::{join, select, yield_now};
pub use executor::Executor;
pub use handle::{Cancelled, JoinHandle};
pub use list::TaskInfo;
pub use platform::Platform;
pub use spawn::{Refusal, SpawnError};
pub use timer::{Elapsed, Interval, Sleep};
