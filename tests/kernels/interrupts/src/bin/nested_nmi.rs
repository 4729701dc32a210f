//! NMIs in the handlers of NMIs: each returns from a breakpoint first, which lets the next one in. The second comes
//! while a handler runs; the third and last waits to come at the first moment that it may.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use freestone::platform::devices::pc::apic;
use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

const NMI: u8 = 2;
const ROUNDS: u64 = 100;
static DEPTH: AtomicU64 = AtomicU64::new(0);
static DEEPEST: AtomicU64 = AtomicU64::new(0);
static NMIS: AtomicU64 = AtomicU64::new(0);
static BREAKPOINTS: AtomicU64 = AtomicU64::new(0);

fn nmi(frame: &mut Frame, _word: usize) -> Outcome {
    let before = (frame.rip, frame.rsp, frame.rflags, frame.rax, frame.r15);
    let depth = DEPTH.fetch_add(1, Ordering::Relaxed) + 1;
    DEEPEST.fetch_max(depth, Ordering::Relaxed);
    let count = NMIS.fetch_add(1, Ordering::Relaxed) + 1;
    match depth {
        1 => {
            traps::breakpoint();
            apic::send_nmi_to_self();
            wait_for(count + 1);
        }
        2 => {
            // Blocked until the breakpoint has returned.
            apic::send_nmi_to_self();
            traps::breakpoint();
            wait_for(count + 1);
        }
        _ => traps::breakpoint(),
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
    let after = (frame.rip, frame.rsp, frame.rflags, frame.rax, frame.r15);
    assert_eq!(before, after, "the frame of NMI {depth} was overwritten");
    Outcome::Handled
}

fn wait_for(count: u64) {
    let mut tries = 0;
    while NMIS.load(Ordering::Relaxed) < count && tries < 10_000_000 {
        tries += 1;
    }
}

fn breakpoint(frame: &mut Frame, _word: usize) -> Outcome {
    assert_eq!(frame.vector(), traps::BREAKPOINT);
    BREAKPOINTS.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    apic::start().expect("a local APIC");
    traps::handle(NMI, nmi, 0);
    traps::handle(traps::BREAKPOINT, breakpoint, 0);
    for round in 1..=ROUNDS {
        apic::send_nmi_to_self();
        wait_for(3 * round);
    }
    let counts = [&NMIS, &BREAKPOINTS, &DEEPEST].map(|count| count.load(Ordering::Relaxed));
    println!("NMIs, breakpoints, deepest: {counts:?}");
    if counts == [3 * ROUNDS, 3 * ROUNDS, 3] { Exit::Success } else { Exit::Failure }
}
