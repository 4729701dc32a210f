//! x86_64: from the entry code to `main`.
//!
//! [`boot`] is the whole story, top to bottom: consoles first, so that everything after can report;
//! then descriptor tables, so that faults are caught; then what the loader said; then the final page
//! tables. No device is waited for, and nothing is calibrated before somebody asks for the time.

pub mod apic;
pub(crate) mod apic_timer;
mod audit;
mod calibration;
pub mod clock;
pub mod cpu;
pub mod descriptors;
pub mod entropy;
pub mod entry;
pub mod events;
mod hpet;
mod image;
pub mod interrupts;
pub mod io_apic;
mod kvm_clock;
pub(crate) mod live;
mod nesting;
mod paging;
mod pit;
pub mod power;
mod pvh;
mod report;
mod rtc;
mod shared_clock;
pub mod stacks;
pub(crate) mod table;
pub mod traps;
mod tree;
#[cfg(test)]
mod tree_model;
pub mod virtio;

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use freestone_rt::{backtrace, println};
use freestone_xen::{E820Entry, E820Kind, Xen};

use image::Image;

use crate::boot_info::{BootInfo, Protocol};
use crate::memory::{Kind, MAX_REGIONS, MemoryMap, PAGE_SIZE};
use crate::{Exit, console, exit};

/// Where the BIOS leaves ACPI's root pointer (ACPI 6.5, 5.2.5.1). The other place, the first KiB of the extended
/// BIOS data area, is named in page 0, which is not mapped.
pub const RSDP_AREA: core::ops::Range<u64> = 0xe_0000..0x10_0000;

/// What [`boot`] finds out once and everybody may read after.
struct Once<T>(UnsafeCell<T>);

// SAFETY: written by `boot` only, before anything else runs; shared by reference or copy after that.
unsafe impl<T> Sync for Once<T> {}

static BOOT_INFO: Once<MaybeUninit<BootInfo>> = Once(UnsafeCell::new(MaybeUninit::uninit()));
/// Whether [`BOOT_INFO`] is written.
static STARTED: AtomicBool = AtomicBool::new(false);
static XEN: Once<Option<Xen>> = Once(UnsafeCell::new(None));
static IMAGE: Once<Image> = Once(UnsafeCell::new(Image::NONE));
static TEXTS: Once<[u8; pvh::TEXT_BYTES]> = Once(UnsafeCell::new([0; pvh::TEXT_BYTES]));

pub use audit::{Audit, Violation, audit, audit_at_exit};

/// What [`take_secret`] gives away, once.
static SECRET: Once<&[u8]> = Once(UnsafeCell::new(&[]));
static IS_SECRET_TAKEN: AtomicBool = AtomicBool::new(false);

/// In front of what is no part of the command line: ASCII "unit separator".
const SECRET_MARK: u8 = 0x1f;

/// A command line, and what a runner tells this kernel's first code and nobody else.
fn apart(line: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let mut end = 0;
    while line.get(end).is_some_and(|&byte| byte != SECRET_MARK) {
        end += 1;
    }
    (line.get(..end).unwrap_or_default(), line.get(end + 1..).unwrap_or_default())
}

/// What stood behind the mark on the command line, for the first who asks; then nothing.
#[doc(hidden)]
pub fn take_secret() -> &'static [u8] {
    if !STARTED.load(Ordering::Acquire) || IS_SECRET_TAKEN.swap(true, Ordering::Relaxed) {
        return &[];
    }
    // SAFETY: `boot` wrote it before it set `STARTED`; nobody has written since.
    unsafe { *SECRET.0.get() }
}

/// What the loader told, from the moment on when `main` is called.
pub fn boot_info() -> Option<&'static BootInfo> {
    // SAFETY: `boot` writes it, once, before it sets the flag.
    STARTED.load(Ordering::Acquire).then(|| unsafe { (*BOOT_INFO.0.get()).assume_init_ref() })
}

/// The Xen we run on, if we do.
pub fn xen() -> Option<Xen> {
    // SAFETY: `boot` wrote it before it called anything that asks; nobody has written since.
    unsafe { *XEN.0.get() }
}

static BOUNDS: backtrace::Bounds = backtrace::Bounds {
    stack_of: stacks::containing,
    is_code: |address| image().segment_of(address as u64).is_some_and(|segment| segment.executable),
    names: || image().names(),
};

/// The image that runs.
pub fn image() -> &'static Image {
    // SAFETY: as in `xen`.
    unsafe { &*IMAGE.0.get() }
}

/// Everything between the entry code and `main`, and what follows `main`.
///
/// # Safety
///
/// - Called once, by the entry code [`boot!`](crate::boot) stamps: ring 0, long mode on its page
///   tables, on `stack`, interrupts off, the image's ELF header at `start`.
pub unsafe fn boot(
    start: *const u8,
    start_info: u64,
    entry_ticks: u64,
    stack: Range<u64>,
    main: fn(&'static BootInfo) -> Exit,
) -> ! {
    // SAFETY: the caller's promise.
    exit(main(unsafe { prepare(start, start_info, entry_ticks, stack) }))
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
) -> &'static BootInfo {
    // SAFETY: the first thing that runs.
    unsafe { stacks::set_boot(stack) };
    // SAFETY: the first thing that runs, so nobody looks at the same time. The caller says where the
    // image is; the linker script puts the headers into it.
    let is_known = unsafe {
        *XEN.0.get() = Xen::detect();
        (*IMAGE.0.get()).read(start)
    };
    if xen().is_none() {
        mask_legacy_interrupts();
    }
    console::detect();
    // SAFETY: the caller's promise: once, ring 0, interrupts off; no stack but the boot stack is in use.
    unsafe { descriptors::load() };
    clock::start(entry_ticks);
    if !is_known {
        refuse(&paging::Error::Inseparable);
    }

    // SAFETY: `boot` runs once, so this is the only reference to the texts that is ever made.
    let texts = unsafe { &mut *TEXTS.0.get() };
    let found = pvh::StartInfo::read(&BootMapped, start_info, texts);
    let mut found = found.unwrap_or_else(|error| refuse(&error));
    let (line, secret) = apart(found.command_line);
    found.command_line = line;
    // SAFETY: as for the texts; nobody asks before `main` runs.
    unsafe { *SECRET.0.get() = secret };
    if found.memory.regions().is_empty()
        && let Some(xen) = xen()
        && let Err(error) = ask_for_memory(xen, &mut found.memory)
    {
        refuse(&error);
    }
    if found.memory.usable_bytes() == 0 {
        refuse(&pvh::Error::NoMemory);
    }
    // Low memory and the image are used in place; `protect` reserves what it takes itself.
    let pages = image().pages();
    let kept = found.memory.reserve(0..paging::LOW_MEMORY) && found.memory.reserve(pages.clone());
    if !kept {
        refuse(&pvh::Error::TooMuch);
    }
    // SAFETY: the caller's promise again; the entry code enables NX and WP.
    if let Err(error) = unsafe { paging::protect(image(), &mut found.memory) } {
        refuse(&error);
    }
    // A loader that reports more than there is would be found out by a heap that loses its headers.
    for region in found.memory.regions() {
        let last = (region.end - 1) & !(PAGE_SIZE - 1);
        let is_asked =
            region.kind == Kind::Usable && last >= paging::LOW_MEMORY && !pages.contains(&last);
        // SAFETY: the last page of RAM, outside the image: `protect` has mapped it, all of it. Nothing else runs.
        if is_asked && !unsafe { is_memory(last) } {
            refuse(&pvh::Error::OutOfReach("the RAM that was reported", last));
        }
    }
    // SAFETY: ring 0, and no page is for ring 3.
    unsafe { cpu::protect_supervisor() };
    // SAFETY: `stacks` names mapped memory only, from here on.
    unsafe { backtrace::set_bounds(&BOUNDS) };
    if let Some(module) = found.stray_module() {
        refuse(&pvh::Error::OutOfReach("module", module.start));
    }

    // SAFETY: `boot` runs once, so this is the only reference, and the only one made mutable.
    let slot = unsafe { &mut *BOOT_INFO.0.get() };
    let info = slot.write(BootInfo {
        protocol: Protocol::Pvh { version: found.version },
        signature: hypervisor_signature(),
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

/// PVH version 0 brings no memory map; Xen gives it to who asks. Xen does not say whether there is more
/// than fits, so a full answer is none.
fn ask_for_memory(xen: Xen, memory: &mut MemoryMap) -> Result<(), pvh::Error> {
    let mut entries = [E820Entry::EMPTY; 2 * MAX_REGIONS];
    let count = xen.memory_map(&mut entries).map_err(|_| pvh::Error::NoMemory)?;
    let entries = entries.get(..count).filter(|_| count < entries.len());
    for entry in entries.ok_or(pvh::Error::TooMuch)? {
        let kind = match entry.kind() {
            E820Kind::Ram => Kind::Usable,
            E820Kind::AcpiTables => Kind::AcpiTables,
            E820Kind::AcpiStorage => Kind::AcpiStorage,
            E820Kind::Unusable => Kind::Defective,
            E820Kind::Reserved | E820Kind::Other(_) => Kind::Reserved,
        };
        if !memory.add(entry.base(), entry.len_bytes(), kind) {
            return Err(pvh::Error::TooMuch);
        }
    }
    Ok(())
}

/// Masks both 8259 interrupt controllers. Firmware leaves them delivering interrupt 0 as vector 8, which
/// would be taken for a double fault by a kernel that enables interrupts. `interrupts` gives them other vectors.
fn mask_legacy_interrupts() {
    const FIRST_MASK: u16 = 0x21;
    const SECOND_MASK: u16 = 0xa1;
    // SAFETY: the mask registers of the PC's interrupt controllers; nobody else uses them.
    unsafe {
        cpu::outb(FIRST_MASK, 0xff);
        cpu::outb(SECOND_MASK, 0xff);
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
