//! Something that happens, and that any number of tasks wait for.

use core::fmt;
use core::future::Future;

use super::line::{Line, Rule};

/// Is set or not; tasks wait until it is.
///
/// [`wait`](Self::wait) counts from the call on, even before it is polled: whatever happens afterwards ends it. So nothing
/// is missed between a look and a wait, in this order:
///
/// ```no_run
/// # use core::sync::atomic::{AtomicUsize, Ordering};
/// # use freestone_task::sync::Event;
/// static WORK: AtomicUsize = AtomicUsize::new(0);
/// static CHANGED: Event = Event::new();
///
/// async fn work_is_there() {
///     loop {
///         let changed = CHANGED.wait();
///         if WORK.load(Ordering::Acquire) > 0 {
///             return;
///         }
///         changed.await;
///     }
/// }
///
/// fn interrupt_handler() {
///     WORK.fetch_add(1, Ordering::Release);
///     CHANGED.pulse();
/// }
/// ```
///
/// - **Cancellation.** A pending `wait` that is dropped leaves the line, and takes nothing with it.
/// - **Fairness.** All are woken, in the order in which they came.
/// - **In an interrupt handler**: everything. With n tasks waiting, [`set`](Self::set) and [`pulse`](Self::pulse) take n
///   short critical sections.
/// - **Memory**: none is allocated.
pub struct Event {
    line: Line<Happened>,
}

/// The rule of an event.
struct Happened {
    is_set: bool,
    /// How often it has happened. Those who wait say how often it had when they came. They stand in the order of these
    /// numbers: who comes with an older one than the present does not join the line.
    times: u64,
}

impl Rule for Happened {
    type Want = u64;
    type Answer = ();

    fn grant(&mut self, times: u64, _is_first: bool) -> Option<()> {
        (self.is_set || self.times > times).then_some(())
    }

    fn take_back(&mut self, _times: u64, _answer: ()) {}
}

impl Event {
    /// Not set.
    pub const fn new() -> Event {
        Event { line: Line::new(Happened { is_set: false, times: 0 }) }
    }

    /// Sets it: all who wait go on, and so does everybody who comes, until it is [`reset`](Self::reset).
    pub fn set(&self) {
        self.happen(true);
    }

    /// Lets all go on who wait now, and nobody else: like set and reset at once.
    pub fn pulse(&self) {
        self.happen(false);
    }

    fn happen(&self, set: bool) {
        self.line.change(|event| {
            event.times += 1;
            event.is_set |= set;
        });
    }

    /// Takes it back. Those who waited when it was set go on all the same.
    pub fn reset(&self) {
        self.line.change(|event| event.is_set = false);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.line.look(|event| event.is_set)
    }

    /// Waits until it is set, or was set or pulsed since this call.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + Sync + use<'_> {
        self.line.wait(self.line.look(|event| event.times))
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}
