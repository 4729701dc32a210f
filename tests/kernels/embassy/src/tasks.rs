//! `embassy-time` in this executor's tasks, and `embassy-executor` with its spawner and its tasks inside one of them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use embassy_executor::raw::Executor;
use embassy_time::{Duration, Instant, Ticker, Timer, with_timeout};
use freestone::{BootInfo, Exit, Signal, println, task};

freestone::entry!(async main, audit: exit);
freestone::task_time_driver!();

static ENDED: AtomicUsize = AtomicUsize::new(0);

#[embassy_executor::task(pool_size = 5)]
async fn theirs(number: u64) {
    Timer::after_millis(10 * number).await;
    ENDED.fetch_add(1, Ordering::Relaxed);
}

/// Raised when a task of theirs is ready.
static READY: Signal = Signal::new();

#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    READY.raise();
}

struct Theirs(UnsafeCell<MaybeUninit<Executor>>);

// SAFETY: `run_theirs` uses it, once, and nobody else.
unsafe impl Sync for Theirs {}

static THEIRS: Theirs = Theirs(UnsafeCell::new(MaybeUninit::uninit()));

/// Their executor as a task of ours: polled whenever one of its tasks is ready.
async fn run_theirs() {
    // SAFETY: called once, so this is the only reference.
    let executor: &'static Executor =
        unsafe { &*(*THEIRS.0.get()).write(Executor::new(core::ptr::null_mut())) };
    let spawner = executor.spawner();
    for number in 1..=5 {
        spawner.spawn(theirs(number).expect("room in the pool"));
    }
    loop {
        // SAFETY: initialised, and polled here only: no task of theirs polls it.
        unsafe { executor.poll() };
        READY.wait().await;
    }
}

async fn main(_boot: &'static BootInfo) -> Exit {
    let theirs = task::spawn(run_theirs());
    let begin = Instant::now();
    let ours: Vec<_> = (0..100_u64)
        .map(|number| {
            task::spawn(async move {
                let at = begin + Duration::from_millis(5 + number % 10);
                Timer::at(at).await;
                assert!(Instant::now() >= at, "woken too early");
            })
        })
        .collect();
    for task in ours {
        task.await.expect("nobody cancels it");
    }
    let mut ticker = Ticker::every(Duration::from_millis(3));
    for _ in 0..10 {
        ticker.next().await;
    }
    assert!(with_timeout(Duration::from_millis(5), Timer::after_secs(3600)).await.is_err());
    assert!(with_timeout(Duration::from_secs(3600), Timer::after_millis(5)).await.is_ok());
    while ENDED.load(Ordering::Relaxed) < 5 {
        Timer::after_millis(5).await;
    }
    theirs.cancel();
    println!("ended: {}", ENDED.load(Ordering::Relaxed));
    Exit::Success
}
