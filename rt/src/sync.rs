//! The atomics of `registry.rs`, and the initial state of its places. `tests/models` replaces this file by its own.

pub use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::registry::{Registry, Slot};

/// A cell whose content is reached inside a function, so that a model may see when.
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

impl<T, const N: usize> Registry<T, N> {
    /// Empty, all zero bytes.
    pub const fn new() -> Self {
        let slots =
            [const { Slot { is_ready: AtomicBool::new(false), value: UnsafeCell::new(None) } }; N];
        Self { claimed: AtomicUsize::new(0), slots }
    }
}
