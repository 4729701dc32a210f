//! Interrupts the first use of a service by a handler that uses the same service, at many moments.
//!
//! `use=` one of [`USES`]. `by=step`: the processor stops after a number of instructions, and the handler of that exception
//! uses the service. `by=nmi`, `by=interrupt`: the local APIC's timer interrupts after a number of nanoseconds (by NMI on QEMU
//! only). Between two moments all variables are reset, so that each use is the first again. That cannot be done on Xen, where
//! the shared page is in use by then: there `at=` chooses one moment for each boot.
//!
//! The result that the handler got must hold afterwards; or the handler got an error, which must have no effect later.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use freestone::devices::acpi;
use freestone::interrupts::{Frame, Outcome};
use freestone::memory::{PhysAddr, map_mmio};
use freestone::platform::x86_64::{cpu, xen_events as events};
use freestone::platform::{image, stacks};
use freestone::time::{self, Source};
use freestone::{BootInfo, Exit, entropy, interrupts, println, timer, traps};

freestone::entry!(main, audit: exit);

type Use = fn() -> u64;

/// What there is to be found out, and how it is asked for. The answer, as a number that is the same every time, 0 for a
/// refusal; what must not be is the end.
const USES: [(&str, Use); 8] = [
    ("clock", clock),
    ("wall", wall),
    ("acpi", tables),
    ("entropy", random),
    ("timer", set_timer),
    ("map", map),
    ("sleep", sleep),
    ("events", xen_events),
];

fn clock() -> u64 {
    let now = time::now();
    let rate = time::rate();
    assert!(rate.source != Source::Assumed, "there is a clock to measure against");
    assert!(time::now() >= now);
    assert!(now < Duration::from_secs(1000), "{now:?} since boot");
    rate.hertz << 8 | rate.source as u64
}

/// When the machine started: to the second, that is no less than now and never again more.
fn wall() -> u64 {
    let Some(wall) = time::wall() else { return 0 };
    // The same second, but for what passes between the two readings.
    let started = wall - time::now() + Duration::from_millis(100);
    assert!(started.as_secs() > 1_000_000_000);
    started.as_secs()
}

fn tables() -> u64 {
    let count = |tables: acpi::Tables<_>| tables.controllers().map(|all| all.entries().count());
    acpi::tables().and_then(count).unwrap_or(0) as u64
}

fn random() -> u64 {
    let mut bytes = [0; 9];
    match entropy::fill(&mut bytes) {
        Ok(()) => 1,
        Err(entropy::Error::Exhausted) => 0,
        Err(error) => panic!("{error}"),
    }
}

static CALLED: AtomicU64 = AtomicU64::new(0);
static SET: AtomicU64 = AtomicU64::new(0);

fn called(_: usize) {
    CALLED.fetch_add(1, Ordering::Relaxed);
}

fn set_timer() -> u64 {
    match timer::after(Duration::from_micros(20), called, 0) {
        Some(_) => {
            SET.fetch_add(1, Ordering::Relaxed);
            1
        }
        None => 0,
    }
}

/// A device's page, and then the clock and random numbers: what they need may not be mappable meanwhile.
fn map() -> u64 {
    let mapped = map_mmio(PhysAddr::new(0xfe00_0000), 0x20_0000);
    clock();
    random();
    mapped.is_ok().into()
}

/// The same, and then a sleep: the clock may be one that cannot be found meanwhile. It ends nevertheless.
fn sleep() -> u64 {
    let mapped = map_mmio(PhysAddr::new(0xfe00_0000), 0x20_0000);
    timer::sleep(Duration::from_micros(10));
    mapped.is_ok().into()
}

fn xen_events() -> u64 {
    events::start().is_ok().into()
}

/// What the handler does, what it was told, and whether it has been.
static ASK: AtomicU64 = AtomicU64::new(0);
static TOLD: AtomicU64 = AtomicU64::new(0);
static HAS_ASKED: AtomicBool = AtomicBool::new(false);
/// Instructions to go, in single steps.
static STEPS: AtomicU64 = AtomicU64::new(0);

fn ask() {
    let (_, ask) = USES[ASK.load(Ordering::Relaxed) as usize];
    TOLD.store(ask(), Ordering::Relaxed);
    HAS_ASKED.store(true, Ordering::Relaxed);
}

const TRAP_FLAG: u64 = 1 << 8;

fn step(frame: &mut Frame, _word: usize) -> Outcome {
    if STEPS.fetch_sub(1, Ordering::Relaxed) == 1 {
        // SAFETY: the interrupted code goes on as it was, no longer step by step.
        unsafe { frame.registers_mut().rflags &= !TRAP_FLAG };
        ask();
    }
    Outcome::Handled
}

fn call(_frame: &mut Frame, _word: usize) -> Outcome {
    ask();
    Outcome::Handled
}

/// The local APIC's timer, past the kit, which must not know of it. Only where it is in memory.
#[derive(Clone, Copy)]
struct Alarm(*mut u32);

const VECTOR: u8 = 0x40;

impl Alarm {
    fn new() -> Alarm {
        const PAGE: u64 = 0xfee0_0000;
        let page = map_mmio(PhysAddr::new(PAGE), 0x1000).expect("its registers");
        Alarm(page.as_ptr().cast())
    }

    fn write(self, offset: usize, value: u32) {
        // SAFETY: registers of the local APIC, mapped by `new`, which does not use memory.
        unsafe { self.0.byte_add(offset).write_volatile(value) }
    }

    /// In `count` nanoseconds, by NMI (QEMU's timer has that) or by [`VECTOR`].
    fn set(self, count: u32, by_nmi: bool) {
        self.write(0xf0, 0x1ff);
        self.write(0x3e0, 0b1011);
        self.write(0x320, if by_nmi { 0x400 } else { VECTOR.into() });
        self.write(0x380, count);
    }

    /// Off, and ready for the next.
    fn clear(self) {
        self.write(0x380, 0);
        self.write(0xb0, 0);
    }
}

/// What the variables were, but for the stack that this runs on.
struct Before(Vec<(u64, Vec<u8>)>);

impl Before {
    fn new() -> Before {
        let stack = stacks::all()[0].usable();
        let mut parts = Vec::new();
        for segment in image::image().segments().iter().filter(|segment| segment.writable) {
            for (start, end) in [(segment.start, stack.start), (stack.end, segment.end)] {
                let (start, end) = (start.max(segment.start), end.min(segment.end));
                let mut at = start;
                while at < end {
                    let guard = stacks::next_guard(at);
                    let part_end = guard.start.min(end);
                    parts.push((at, Vec::with_capacity((part_end - at) as usize)));
                    at = guard.end;
                }
            }
        }
        // The heap's own variables are among them: nothing is allocated from here on.
        for (start, bytes) in &mut parts {
            // SAFETY: room was made for all of it; the source is mapped, and of no interest to the compiler.
            unsafe {
                copy(*start as *const u8, bytes.as_mut_ptr(), bytes.capacity());
                bytes.set_len(bytes.capacity());
            }
        }
        Before(parts)
    }

    /// Interrupts are out, and nothing else runs.
    fn restore(&self) {
        for (start, bytes) in &self.0 {
            // SAFETY: the variables hold what they held when nothing had been asked for; nothing on the stack borrows
            // from them. Pages that were mapped since are not any more.
            unsafe { copy(bytes.as_ptr(), *start as *mut u8, bytes.len()) };
        }
        // SAFETY: the same root, to have the processor forget the others.
        unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack)) };
    }
}

/// # Safety
///
/// As for `copy_nonoverlapping`, behind the compiler's back.
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Step,
    Nmi,
    Interrupt,
}

/// Asks, and has the handler ask after so long. What both were told.
#[inline(never)]
fn round(which: usize, by: By, at: u64, alarm: Option<Alarm>) -> (u64, Option<u64>) {
    let (_, use_it) = USES[which];
    ASK.store(which as u64, Ordering::Relaxed);
    HAS_ASKED.store(false, Ordering::Relaxed);
    STEPS.store(at, Ordering::Relaxed);
    let told = match alarm {
        Some(alarm) => {
            alarm.set(at as u32, by == By::Nmi);
            if by == By::Interrupt {
                interrupts::enable();
            }
            let told = use_it();
            interrupts::disable();
            alarm.clear();
            told
        }
        None => {
            // SAFETY: the exception has a handler; the flag is off again behind the call, if not before.
            unsafe { asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP_FLAG) };
            let told = use_it();
            // SAFETY: as above.
            unsafe {
                asm!("pushfq", "and qword ptr [rsp], {}", "popfq", const !(TRAP_FLAG as i64))
            };
            told
        }
    };
    let asked = HAS_ASKED.load(Ordering::Relaxed).then(|| TOLD.load(Ordering::Relaxed));
    (told, asked)
}

/// The answer stays what it was, and every timer that was set is called.
fn is_well_after(which: usize, told: u64) -> bool {
    let (_, use_it) = USES[which];
    let stays = use_it() == told;
    let set = SET.load(Ordering::Relaxed);
    let limit = time::now() + Duration::from_secs(5);
    while CALLED.load(Ordering::Relaxed) < set && time::now() < limit {
        timer::sleep(Duration::from_micros(10));
    }
    assert_eq!(CALLED.load(Ordering::Relaxed), set, "a timer was lost");
    // And what the hardware was told of timers that were cancelled comes now, before their handler is forgotten.
    let end = time::now() + Duration::from_micros(100);
    interrupts::enable();
    while time::now() < end {}
    interrupts::disable();
    assert_eq!(interrupts::unexpected(), 0);
    stays
}

fn main(boot: &'static BootInfo) -> Exit {
    const DEBUG: u8 = 1;
    const NMI: u8 = 2;
    let number = |key| boot.argument(key).and_then(|text| text.parse::<u64>().ok());
    let wanted = boot.argument("use").unwrap_or_default();
    let which = USES.iter().position(|&(name, _)| name == wanted).expect("one that there is");
    let by = match boot.argument("by") {
        Some("nmi") => By::Nmi,
        Some("interrupt") => By::Interrupt,
        _ => By::Step,
    };
    traps::handle(DEBUG, step, 0);
    traps::handle(NMI, call, 0);
    interrupts::handle(VECTOR, call, 0);
    if wanted == "timer" {
        // It is not the clock's turn.
        clock();
    }
    let alarm = (by != By::Step).then(Alarm::new);
    let points = number("points").unwrap_or(100);
    if let Some(at) = number("at") {
        let (told, asked) = round(which, by, at, alarm);
        println!("told {told:#x}, asked {asked:#x?} at {at}");
        let is_well = told != 0 && asked.is_some_and(|asked| asked == 0 || asked == told);
        return if is_well && is_well_after(which, told) { Exit::Success } else { Exit::Failure };
    }
    let before = Before::new();

    // How long it takes, and what the answer is, if the handler comes late. Not all of a measurement in single steps: it
    // would see that it is disturbed.
    let longest = number("longest").unwrap_or(if by == By::Step { 20_000 } else { 100_000_000 });
    let start = cpu::ticks();
    let (answer, _) = round(which, by, longest, alarm);
    let steps = longest - STEPS.load(Ordering::Relaxed);
    let length = if by == By::Step { steps } else { (cpu::ticks() - start).min(longest) };
    assert!(is_well_after(which, answer));
    before.restore();

    let (mut refused, mut late) = (0, 0);
    for point in 0..points {
        // Spread evenly, each somewhere in its part.
        let at = 1 + length * point / points + (point * 7919) % (length / points).max(1);
        let (told, asked) = round(which, by, at, alarm);
        // Clocks are measured anew each time.
        let is_answer =
            |told| if wanted == "clock" || wanted == "wall" { told != 0 } else { told == answer };
        match asked {
            Some(0) => refused += 1,
            Some(_) => {}
            None => late += 1,
        }
        let is_well = is_answer(told) && asked.is_none_or(|asked| asked == 0 || asked == told);
        if !is_well || !is_well_after(which, told) {
            println!(
                "{wanted} at {at} of {length}: {told:#x}, in the handler {asked:#x?}, else {answer:#x}"
            );
            return Exit::Failure;
        }
        before.restore();
    }
    println!("{wanted}: {points} points of {length}, refused {refused}, too late {late}");
    if late * 2 < points.max(2) { Exit::Success } else { Exit::Failure }
}
