//! Misuses the heap, in the way that the command line says.
#![no_std]
#![no_main]

use core::alloc::Layout;
use core::hint::black_box;

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

extern crate alloc;

use alloc::alloc::{alloc, dealloc};

const LAYOUT: Layout = Layout::new::<[u32; 25]>();

#[inline(never)]
fn give() -> *mut u8 {
    // SAFETY: the size is not 0.
    unsafe { alloc(LAYOUT) }
}

#[inline(never)]
fn take_back(block: *mut u8, layout: Layout) {
    // SAFETY: none: that is what is shown.
    unsafe { dealloc(black_box(block), layout) };
}

fn main(boot: &'static BootInfo) -> Exit {
    let block = give();
    match boot.command_line() {
        "double free" => take_back(block, LAYOUT),
        // SAFETY: none either: the canary that is hit is at least still memory of the heap.
        "overflow" => unsafe { block.add(LAYOUT.size()).write(1) },
        "wrong layout" => return end(block, Layout::new::<[u32; 26]>()),
        "foreign pointer" => return end((&raw const block).cast_mut().cast(), LAYOUT),
        _ => {}
    }
    end(block, LAYOUT)
}

/// The free that is wrong, or after another command line right.
#[inline(never)]
fn end(block: *mut u8, layout: Layout) -> Exit {
    take_back(block, layout);
    Exit::Success
}
