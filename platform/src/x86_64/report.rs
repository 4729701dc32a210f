//! The report on an exception nobody handled: what, where, why, registers, trace; then the end.
//!
//! Written for the person who has nothing but a serial line. It takes no lock, allocates nothing, and
//! does less each time it is entered, as the panic report does: an exception inside the report
//! prints one line, one inside that just ends. Helpers with two callers are kept out of line: nothing
//! here needs speed, and every kernel carries it.

use core::fmt::{self, Write as _};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use freestone_rt::number::{Decimal, Hex};
use freestone_rt::{backtrace, console};

use super::traps::{Frame, Registers};
use super::{cpu, image, stacks};
use crate::exit;

/// Name and mnemonic per vector (Intel SDM volume 3, table 7-1; AMD APM volume 2, table 8-1); empty
/// where the manuals reserve the vector.
const EXCEPTIONS: [&str; 32] = [
    "divide error (#DE)",
    "debug exception (#DB)",
    "non-maskable interrupt (NMI)",
    "breakpoint (#BP)",
    "overflow (#OF)",
    "bound range exceeded (#BR)",
    "invalid opcode (#UD)",
    "device not available (#NM)",
    "double fault (#DF)",
    "coprocessor segment overrun",
    "invalid TSS (#TS)",
    "segment not present (#NP)",
    "stack-segment fault (#SS)",
    "general protection fault (#GP)",
    "page fault (#PF)",
    "",
    "x87 floating-point error (#MF)",
    "alignment check (#AC)",
    "machine check (#MC)",
    "SIMD floating-point exception (#XM)",
    "virtualization exception (#VE)",
    "control protection exception (#CP)",
    "",
    "",
    "",
    "",
    "",
    "",
    "hypervisor injection exception (#HV)",
    "VMM communication exception (#VC)",
    "security exception (#SX)",
    "",
];

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
        out.write_str("  raised inside an exception handler\n")?;
    }
    match frame.vector() {
        PAGE_FAULT => page_fault(out, frame.error)?,
        DOUBLE_FAULT => double_fault(out)?,
        GENERAL_PROTECTION if frame.error == 0 => out.write_str(
            "  a privileged, reserved or non-canonical operand (error code 0: no segment involved)\n",
        )?,
        _ if frame.error != 0 => value(out, "  error code ", frame.error, "\n")?,
        _ => {}
    }
    registers(out, frame)?;
    value(out, "backtrace\n  at   0x", frame.rip, "\n")?;
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
    out.write_str(EXCEPTIONS.get(usize::from(vector)).copied().unwrap_or_default())?;
    write!(out, ", vector {}", Decimal(vector.into()))?;
    value(out, ", at 0x", frame.rip, "\n")
}

fn on_handler_stack(rsp: u64) -> bool {
    stacks::all().iter().skip(1).any(|stack| stack.usable().contains(&rsp))
}

fn double_fault(out: &mut console::Writer) -> fmt::Result {
    // The push onto an exhausted stack leaves its address in CR2.
    match guarded(cpu::fault_address()) {
        Some(name) => overflow(out, name),
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
        Some(name) => overflow(out, name),
        None if address < crate::memory::PAGE_SIZE => {
            out.write_str("  a null pointer, or nearly\n")
        }
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

/// The name of the stack whose guard page holds `address`.
#[inline(never)]
fn guarded(address: u64) -> Option<&'static str> {
    stacks::all().iter().find(|stack| stack.guard().contains(&address)).map(|stack| stack.name)
}

#[inline(never)]
fn overflow(out: &mut console::Writer, name: &str) -> fmt::Result {
    out.write_str("  STACK OVERFLOW: the ")?;
    out.write_str(name)?;
    out.write_str(" stack ran into its guard page\n")
}

/// Labels, and where in the frame the values are.
const REGISTERS: [(&str, usize); 19] = [
    ("  rax ", offset_of!(Registers, rax)),
    ("  rbx ", offset_of!(Registers, rbx)),
    ("  rcx ", offset_of!(Registers, rcx)),
    ("  rdx ", offset_of!(Registers, rdx)),
    ("\n  rsi ", offset_of!(Registers, rsi)),
    ("  rdi ", offset_of!(Registers, rdi)),
    ("  rbp ", offset_of!(Registers, rbp)),
    ("  rsp ", offset_of!(Registers, rsp)),
    ("\n  r8  ", offset_of!(Registers, r8)),
    ("  r9  ", offset_of!(Registers, r9)),
    ("  r10 ", offset_of!(Registers, r10)),
    ("  r11 ", offset_of!(Registers, r11)),
    ("\n  r12 ", offset_of!(Registers, r12)),
    ("  r13 ", offset_of!(Registers, r13)),
    ("  r14 ", offset_of!(Registers, r14)),
    ("  r15 ", offset_of!(Registers, r15)),
    ("\n  rfl ", offset_of!(Registers, rflags)),
    ("  cs  ", offset_of!(Registers, cs)),
    ("  ss  ", offset_of!(Registers, ss)),
];

fn registers(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    for (label, offset) in REGISTERS {
        // SAFETY: the offset is that of one of the frame's fields, which are all `u64`.
        let number = unsafe { core::ptr::from_ref(frame).byte_add(offset).cast::<u64>().read() };
        value(out, label, number, "")?;
    }
    value(out, "  cr3 ", cpu::table_root(), "\n")
}
