//! Recursion without end in an image whose variables fill whole huge pages on both sides of the stacks.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU8, Ordering};

use freestone::{BootInfo, Exit};

freestone::entry!(main, audit: exit);

/// A kernel's own variables come before those of the libraries, the stacks among them.
static BEFORE: [AtomicU8; 3 << 20] = [const { AtomicU8::new(0) }; 3 << 20];

// A section that the linker script has no rule for comes behind those it has.
global_asm!(
    ".pushsection variables_behind, \"aw\", @nobits",
    ".balign 4096",
    "behind_the_stacks: .skip 3 << 20",
    ".popsection",
);

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let mut room = [depth; 16];
    core::hint::black_box(&mut room);
    let below = if depth == u64::MAX { 0 } else { deeper(depth + 1) };
    below + room[depth as usize % 16]
}

fn main(boot: &'static BootInfo) -> Exit {
    const HUGE_PAGE: u64 = 2 << 20;

    BEFORE[boot.command_line().len()].store(1, Ordering::Relaxed);
    let behind: u64;
    // SAFETY: takes an address, nothing more.
    unsafe { asm!("lea {}, [rip + behind_the_stacks]", out(reg) behind, options(nomem, nostack)) };
    // Or this kernel tests nothing: the stacks must lie in huge pages that are full of variables.
    let (before, stack) = (BEFORE.as_ptr() as u64, &raw const boot as u64);
    assert!(before + HUGE_PAGE < stack && stack < behind, "the linker ordered variables otherwise");
    freestone::println!("depth {}", deeper(0));
    Exit::Success
}
