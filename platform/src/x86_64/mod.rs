//! x86_64: from the entry code to `main`.
//!
//! [`boot`] is the whole story, top to bottom: consoles first, so that everything after can report;
//! then descriptor tables, so that faults are caught; then what the loader said; then the final page
//! tables. No device is waited for, and nothing is calibrated before somebody asks for the time.

pub mod clock;
pub mod cpu;
pub mod descriptors;
pub mod entry;
pub mod layout;
pub mod paging;
pub mod power;
pub mod pvh;
mod report;
pub mod stacks;
pub mod traps;

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use freestone_rt::{backtrace, println};
use freestone_xen::{E820Entry, E820Kind, Xen};

use crate::boot_info::{BootInfo, Hypervisor, Protocol};
use crate::memory::{Kind, MAX_REGIONS, MemoryMap};
use crate::{Exit, console, exit};

/// What [`boot`] finds out once and everybody may read after.
struct Once<T>(UnsafeCell<T>);

// SAFETY: written by `boot` only, before anything else runs; shared by reference or copy after that.
unsafe impl<T> Sync for Once<T> {}

static BOOT_INFO: Once<MaybeUninit<BootInfo>> = Once(UnsafeCell::new(MaybeUninit::uninit()));
static XEN: Once<Option<Xen>> = Once(UnsafeCell::new(None));
static TEXTS: Once<[u8; pvh::TEXT_BYTES]> = Once(UnsafeCell::new([0; pvh::TEXT_BYTES]));

/// The Xen we run on, if we do.
pub fn xen() -> Option<Xen> {
    // SAFETY: `boot` wrote it before it called anything that asks; nobody has written since.
    unsafe { *XEN.0.get() }
}

static BOUNDS: backtrace::Bounds = backtrace::Bounds {
    stack_of: stacks::containing,
    is_code: |address| {
        paging::layout().is_some_and(|layout| layout.text().contains(&(address as u64)))
    },
};

/// Everything between the entry code and `main`, and what follows `main`.
///
/// # Safety
///
/// - Called once, by the entry code [`boot!`](crate::boot) stamps: ring 0, long mode on its page
///   tables and its stack, interrupts off, the image's borders in `layout`.
pub unsafe fn boot(
    layout: &'static layout::Layout,
    start_info: u64,
    entry_ticks: u64,
    main: fn(&'static BootInfo) -> Exit,
) -> ! {
    // SAFETY: the first thing that runs, so nobody looks at the same time.
    unsafe { *XEN.0.get() = Xen::detect() };
    console::detect();
    // SAFETY: the caller's promise: once, ring 0, interrupts off; no stack but the boot stack is in use.
    unsafe { descriptors::load() };
    clock::start(entry_ticks);

    // SAFETY: `boot` runs once, so this is the only reference to the texts that is ever made.
    let texts = unsafe { &mut *TEXTS.0.get() };
    let found = pvh::StartInfo::read(&BootMapped, start_info, texts);
    let mut found = found.unwrap_or_else(|error| refuse(&error));
    if found.memory.regions().is_empty()
        && let Some(xen) = xen()
    {
        ask_for_memory(xen, &mut found.memory);
    }
    if found.memory.usable_bytes() == 0 {
        refuse(&pvh::Error::NoMemory);
    }
    // Low memory and the image are used in place; `protect` reserves what it takes itself.
    let kept = found.memory.reserve(0..paging::LOW_MEMORY) && found.memory.reserve(layout.image());
    if !kept {
        refuse(&pvh::Error::TooManyReservations);
    }
    // SAFETY: the caller's promise again; the entry code enables NX and WP.
    if let Err(error) = unsafe { paging::protect(layout, &mut found.memory) } {
        refuse(&error);
    }
    backtrace::set_bounds(&BOUNDS);

    // SAFETY: `boot` runs once, so this is the only reference, and the only one made mutable.
    let slot = unsafe { &mut *BOOT_INFO.0.get() };
    let info = slot.write(BootInfo {
        protocol: Protocol::Pvh { version: found.version },
        hypervisor: hypervisor_signature().map_or(Hypervisor::None, Hypervisor::from_signature),
        command_line: found.command_line,
        memory: found.memory,
        modules: found.modules,
        rsdp: found.rsdp,
        image: layout.image(),
        entry_ticks,
        main_ticks: cpu::ticks(),
    });
    exit(main(info))
}

/// PVH version 0 brings no memory map; Xen gives it to who asks.
fn ask_for_memory(xen: Xen, memory: &mut MemoryMap) {
    let mut entries = [E820Entry::EMPTY; MAX_REGIONS];
    let count = xen.memory_map(&mut entries).unwrap_or(0);
    for entry in entries.iter().take(count) {
        let kind = match entry.kind() {
            E820Kind::Ram => Kind::Usable,
            E820Kind::AcpiTables => Kind::AcpiTables,
            E820Kind::AcpiStorage => Kind::AcpiStorage,
            E820Kind::Unusable => Kind::Defective,
            E820Kind::Reserved | E820Kind::Other(_) => Kind::Reserved,
        };
        memory.add(entry.base(), entry.len_bytes(), kind);
    }
}

/// Ends a boot that cannot go on.
fn refuse(reason: &dyn core::fmt::Display) -> ! {
    println!("freestone cannot boot: {reason}");
    exit(Exit::Crash)
}

/// What the entry code's map lets us read: the first GiB. QEMU's firmware does use page 0.
struct BootMapped;

impl pvh::Physical for BootMapped {
    fn bytes(&self, address: u64, len: usize) -> Option<&'static [u8]> {
        let end = address.checked_add(len as u64)?;
        let readable = address != 0 && end <= paging::BOOT_MAPPED;
        // SAFETY: the range is mapped and not null. What is kept of it, the modules, is reserved in
        // the memory map, so nobody is handed it to write.
        readable.then(|| unsafe { core::slice::from_raw_parts(address as *const u8, len) })
    }
}

/// The signature of the hypervisor's CPUID leaf, if a hypervisor admits to being there
/// (CPUID 1, ECX bit 31). Under Xen's Viridian mode the first signature is Hyper-V's, so Xen goes
/// first.
fn hypervisor_signature() -> Option<[u8; 12]> {
    if xen().is_some() {
        return Some(*b"XenVMMXenVMM");
    }
    let [_, _, features, _] = cpu::cpuid(1, 0);
    (features & 1 << 31 != 0).then(|| {
        let [_, b, c, d] = cpu::cpuid(0x4000_0000, 0);
        let mut signature = [0; 12];
        for (bytes, word) in signature.chunks_exact_mut(4).zip([b, c, d]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        signature
    })
}
