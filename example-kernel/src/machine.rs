//! The machine as the service sees it: everything that its page and its metrics show.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::{Cell, RefCell};
use core::time::Duration;

use example_service::{Heap, Machine, Metric, Span, Task};
use freestone::heap::KernelHeap as _;
use freestone::net::Net;
use freestone::{BootInfo, task, time};

use crate::{FREESTONE_HEAP, clock, log_tail};

/// How many seconds of the heap's use are kept.
const HISTORY: usize = 120;

/// This machine.
pub struct Kernel {
    boot: &'static BootInfo,
    net: Net,
    spans: RefCell<Vec<Span>>,
    used: RefCell<VecDeque<usize>>,
    /// Time since boot, and time of day, when the last second began.
    second: Cell<(Duration, Option<Duration>)>,
}

impl Kernel {
    /// At its start.
    pub fn new(boot: &'static BootInfo, net: Net) -> Kernel {
        let main = Duration::from_nanos(
            (u128::from(boot.boot_ticks()) * 1_000_000_000 / u128::from(time::rate().hertz.max(1)))
                as u64,
        );
        let spans = RefCell::new(vec![Span { name: "to main", end: main }]);
        let second = Cell::new((time::now(), clock::time_of_day()));
        Kernel { boot, net, spans, used: RefCell::default(), second }
    }

    /// A part of the boot is over.
    pub fn done(&self, name: &'static str) {
        self.spans.borrow_mut().push(Span { name, end: time::now() });
    }

    /// Notes each second what time it is and how much of the heap is in use, for ever.
    pub async fn each_second(&self) {
        let mut second = task::interval(Duration::from_secs(1));
        loop {
            self.second.set((time::now(), clock::time_of_day()));
            self.note_heap();
            second.tick().await;
        }
    }

    fn note_heap(&self) {
        let mut used = self.used.borrow_mut();
        if used.len() == HISTORY {
            used.pop_front();
        }
        used.push_back(FREESTONE_HEAP.stats().allocated_bytes);
    }
}

impl Machine for Kernel {
    fn uptime(&self) -> Duration {
        time::now()
    }

    /// To the second: an emulator's clock is a hundred times as slow as a processor's.
    fn time_of_day(&self) -> Option<Duration> {
        self.second.get().1
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        let is_long = time >= Duration::from_secs(10);
        let now = if is_long { self.second.get().0 } else { time::now() };
        task::sleep_until(now + time)
    }

    fn about(&self) -> Vec<(&'static str, String)> {
        let stack = self.net.stack();
        let address = |shown: Option<String>| shown.unwrap_or_else(|| "none".into());
        vec![
            ("kernel", env!("CARGO_PKG_VERSION").into()),
            ("hypervisor", self.boot.hypervisor().to_string()),
            ("memory", format!("{} MiB", self.boot.memory().usable_bytes() >> 20)),
            ("IPv4", address(stack.config_v4().map(|v4| v4.address.to_string()))),
            ("IPv6", address(stack.config_v6().map(|v6| v6.address.to_string()))),
        ]
    }

    fn boot(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    fn heap(&self) -> Heap {
        let stats = FREESTONE_HEAP.stats();
        let used = self.used.borrow().iter().copied().chain([stats.allocated_bytes]).collect();
        Heap { capacity: stats.capacity_bytes, peak: stats.peak_bytes, used }
    }

    fn heap_map(&self) -> String {
        FREESTONE_HEAP.base().map().to_string()
    }

    fn tasks(&self) -> Vec<Task> {
        let told = |task: task::TaskInfo| Task {
            name: task.name,
            polls: task.polls,
            is_running: task.is_running,
        };
        task::list().into_iter().map(told).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let (heap, net) = (FREESTONE_HEAP.stats(), self.net.statistics());
        let all: [(&str, &str, u64); 18] = [
            ("heap_capacity_bytes", "Bytes of the heap.", heap.capacity_bytes as u64),
            ("heap_allocated_bytes", "Bytes in use.", heap.allocated_bytes as u64),
            ("heap_peak_bytes", "The most that was in use.", heap.peak_bytes as u64),
            ("heap_allocations_total", "Blocks handed out.", heap.allocations),
            ("heap_failures_total", "Requests that were refused.", heap.failures),
            ("network_received_frames_total", "Frames that came.", net.frames_in),
            ("network_sent_frames_total", "Frames that were sent.", net.frames_out),
            ("network_malformed_frames_total", "Frames that are no frames.", net.malformed),
            ("network_connections", "TCP connections.", net.connections as u64),
            ("network_half_open_connections", "Handshakes under way.", net.half_open as u64),
            ("network_established_total", "Handshakes completed.", net.established),
            ("network_backlog_full_total", "SYNs dropped, all waiting.", net.backlog_full),
            ("network_too_many_total", "SYNs dropped at the limit.", net.too_many),
            ("network_received_resets_total", "Resets by peers.", net.resets_in),
            ("network_timed_out_total", "Connections whose peer vanished.", net.timed_out),
            ("task_halts_total", "Times that there was nothing to do.", task::halts()),
            ("tasks", "Tasks.", task::list().len() as u64),
            ("uptime_seconds", "Seconds since the first instruction.", time::now().as_secs()),
        ];
        all.into_iter().map(|(name, help, value)| Metric { name, help, value }).collect()
    }

    fn log_tail(&self) -> String {
        log_tail::text()
    }
}
