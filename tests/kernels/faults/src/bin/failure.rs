//! A kernel that reports failure.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::println!("it did not work out");
    Exit::Failure
}
