//! Recursion without end in an image whose variables fill several huge pages around the stacks.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU8, Ordering};

use freestone::{BootInfo, Exit};

freestone::entry!(main);

static BEFORE: [AtomicU8; 3 << 20] = [const { AtomicU8::new(0) }; 3 << 20];
static BEHIND: [AtomicU8; 3 << 20] = [const { AtomicU8::new(0) }; 3 << 20];

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let mut room = [depth; 16];
    core::hint::black_box(&mut room);
    let below = if depth == u64::MAX { 0 } else { deeper(depth + 1) };
    below + room[depth as usize % 16]
}

fn main(boot: &'static BootInfo) -> Exit {
    // Kept by being used.
    let index = boot.command_line().len();
    BEFORE[index].store(1, Ordering::Relaxed);
    BEHIND[index].store(1, Ordering::Relaxed);
    freestone::println!("depth {}", deeper(0));
    Exit::Success
}
