//! Two CPUs in schedules that shuttle chooses: at every step of the magazines the other CPU may go on.

use std::cell::Cell;
use std::sync::Arc;
use std::vec::Vec;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use super::{Arena, Block, KIB};
use crate::probe::with_step;
use crate::{Cached, CpuId, Slabs};

/// A lock whose every step is a point where shuttle may go on with another thread.
struct Lock(AtomicBool);

// SAFETY: `swap` lets one in at a time.
unsafe impl lock_api::RawMutex for Lock {
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            thread::yield_now();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

shuttle::thread_local! {
    static CPU: Cell<usize> = Cell::new(0);
}

struct ShuttleCpu;

// SAFETY: `work` gives each of its threads a number of its own.
unsafe impl CpuId for ShuttleCpu {
    fn current() -> usize {
        CPU.with(Cell::get)
    }
}

type Heap = Cached<ShuttleCpu, 2, Lock, Slabs>;

fn two_cpus() {
    let arena = Arena::new(256 * KIB);
    let heap = Arc::new(Heap::new());
    arena.lend(heap.heap(), 0, 256 * KIB);
    let shared = Arc::new(Mutex::new(Vec::<Block>::new()));
    let cpus: Vec<_> = (0..2)
        .map(|cpu| {
            let (heap, shared) = (heap.clone(), shared.clone());
            thread::spawn(move || {
                CPU.with(|number| number.set(cpu));
                for step in 0..30 {
                    let block = Block::new(&*heap, 100, 8);
                    thread::yield_now();
                    shared.lock().unwrap().push(block);
                    if step % 3 > 0 {
                        let other = shared.lock().unwrap().pop();
                        if let Some(block) = other {
                            block.free(&*heap);
                        }
                    }
                }
                heap.drain();
            })
        })
        .collect();
    cpus.into_iter().for_each(|cpu| cpu.join().unwrap());
    for block in shared.lock().unwrap().drain(..) {
        block.free(&*heap);
    }
    for cpu in 0..2 {
        CPU.with(|number| number.set(cpu));
        heap.drain();
    }
    assert!(heap.classes().all(|class| class.live == 0 && class.cached == 0));
    assert_eq!(heap.heap().audit().used_blocks, 0);
}

#[test]
fn two_cpus_in_any_order_lose_nothing() {
    let schedules = if std::env::var_os("FREESTONE_LONG").is_some() { 20_000 } else { 300 };
    // At each probe, which is where a handler might come, another CPU may go on. A heap is larger than shuttle's usual stack.
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    let scenario = || with_step(thread::yield_now, two_cpus);
    shuttle::Runner::new(RandomScheduler::new(schedules), config.clone()).run(scenario);
    shuttle::Runner::new(PctScheduler::new(3, schedules), config).run(scenario);
}
