//! What only this machine does on the way to `main`: see [`boot`](crate::boot).

use freestone_xen::{E820Entry, E820Kind, Xen};

use super::entry::MULTIBOOT2_MARK;
use super::multiboot2;
use super::pvh::{Physical, StartInfo, TEXT_BYTES};
use super::trap::descriptors;
use super::{cpu, page_table::initial, ticks};
use crate::hypervisor::xen;
use crate::memory::map::{Kind, MAX_REGIONS, MemoryMap};
use crate::once::Once;

pub(crate) use super::page_table::initial::{Error as MapError, LOW_MEMORY, protect};
pub(crate) use super::pvh::Error;

static TEXTS: Once<[u8; TEXT_BYTES]> = Once::new([0; TEXT_BYTES]);

/// Faults are caught from here on, and time counts.
///
/// # Safety
///
/// - Called once: ring 0, interrupts off, no stack but the boot stack in use.
#[inline]
pub(crate) unsafe fn begin(entry_ticks: u64) {
    // SAFETY: the caller's promise.
    unsafe { descriptors::load() };
    ticks::start(entry_ticks);
}

/// Keeps the machine's own interrupts out.
#[inline]
pub(crate) fn silence() {
    if xen().is_none() {
        mask_legacy_interrupts();
    }
}

/// Reads what the loader told, of the protocols by which a kernel lets itself be started: [`pvh`] or [`pvh_or_multiboot2`]. The
/// kernel's entry code names one, so that it has that one's readers and no others.
///
/// # Safety
///
/// - Called once, on the entry code's map, with the address that the entry code got.
pub(crate) type Reader = unsafe fn(u64) -> Result<StartInfo, Error>;

/// PVH alone.
///
/// # Safety
///
/// - As [`Reader`].
#[doc(hidden)]
pub unsafe fn pvh(start_info: u64) -> Result<StartInfo, Error> {
    // SAFETY: called once, so this is the only reference to the texts that is ever made.
    let texts = unsafe { &mut *TEXTS.get() };
    StartInfo::read(&BootMapped, start_info, texts)
}

/// PVH, and Multiboot2 where the entry code has marked the address.
///
/// # Safety
///
/// - As [`Reader`].
#[doc(hidden)]
pub unsafe fn pvh_or_multiboot2(start_info: u64) -> Result<StartInfo, Error> {
    let mark = u64::from(MULTIBOOT2_MARK);
    if start_info & mark == 0 {
        // SAFETY: the caller's promise.
        return unsafe { pvh(start_info) };
    }
    // SAFETY: called once, so this is the only reference to the texts that is ever made.
    let texts = unsafe { &mut *TEXTS.get() };
    let mut info = multiboot2::read(&BootMapped, start_info & !mark, texts)?;
    // SAFETY: once, and before anybody reads ACPI's tables.
    info.start.rsdp = info.rsdp.map(|pointer| unsafe { keep_root_pointer(pointer) });
    Ok(info.start)
}

/// The longest root pointer of ACPI's that is kept: there are such of 20 and of 36 bytes so far.
const KEPT_BYTES: usize = 64;

/// A loader's copy of the root pointer; zeros if it gave none.
static ROOT_POINTER: Once<[u8; KEPT_BYTES]> = Once::new([0; KEPT_BYTES]);

/// Keeps the copy, of a loader that does not say where it found it, and returns where it is now.
///
/// # Safety
///
/// - Called once, before anybody asks for [`root_pointer`].
unsafe fn keep_root_pointer(pointer: &[u8]) -> u64 {
    // SAFETY: the caller's promise: this is the only reference there is.
    let kept = unsafe { &mut *ROOT_POINTER.get() };
    kept.iter_mut().zip(pointer).for_each(|(slot, byte)| *slot = *byte);
    // Memory is mapped at its physical address.
    ROOT_POINTER.get() as u64
}

/// The `len` bytes at `address`, if they lie in the kept copy. It is the kernel's own memory, which ACPI's reader would not
/// be lent otherwise.
pub(crate) fn root_pointer(address: u64, len: usize) -> Option<&'static [u8]> {
    let offset = address.checked_sub(ROOT_POINTER.get() as u64)?;
    // SAFETY: written before `main` or never.
    let kept = unsafe { &*ROOT_POINTER.get() };
    kept.get(usize::try_from(offset).ok()?..)?.get(..len)
}

/// What keeps less privileged code out of the kernel, from here on.
///
/// # Safety
///
/// - On the map that stays, no page of which is for such code.
#[inline]
pub(crate) unsafe fn end() {
    // SAFETY: the caller's promise; a kernel is in ring 0.
    unsafe { cpu::protect_supervisor() };
}

/// What the loader did not tell of the memory, if the hypervisor does.
#[inline]
pub(crate) fn complete(memory: &mut MemoryMap) -> Result<(), Error> {
    match xen() {
        Some(xen) if memory.regions().is_empty() => ask_for_memory(xen, memory),
        _ => Ok(()),
    }
}

/// PVH version 0 has no memory map; Xen returns it on request. Xen does not report whether there is more
/// than fits, so an answer that fills all the room is refused.
#[inline]
fn ask_for_memory(xen: Xen, memory: &mut MemoryMap) -> Result<(), Error> {
    let mut entries = [E820Entry::EMPTY; 2 * MAX_REGIONS];
    let count = xen.memory_map(&mut entries).map_err(|_| Error::NoMemory)?;
    let entries = entries.get(..count).filter(|_| count < entries.len());
    for entry in entries.ok_or(Error::TooMuch)? {
        let kind = match entry.kind() {
            E820Kind::Ram => Kind::Usable,
            E820Kind::AcpiTables => Kind::AcpiTables,
            E820Kind::AcpiStorage => Kind::AcpiStorage,
            E820Kind::Unusable => Kind::Defective,
            E820Kind::Reserved | E820Kind::Other(_) => Kind::Reserved,
        };
        if !memory.add(entry.base(), entry.len_bytes(), kind) {
            return Err(Error::TooMuch);
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

/// What the entry code's map lets us read: the first GiB. QEMU's firmware does use page 0.
struct BootMapped;

impl Physical for BootMapped {
    fn bytes(&self, address: u64, len: usize) -> Option<&'static [u8]> {
        let end = address.checked_add(len as u64)?;
        let readable = address != 0 && end <= initial::BOOT_MAPPED;
        // SAFETY: the range is mapped and not null. What is kept of it, the modules, is reserved in
        // the memory map, so nobody is handed it to write.
        readable.then(|| unsafe { core::slice::from_raw_parts(address as *const u8, len) })
    }
}
