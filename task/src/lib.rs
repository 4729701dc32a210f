//! An async executor for kernels: tasks, timers and what they share, on stable Rust.

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod block_on;
mod executor;
mod handle;
mod header;
#[cfg(any(test, feature = "std"))]
mod host;
mod inbox;
mod list;
mod platform;
pub mod sync;
#[cfg(test)]
mod tests;
mod timer;

pub use block_on::block_on;
pub use executor::{Executor, Refusal, SpawnError};
pub use handle::{Cancelled, JoinHandle};
#[cfg(any(test, feature = "std"))]
pub use host::Host;
pub use list::TaskInfo;
pub use platform::Platform;
pub use timer::{Elapsed, Interval, Sleep};
