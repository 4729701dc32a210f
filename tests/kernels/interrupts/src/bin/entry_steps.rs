//! Interrupts at every instruction of another one's entry: a breakpoint of the processor is set at each byte of the entry in
//! turn, and the exception's handler enables interrupts. Then the same with an interrupt of the local APIC, which holds back the
//! timer's until it has ended, and a handler that sleeps.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::devices::pc::apic;
use freestone::{BootInfo, Exit, println, timer, traps};

freestone::entry!(main, audit: exit);

const DEBUG: u8 = 1;
/// What is interrupted in its entry, and what comes then.
const OUTER: u8 = 0x40;
const INNER: u8 = 0x50;
/// More urgent than any that is given away, the timer's for one.
const MORE_URGENT: u8 = 0xf0;

static HITS: AtomicU64 = AtomicU64::new(0);
static OUTERS: AtomicU64 = AtomicU64::new(0);
static INNERS: AtomicU64 = AtomicU64::new(0);
/// Where the code was that INT 0x40 interrupted.
static FROM: AtomicU64 = AtomicU64::new(0);

/// Sets the breakpoint; none at 0.
fn stop_at(address: u64) {
    let enable = u64::from(address != 0);
    // SAFETY: an execution breakpoint of one byte, whose exception has a handler.
    unsafe {
        asm!("mov dr7, {off}", "mov dr0, {at}", "mov dr7, {on}", off = in(reg) 0x400_u64,
            at = in(reg) address, on = in(reg) 0x400 | enable, options(nostack));
    }
}

fn debug(_frame: &mut Frame, _word: usize) -> Outcome {
    stop_at(0);
    let before = INNERS.load(Ordering::Relaxed);
    HITS.fetch_add(1, Ordering::Relaxed);
    apic::send_to_self(INNER);
    interrupts::enable();
    let mut tries = 0;
    while INNERS.load(Ordering::Relaxed) == before && tries < 10_000_000 {
        tries += 1;
    }
    // They are not put out again: that is for the kit to do.
    Outcome::Handled
}

fn sleep(_frame: &mut Frame, _word: usize) -> Outcome {
    stop_at(0);
    HITS.fetch_add(1, Ordering::Relaxed);
    timer::sleep(Duration::from_micros(10));
    Outcome::Handled
}

fn outer(frame: &mut Frame, _word: usize) -> Outcome {
    OUTERS.fetch_add(1, Ordering::Relaxed);
    FROM.store(frame.rip, Ordering::Relaxed);
    assert!([OUTER, MORE_URGENT].contains(&frame.vector()));
    Outcome::Handled
}

fn inner(frame: &mut Frame, _word: usize) -> Outcome {
    INNERS.fetch_add(1, Ordering::Relaxed);
    assert_eq!(frame.vector(), INNER);
    Outcome::Handled
}

/// INT 0x40, with something in every register and in the red zone. What is not as it was, as bits; and where INT ends.
fn raise() -> (u64, u64) {
    let (different, behind): (u64, u64);
    // SAFETY: below the stack pointer by what the ABI gives to leaf code; the vector has a handler.
    unsafe {
        asm!(
            "mov rax, 0x0123456789abcdef", "mov rcx, rax", "mov rdx, rax", "mov r8, rax", "mov r9, rax",
            "mov [rsp - 128], rax", "mov [rsp - 64], rax", "mov [rsp - 8], rax", "movq xmm3, rax",
            "mov rsi, rsp",
            "int 0x40",
            "2:", "lea rdi, [rip + 2b]",
            "xor rsi, rsp",
            "xor rcx, rax", "or rsi, rcx", "xor rdx, rax", "or rsi, rdx", "xor r8, rax", "or rsi, r8",
            "xor r9, rax", "or rsi, r9", "movq rcx, xmm3", "xor rcx, rax", "or rsi, rcx",
            "mov rcx, rax", "xor rcx, [rsp - 128]", "or rsi, rcx",
            "mov rcx, rax", "xor rcx, [rsp - 64]", "or rsi, rcx",
            "mov rcx, rax", "xor rcx, [rsp - 8]", "or rsi, rcx",
            "mov rcx, 0x0123456789abcdef", "xor rax, rcx", "or rsi, rax",
            out("rax") _, out("rcx") _, out("rdx") _, out("rsi") different, out("rdi") behind,
            out("r8") _, out("r9") _, out("xmm3") _,
        );
    }
    (different, behind)
}

/// The code that all stubs call: the gate of a vector names the stub, which is a `call`.
fn entry() -> u64 {
    let mut table = [0_u16; 5];
    // SAFETY: SIDT writes ten bytes. The gates lie where it says, and are what the manual draws; the stub is code.
    unsafe {
        asm!("sidt [{}]", in(reg) &mut table, options(nostack));
        let [_, a, b, c, d] = table.map(u64::from);
        let gates = (a | b << 16 | c << 32 | d << 48) as *const [u64; 2];
        let [low, high] = gates.add(OUTER.into()).read();
        let stub = low & 0xffff | (low >> 48) << 16 | high << 32;
        let call = stub as *const u8;
        assert_eq!(call.read(), 0xe8, "the stub is a call");
        stub.wrapping_add(5).wrapping_add_signed(call.add(1).cast::<i32>().read_unaligned().into())
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    /// Its end is behind that, and no more is its own.
    const BYTES: u64 = 96;
    apic::start().expect("a local APIC");
    traps::handle(DEBUG, debug, 0);
    interrupts::handle(OUTER, outer, 0);
    interrupts::handle(INNER, inner, 0);
    let entry = entry();
    for at in entry..entry + BYTES {
        let before = OUTERS.load(Ordering::Relaxed);
        stop_at(at);
        let (different, behind) = raise();
        stop_at(0);
        assert_eq!(different, 0, "stopped at byte {}: something was lost", at - entry);
        assert_eq!(FROM.load(Ordering::Relaxed), behind, "stopped at byte {}", at - entry);
        assert_eq!(OUTERS.load(Ordering::Relaxed), before + 1, "stopped at byte {}", at - entry);
        assert!(!interrupts::are_enabled() && !interrupts::in_handler());
    }
    let [hits, inners] = [&HITS, &INNERS].map(|count| count.load(Ordering::Relaxed));
    println!("instructions: {hits}, interrupts let in: {inners}");
    sleep_at_each(entry..entry + BYTES);
    if hits > 20 && inners == hits { Exit::Success } else { Exit::Failure }
}

fn sleep_at_each(bytes: core::ops::Range<u64>) {
    traps::handle(DEBUG, sleep, 0);
    interrupts::handle(MORE_URGENT, outer, 0);
    timer::start().expect("a timer");
    let before = HITS.load(Ordering::Relaxed);
    for at in bytes {
        let came = OUTERS.load(Ordering::Relaxed);
        stop_at(at);
        apic::send_to_self(MORE_URGENT);
        while OUTERS.load(Ordering::Relaxed) == came {
            interrupts::enable();
            interrupts::disable();
        }
        stop_at(0);
    }
    let slept = HITS.load(Ordering::Relaxed) - before;
    println!("slept at {slept} instructions");
    assert!(slept > 20);
}
