//! The atomics of `places.rs`, and the initial state of its places. `tests/models` replaces this file by its own.

pub use core::sync::atomic::{AtomicU32, Ordering};

use super::places::{Place, Places};

impl<const LEN: usize, const N: usize> Places<LEN, N> {
    /// Empty, all zero bytes.
    pub const fn new() -> Self {
        Self(
            [const { Place { state: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; LEN] } };
                N],
        )
    }
}
