//! A vector that outgrows the machine, politely first.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

extern crate alloc;

use alloc::vec::Vec;

fn main(_boot: &'static BootInfo) -> Exit {
    let mut polite: Vec<u8> = Vec::new();
    if polite.try_reserve(1 << 40).is_err() {
        freestone::println!("a terabyte was refused");
    }
    let mut greedy: Vec<u64> = Vec::new();
    loop {
        greedy.push(greedy.len() as u64);
    }
}
