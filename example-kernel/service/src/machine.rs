//! What the service wants to know of the machine that it runs on.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::time::Duration;

/// A machine, as far as the service sees it.
pub trait Machine {
    /// How long it has been up.
    fn uptime(&self) -> Duration;
    /// The time since 1970, where it is known.
    fn time_of_day(&self) -> Option<Duration>;
    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
    /// What it is: names and values, for people.
    fn about(&self) -> Vec<(&'static str, String)>;
    /// What it did from its first instruction to its first connection, in order.
    fn boot(&self) -> Vec<Span>;
    /// The heap now and before.
    fn heap(&self) -> Heap;
    /// A picture of the heap, in SVG.
    fn heap_map(&self) -> String;
    /// All tasks.
    fn tasks(&self) -> Vec<Task>;
    /// What it counts.
    fn metrics(&self) -> Vec<Metric>;
    /// The end of the log.
    fn log_tail(&self) -> String;
}

/// A part of the boot.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// What was done.
    pub name: &'static str,
    /// When that was over, since the first instruction.
    pub end: Duration,
}

/// The heap's use.
#[derive(Clone, Debug, Default)]
pub struct Heap {
    /// Its bytes.
    pub capacity: usize,
    /// The most that was ever in use.
    pub peak: usize,
    /// In use each second, the latest last.
    pub used: Vec<usize>,
}

/// A task.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its name.
    pub name: &'static str,
    /// How often it has run.
    pub polls: u64,
    /// Whether it runs now.
    pub is_running: bool,
}

/// A number for the page and for Prometheus, whose names and conventions these are.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `network_frames_received_total`: the part before the first `_` is its heading on the page. Counters end in `_total`.
    pub name: &'static str,
    /// A sentence.
    pub help: &'static str,
    /// Now.
    pub value: u64,
}

impl Metric {
    /// Whether it only grows.
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }
}
