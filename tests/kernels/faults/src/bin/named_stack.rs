//! Recursion without end, on a stack that was made while the kernel ran.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use freestone::memory::KernelStack;
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
    let _before = KernelStack::new("another", 4096).expect("a stack");
    let mut stack = KernelStack::new("worker", 16 << 10).expect("a stack");
    let _after = KernelStack::new("a third", 4096).expect("a stack");
    stack.run(|| freestone::println!("depth {}", deeper(0)));
    Exit::Success
}
