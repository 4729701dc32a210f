//! How many instructions it is from an interrupt to the task that it wakes, by a counter of instructions (`--icount`); and
//! how often the processor wakes up in ten seconds in which nothing is to be done.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::x86_64::cpu;
use freestone::{BootInfo, Exit, Signal, devices::pc::apic, println, task};

freestone::entry!(async main, audit: exit);

static RAISED: Signal = Signal::new();
static BEGAN: AtomicU64 = AtomicU64::new(0);

fn handler(_: &mut Frame, _: usize) -> Outcome {
    BEGAN.store(cpu::ticks(), Ordering::Relaxed);
    RAISED.raise();
    Outcome::Handled
}

async fn main(_boot: &'static BootInfo) -> Exit {
    apic::start().unwrap_or_else(|error| panic!("{error}"));
    let vector = interrupts::allocate(handler, 0).expect("a vector");
    let mut most = 0;
    for _ in 0..100 {
        // Pending when the executor halts: the interrupt comes with the halt.
        interrupts::disable();
        apic::send_to_self(vector);
        RAISED.wait().await;
        most = most.max(cpu::ticks() - BEGAN.load(Ordering::Relaxed));
        interrupts::enable();
    }
    println!("instructions from the handler to the task: {most}");

    let halts = task::halts();
    task::sleep(Duration::from_secs(10)).await;
    println!("halts in ten seconds: {}", task::halts() - halts);
    Exit::Success
}
