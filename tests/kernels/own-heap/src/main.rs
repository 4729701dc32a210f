//! A kernel that keeps its own allocator: it uses Freestone's `rt`, for panic reports, and `mem`.
//!
//! The allocator hands out one static array and never frees. Collections grow in it until it is used up, and
//! `rt` reports the panic.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../own-boot/src/entry.rs"]
mod entry;
#[path = "../../own-boot/src/ports.rs"]
mod ports;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use freestone_mem as _;
use freestone_rt::console::{self, Console};
use freestone_rt::println;

freestone_rt::runtime!(exit = crash);

const BYTES: usize = 256 << 10;

#[repr(align(4096))]
struct Bump {
    memory: UnsafeCell<[u8; BYTES]>,
    used: AtomicUsize,
}

// SAFETY: no byte of the array is handed out twice.
unsafe impl Sync for Bump {}

// SAFETY: what is handed out lies in the array, aligned, and belongs to nobody else: `used` only grows.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = |used: usize| {
            let start = used.next_multiple_of(layout.align());
            start.checked_add(layout.size()).filter(|end| *end <= BYTES)
        };
        // An alignment above the array's own is more than it can give.
        match self.used.fetch_update(Relaxed, Relaxed, place) {
            Ok(used) if layout.align() <= align_of::<Self>() => {
                self.memory.get().cast::<u8>().wrapping_add(used.next_multiple_of(layout.align()))
            }
            _ => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump { memory: UnsafeCell::new([0; BYTES]), used: AtomicUsize::new(0) };

struct Uart;

impl Console for Uart {
    fn name(&self) -> &'static str {
        "UART without setup"
    }

    fn write(&self, bytes: &[u8]) {
        ports::write(bytes);
    }
}

fn crash() -> ! {
    ports::end(ports::CRASH)
}

extern "C" fn main(_start_info: u64) -> ! {
    if console::register(&Uart).is_err() {
        crash();
    }
    let names: BTreeMap<_, _> =
        (0..100).map(|number| (format!("number {number}"), number)).collect();
    assert_eq!(names["number 42"], 42);
    println!("{} names in {} bytes of its own heap", names.len(), HEAP.used.load(Relaxed));
    let too_much: Vec<u8> = Vec::with_capacity(BYTES);
    unreachable!("{} bytes of {BYTES}", too_much.capacity());
}
