//! The tour of the example kernel, and an exception in it: `vector=V`, raised after `at=N` nanoseconds, which are
//! instructions under `--icount`. The local APIC's timer comes by NMI then (QEMU's does that), so it comes anywhere, and
//! its handler has the interrupted code go on with an instruction that raises the exception: with
//! `real` by its real cause where that is known, else by INT. Without `at` it prints how long the tour takes.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../../../example-kernel/src/tour.rs"]
mod tour;

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use freestone::memory::{PhysAddr, map_mmio};
use freestone::platform::x86_64::cpu::ticks;
use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);
freestone::critical_section!();

const NMI: u8 = 2;
const INT_BYTES: u64 = 4;

/// INT with each number, four bytes apart. Who comes back from one is at the end.
#[unsafe(naked)]
extern "C" fn ints() {
    naked_asm!(
        ".set number, 0",
        ".rept 32",
        ".byte 0xcd, number, 0x0f, 0x0b", // int number; ud2
        ".set number, number + 1",
        ".endr"
    )
}

#[unsafe(naked)]
extern "C" fn divide() {
    naked_asm!("xor ecx, ecx", "div ecx", "ud2")
}

#[unsafe(naked)]
extern "C" fn undefined() {
    naked_asm!("ud2")
}

/// A word at an address that is none. (By the stack's segment it would be #SS, but not in QEMU.)
#[unsafe(naked)]
extern "C" fn protection() {
    naked_asm!("mov rcx, 1", "ror rcx, 1", "mov rax, [rcx]", "ud2")
}

#[unsafe(naked)]
extern "C" fn page() {
    naked_asm!("mov rcx, 0x456789abcd00", "mov rax, [rcx]", "ud2")
}

/// Where the interrupted code goes on; 0: the NMI itself is it.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn next(vector: u8, is_real: bool) -> u64 {
    let code: extern "C" fn() = match vector {
        NMI => return 0,
        0 if is_real => divide,
        6 if is_real => undefined,
        13 if is_real => protection,
        14 if is_real => page,
        _ => return ints as *const () as u64 + u64::from(vector) * INT_BYTES,
    };
    code as *const () as u64
}

fn nmi(frame: &mut Frame, _word: usize) -> Outcome {
    match NEXT.load(Ordering::Relaxed) {
        0 => Outcome::Unhandled,
        next => {
            // SAFETY: what is there raises an exception that nobody handles: the interrupted code never goes on.
            unsafe { frame.registers_mut().rip = next };
            Outcome::Handled
        }
    }
}

/// Has the local APIC's timer come by NMI.
fn set_alarm(count: u32) {
    const PAGE: u64 = 0xfee0_0000;
    let page = map_mmio(PhysAddr::new(PAGE), 0x1000).expect("its registers");
    for (offset, value) in [(0xf0, 0x1ff), (0x3e0, 0b1011), (0x320, 0x400), (0x380, count)] {
        // SAFETY: registers of the local APIC, which nothing else here uses.
        unsafe { page.byte_add(offset).cast::<u32>().write_volatile(value) }
    }
}

fn main(boot: &'static BootInfo) -> Exit {
    let number = |key| boot.argument(key).and_then(|text| text.parse::<u32>().ok());
    if let Some(at) = number("at") {
        let vector = number("vector").and_then(|vector| u8::try_from(vector).ok());
        let vector = vector.filter(|&vector| vector < 32).expect("an exception's vector");
        NEXT.store(next(vector, boot.has_argument("real")), Ordering::Relaxed);
        traps::handle(NMI, nmi, 0);
        set_alarm(at);
    }
    let start = ticks();
    let visit = |stop: &&tour::Stop| {
        println!("[{}]", stop.name);
        (stop.show)(boot).is_err()
    };
    // Tasks would take the timer, which is the alarm here.
    let stops = tour::STOPS.iter().filter(|stop| stop.name != "tasks");
    let failures = stops.filter(visit).count();
    println!("the tour: {} instructions", ticks() - start);
    if failures == 0 { Exit::Success } else { Exit::Failure }
}
