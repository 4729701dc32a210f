//! An async executor for kernels: tasks, timers and what they share, on stable Rust.

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
pub mod sync;
#[cfg(test)]
mod tests;
mod timer;

pub use block_on::block_on;
pub use executor::{Executor, Refusal, SpawnError};
pub use handle::{Cancelled, JoinHandle};
pub use list::TaskInfo;
pub use platform::Platform;
pub use timer::{Elapsed, Interval, Sleep};
