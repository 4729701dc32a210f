//! Reads data that another party writes at any time, so that all of it is from one moment, by a version number.
//!
//! The number is odd while the writer writes, and a new even number afterwards. A reader accepts what it has read if the number
//! was even before and is the same after.
//!
//! `tests/models` includes this file with atomics of its own, and tries every order that the memory model allows.

use super::sync::{AtomicU32, Ordering, fence};

/// How often a record is read again before its reader gives up. A hypervisor writes a handful of words,
/// seldom; a guest that comes here is misled or starved.
const TRIES: usize = 1000;

/// What `read` returns while the version is even and does not change; `None` if it always does.
pub fn settled<T>(version: &AtomicU32, read: impl Fn() -> T) -> Option<T> {
    (0..TRIES).find_map(|_| {
        let value = read_once(version, &read);
        if value.is_none() {
            core::hint::spin_loop();
        }
        value
    })
}

/// What `read` returns, unless somebody wrote meanwhile.
pub fn read_once<T>(version: &AtomicU32, read: &impl Fn() -> T) -> Option<T> {
    let before = version.load(Ordering::Acquire);
    let value = read();
    // What was read above stays above.
    fence(Ordering::Acquire);
    let after = version.load(Ordering::Relaxed);
    (before == after && before & 1 == 0).then_some(value)
}
