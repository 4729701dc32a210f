//! GDT, TSS and IDT: the tables in which the processor finds segments, stacks and handlers.
//!
//! Every vector has an interrupt stack (IST), so nothing is ever pushed below the stack pointer of
//! interrupted code: its red zone, which host-mode code uses, is not overwritten. One stack for all vectors is
//! not enough: re-entry on the same IST would overwrite the live frame. #DF and #MC, which can come
//! at any moment, have a stack each. NMIs and the other exceptions have three each: while a handler runs, the
//! IST pointers name free ones (`nesting`), so a fault inside the handler gets a stack of its own.
//! When there is none, the push hits a guard page and becomes a double fault, which is reported from
//! its own stack. Interrupts leave theirs before they can be interrupted (`interrupts`).
//!
//! Sources: Intel SDM volume 3, 3.5 (segments), 7.14 (64-bit IDT and IST), 8.7 (64-bit TSS).

use core::arch::asm;
use core::cell::UnsafeCell;

use super::{stacks, traps};

/// Selector of the code segment; the entry code's table has it in the same place.
pub const CODE: u16 = 0x08;
const DATA: u16 = 0x10;
const TSS_SELECTOR: u16 = 0x18;

/// Which of the seven IST slots, counted from 1 as the gates do.
#[derive(Clone, Copy)]
pub(super) enum Ist {
    DoubleFault = 1,
    Nmi = 2,
    MachineCheck = 3,
    Exception = 4,
    Interrupt = 5,
}

/// A table the processor reads behind the compiler's back.
#[repr(C, align(16))]
struct Hardware<T>(UnsafeCell<T>);

// SAFETY: written by `load` before anything can interrupt, and by `set_stack` on this processor only
// (there is one); the processor's own reads need no lock.
unsafe impl<T> Sync for Hardware<T> {}

/// 64-bit task state segment. Packed because the stack pointers are not on 8-byte borders.
#[repr(C, packed(4))]
struct Tss {
    reserved_0: u32,
    privileged_stacks: [u64; 3],
    reserved_1: u64,
    interrupt_stacks: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    io_map_base: u16,
}

const _: () = assert!(size_of::<Tss>() == 104);

/// The two words of an interrupt gate: present, ring 0; the processor clears IF on the way in.
fn gate(handler: u64, ist: Ist) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e << 40;
    let address = handler & 0xffff | (handler >> 16 & 0xffff) << 48;
    let low = address | u64::from(CODE) << 16 | (ist as u64) << 32 | PRESENT_INTERRUPT_GATE;
    [low, handler >> 32]
}

static GDT: Hardware<[u64; 5]> = Hardware(UnsafeCell::new([0; 5]));
static TSS: Hardware<Tss> = Hardware(UnsafeCell::new(Tss {
    reserved_0: 0,
    privileged_stacks: [0; 3],
    reserved_1: 0,
    interrupt_stacks: [0; 7],
    reserved_2: 0,
    reserved_3: 0,
    io_map_base: 0,
}));
static IDT: Hardware<[[u64; 2]; traps::VECTORS]> =
    Hardware(UnsafeCell::new([[0; 2]; traps::VECTORS]));

/// Ring-0 64-bit code, and data; accessed bits set, so that the processor never writes them.
pub const CODE_SEGMENT: u64 = 0x00af_9b00_0000_ffff;
/// See [`CODE_SEGMENT`].
pub const DATA_SEGMENT: u64 = 0x00cf_9300_0000_ffff;

/// The two words of an available 64-bit TSS descriptor.
fn tss_segment(base: u64) -> [u64; 2] {
    const PRESENT_AVAILABLE_TSS: u64 = 0x89 << 40;
    let limit = size_of::<Tss>() as u64 - 1;
    let low = limit | (base & 0xff_ffff) << 16 | PRESENT_AVAILABLE_TSS | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// What LGDT and LIDT read.
#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

impl Pointer {
    fn to<T>(table: &Hardware<T>) -> Pointer {
        Pointer { limit: (size_of::<T>() - 1) as u16, base: table.0.get() as u64 }
    }
}

/// Fills and loads all three tables.
///
/// # Safety
///
/// - Ring 0 in long mode, called once, with interrupts off, on the boot processor.
/// - The stacks of `stacks` are not in use, the boot stack apart.
pub(crate) unsafe fn load() {
    let [tss_low, tss_high] = tss_segment(TSS.0.get() as u64);
    let gdt = [0, CODE_SEGMENT, DATA_SEGMENT, tss_low, tss_high];
    let mut interrupt_stacks = [0; 7];
    for (ist, top) in [
        (Ist::DoubleFault, stacks::TRAPS[stacks::DOUBLE_FAULT].top()),
        (Ist::Nmi, stacks::TRAPS[stacks::NMIS.start].top()),
        (Ist::MachineCheck, stacks::TRAPS[stacks::MACHINE_CHECK].top()),
        (Ist::Exception, stacks::TRAPS[stacks::EXCEPTIONS.start].top()),
        (Ist::Interrupt, stacks::INTERRUPT_ENTRY.top()),
    ] {
        interrupt_stacks[ist as usize - 1] = top;
    }
    // SAFETY: called once before anybody else looks at the tables.
    unsafe {
        *GDT.0.get() = gdt;
        (*TSS.0.get()).interrupt_stacks = interrupt_stacks;
        // Behind the limit: no I/O permission map.
        (*TSS.0.get()).io_map_base = size_of::<Tss>() as u16;
    }
    // SAFETY: as above.
    let idt = unsafe { &mut *IDT.0.get() };
    let mut stub = traps::first_stub();
    // Interrupts get their gates when somebody asks for one.
    for slot in idt.iter_mut().take(usize::from(traps::FIRST_INTERRUPT)) {
        *slot = gate(stub, Ist::Exception);
        stub += traps::STUB_BYTES;
    }
    for (vector, ist) in [(2, Ist::Nmi), (8, Ist::DoubleFault), (18, Ist::MachineCheck)] {
        idt[vector] = gate(traps::first_stub() + vector as u64 * traps::STUB_BYTES, ist);
    }
    let (gdt, idt) = (Pointer::to(&GDT), Pointer::to(&IDT));
    // SAFETY: the tables are complete and live for ever; CODE and DATA mean in the new GDT what they
    // meant in the entry code's, so the segments in use stay valid.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "mov ss, {data:e}",
            "ltr {tss:x}",
            "lidt [{idt}]",
            gdt = in(reg) &gdt,
            idt = in(reg) &idt,
            data = in(reg) u32::from(DATA),
            tss = in(reg) TSS_SELECTOR,
            options(nostack, preserves_flags),
        );
    }
}

/// Makes gates for all interrupts, whose stubs lie one behind the other from `stub` on.
pub(super) fn add_interrupt_gates(mut stub: u64) {
    // SAFETY: the entries are written one at a time, as whole words; nothing of the table is borrowed
    // meanwhile. The processor reads none of them, as interrupts are off. Who writes them too, in between, writes the
    // same; interrupts that it lets in are over when this goes on.
    unsafe {
        let gates = (*IDT.0.get()).as_mut_ptr();
        for vector in usize::from(traps::FIRST_INTERRUPT)..traps::VECTORS {
            gates.add(vector).write(gate(stub, Ist::Interrupt));
            stub += traps::STUB_BYTES;
        }
    }
}

/// Where the next exception of these, or NMI, enters.
pub(super) fn stack(ist: Ist) -> u64 {
    // SAFETY: as in `set_stack`; read as it is written.
    unsafe {
        let stack = &raw const (*TSS.0.get()).interrupt_stacks[ist as usize - 1];
        stack.read_unaligned()
    }
}

/// Has the next exception of these, or NMI, enter at `top`.
pub(super) fn set_stack(ist: Ist, top: u64) {
    // SAFETY: the field is in the static TSS; `write_unaligned` because that is packed. Only this
    // processor reads it, when the next exception comes.
    unsafe {
        let stack = &raw mut (*TSS.0.get()).interrupt_stacks[ist as usize - 1];
        stack.write_unaligned(top);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tss_descriptor_spreads_the_base_as_the_manual_draws_it() {
        let [low, high] = tss_segment(0x1234_5678_9abc_def0);
        assert_eq!(low & 0xffff, 103);
        assert_eq!(low >> 16 & 0xff_ffff, 0xbc_def0);
        assert_eq!(low >> 40 & 0xff, 0x89);
        assert_eq!(low >> 56, 0x9a);
        assert_eq!(high, 0x1234_5678);
    }

    #[test]
    fn gates_spread_the_address_as_the_manual_draws_it() {
        let [low, high] = gate(0x1234_5678_9abc_def0, Ist::Exception);
        assert_eq!(low & 0xffff, 0xdef0);
        assert_eq!(low >> 16 & 0xffff, u64::from(CODE));
        assert_eq!(low >> 32 & 0xff, 4);
        assert_eq!(low >> 40 & 0xff, 0x8e);
        assert_eq!(low >> 48, 0x9abc);
        assert_eq!(high, 0x1234_5678);
    }
}
