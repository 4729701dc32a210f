#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod batch;
mod chain;
mod disk;
mod error;
mod format;
mod index;
mod line;
mod moving;
mod open;
mod options;
mod runner;
mod saving;
mod segments;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod watch;

pub use disk::{Disk, DiskError, SECTOR_BYTES};
pub use error::{Error, OpenError, Reason, State};
pub use options::{
    Format, KEY_BYTES, LEAST_DISK_BYTES, Options, Recovery, SEGMENT_BYTES, Stats, VALUE_BYTES,
};
pub use runner::Runner;
pub use store::Store;
pub use watch::{Change, Watch, WatchError};
