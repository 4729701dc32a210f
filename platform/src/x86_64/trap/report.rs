//! The report on an exception without a handler: its name, place and cause, registers, a backtrace; then the kernel ends.
//!
//! It is for readers who have nothing but a serial line. It takes no lock, allocates nothing, and does less each time it
//! is entered, as the panic report does: an exception inside the report prints one line, an exception inside that only
//! ends the kernel. Helpers with two callers are not inlined: nothing here needs speed, and every kernel contains it.

use core::fmt::{self, Write as _};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use freestone_rt::number::{Decimal, Hex};
use freestone_rt::{backtrace, console};

use super::super::cpu;
use super::frame::{Frame, Registers};
use crate::exit;
use crate::image::image;
use crate::memory::address::PAGE_SIZE;
use crate::stacks::{self, named::Named};

/// Name and mnemonic per vector, a line each (Intel SDM volume 3, table 7-1; AMD APM volume 2, table
/// 8-1); reserved ones are empty. One text and not a table of texts: the pointers would be half of it.
const EXCEPTIONS: &str = "\
divide error (#DE)
debug exception (#DB)
non-maskable interrupt (NMI)
breakpoint (#BP)
overflow (#OF)
bound range exceeded (#BR)
invalid opcode (#UD)
device not available (#NM)
double fault (#DF)
coprocessor segment overrun
invalid TSS (#TS)
segment not present (#NP)
stack-segment fault (#SS)
general protection fault (#GP)
page fault (#PF)

x87 floating-point error (#MF)
alignment check (#AC)
machine check (#MC)
SIMD floating-point exception (#XM)
virtualization exception (#VE)
control protection exception (#CP)






hypervisor injection exception (#HV)
VMM communication exception (#VC)
security exception (#SX)

";

/// The line of [`EXCEPTIONS`] for `vector`.
fn name(vector: u8) -> &'static str {
    let (mut line, mut start) = (0, 0);
    for (at, &byte) in EXCEPTIONS.as_bytes().iter().enumerate() {
        if byte == b'\n' {
            if line == vector {
                return EXCEPTIONS
                    .get(start..at)
                    .filter(|name| !name.is_empty())
                    .unwrap_or("reserved");
            }
            line += 1;
            start = at + 1;
        }
    }
    ""
}

const DOUBLE_FAULT: u8 = 8;
const GENERAL_PROTECTION: u8 = 13;
const PAGE_FAULT: u8 = 14;

bitflags::bitflags! {
    /// What a page fault's error code says (Intel SDM volume 3, 5.7).
    #[derive(Clone, Copy)]
    struct PageFault: u64 {
        const PRESENT = 1 << 0;
        const WRITE = 1 << 1;
        const USER = 1 << 2;
        const RESERVED_BIT = 1 << 3;
        const FETCH = 1 << 4;
    }
}

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Reports and ends the kernel.
pub fn exception(frame: &Frame) -> ! {
    let mut out = console::emergency();
    // Results are ignored on purpose: there is nobody left to tell.
    match DEPTH.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let _ = full(&mut out, frame);
        }
        1 => {
            let _ = out.write_str("\nEXCEPTION WHILE REPORTING AN EXCEPTION: ");
            let _ = headline(&mut out, frame);
        }
        _ => {}
    }
    exit::crash()
}

// Strings are written, not formatted: `{}` of a string brings in `core`'s padding code.
fn full(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    out.write_str("\nEXCEPTION: ")?;
    headline(out, frame)?;
    if freestone_rt::panic::in_progress() {
        out.write_str("  raised while a panic was being reported\n")?;
    } else if on_handler_stack(frame.rsp) {
        let is_interrupt = super::stacks::INTERRUPT.holds(frame.rsp);
        out.write_str("  raised inside an ")?;
        out.write_str(if is_interrupt { "interrupt" } else { "exception" })?;
        out.write_str(" handler\n")?;
    }
    match frame.vector() {
        PAGE_FAULT => page_fault(out, frame.error)?,
        DOUBLE_FAULT => double_fault(out)?,
        GENERAL_PROTECTION if frame.error == 0 => out.write_str(
            "  a privileged, reserved or non-canonical operand (error code 0: no segment)\n",
        )?,
        _ if frame.error != 0 => value(out, "  error code ", frame.error, "\n")?,
        _ => {}
    }
    registers(out, frame)?;
    out.write_str("backtrace\n")?;
    backtrace::print_place(out, frame.rip);
    backtrace::print(out, frame.rbp as usize);
    Ok(())
}

/// One number between two texts.
#[inline(never)]
fn value(out: &mut console::Writer, before: &str, number: u64, after: &str) -> fmt::Result {
    out.write_str(before)?;
    write!(out, "{}", Hex(number))?;
    out.write_str(after)
}

#[inline(never)]
fn headline(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    let vector = frame.vector();
    out.write_str(name(vector))?;
    write!(out, ", vector {}", Decimal(vector.into()))?;
    value(out, ", at 0x", frame.rip, "\n")
}

fn on_handler_stack(rsp: u64) -> bool {
    super::stacks::all().iter().skip(1).any(|stack| stack.usable().contains(&rsp))
}

/// The stack whose guard page holds `address`.
fn guarded(address: u64) -> Option<Named> {
    stacks::guarded(address..address.saturating_add(1))
}

fn double_fault(out: &mut console::Writer) -> fmt::Result {
    // The push onto an exhausted stack leaves its address in CR2.
    match guarded(cpu::fault_address()) {
        Some(stack) => overflow(out, &stack),
        None => out.write_str("  an exception could not be delivered\n"),
    }
}

fn page_fault(out: &mut console::Writer, error: u64) -> fmt::Result {
    let address = cpu::fault_address();
    let error = PageFault::from_bits_retain(error);
    let action = if error.contains(PageFault::FETCH) {
        "  executing 0x"
    } else if error.contains(PageFault::WRITE) {
        "  writing 0x"
    } else {
        "  reading 0x"
    };
    let reason = if error.contains(PageFault::RESERVED_BIT) {
        ": a page table entry has a reserved bit set\n"
    } else if !error.contains(PageFault::PRESENT) {
        ": nothing is mapped there\n"
    } else if error.contains(PageFault::FETCH) {
        ": the page is not executable\n"
    } else {
        ": the page is read-only\n"
    };
    value(out, action, address, reason)?;
    match guarded(address) {
        Some(stack) => overflow(out, &stack),
        None if address < PAGE_SIZE => out.write_str("  a null pointer, or nearly\n"),
        None => out.write_str(part_of(address)),
    }
}

/// A line about the part of the image that holds `address`, empty if none does.
fn part_of(address: u64) -> &'static str {
    match image().segment_of(address) {
        Some(segment) if segment.executable => "  in the kernel's code\n",
        Some(segment) if segment.writable => "  in the kernel's variables and stacks\n",
        Some(_) => "  in the kernel's constants\n",
        None => "",
    }
}

#[inline(never)]
fn overflow(out: &mut console::Writer, stack: &Named) -> fmt::Result {
    out.write_str("  STACK OVERFLOW: the ")?;
    out.write_str(stack.name)?;
    out.write_str(" stack ran into its guard page\n  it has ")?;
    write!(out, "{} KiB; more: ", Decimal(stack.len_kib()))?;
    // Only main's size is the kernel's to say. The others' users, handlers too, run on a stack that was made larger.
    const CURES: &str = "entry!(main, stack: BYTES), KernelStack::run\n";
    const LAST: &str = CURES.split_at(28).1;
    let is_main = super::stacks::all().first().is_some_and(|main| main.guard() == stack.guard());
    out.write_str(if is_main { CURES } else { LAST })
}

/// What is shown of the frame, four to a row: four characters each, and where the values are.
const LABELS: &str = "rax rbx rcx rdx rsi rdi rbp rsp r8  r9  r10 r11 r12 r13 r14 r15 rfl cs  ss  ";
const OFFSETS: [u8; 19] = [
    offset_of!(Registers, rax) as u8,
    offset_of!(Registers, rbx) as u8,
    offset_of!(Registers, rcx) as u8,
    offset_of!(Registers, rdx) as u8,
    offset_of!(Registers, rsi) as u8,
    offset_of!(Registers, rdi) as u8,
    offset_of!(Registers, rbp) as u8,
    offset_of!(Registers, rsp) as u8,
    offset_of!(Registers, r8) as u8,
    offset_of!(Registers, r9) as u8,
    offset_of!(Registers, r10) as u8,
    offset_of!(Registers, r11) as u8,
    offset_of!(Registers, r12) as u8,
    offset_of!(Registers, r13) as u8,
    offset_of!(Registers, r14) as u8,
    offset_of!(Registers, r15) as u8,
    offset_of!(Registers, rflags) as u8,
    offset_of!(Registers, cs) as u8,
    offset_of!(Registers, ss) as u8,
];

fn registers(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    const PER_ROW: usize = 4;
    const WIDTH: usize = 4;
    let registers: &Registers = frame;
    for (index, &offset) in OFFSETS.iter().enumerate() {
        let start = core::ptr::from_ref(registers);
        // SAFETY: the offset is that of one of the registers, which are all `u64`.
        let number = unsafe { start.byte_add(offset.into()).cast::<u64>().read() };
        out.write_str(if index > 0 && index % PER_ROW == 0 { "\n  " } else { "  " })?;
        let label = LABELS.get(index * WIDTH..(index + 1) * WIDTH).unwrap_or_default();
        value(out, label, number, "")?;
    }
    value(out, "  cr3 ", cpu::table_root(), "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_its_line() {
        assert_eq!(EXCEPTIONS.lines().count(), 32);
        for (vector, line) in EXCEPTIONS.lines().enumerate() {
            assert_eq!(name(vector as u8), if line.is_empty() { "reserved" } else { line });
        }
        assert_eq!(name(PAGE_FAULT), "page fault (#PF)");
        assert_eq!(name(DOUBLE_FAULT), "double fault (#DF)");
        assert_eq!(name(32), "");
    }

    #[test]
    fn every_register_has_its_label() {
        assert_eq!(LABELS.len(), OFFSETS.len() * 4);
        let label = |at: usize| LABELS.split_ascii_whitespace().nth(at).unwrap();
        let place = |offset: usize| OFFSETS.iter().position(|&o| usize::from(o) == offset).unwrap();
        assert_eq!(label(place(offset_of!(Registers, rbp))), "rbp");
        assert_eq!(label(place(offset_of!(Registers, r15))), "r15");
        assert_eq!(label(place(offset_of!(Registers, ss))), "ss");
    }
}
