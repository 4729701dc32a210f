//! From the entry code to `main`.
//!
//! [`boot`] does the steps in order: consoles first, so that all later steps can report; then descriptor tables, so that
//! faults are caught; then the loader's data; then the final page tables. It waits for no device and calibrates no clock.

use core::ops::Range;
use core::sync::atomic::Ordering;

use freestone_rt::{backtrace, println};
use freestone_xen::Xen;

use crate::arch::{boot as machine, cpu, trap::stacks as machine_stacks};
use crate::boot_info::{BOOT_INFO, BootInfo, SECRET, STARTED, apart};
use crate::exit::{Exit, exit};
use crate::hypervisor::{self, XEN};
use crate::image::{IMAGE, image};
use crate::memory::address::PAGE_SIZE;
use crate::memory::map::Kind;
use crate::{console, stacks};

static BOUNDS: backtrace::Bounds = backtrace::Bounds {
    stack_of: stacks::containing,
    is_code: |address| image().segment_of(address as u64).is_some_and(|segment| segment.executable),
    names: || image().names(),
};

/// Everything between the entry code and `main`, and what follows `main`.
///
/// # Safety
///
/// - Called once, by the entry code [`boot!`](crate::boot!) stamps: the most privileged mode, on its page
///   tables, on `stack`, interrupts off, the image's ELF header at `start`.
#[doc(hidden)]
pub unsafe fn boot(
    start: *const u8,
    start_info: u64,
    entry_ticks: u64,
    stack: Range<u64>,
    read: machine::Reader,
    main: fn(&'static BootInfo) -> Exit,
) -> ! {
    // SAFETY: the caller's promise.
    exit(main(unsafe { prepare(start, start_info, entry_ticks, stack, read) }))
}

/// [`boot`] up to `main`. Not part of it: what booting needs of the stack is free again when `main` begins.
///
/// # Safety
///
/// - As `boot`.
#[inline(never)]
unsafe fn prepare(
    start: *const u8,
    start_info: u64,
    entry_ticks: u64,
    stack: Range<u64>,
    read: machine::Reader,
) -> &'static BootInfo {
    // SAFETY: the first thing that runs.
    unsafe { machine_stacks::set_boot(stack) };
    // SAFETY: the first thing that runs, so nobody looks at the same time. The caller says where the
    // image is; the linker script puts the headers into it.
    let is_known = unsafe {
        *XEN.get() = Xen::detect();
        (*IMAGE.get()).read(start)
    };
    machine::silence();
    console::detect();
    // SAFETY: the caller's promise: once, ring 0, interrupts off; no stack but the boot stack is in use.
    unsafe { machine::begin(entry_ticks) };
    if !is_known {
        refuse(&machine::MapError::Inseparable);
    }

    // SAFETY: the caller's promise: once, on the entry code's map.
    let found = unsafe { read(start_info) };
    let mut found = found.unwrap_or_else(|error| refuse(&error));
    let (line, secret) = apart(found.command_line);
    found.command_line = line;
    // SAFETY: nobody asks before `main` runs.
    unsafe { *SECRET.get() = secret };
    if let Err(error) = machine::complete(&mut found.memory) {
        refuse(&error);
    }
    if found.memory.usable_bytes() == 0 {
        refuse(&machine::Error::NoMemory);
    }
    // Low memory and the image are used in place; `protect` reserves what it takes itself.
    let pages = image().pages();
    let kept = found.memory.reserve(0..machine::LOW_MEMORY) && found.memory.reserve(pages.clone());
    if !kept {
        refuse(&machine::Error::TooMuch);
    }
    // SAFETY: the caller's promise again; the entry code enables NX and WP.
    if let Err(error) = unsafe { machine::protect(image(), &mut found.memory) } {
        refuse(&error);
    }
    // A loader that reports more than there is would be found out by a heap that loses its headers.
    for region in found.memory.regions() {
        let last = (region.end - 1) & !(PAGE_SIZE - 1);
        let is_asked =
            region.kind == Kind::Usable && last >= machine::LOW_MEMORY && !pages.contains(&last);
        // SAFETY: the last page of RAM, outside the image: `protect` has mapped it, all of it. Nothing else runs.
        if is_asked && !unsafe { is_memory(last) } {
            refuse(&machine::Error::OutOfReach("the RAM that was reported", last));
        }
    }
    // SAFETY: on the map that stays, and no page of it is for less privileged code.
    unsafe { machine::end() };
    // SAFETY: `stacks` names mapped memory only, from here on.
    unsafe { backtrace::set_bounds(&BOUNDS) };
    if let Some(module) = found.stray_module() {
        refuse(&machine::Error::OutOfReach("module", module.start));
    }

    // SAFETY: `boot` runs once, so this is the only reference, and the only one made mutable.
    let slot = unsafe { &mut *BOOT_INFO.get() };
    let info = slot.write(BootInfo {
        protocol: found.protocol(),
        signature: hypervisor::signature(),
        command_line: found.command_line,
        memory: found.memory,
        modules: found.modules,
        rsdp: found.rsdp,
        image: image().pages(),
        entry_ticks,
        main_ticks: cpu::ticks(),
    });
    STARTED.store(true, Ordering::Release);
    info
}

/// Whether the word at `at` keeps what is written to it. It is as before then. (A cache in front of nothing may keep
/// it too; virtual machines have none.)
///
/// # Safety
///
/// - `at` is aligned, mapped to be written, and nobody else looks at it meanwhile.
unsafe fn is_memory(at: u64) -> bool {
    let word = at as *mut u64;
    // SAFETY: the caller's promise.
    unsafe {
        let before = word.read_volatile();
        word.write_volatile(!before);
        let is_kept = word.read_volatile() == !before;
        word.write_volatile(before);
        is_kept
    }
}

/// Ends a boot that cannot go on.
fn refuse(reason: &dyn core::fmt::Display) -> ! {
    println!("freestone cannot boot: {reason}");
    exit(Exit::Crash)
}
