//! Makes a page of variables executable, by writing to the page tables itself. The audit at the end finds it,
//! also if the kernel ends by a panic (command line `crash`).
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

static VARIABLE: AtomicU64 = AtomicU64::new(1);

const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

fn main(boot: &'static BootInfo) -> Exit {
    let page = &raw const VARIABLE as u64;
    let mut table: u64;
    // SAFETY: reads the root of the tables, allowed in ring 0.
    unsafe { asm!("mov {}, cr3", out(reg) table, options(nomem, nostack, preserves_flags)) };
    for level in (0..4).rev() {
        let entry = ((table & ADDRESS) + (page >> (12 + 9 * level) & 0x1ff) * 8) as *mut u64;
        // SAFETY: the platform maps all RAM, its tables too, at its own address; nothing else changes them here.
        unsafe {
            if level == 0 || entry.read() & LARGE != 0 {
                entry.write(entry.read() & !NO_EXECUTE);
                asm!("invlpg [{}]", in(reg) page);
                break;
            }
            table = entry.read();
        }
    }
    println!("{page:#x} is executable");
    assert!(!boot.has_argument("crash"), "an end that is none of the map's business");
    Exit::Success
}
