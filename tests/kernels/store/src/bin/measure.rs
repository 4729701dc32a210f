//! What a store costs. Words on the command line choose: `fill` puts `keys=` keys with values of `value=` bytes, `rates` compares
//! puts with what the disk's writes and flushes allow; each then says what the store has. Without a word it is opened and told.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;

use freestone::block::{self, Disk, PageBuffer};
use freestone::memory::Zone;
use freestone::platform::x86_64::cpu;
use freestone::store::{self, Error, Options, Store};
use freestone::{BootInfo, Exit, dma, println, task, time};

freestone::entry!(async main, audit: exit);

/// As many keys as there are in a run, in no order.
fn key(number: u64) -> [u8; 16] {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Ticks of the processor that the polls of `future` take: instructions, where the counter counts these (`--icount`).
async fn counted<F: Future>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    let mut ticks = 0;
    let output = poll_fn(|context| {
        let began = cpu::ticks();
        let polled = future.as_mut().poll(context);
        ticks += cpu::ticks() - began;
        polled
    })
    .await;
    (output, ticks)
}

async fn puts(store: Store, left: Rc<Cell<u64>>, value: usize) -> Result<(), Error> {
    let mut value = vec![0x61; value];
    while let Some(now) = left.get().checked_sub(1) {
        left.set(now);
        let len = value.len().min(8);
        value[..len].copy_from_slice(&now.to_le_bytes()[..len]);
        store.put(&key(now), &value).await?;
    }
    Ok(())
}

/// Puts so many keys, by so many tasks at once; the time it takes.
async fn put_all(
    store: &Store,
    clients: usize,
    count: u64,
    value: usize,
) -> Result<Duration, Error> {
    let left = Rc::new(Cell::new(count));
    let began = time::now();
    let tasks: Vec<_> =
        (0..clients).map(|_| task::spawn(puts(store.clone(), Rc::clone(&left), value))).collect();
    for task in tasks {
        task.await.expect("it ends")?;
    }
    Ok(time::now() - began)
}

/// Writes of one sector, each flushed: as a store with one client does.
async fn raw(disk: &Disk, count: u64) -> Result<Duration, block::Error> {
    let mut buffer = PageBuffer::new(dma::Buffer::zeroed(4096, Zone::Any).expect("memory"));
    buffer.resize(512);
    let began = time::now();
    for number in 0..count {
        // In the disk's last MiB, which the store has not come to.
        let sector = disk.sectors() - 2048 + number % 2048;
        buffer = disk.write(sector, buffer).await?;
        disk.flush().await?;
    }
    Ok(time::now() - began)
}

fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / took.as_nanos().max(1)).unwrap_or(u64::MAX)
}

async fn rates(disk: &Disk, store: &Store, count: u64) -> Result<(), Error> {
    for round in 0..3 {
        let disk_allows = per_second(count, raw(disk, count).await.expect("the disk"));
        for clients in [1, 32] {
            let before = store.stats();
            let ticks = cpu::ticks();
            let took = put_all(store, clients, count, 100).await?;
            let ticks = cpu::ticks() - ticks;
            let after = store.stats();
            let flushes = after.flushes - before.flushes;
            println!(
                "round {round}, clients {clients}: {} puts in a second, disk allows {disk_allows}, {} hundredths of it, {} puts in 100 flushes, {} ticks each",
                per_second(count, took),
                per_second(count, took) * 100 / disk_allows.max(1),
                count * 100 / flushes.max(1),
                ticks / count,
            );
        }
    }
    Ok(())
}

/// Readings of random keys, so many.
async fn gets(store: &Store, keys: u64, count: u64) -> Result<Duration, Error> {
    let began = time::now();
    for number in 0..count {
        let number = number.wrapping_mul(7919) % keys;
        let value = store.get(&key(number)).await?;
        assert!(value.is_some(), "key {number} is gone");
    }
    Ok(time::now() - began)
}

async fn main(boot: &'static BootInfo) -> Exit {
    let has = |word| boot.arguments().any(|argument| argument == word);
    let number =
        |name| boot.arguments().find_map(|argument| argument.strip_prefix(name)?.parse().ok());
    let Some(found) = block::disks().next() else { return Exit::Failure };
    let disk = block::open(&found).expect("the disk");
    let heap_before = FREESTONE_HEAP.stats();
    let began = time::now();
    let (opened, ticks) = counted(store::open(&disk, Options::default())).await;
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            println!("not opened: {error}");
            return Exit::Failure;
        }
    };
    let took = time::now() - began;
    println!(
        "opened: {} microseconds, {ticks} ticks of its own, {}",
        took.as_micros(),
        store.state()
    );
    println!("recovered: {} keys, {} bytes read", store.stats().keys, store.stats().recovery.bytes);
    let keys: u64 = number("keys=").unwrap_or(10_000);
    let value = number("value=").unwrap_or(100) as usize;
    let done = async {
        if has("fill") {
            let took =
                put_all(&store, number("clients=").unwrap_or(256) as usize, keys, value).await?;
            println!("filled: {keys} keys in {} milliseconds", took.as_millis());
        }
        if has("rates") {
            rates(&disk, &store, keys).await?;
        }
        if has("gets") {
            let took = gets(&store, keys, 10_000).await?;
            println!("gets: {} in a second", per_second(10_000, took));
        }
        Ok(())
    };
    if let Err(error) = done.await {
        let error: Error = error;
        println!("ended: {error}");
        // That takes no memory. The keys were put from the last on.
        println!("deleted then: {:?}", store.delete(&key(keys - 1)).await);
    }
    let heap = FREESTONE_HEAP.stats();
    println!(
        "heap: {} bytes, {} before, {} free, {} at most",
        heap.allocated_bytes, heap_before.allocated_bytes, heap.free_bytes, heap.peak_bytes
    );
    println!("stats: {:?}", store.stats());
    println!("state: {}", store.state());
    Exit::Success
}
