//! Tasks: many things at once in one kernel, by `async` and one executor, [`EXECUTOR`].
//!
//! ```no_run
//! use core::time::Duration;
//! use freestone::{BootInfo, Exit, println, task};
//!
//! // In a kernel: freestone::entry!(async kernel_main);
//! async fn kernel_main(_boot: &'static BootInfo) -> Exit {
//!     let ticking = task::spawn(async {
//!         let mut second = task::interval(Duration::from_secs(1));
//!         loop {
//!             second.tick().await;
//!             println!("tick");
//!         }
//!     });
//!     task::sleep(Duration::from_secs(10)).await;
//!     ticking.cancel();
//!     Exit::Success
//! }
//! # fn main() {}
//! ```
//!
//! Interrupts are let in while tasks run, and the processor halts when none is ready. A handler wakes a task by a
//! [`Signal`](crate::Signal), or by anything of [`sync`]. When `main` returns, the kernel ends; tasks that are left are
//! not waited for.
//!
//! What a task is, what cancelling means and what handlers may do is told in [`freestone_task`]. A panic in a task ends the
//! kernel, as every panic does; with `entry!(async main)` the report names the task and lists the others.
//!
//! `entry!(async main)` also defines the critical sections that [`sync`] and other crates ask for, as `critical_section!` does:
//! interrupts off. A kernel whose `main` is not `async` calls that macro, and [`block_on`].
//!
//! With the feature `embassy-time` crates that use that clock work in these tasks: `task_time_driver!` makes it.

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;

use freestone_platform::devices::pc::apic;
use freestone_platform::interrupts::{Frame, Outcome};
use freestone_platform::timer::{self, Timer};
use freestone_platform::{Exit, console, exit, interrupts, time};
use freestone_rt::number::Decimal;
use freestone_rt::{backtrace, println};

use freestone_platform::x86_64::cpu;
pub use freestone_task::{
    Cancelled, Elapsed, Refusal, SpawnError, TaskInfo, join, select, sync, yield_now,
};

/// The kernel as what an executor runs on: one core, and its timer.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

/// A task that was spawned here.
pub type JoinHandle<T> = freestone_task::JoinHandle<T, Kernel>;

/// What [`sleep`] gives.
pub type Sleep = freestone_task::Sleep<Kernel>;

/// What [`interval`] gives.
pub type Interval = freestone_task::Interval<Kernel>;

/// The kernel's executor.
pub static EXECUTOR: freestone_task::Executor<Kernel> = freestone_task::Executor::new();

// SAFETY: there is one core, whose code is one after the other but for handlers, which are no context; and in a handler all
// other code stands still.
unsafe impl freestone_task::Platform for Kernel {
    #[inline]
    fn context() -> Option<NonZeroUsize> {
        if interrupts::in_any_handler() { None } else { NonZeroUsize::new(1) }
    }

    fn stands_still(_: NonZeroUsize) -> bool {
        true
    }

    fn now() -> u64 {
        u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX)
    }

    #[inline]
    fn ticks() -> u64 {
        cpu::ticks()
    }

    fn idle(until: Option<u64>, is_idle: impl Fn() -> bool) {
        if interrupts::in_any_handler() {
            return;
        }
        NUDGE.prepare();
        let were_enabled = interrupts::are_enabled();
        // What is woken from here on is woken by an interrupt, which ends the halt, or with one: see `wake_up`.
        interrupts::disable();
        if is_idle() && ALARM.set(until) {
            HALTS.store(HALTS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            interrupts::wait();
        }
        if were_enabled {
            interrupts::enable();
        }
    }

    fn wake_up(_: NonZeroUsize) {
        // An interrupt ends the halt itself. An exception or an NMI may come before the halt, with interrupts out.
        if interrupts::in_any_handler() && !interrupts::in_handler() {
            NUDGE.send();
        }
    }
}

/// An interrupt that the processor sends itself, to end a halt that is about to begin.
struct Nudge(AtomicU8);

static NUDGE: Nudge = Nudge(AtomicU8::new(Nudge::UNTRIED));

impl Nudge {
    const UNTRIED: u8 = 0;
    /// There is no vector, or no way to send it.
    const NONE: u8 = 1;

    fn prepare(&self) {
        if self.0.load(Ordering::Relaxed) == Nudge::UNTRIED {
            let vector = apic::start().ok().and_then(|()| interrupts::allocate(nudged, 0));
            self.0.store(vector.unwrap_or(Nudge::NONE), Ordering::Relaxed);
        }
    }

    fn send(&self) {
        let vector = self.0.load(Ordering::Relaxed);
        if vector > Nudge::NONE {
            apic::send_to_self(vector);
        }
    }
}

fn nudged(_: &mut Frame, _: usize) -> Outcome {
    Outcome::Handled
}

static HALTS: AtomicU64 = AtomicU64::new(0);

/// How many times the processor has halted because no task was ready.
pub fn halts() -> u64 {
    HALTS.load(Ordering::Relaxed)
}

/// The machine's timer, set for the executor's next deadline.
struct Alarm(UnsafeCell<Option<(u64, Timer)>>);

// SAFETY: `set` is called with interrupts out, outside of handlers, on the one core.
unsafe impl Sync for Alarm {}

static ALARM: Alarm = Alarm(UnsafeCell::new(None));

fn ring(_: usize) {}

impl Alarm {
    /// Has an interrupt come at `until`. `false` if it has come, or there is no timer for it: then the caller must not halt.
    /// Stays as it is as long as the deadline does, so that halting again costs nothing.
    fn set(&self, until: Option<u64>) -> bool {
        // SAFETY: see `Alarm`'s `Sync`.
        let alarm = unsafe { &mut *self.0.get() };
        let Some(until) = until else {
            if let Some((_, timer)) = alarm.take() {
                timer::cancel(timer);
            }
            return true;
        };
        if <Kernel as freestone_task::Platform>::now() >= until {
            return false;
        }
        if let Some((at, timer)) = *alarm {
            if at == until {
                return true;
            }
            timer::cancel(timer);
        }
        *alarm = timer::at(Duration::from_nanos(until), ring, 0).map(|timer| (until, timer));
        alarm.is_some()
    }
}

/// Spawns a task of [`EXECUTOR`]'s, named by the place of this call.
///
/// The future is moved on the stack a few times before it is in its place: one that has large arrays across its `await`s has
/// them in a `Box`, or the kernel a larger [stack](crate::entry).
///
/// # Panics
///
/// If there is no memory, and in a handler; see [`try_spawn`].
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    EXECUTOR.spawn(future)
}

/// [`spawn`], which gives the future back if there is no memory, and in a handler.
///
/// # Errors
///
/// As it says.
#[track_caller]
pub fn try_spawn<F: Future + 'static>(future: F) -> Result<JoinHandle<F::Output>, SpawnError<F>> {
    EXECUTOR.try_spawn(future)
}

/// [`try_spawn`], with a name for [`list`] and reports.
///
/// # Errors
///
/// As for [`try_spawn`].
pub fn try_spawn_named<F: Future + 'static>(
    name: &'static str,
    future: F,
) -> Result<JoinHandle<F::Output>, SpawnError<F>> {
    EXECUTOR.try_spawn_named(name, future)
}

/// Ready when `duration` has passed.
pub fn sleep(duration: Duration) -> Sleep {
    EXECUTOR.sleep(duration)
}

/// Ready when [`time::now`] is `moment`.
pub fn sleep_until(moment: Duration) -> Sleep {
    EXECUTOR.sleep_until(moment)
}

/// Ready after each `period`; it does not drift.
///
/// # Panics
///
/// If the period is 0.
pub fn interval(period: Duration) -> Interval {
    EXECUTOR.interval(period)
}

/// The output of `future`, if it is ready before `duration` has passed.
///
/// # Errors
///
/// [`Elapsed`].
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    EXECUTOR.timeout(duration, future).await
}

/// Runs [`EXECUTOR`] until `future` is ready, and gives its output: for code that is not `async`, in a kernel whose `main`
/// is not. Interrupts are let in meanwhile.
///
/// # Panics
///
/// In a task, which awaits the future instead, and in a handler.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let were_enabled = interrupts::are_enabled();
    if !interrupts::in_any_handler() {
        interrupts::enable();
    }
    let output = EXECUTOR.run(future);
    if !were_enabled {
        interrupts::disable();
    }
    output
}

/// What is typed at the console, byte by byte, from now on. A second call takes it over. Up to a thousand bytes wait; what
/// comes beyond that is lost.
///
/// # Errors
///
/// There is no interrupt for it: [`InputError`].
pub fn console_input() -> Result<sync::Receiver<u8>, InputError> {
    let (sender, receiver) = sync::channel(1 << 10);
    let sender: &'static sync::Sender<u8> = Box::leak(Box::new(sender));
    let word = core::ptr::from_ref(sender).expose_provenance();
    let vector = interrupts::allocate(typed, word).ok_or(InputError::NoVector)?;
    console::listen(vector).map_err(InputError::Line)?;
    Ok(receiver)
}

/// Why nothing that is typed comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputError {
    /// All vectors are taken.
    NoVector,
    /// There is no line for it.
    Line(interrupts::LineError),
}

impl core::fmt::Display for InputError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            InputError::NoVector => f.write_str("all interrupt vectors are taken"),
            InputError::Line(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InputError {}

fn typed(_: &mut Frame, word: usize) -> Outcome {
    // SAFETY: `console_input` has registered it with a sender that stays.
    let sender: &'static sync::Sender<u8> = unsafe { &*core::ptr::with_exposed_provenance(word) };
    while let Some(byte) = console::take() {
        // Where there is no room it is lost, as it would be in the device.
        let _ = sender.try_send(byte);
    }
    Outcome::Handled
}

/// The tasks that have not ended, the youngest first.
pub fn list() -> Vec<TaskInfo> {
    EXECUTOR.tasks()
}

/// Prints a line for each task of [`list`], but not for more than `most`, and which one runs. In any context; it takes no
/// memory.
pub fn print_list(most: usize) {
    let mut count = 0_usize;
    // SAFETY: printing ends no task: handles are not where consoles can have them.
    unsafe {
        EXECUTOR.for_each_task(|task| {
            count += 1;
            if count <= most {
                let (hertz, ticks) = (u128::from(time::rate().hertz), u128::from(task.ticks));
                let micros = (ticks * 1_000_000).checked_div(hertz).unwrap_or(0);
                println!("  {task}, {} us", Decimal(u64::try_from(micros).unwrap_or(u64::MAX)));
            }
        })
    };
    if count > most {
        println!("  and {} more", Decimal((count - most) as u64));
    }
}

/// Reports a task that does not yield: one that is polled for `limit` or longer is named on the console, once for each such
/// poll, with a trace of where it is. It is looked at in the timer's interrupt, twice in that time, so a task that keeps
/// interrupts out is not seen. A second call changes the limit.
///
/// Whether there is a timer for it.
pub fn watch(limit: Duration) -> bool {
    let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(2);
    let is_watched = LIMIT.swap(nanoseconds, Ordering::Relaxed) != 0;
    is_watched || watch_again()
}

/// In nanoseconds; 0 before [`watch`].
static LIMIT: AtomicU64 = AtomicU64::new(0);

fn watch_again() -> bool {
    let half = Duration::from_nanos(LIMIT.load(Ordering::Relaxed) / 2);
    let is_set = timer::after(half, look, 0).is_some();
    if !is_set {
        LIMIT.store(0, Ordering::Relaxed);
    }
    is_set
}

fn look(_: usize) {
    /// When the poll began that was reported.
    static REPORTED: AtomicU64 = AtomicU64::new(0);
    if let Some((task, since)) = EXECUTOR.running() {
        let ticks = u128::from(cpu::ticks().wrapping_sub(since));
        let nanoseconds = (ticks * 1_000_000_000).checked_div(time::rate().hertz.into());
        let limit = LIMIT.load(Ordering::Relaxed);
        if nanoseconds.is_some_and(|passed| passed >= limit.into())
            && REPORTED.swap(since, Ordering::Relaxed) != since
        {
            println!("a task does not yield: {task}, for {} ms", Decimal(limit / 1_000_000));
            let out = &mut freestone_rt::console::emergency();
            backtrace::print(out, backtrace::frame_pointer());
        }
    }
    watch_again();
}

/// What `entry!(async main)` calls.
#[doc(hidden)]
pub fn run_main(main: impl Future<Output = Exit> + 'static) -> Exit {
    let main = EXECUTOR.try_spawn_named("main", main);
    let main = main.unwrap_or_else(|error| panic!("main: {error}"));
    let ended = block_on(main);
    // Nobody has its handle.
    ended.unwrap_or(Exit::Crash)
}

/// The end of a kernel that has panicked: which task did, and what the others were at.
#[doc(hidden)]
pub fn crash() -> ! {
    /// A screenful.
    const MOST: usize = 20;
    if let Some((task, _)) = EXECUTOR.running() {
        println!("in the task {task}");
    }
    println!("tasks:");
    print_list(MOST);
    exit::crash()
}

/// [`EXECUTOR`]'s timers as the clock of `embassy-time`: once, in the kernel crate, with the feature `embassy-time`. Then
/// crates that use that clock work in tasks here, and in those of `embassy-executor` if one of the tasks here polls it.
/// It takes the place of `embassy_time_driver!`, whose queue is `embassy-executor`'s.
///
/// ```ignore
/// freestone::entry!(async main);
/// freestone::task_time_driver!();
/// ```
///
/// Such a clock is asked in tasks only, not in handlers.
#[cfg(feature = "embassy-time")]
#[macro_export]
macro_rules! task_time_driver {
    () => {
        const _: () = {
            struct Driver;
            impl $crate::platform::embassy::embassy_time_driver::Driver for Driver {
                fn now(&self) -> u64 {
                    $crate::platform::embassy::now()
                }
                fn schedule_wake(&self, at: u64, waker: &::core::task::Waker) {
                    $crate::task::wake_at_tick(at, waker)
                }
            }
            $crate::platform::embassy::embassy_time_driver::time_driver_impl!(
                static DRIVER: Driver = Driver
            );
        };
    };
}

/// What `task_time_driver!` calls.
#[cfg(feature = "embassy-time")]
#[doc(hidden)]
pub fn wake_at_tick(at: u64, waker: &core::task::Waker) {
    use freestone_platform::embassy::embassy_time_driver::TICK_HZ;
    let nanoseconds = (u128::from(at) * 1_000_000_000).div_ceil(TICK_HZ.into());
    let moment = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    EXECUTOR.wake_at(moment, waker);
}
