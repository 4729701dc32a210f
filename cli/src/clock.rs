//! A time limit for a child process that does not depend on how busy the machine is.
//!
//! It counts the time since the start, less the time in which the child waited for a processor. Linux reports for each
//! thread how long it could have run and did not (`/proc/PID/task/TID/schedstat`, second number).
//! The thread that waited longest counts, which in QEMU is mostly the guest's processor. So a guest
//! that loops gets the same amount of work on a busy machine and on an idle one, and one that waits for an interrupt
//! that never comes ends after the limit's time. Counting only processor time would never end the second.
//!
//! Linux is asked only when the limit has passed by wall-clock time. Where there is no answer (other systems, a kernel without
//! `CONFIG_SCHED_INFO`), wall-clock time counts. Time that a hypervisor takes from the whole machine always counts: limits are
//! generous.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Nanoseconds that each thread has waited, by its number.
type Waited = BTreeMap<String, u64>;

/// Runs for one child.
pub struct Clock {
    child: u32,
    limit: Duration,
    begin: Instant,
    waited_before: Waited,
    /// When to ask next: never, if so late a time cannot be told.
    ask_at: Option<Instant>,
}

impl Clock {
    /// Starts now.
    pub fn new(child: u32, limit: Duration) -> Clock {
        let begin = Instant::now();
        let waited_before = Waited::new();
        Clock { child, limit, begin, waited_before, ask_at: begin.checked_add(limit) }
    }

    /// Counts from now on.
    pub fn restart(&mut self) {
        self.waited_before = waited(self.child);
        self.begin = Instant::now();
        self.ask_at = self.begin.checked_add(self.limit);
    }

    /// How long it is at least until the limit.
    pub fn left(&self) -> Duration {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        self.ask_at.map_or(Duration::MAX, left)
    }

    /// Whether the limit is reached.
    pub fn is_over(&mut self) -> bool {
        if self.ask_at.is_none() || !self.left().is_zero() {
            return false;
        }
        let lost = longest(&self.waited_before, &waited(self.child));
        // Still to come of the limit, at the least.
        let left = (self.limit + lost).saturating_sub(self.begin.elapsed());
        self.ask_at = Instant::now().checked_add(left);
        left.is_zero()
    }
}

fn waited(child: u32) -> Waited {
    let Ok(threads) = fs::read_dir(format!("/proc/{child}/task")) else { return Waited::new() };
    let one = |thread: fs::DirEntry| {
        let numbers = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let waited = numbers.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread.file_name().to_string_lossy().into_owned(), waited))
    };
    threads.flatten().filter_map(one).collect()
}

/// The longest wait since `before`. A thread that was not there then has not waited before.
fn longest(before: &Waited, now: &Waited) -> Duration {
    let since = |(thread, waited): (&String, &u64)| {
        waited.saturating_sub(before.get(thread).copied().unwrap_or(0))
    };
    Duration::from_nanos(now.iter().map(since).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_longest_wait_of_one_thread_counts() {
        let at = |all: &[(&str, u64)]| all.iter().map(|(t, ns)| ((*t).to_owned(), *ns)).collect();
        let (before, now) = (at(&[("1", 10), ("2", 50)]), at(&[("1", 30), ("2", 55), ("3", 7)]));
        assert_eq!(longest(&before, &now), Duration::from_nanos(20));
        assert_eq!(longest(&now, &at(&[("1", 30)])), Duration::ZERO);
        assert_eq!(longest(&at(&[]), &at(&[])), Duration::ZERO);
    }

    /// Two that loop on one processor: each waits half of the time, and has lost nothing by it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_that_is_kept_waiting_loses_nothing() {
        let busy = || {
            let mut command = Command::new("taskset");
            command.args(["1", "sh", "-c", "while :; do :; done"]).spawn()
        };
        let (Ok(mut one), Ok(mut other)) = (busy(), busy()) else {
            return println!("SKIPPED: there is no taskset");
        };
        let limit = Duration::from_millis(600);
        let mut clock = Clock::new(one.id(), limit);
        let begin = Instant::now();
        while !clock.is_over() {
            std::thread::sleep(clock.left());
        }
        let took = begin.elapsed();
        let lost = longest(&Waited::new(), &waited(one.id()));
        let _ = (one.kill(), other.kill(), one.wait(), other.wait());
        assert!(took >= limit + limit / 4, "{took:?}");
        assert!(took + Duration::from_millis(1) >= limit + lost / 2, "{took:?} with {lost:?} lost");
    }

    #[test]
    fn an_idle_child_and_one_that_is_gone_have_their_time() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        for restarts in 0..3 {
            let mut clock = Clock::new(child.id(), Duration::from_millis(20));
            (0..restarts).for_each(|_| clock.restart());
            let begin = Instant::now();
            while !clock.is_over() {
                std::thread::sleep(clock.left());
            }
            assert!(begin.elapsed() >= Duration::from_millis(19));
            let _ = (child.kill(), child.wait());
        }
        assert!(!Clock::new(1, Duration::MAX).is_over());
    }
}
