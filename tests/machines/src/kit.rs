//! `rt`, `alloc-glue` and `xen` on another machine: collections in a heap of ours, a line printed by `rt`, no Xen, and
//! at the end a panic that `rt` reports.
#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::ptr::NonNull;

use freestone_alloc::Heap;
use freestone_math as _;
use freestone_mem as _;
use freestone_rt::console::{self, Console};
use freestone_rt::println;
use freestone_xen::Xen;

#[global_allocator]
static HEAP: Heap = Heap::new();

static mut MEMORY: [u8; 1 << 20] = [0; 1 << 20];

freestone_rt::runtime!(exit = crash);

fn crash() -> ! {
    machine::exit(4)
}

struct Output;

impl Console for Output {
    fn name(&self) -> &'static str {
        "standard output"
    }

    fn write(&self, bytes: &[u8]) {
        machine::write(bytes);
    }
}

extern "C" fn main() -> ! {
    assert!(console::register(&Output).is_ok());
    let start = NonNull::new((&raw mut MEMORY).cast()).expect("a static has an address");
    // SAFETY: nothing else names this memory, and `_start` comes here once.
    let given = unsafe { HEAP.add_region(start, 1 << 20) };
    assert!(given > 1_000_000, "{given} bytes");
    let mut names: BTreeMap<_, _> =
        (0..5000).map(|number| (format!("number {number}"), number)).collect();
    names.retain(|_, number| *number % 7 == 0);
    let sum: u64 = names.values().sum();
    let mut blocks = Vec::new();
    while blocks.try_reserve(1).is_ok() && blocks.len() < 100_000 {
        blocks.push(sum);
    }
    println!("{} names, sum {sum}, {} numbers, {:.3}", names.len(), blocks.len(), 22.0 / 7.0);
    assert!(Xen::detect().is_none());
    panic!("and it panics with rt's handler")
}
