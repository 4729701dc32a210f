//! Recursion without end.
#![no_std]
#![no_main]

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let mut room = [depth; 16];
    core::hint::black_box(&mut room);
    let below = if depth == u64::MAX { 0 } else { deeper(depth + 1) };
    below + room[depth as usize % 16]
}

fn main(_boot: &'static BootInfo) -> Exit {
    freestone::println!("depth {}", deeper(0));
    Exit::Success
}
