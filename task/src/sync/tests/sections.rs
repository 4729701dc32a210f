//! Critical sections for threads. `critical-section` has some too, by its feature `std`; but where a workspace builds these
//! tests and kernels at once, the feature would be the kernels' too.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};
use std::thread_local;

use critical_section::RawRestoreState;

struct Threads;

critical_section::set_impl!(Threads);

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

// SAFETY: the flag lets one thread in at a time; sections of one thread nest, and the outermost gives it back.
unsafe impl critical_section::Impl for Threads {
    unsafe fn acquire() -> RawRestoreState {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            while IS_TAKEN.swap(true, Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
        // Nothing or a flag, as whoever else is built wants it.
        RawRestoreState::default()
    }

    unsafe fn release(_: RawRestoreState) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            IS_TAKEN.store(false, Ordering::Release);
        }
    }
}
