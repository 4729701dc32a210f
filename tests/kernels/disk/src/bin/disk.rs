//! A disk that the host has filled with a pattern: it is read, written by many tasks at once, and flushed; the host looks
//! at what is on it then. Words on the command line choose what else is to happen: `errors`, `read-only`, `unplug`, `silent`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use freestone::block::{self, Disk, Error, SECTOR_BYTES};
use freestone::{BootInfo, Exit, println, task, time};

freestone::entry!(async main, audit: exit);

/// What the host has put into a sector, and what this kernel puts there.
fn pattern(sector: u64, seed: u8) -> impl Iterator<Item = u8> {
    (0..SECTOR_BYTES as u64).map(move |at| (sector * 7 + at * 3 + at / 256) as u8 ^ seed)
}

const HOSTS: u8 = 0;
const OURS: u8 = 0x5a;

/// Where this kernel writes.
const WRITTEN: u64 = 2048;
const AT_ONCE: u64 = 32;
const SECTORS_EACH: u64 = 8;

fn is_pattern(bytes: &[u8], sector: u64, seed: u8) -> bool {
    let sectors = (sector..).zip(bytes.chunks(SECTOR_BYTES));
    sectors
        .fold(true, |good, (sector, bytes)| good && bytes.iter().copied().eq(pattern(sector, seed)))
}

async fn all(disk: &Disk) -> Result<(), Error> {
    // All of the first MiB at once, and then in pieces, backwards.
    let bytes = disk.read(0, vec![0; 1 << 20]).await?;
    println!("read: {}", is_pattern(&bytes, 0, HOSTS));
    let mut buffer = vec![0; 4096];
    for round in 0..200_u64 {
        let sector = 199 * 8 - round * 8;
        buffer = disk.read(sector, buffer).await?;
        assert!(is_pattern(&buffer, sector, HOSTS), "sector {sector}");
    }

    let before = disk.statistics();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|one| {
            let disk = disk.clone();
            task::spawn(async move {
                let sector = WRITTEN + one * SECTORS_EACH;
                let bytes: Vec<u8> =
                    (sector..sector + SECTORS_EACH).flat_map(|at| pattern(at, OURS)).collect();
                disk.write(sector, bytes).await?;
                let bytes =
                    disk.read(sector, vec![0; SECTORS_EACH as usize * SECTOR_BYTES]).await?;
                Ok::<_, Error>(is_pattern(&bytes, sector, OURS))
            })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        good += u64::from(task.await.expect("it ends")?);
    }
    let after = disk.statistics();
    println!("at once: {good}");
    println!("notifications: {}", after.notifications - before.notifications);
    disk.flush().await?;

    if disk.properties().most_zeroed != 0 {
        disk.write_zeroes(WRITTEN, SECTORS_EACH).await?;
        disk.discard(WRITTEN + SECTORS_EACH, SECTORS_EACH).await?;
        let bytes = disk.read(WRITTEN, vec![1; 4096]).await?;
        println!("zeroed: {}", bytes.iter().all(|&byte| byte == 0));
    }
    let end = disk.sectors();
    println!(
        "beyond the end: {}",
        disk.read(end, vec![0; 512]).await.expect_err("there is no such sector")
    );
    // A request whose future is gone is done nevertheless, or not; the next are.
    let given_up = task::timeout(Duration::ZERO, disk.read(0, vec![0; 4096])).await;
    // It may have been as quick as that.
    drop(given_up);
    let bytes = disk.read(8, buffer).await?;
    println!("then: {}", is_pattern(&bytes, 8, HOSTS));
    Ok(())
}

/// QEMU's `pc`: writes to these ports of its hot-plug registers take a function out at once (docs/specs/acpi_pci_hotplug).
fn unplug(slot: u32) {
    const SELECT: u16 = 0xae10;
    const EJECT: u16 = 0xae08;
    for (port, value) in [(SELECT, 0), (EJECT, 1 << slot)] {
        // SAFETY: hot-plug registers, which touch no memory.
        unsafe {
            core::arch::asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags));
        }
    }
}

async fn run(boot: &'static BootInfo) -> Result<Exit, Error> {
    let has = |word| boot.arguments().any(|argument| argument == word);
    let Some(found) = block::disks().next() else {
        println!("there is no disk");
        return Ok(Exit::Failure);
    };
    let limit = Duration::from_secs(if has("silent") { 2 } else { 30 });
    let disk = match block::open_with(&found, limit) {
        Ok(disk) => disk,
        Err(error) => {
            println!("{error}");
            return Ok(Exit::Failure);
        }
    };
    println!("a second driver: {}", block::open(&found).err().expect("refused"));
    println!("{} sectors, {:?}", disk.sectors(), disk.properties());
    match disk.identity().await {
        Ok(name) => {
            println!("name: {}", core::str::from_utf8(&name).unwrap_or("?").trim_end_matches('\0'))
        }
        Err(error) => println!("no name: {error}"),
    }
    if has("read-only") {
        println!("written: {}", disk.write(0, vec![0; 512]).await.expect_err("it is read-only"));
        let bytes = disk.read(0, vec![0; 512]).await?;
        println!("read: {}", is_pattern(&bytes, 0, HOSTS));
    } else if has("errors") {
        // The host's layer below the disk fails one reading, one writing and one flush.
        println!("read: {}", disk.read(99, vec![0; 512]).await.expect_err("it fails"));
        println!("read: {}", disk.read(99, vec![0; 512]).await.is_ok());
        println!("written: {}", disk.write(99, vec![0; 512]).await.expect_err("it fails"));
        println!("flushed: {}", disk.flush().await.expect_err("it fails"));
        println!("flushed: {}", disk.flush().await.is_ok());
    } else if has("silent") || has("unplug") {
        let started = time::now();
        let requests: Vec<_> = (0..100)
            .map(|one| {
                let disk = disk.clone();
                task::spawn(async move {
                    disk.read(one * 8, vec![0; 4096]).await.map(|_| ()).map_err(Error::from)
                })
            })
            .collect();
        if has("unplug") {
            // Before they have their turn.
            let slot =
                boot.arguments().find_map(|argument| argument.strip_prefix("slot=")?.parse().ok());
            unplug(slot.expect("a slot"));
        }
        let mut ends = Vec::new();
        for request in requests {
            let ended = request.await.expect("it ends");
            if !ends.contains(&ended) {
                ends.push(ended);
            }
        }
        println!("ends: {ends:?}");
        println!("milliseconds: {}", (time::now() - started).as_millis());
        println!("then: {}", disk.read(0, vec![0; 512]).await.expect_err("it is gone"));
    } else {
        all(&disk).await?;
    }
    Ok(Exit::Success)
}

async fn main(boot: &'static BootInfo) -> Exit {
    run(boot).await.unwrap_or_else(|error| {
        println!("{error}");
        Exit::Failure
    })
}
