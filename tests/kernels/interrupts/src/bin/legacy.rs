//! The legacy controllers interrupt although nobody asked for it: counted like any other unexpected interrupt. Their
//! vectors are the local APIC's too, which ends its own only. (On `microvm` they do not reach the processor: none is
//! counted.)
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::{devices::pc::apic, x86_64::cpu};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

static CAME: AtomicU64 = AtomicU64::new(0);

fn count(_frame: &mut Frame, _word: usize) -> Outcome {
    CAME.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

fn wait_for(count: impl Fn() -> u64, wanted: u64) {
    let mut tries = 0_u64;
    while count() < wanted && tries < 3_000_000 {
        tries += 1;
        core::hint::spin_loop();
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    const MASK: u16 = 0x21;
    const ALL_BUT_THE_PIT: u8 = 0xfe;
    const MODE: u16 = 0x43;
    const PIT: u16 = 0x40;
    interrupts::enable();
    // SAFETY: the interval timer, once, soon; and its line. Every vector has a gate.
    unsafe {
        cpu::outb(MODE, 0x30);
        cpu::outb(PIT, 0xff);
        cpu::outb(PIT, 0x0f);
        cpu::outb(MASK, ALL_BUT_THE_PIT);
    }
    wait_for(interrupts::unexpected, 1);
    println!("counted: {}", interrupts::unexpected());
    // SAFETY: as at boot.
    unsafe { cpu::outb(MASK, 0xff) };
    // Each comes once the one before it has been ended.
    apic::start().expect("a local APIC");
    for vector in [0x20, 0x27, 0x2f, 0x20] {
        interrupts::handle(vector, count, 0);
        for _ in 0..10 {
            let before = CAME.load(Ordering::Relaxed);
            apic::send_to_self(vector);
            wait_for(|| CAME.load(Ordering::Relaxed), before + 1);
        }
    }
    println!("came: {}", CAME.load(Ordering::Relaxed));
    let is_right = CAME.load(Ordering::Relaxed) == 40 && interrupts::unexpected() <= 1;
    if is_right { Exit::Success } else { Exit::Failure }
}
