//! An executor's platform on a system with a standard library: each thread is a context. With it a kernel's tasks are tested on
//! the host; the crate's own tests use this file too.
//!
//! `cargo run -p freestone-task --example host`

use core::cell::Cell;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use freestone_task::{Executor, Platform};

/// Each thread is a context of its own; nothing is a handler.
#[derive(Clone, Copy, Debug)]
pub struct Host;

/// By their numbers, which are never given twice.
static THREADS: LazyLock<Mutex<HashMap<usize, Thread>>> = LazyLock::new(Mutex::default);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

std::thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

#[cold]
fn register() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.insert(number, thread::current());
    NUMBER.set(number);
    number
}

// SAFETY: a thread's code is one after the other, and no two threads have the same number. None stands still for another.
unsafe impl Platform for Host {
    #[inline]
    fn context() -> Option<NonZeroUsize> {
        let number = NUMBER.get();
        NonZeroUsize::new(if number == 0 { register() } else { number })
    }

    fn now() -> u64 {
        START.elapsed().as_nanos() as u64
    }

    fn idle(until: Option<u64>, is_idle: impl Fn() -> bool) {
        // `unpark` before `park` ends it at once.
        if !is_idle() {
            return;
        }
        match until {
            None => thread::park(),
            Some(until) => {
                let left = until.saturating_sub(Host::now());
                if left != 0 {
                    thread::park_timeout(Duration::from_nanos(left));
                }
            }
        }
    }

    fn wake_up(context: NonZeroUsize) {
        let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = threads.get(&context.get()) {
            thread.unpark();
        }
    }
}

static EXECUTOR: Executor<Host> = Executor::new();

fn main() {
    let tasks = ["one", "two", "three"].map(|name| {
        EXECUTOR.spawn(async move {
            EXECUTOR.sleep(Duration::from_millis(10 * name.len() as u64)).await;
            std::println!("{name}");
            name.len()
        })
    });
    let sum = EXECUTOR.run(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("nobody cancels it");
        }
        sum
    });
    assert_eq!(sum, 11);
}
