//! The atomics of `settled.rs`. `tests/models` replaces this file by its own.

pub use core::sync::atomic::{AtomicU32, Ordering, fence};
