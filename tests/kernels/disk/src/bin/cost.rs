//! What readings of 4 KiB cost, one at a time and 32 at once: what the tasks take for each, the disk's own included, in
//! instructions where the counter counts these (`--icount`); and how many there are in a second. What interrupts and the
//! executor take is not in it: other kernels measure that.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;

use alloc::rc::Rc;
use freestone::block::{self, Disk, Error, PageBuffer};
use freestone::dma::Buffer;
use freestone::memory::Zone;
use freestone::platform::x86_64::cpu;
use freestone::{BootInfo, Exit, println, task, time};

freestone::entry!(async main, audit: exit);

const BYTES: usize = 4096;

fn next(seed: &Cell<u64>) -> u64 {
    let x = seed.get();
    let x = x ^ (x << 13);
    let x = x ^ (x >> 7);
    let x = x ^ (x << 17);
    seed.set(x);
    x
}

async fn reads(disk: Disk, seed: Rc<Cell<u64>>, left: Rc<Cell<u64>>) -> Result<(), Error> {
    let blocks = disk.sectors() / 8;
    let mut buffer = PageBuffer::new(Buffer::zeroed(BYTES, Zone::Any).expect("memory"));
    while let Some(now) = left.get().checked_sub(1) {
        left.set(now);
        buffer = disk.read(next(&seed) % blocks * 8, buffer).await?;
    }
    Ok(())
}

/// Ticks of the processor that the polls of `future` take.
async fn counted<F: Future>(future: F, ticks: Rc<Cell<u64>>) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let began = cpu::ticks();
        let polled = future.as_mut().poll(context);
        ticks.set(ticks.get() + cpu::ticks() - began);
        polled
    })
    .await
}

/// What the disk's own task has taken so far.
fn runner_ticks() -> u64 {
    task::list().iter().filter(|task| task.name == "disk").map(|task| task.ticks).sum()
}

async fn measure(disk: &Disk, at_once: usize, count: u64) -> Result<(), Error> {
    let (seed, left) = (Rc::new(Cell::new(88_172_645_463_325_252)), Rc::new(Cell::new(count)));
    let (before, halts) = (disk.statistics(), task::halts());
    let (began, runner, ticks) = (time::now(), runner_ticks(), Rc::new(Cell::new(0)));
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let reads = reads(disk.clone(), Rc::clone(&seed), Rc::clone(&left));
            task::spawn(counted(reads, Rc::clone(&ticks)))
        })
        .collect();
    for task in tasks {
        task.await.expect("it ends")?;
    }
    let took = (time::now() - began).max(Duration::from_nanos(1));
    let runner = runner_ticks() - runner;
    let after = disk.statistics();
    println!(
        "{at_once} at once: {} ticks each, {} of them the disk's task, {} in a second, {} notifications, {} halts",
        (ticks.get() + runner) / count,
        runner / count,
        u128::from(count) * 1_000_000_000 / took.as_nanos(),
        after.notifications - before.notifications,
        task::halts() - halts,
    );
    Ok(())
}

async fn main(boot: &'static BootInfo) -> Exit {
    let number =
        |name| boot.arguments().find_map(|argument| argument.strip_prefix(name)?.parse().ok());
    let count = number("count=").unwrap_or(20_000);
    let found = block::disks().next().expect("a disk");
    let disk = block::open(&found).expect("it opens");
    // The first measures its clock and its timer too.
    for (at_once, count) in [(1, 10), (1, count), (32, count)] {
        if let Err(error) = measure(&disk, at_once, count).await {
            println!("{error}");
            return Exit::Failure;
        }
    }
    Exit::Success
}
