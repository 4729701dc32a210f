//! The report on an exception nobody handled: what, where, why, registers, trace; then the end.
//!
//! Written for the person who has nothing but a serial line. It takes no lock, allocates nothing, and
//! does less each time it is entered, as the panic report does: an exception inside the report
//! prints one line, one inside that just ends.

use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU32, Ordering};

use freestone_rt::{backtrace, console};

use super::traps::Frame;
use super::{cpu, paging, stacks};
use crate::exit;

/// Mnemonic and name per vector (Intel SDM volume 3, table 7-1; AMD APM volume 2, table 8-1).
const EXCEPTIONS: [(&str, &str); 32] = [
    ("#DE", "divide error"),
    ("#DB", "debug exception"),
    ("NMI", "non-maskable interrupt"),
    ("#BP", "breakpoint"),
    ("#OF", "overflow"),
    ("#BR", "bound range exceeded"),
    ("#UD", "invalid opcode"),
    ("#NM", "device not available"),
    ("#DF", "double fault"),
    ("9", "coprocessor segment overrun"),
    ("#TS", "invalid TSS"),
    ("#NP", "segment not present"),
    ("#SS", "stack-segment fault"),
    ("#GP", "general protection fault"),
    ("#PF", "page fault"),
    ("15", "reserved"),
    ("#MF", "x87 floating-point error"),
    ("#AC", "alignment check"),
    ("#MC", "machine check"),
    ("#XM", "SIMD floating-point exception"),
    ("#VE", "virtualization exception"),
    ("#CP", "control protection exception"),
    ("22", "reserved"),
    ("23", "reserved"),
    ("24", "reserved"),
    ("25", "reserved"),
    ("26", "reserved"),
    ("27", "reserved"),
    ("#HV", "hypervisor injection exception"),
    ("#VC", "VMM communication exception"),
    ("#SX", "security exception"),
    ("31", "reserved"),
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

fn full(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    out.write_str("\nEXCEPTION: ")?;
    headline(out, frame)?;
    if freestone_rt::panic::in_progress() {
        out.write_str("  raised while a panic was being reported\n")?;
    } else if on_exception_stack(frame.rsp) {
        out.write_str("  raised inside an exception handler\n")?;
    }
    explain(out, frame)?;
    registers(out, frame)?;
    out.write_str("backtrace\n")?;
    writeln!(out, "  at  {:#018x}", frame.rip)?;
    backtrace::print(out, frame.rbp as usize);
    Ok(())
}

fn headline(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    let vector = frame.vector();
    let (mnemonic, name) = EXCEPTIONS.get(usize::from(vector)).copied().unwrap_or(("?", "unknown"));
    writeln!(out, "{name} ({mnemonic}, vector {vector}) at {:#018x}", frame.rip)
}

fn on_exception_stack(rsp: u64) -> bool {
    stacks::all().iter().skip(1).any(|stack| (stack.bottom..=stack.top).contains(&rsp))
}

/// What the error code and CR2 mean for this vector.
fn explain(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    match frame.vector() {
        PAGE_FAULT => page_fault(out, frame.error),
        DOUBLE_FAULT => {
            // The push onto an exhausted stack leaves its address in CR2.
            match guarded(cpu::fault_address()) {
                Some(name) => overflow(out, name),
                None => out.write_str("  an exception could not be delivered\n"),
            }
        }
        GENERAL_PROTECTION if frame.error == 0 => out.write_str(
            "  a privileged, reserved or non-canonical operand (error code 0: no segment involved)\n",
        ),
        _ if frame.error != 0 => writeln!(out, "  error code {:#x}", frame.error),
        _ => Ok(()),
    }
}

fn page_fault(out: &mut console::Writer, error: u64) -> fmt::Result {
    let address = cpu::fault_address();
    let error = PageFault::from_bits_retain(error);
    let action = if error.contains(PageFault::FETCH) {
        "executing"
    } else if error.contains(PageFault::WRITE) {
        "writing"
    } else {
        "reading"
    };
    let reason = if error.contains(PageFault::RESERVED_BIT) {
        "a page table entry has a reserved bit set"
    } else if !error.contains(PageFault::PRESENT) {
        "nothing is mapped there"
    } else if error.contains(PageFault::FETCH) {
        "the page is not executable"
    } else {
        "the page is read-only"
    };
    writeln!(out, "  {action} {address:#018x}: {reason}")?;
    match guarded(address) {
        Some(name) => overflow(out, name),
        None if address < crate::memory::PAGE_SIZE => {
            out.write_str("  a null pointer, or nearly\n")
        }
        None => paging::part_of(address).map_or(Ok(()), |part| writeln!(out, "  in {part}")),
    }
}

/// The name of the stack whose guard page holds `address`.
fn guarded(address: u64) -> Option<&'static str> {
    stacks::all().into_iter().find(|stack| stack.guard().contains(&address)).map(|stack| stack.name)
}

fn overflow(out: &mut console::Writer, name: &str) -> fmt::Result {
    writeln!(out, "  STACK OVERFLOW: the {name} stack ran into its guard page")
}

fn registers(out: &mut console::Writer, frame: &Frame) -> fmt::Result {
    let rows = [
        [("rax", frame.rax), ("rbx", frame.rbx), ("rcx", frame.rcx), ("rdx", frame.rdx)],
        [("rsi", frame.rsi), ("rdi", frame.rdi), ("rbp", frame.rbp), ("rsp", frame.rsp)],
        [("r8 ", frame.r8), ("r9 ", frame.r9), ("r10", frame.r10), ("r11", frame.r11)],
        [("r12", frame.r12), ("r13", frame.r13), ("r14", frame.r14), ("r15", frame.r15)],
        [("rfl", frame.rflags), ("cs ", frame.cs), ("ss ", frame.ss), ("cr3", cpu::table_root())],
    ];
    for row in rows {
        for (name, value) in row {
            write!(out, "  {name} {value:016x}")?;
        }
        out.write_str("\n")?;
    }
    Ok(())
}
