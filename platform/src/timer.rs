//! One-shot timers, which call a function at a given time, and `sleep`.
//!
//! A few can run at a time ([`MOST`]), in a small table. The hardware gets the earliest deadline; its interrupt calls all
//! functions that are due. A kernel with many more deadlines keeps them itself and sets one timer for the earliest.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//! use core::time::Duration;
//! use freestone::{interrupts, timer};
//!
//! static RUNG: AtomicUsize = AtomicUsize::new(0);
//!
//! fn ring(bell: usize) {
//!     RUNG.fetch_add(bell, Relaxed); // in an interrupt: no lock, no memory
//! }
//!
//! interrupts::enable();
//! let bell = timer::after(Duration::from_millis(20), ring, 1).expect("a free place");
//! timer::sleep(Duration::from_millis(5));
//! let was_in_time = timer::cancel(bell);
//! ```

use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;

use crate::interrupts::{self, Frame, Outcome};
use crate::lock::Lock;
use crate::slot::Slot;
use crate::time::{self, Moment};

use crate::arch::one_shot as hardware;
pub use crate::arch::one_shot::{Error, TimerKind as Kind};

/// How many timers may run at once.
pub const MOST: usize = 32;

/// What is called, with the word that was given for it: inside the timer's handler, with interrupts off.
pub type Callback = fn(usize);

#[derive(Clone, Copy)]
struct Entry {
    /// In nanoseconds of [`time::now`].
    deadline: u64,
    callback: Callback,
    argument: usize,
    /// Counts the uses of this entry, so that a stale [`Timer`] cancels nothing.
    generation: u32,
    is_set: bool,
}

/// The table of timers. Logic only: the clock and the hardware are its users'.
struct Table([Entry; MOST]);

fn nothing(_: usize) {}

impl Table {
    const fn new() -> Table {
        let entry =
            Entry { deadline: 0, callback: nothing, argument: 0, generation: 0, is_set: false };
        Table([entry; MOST])
    }

    fn set(&mut self, deadline: u64, callback: Callback, argument: usize) -> Option<Timer> {
        let index = self.0.iter().position(|entry| !entry.is_set)?;
        let entry = self.0.get_mut(index)?;
        let generation = entry.generation.wrapping_add(1);
        *entry = Entry { deadline, callback, argument, generation, is_set: true };
        Some(Timer { index, generation })
    }

    fn cancel(&mut self, timer: Timer) -> bool {
        let entry = self.0.get_mut(timer.index);
        let entry = entry.filter(|entry| entry.is_set && entry.generation == timer.generation);
        entry.map(|entry| entry.is_set = false).is_some()
    }

    /// The earliest deadline.
    fn next(&self) -> Option<u64> {
        self.0.iter().filter(|entry| entry.is_set).map(|entry| entry.deadline).min()
    }

    /// Takes the earliest of what is due.
    fn take_due(&mut self, now: u64) -> Option<(Callback, usize)> {
        let due = self.0.iter_mut().filter(|entry| entry.is_set && entry.deadline <= now);
        let entry = due.min_by_key(|entry| entry.deadline)?;
        entry.is_set = false;
        Some((entry.callback, entry.argument))
    }
}

/// Used with interrupts out, but an NMI may come in the midst, whose handler gets nothing.
static TABLE: Lock<Table> = Lock::new(Table::new());

fn with_table<R>(f: impl FnOnce(&mut Table) -> R) -> Option<R> {
    interrupts::without(|| TABLE.with(f))
}

/// A timer that was set, to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    index: usize,
    generation: u32,
}

/// How many timers run; another number than any, where that cannot be seen now.
pub(crate) fn running() -> usize {
    let count = |table: &mut Table| table.0.iter().filter(|entry| entry.is_set).count();
    with_table(count).unwrap_or(usize::MAX)
}

/// Whether this is the handler of this file.
pub(crate) fn is_own(slot: &Slot) -> bool {
    slot.get().is_some_and(|(handler, _)| handler == interrupt as interrupts::Handler as *mut ())
}

const UNTRIED: u8 = 0;
const RUNS: u8 = 1;
static STATE: AtomicU8 = AtomicU8::new(UNTRIED);

/// Whether the machine's timer is this file's.
pub(crate) fn is_started() -> bool {
    STATE.load(Ordering::Relaxed) == RUNS
}

/// Finds the machine's timer and takes a vector for it. Does nothing if that is done. The other functions
/// here call it, but only this one returns what is wrong. The first call takes a millisecond or two, with interrupts off, if
/// the timer counts at a rate that must be measured. The timer belongs to this module from then on.
pub fn start() -> Result<(), Error> {
    if STATE.load(Ordering::Relaxed) == RUNS {
        return Ok(());
    }
    interrupts::without(|| if STATE.load(Ordering::Relaxed) == RUNS { Ok(()) } else { find() })
}

fn find() -> Result<(), Error> {
    let vector = interrupts::allocate(interrupt, 0).ok_or(Error::NoVector)?;
    match hardware::Timer::start(vector) {
        Ok(timer) => {
            core::mem::forget(timer);
            STATE.store(RUNS, Ordering::Relaxed);
        }
        Err(error) => {
            interrupts::release(vector);
            // The handler of an NMI may have been here meanwhile, and have started it.
            if STATE.load(Ordering::Relaxed) != RUNS {
                return Err(error);
            }
        }
    }
    // It may have set one, which the measurement has put out.
    arm();
    Ok(())
}

fn nanoseconds() -> u64 {
    u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX)
}

/// Calls `callback(argument)` at `deadline`, a reading of [`time::now`], or as soon after it as interrupts are
/// let in. `None` if [`MOST`] timers run, or the machine has no timer; or in the handler of an NMI or an exception, if it
/// came while timers were looked at.
pub fn at(deadline: Duration, callback: Callback, argument: usize) -> Option<Timer> {
    start().ok()?;
    let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
    let (timer, is_first) = with_table(|table| {
        let is_first = table.next().is_none_or(|next| deadline < next);
        (table.set(deadline, callback, argument), is_first)
    })?;
    if is_first && timer.is_some() {
        interrupts::without(arm);
    }
    timer
}

/// [`at`], that long from now.
pub fn after(delay: Duration, callback: Callback, argument: usize) -> Option<Timer> {
    at(time::now().saturating_add(delay), callback, argument)
}

/// Takes a timer back. `false` if it has been called already; or, as in [`at`], if it came while timers were looked at.
pub fn cancel(timer: Timer) -> bool {
    with_table(|table| table.cancel(timer)).unwrap_or(false)
}

/// Halts until that time has passed, with interrupts enabled meanwhile. It watches the clock instead of halting if the machine
/// has no timer, if [`MOST`] timers run, and in the handler of an interrupt, an exception or an NMI: the interrupt that
/// would end the halt may be held back by the one being handled. Where the clock cannot be read either ([`time::now`]), it
/// takes longer than asked for, up to some ten times.
pub fn sleep(duration: Duration) {
    let moment = Moment::after(duration);
    let were_enabled = interrupts::are_enabled();
    let timer = if interrupts::in_any_handler() { None } else { at(moment.at(), nothing, 0) };
    let let_in = || {
        interrupts::enable();
        core::hint::spin_loop();
        interrupts::disable();
    };
    // Who sleeps for less than it takes to get here, again and again, waits for an interrupt.
    let_in();
    while !moment.has_come() {
        if timer.is_some() { interrupts::wait() } else { let_in() }
    }
    if let Some(timer) = timer {
        cancel(timer);
    }
    if were_enabled {
        interrupts::enable();
    }
}

/// Gives the earliest deadline to the hardware. Interrupts are out.
fn arm() {
    /// If this interrupts code that uses the table, it tries again this much later.
    const AGAIN: u64 = 100_000;
    // The handler of an NMI may set a timer after the first look at the table and before the hardware is told. Each
    // time that is one more.
    for _ in 0..MOST {
        let next = with_table(|table| table.next());
        match next {
            Some(Some(deadline)) => hardware::fire_in(deadline.saturating_sub(nanoseconds())),
            Some(None) => hardware::stop(),
            None => hardware::fire_in(AGAIN),
        }
        if with_table(|table| table.next()) == next {
            return;
        }
    }
}

fn interrupt(_frame: &mut Frame, _word: usize) -> Outcome {
    // No more than the table holds: a callback that sets itself for now must not hold the processor.
    for _ in 0..MOST {
        let now = nanoseconds();
        let due = with_table(|table| table.take_due(now));
        let Some((callback, argument)) = due.flatten() else { break };
        callback(argument);
    }
    interrupts::disable();
    arm();
    Outcome::Handled
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_is_due_comes_in_order_and_once() {
        let mut table = Table::new();
        for deadline in [50, 10, 30, 10] {
            table.set(deadline, nothing, deadline as usize).unwrap();
        }
        assert_eq!(table.next(), Some(10));
        let mut due = Vec::new();
        while let Some((_, argument)) = table.take_due(30) {
            due.push(argument);
        }
        assert_eq!(due, [10, 10, 30]);
        assert_eq!(table.next(), Some(50));
    }

    #[test]
    fn a_full_table_refuses_and_a_stale_timer_cancels_nothing() {
        let mut table = Table::new();
        let first = table.set(5, nothing, 0).unwrap();
        for _ in 1..MOST {
            table.set(7, nothing, 0).unwrap();
        }
        assert_eq!(table.set(1, nothing, 0), None);
        assert!(table.cancel(first));
        assert!(!table.cancel(first));
        let again = table.set(9, nothing, 0).unwrap();
        assert_eq!(again.index, first.index);
        assert!(!table.cancel(first));
        assert!(table.cancel(again));
        assert_eq!(table.next(), Some(7));
    }
}
