//! Values that the boot code writes once and that any code may read afterwards.

use core::cell::UnsafeCell;

/// See the module.
pub(crate) struct Once<T>(UnsafeCell<T>);

// SAFETY: written by `set` only, whose caller promises that nobody looks; shared by reference or copy after that.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    pub const fn new(value: T) -> Once<T> {
        Once(UnsafeCell::new(value))
    }

    /// Where it is.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}
