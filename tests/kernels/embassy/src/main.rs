//! Tasks of embassy-executor that wait by embassy-time, all on one timer: many at once, a ticker, a timeout
//! that comes and one that does not. The processor halts while no task is due.
#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use embassy_executor::raw::Executor;
use embassy_time::{Duration, Instant, Ticker, Timer, with_timeout};
use freestone::{BootInfo, Exit, interrupts, println, time};

freestone::entry!(main, audit: exit);
freestone::critical_section!();
freestone::embassy_time_driver!();

const SLEEPERS: usize = 40;

/// How many of them have ended. They are more than there are one-shot timers.
static ENDED: AtomicUsize = AtomicUsize::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);
static TIMEOUTS: AtomicU32 = AtomicU32::new(0);
static HALTS: AtomicU32 = AtomicU32::new(0);

#[embassy_executor::task(pool_size = SLEEPERS)]
async fn sleeper(start: Instant, number: usize) {
    // The first to be started is the last to wake.
    let at = start + Duration::from_millis(10 + 2 * (SLEEPERS - number) as u64);
    Timer::at(at).await;
    assert!(Instant::now() >= at, "woken too early");
    ENDED.fetch_add(1, Ordering::Relaxed);
}

#[embassy_executor::task]
async fn ticker() {
    let mut ticker = Ticker::every(Duration::from_millis(3));
    for _ in 0..20 {
        ticker.next().await;
        TICKS.fetch_add(1, Ordering::Relaxed);
    }
}

#[embassy_executor::task]
async fn timeouts() {
    let late = with_timeout(Duration::from_millis(5), Timer::after_secs(3600)).await;
    assert!(late.is_err());
    let early = with_timeout(Duration::from_secs(3600), Timer::after_millis(5)).await;
    assert!(early.is_ok());
    // What was dropped is not waited for, and a moment that is over is now.
    Timer::at(Instant::MIN).await;
    TIMEOUTS.fetch_add(2, Ordering::Relaxed);
}

fn have_all_run() -> bool {
    let load = |count: &AtomicU32| count.load(Ordering::Relaxed);
    ENDED.load(Ordering::Relaxed) == SLEEPERS && load(&TICKS) == 20 && load(&TIMEOUTS) == 2
}

static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Waits alone when the others have ended: on a slow machine something else is always due before that.
#[embassy_executor::task]
async fn last() {
    while !have_all_run() {
        Timer::after_millis(5).await;
    }
    for _ in 0..10 {
        Timer::after_millis(20).await;
    }
    IS_OVER.store(true, Ordering::Relaxed);
}

/// Set when a task is ready.
static PENDING: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    PENDING.store(true, Ordering::Release);
}

struct Place(UnsafeCell<MaybeUninit<Executor>>);
// SAFETY: `main` alone uses it.
unsafe impl Sync for Place {}
static EXECUTOR: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));

fn main(_boot: &'static BootInfo) -> Exit {
    // SAFETY: `main` is called once, so this is the only reference that is made mutable.
    let executor = unsafe { &mut *EXECUTOR.0.get() };
    let executor: &'static Executor = executor.write(Executor::new(core::ptr::null_mut()));
    let spawner = executor.spawner();
    let start = Instant::now();
    for number in 0..SLEEPERS {
        spawner.spawn(sleeper(start, number).expect("room in the pool"));
    }
    spawner.spawn(ticker().expect("once"));
    spawner.spawn(timeouts().expect("once"));
    spawner.spawn(last().expect("once"));

    let limit = time::now() + core::time::Duration::from_secs(20);
    while time::now() < limit {
        PENDING.store(false, Ordering::Relaxed);
        // SAFETY: not called by itself: nothing but this loop calls it.
        unsafe { executor.poll() };
        if IS_OVER.load(Ordering::Relaxed) {
            break;
        }
        // With interrupts out between the look and the halt, none is missed.
        interrupts::disable();
        if !PENDING.load(Ordering::Acquire) {
            HALTS.fetch_add(1, Ordering::Relaxed);
            interrupts::wait();
        }
        interrupts::enable();
    }
    interrupts::disable();
    let took = start.elapsed().as_millis();
    let (ended, halts) = (ENDED.load(Ordering::Relaxed), HALTS.load(Ordering::Relaxed));
    println!("{ended} sleepers, {halts} halts, {took} ms");
    println!(
        "ticks: {}, timeouts: {}",
        TICKS.load(Ordering::Relaxed),
        TIMEOUTS.load(Ordering::Relaxed)
    );
    if have_all_run() && IS_OVER.load(Ordering::Relaxed) && halts > 0 {
        Exit::Success
    } else {
        Exit::Failure
    }
}
