//! A storm of timer interrupts over code that a careless entry would corrupt. The command line says how
//! many: `interrupts=N`. The handler overwrites every SSE register, and uses its stack.
//!
//! The gap between two is what an interrupt costs here, and up to twice as much more: with a hypervisor inside another one
//! that is half a millisecond, and a gap that is shorter would leave nothing for the code that is interrupted.
//! `cost=N` makes each handler take longer, by N turns of a loop.
#![no_std]
#![no_main]

use core::arch::asm;
use core::cell::UnsafeCell;
use core::fmt::Write;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::devices::pc::{apic, apic_timer::Timer};
use freestone::{BootInfo, Exit, println, time};

freestone::entry!(main, audit: exit);

static CAME: AtomicU64 = AtomicU64::new(0);
/// The timer, for the handler.
static TIMER: Once = Once(UnsafeCell::new(None));
/// In nanoseconds.
static GAP: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);

struct Once(UnsafeCell<Option<Timer>>);

// SAFETY: written before interrupts are let in, and only read after.
unsafe impl Sync for Once {}

fn timer() -> &'static Timer {
    // SAFETY: as above.
    unsafe { (*TIMER.0.get()).as_ref() }.expect("it was started")
}

/// Sets the timer again, a little later or earlier each time, so that every place is hit.
fn tick(_frame: &mut Frame, _word: usize) -> Outcome {
    let came = CAME.fetch_add(1, Ordering::Relaxed);
    // SAFETY: every register written is declared.
    unsafe {
        asm!(
            "pcmpeqd xmm0, xmm0", "pcmpeqd xmm1, xmm1", "pcmpeqd xmm2, xmm2", "pcmpeqd xmm3, xmm3",
            "pcmpeqd xmm4, xmm4", "pcmpeqd xmm5, xmm5", "pcmpeqd xmm6, xmm6", "pcmpeqd xmm7, xmm7",
            "pcmpeqd xmm8, xmm8", "pcmpeqd xmm9, xmm9", "pcmpeqd xmm10, xmm10", "pcmpeqd xmm11, xmm11",
            "pcmpeqd xmm12, xmm12", "pcmpeqd xmm13, xmm13", "pcmpeqd xmm14, xmm14", "pcmpeqd xmm15, xmm15",
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    let gap = GAP.load(Ordering::Relaxed);
    timer().fire_in(gap + (came * 37) % (2 * gap));
    for turn in 0..TURNS.load(Ordering::Relaxed) {
        black_box(turn);
    }
    Outcome::Handled
}

/// What one costs, in nanoseconds, with the timer set for much later by each.
fn cost(vector: u8) -> u64 {
    const ROUNDS: u64 = 64;
    GAP.store(1_000_000_000, Ordering::Relaxed);
    let begin = time::now();
    for round in 0..ROUNDS {
        apic::send_to_self(vector);
        while CAME.load(Ordering::Relaxed) <= round {
            core::hint::spin_loop();
        }
    }
    (time::now() - begin).as_nanos() as u64 / ROUNDS
}

/// Fills the 128 bytes below the stack pointer, spends some time, and adds up how far they are from what
/// was written.
fn red_zone_by_hand() -> u64 {
    let difference: u64;
    // SAFETY: everything between the first and the last line is below the stack pointer by no more than the
    // ABI gives to leaf code; the compiler keeps its own data out, as `nostack` is absent.
    unsafe {
        asm!(
            "mov rcx, -16",
            "2:", "mov [rsp + rcx*8], rcx", "inc rcx", "jnz 2b",
            "mov rax, 200", "3:", "dec rax", "jnz 3b",
            "xor rax, rax",
            "mov rcx, -16",
            "4:", "mov rdx, [rsp + rcx*8]", "xor rdx, rcx", "or rax, rdx", "inc rcx", "jnz 4b",
            out("rax") difference, out("rcx") _, out("rdx") _,
        );
    }
    difference
}

/// A leaf whose variables the compiler keeps in the red zone.
#[inline(never)]
extern "C" fn red_zone_by_compiler(seed: u64) -> u64 {
    let mut words = [seed; 12];
    let at = words.as_mut_ptr();
    let mut sum = 0_u64;
    for round in 0..40_usize {
        let index = round % 12;
        // SAFETY: below the array's length.
        unsafe {
            at.add(index).write_volatile(at.add(index).read_volatile().wrapping_mul(3));
            sum = sum.wrapping_add(at.add((round * 5) % 12).read_volatile());
        }
    }
    sum
}

#[inline(never)]
fn arithmetic(seed: f64) -> f64 {
    let mut lanes = [seed, seed + 1.0, seed + 2.0, seed + 3.0];
    for _ in 0..100 {
        for lane in &mut lanes {
            *lane = (*lane * 1.000_1 + 0.5) / 1.000_05;
        }
    }
    lanes.iter().sum()
}

struct Text {
    bytes: [u8; 160],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[inline(never)]
fn formatted() -> Text {
    let mut text = Text { bytes: [0; 160], len: 0 };
    let (number, float) = (black_box(0x1234_5678_9abc_u64), black_box(-2.618_033_988_749_895_f64));
    let _ = write!(
        text,
        "{number} {number:#x} {float:.12} {float:e} {:?} {:>12.3}",
        Some(number),
        1.0 / float
    );
    text
}

fn main(boot: &'static BootInfo) -> Exit {
    let wanted =
        boot.argument("interrupts").and_then(|text| text.parse().ok()).unwrap_or(10_000_u64);
    let text = formatted();
    let leaf = red_zone_by_compiler(black_box(7));
    let sum = arithmetic(black_box(1.5)).to_bits();

    let vector = interrupts::allocate(tick, 0).expect("a free vector");
    // SAFETY: interrupts are out so far.
    unsafe { *TIMER.0.get() = Some(Timer::start(vector).expect("a local APIC with a timer")) };
    println!("timer: {:?}, x2APIC: {}", timer().kind(), apic::is_x2apic());
    let turns = boot.argument("cost").and_then(|text| text.parse().ok()).unwrap_or(0);
    TURNS.store(turns, Ordering::Relaxed);
    interrupts::enable();
    let cost = cost(vector);
    println!("an interrupt: {cost} ns");
    const SHORTEST: u64 = 500;
    GAP.store(cost.max(SHORTEST), Ordering::Relaxed);
    CAME.store(0, Ordering::Relaxed);
    timer().fire_in(1000);
    let (mut rounds, mut wrong) = (0_u64, [0_u64; 4]);
    while CAME.load(Ordering::Relaxed) < wanted {
        for _ in 0..8 {
            wrong[0] += u64::from(red_zone_by_hand() != 0);
            wrong[1] += u64::from(red_zone_by_compiler(black_box(7)) != leaf);
        }
        let again = formatted();
        wrong[2] += u64::from(again.bytes != text.bytes || again.len != text.len);
        wrong[3] += u64::from(arithmetic(black_box(1.5)).to_bits() != sum);
        rounds += 1;
    }
    interrupts::disable();
    println!("interrupts: {}", CAME.load(Ordering::Relaxed));
    println!("rounds: {rounds}");
    println!("unexpected: {}", interrupts::unexpected());
    println!("corrupted: {wrong:?} (red zone by hand, by the compiler, formatting, arithmetic)");
    assert!(rounds > 0, "the code that was interrupted has achieved nothing");
    if wrong == [0; 4] && interrupts::unexpected() == 0 { Exit::Success } else { Exit::Failure }
}
