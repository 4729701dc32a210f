//! Lists the root folder of the first disk's FAT, reads `file=PATH` or its first file, and writes `KERNEL.TXT` unless the disk
//! is read-only.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use core::error::Error;

use freestone::block::{self, Stream};
use freestone::time::{self, DateTime};
use freestone::{BootInfo, Exit, println};
use hadris_fat::time::{FatDateTime, TimeProvider};

freestone::entry!(async main);

async fn main(boot: &'static BootInfo) -> Exit {
    match tour(boot).await {
        Ok(()) => return Exit::Success,
        Err(error) => println!("{error}"),
    }
    Exit::Failure
}

/// The time of day, UTC; without a clock in the machine, FAT's first day.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn now(&self) -> FatDateTime {
        let Some(now) = time::wall().map(DateTime::of) else { return FatDateTime::EPOCH };
        let year = now.year.try_into().unwrap_or(u16::MAX);
        FatDateTime::new(year, now.month, now.day, now.hour, now.minute, now.second)
    }
}

/// `hadris-fat`'s errors are no `Error` without `std`.
fn shown(error: hadris_fat::error::Error) -> Box<dyn Error> {
    error.to_string().into()
}

async fn tour(boot: &BootInfo) -> Result<(), Box<dyn Error>> {
    let found = block::disks().next().ok_or("there is no disk: --disk FILE")?;
    let disk = block::open(&found)?;
    let is_read_only = disk.properties().is_read_only;
    let volume = fat::mount(Stream::new(disk), &Clock).await.map_err(shown)?;
    println!("{:?}", volume.fat_type());

    let entries = fat::list(&volume).await.map_err(shown)?;
    for entry in &entries {
        let mark = if entry.is_directory() { "/" } else { "" };
        println!("{:>10} {}{mark}", entry.len(), entry.name());
    }
    let first = entries.iter().find(|entry| entry.is_file()).map(|entry| entry.name());
    if let Some(path) = boot.argument("file").or(first.as_deref()) {
        let (mut bytes, mut newlines) = (0, 0);
        let count = |piece: &[u8]| {
            bytes += piece.len();
            newlines += piece.iter().filter(|&&byte| byte == b'\n').count();
        };
        fat::read(&volume, path, count).await.map_err(shown)?;
        println!("{path}: {newlines} lines, {bytes} bytes");
    }
    if !is_read_only {
        let text = format!("A kernel was here and saw {} files and folders.\n", entries.len());
        fat::write(&volume, "KERNEL.TXT", text.as_bytes()).await.map_err(shown)?;
        println!("KERNEL.TXT is written");
    }
    Ok(())
}
