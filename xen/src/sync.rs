//! The atomics of `settled.rs`. `tests/models` has others in their place.

pub use core::sync::atomic::{AtomicU32, Ordering, fence};
