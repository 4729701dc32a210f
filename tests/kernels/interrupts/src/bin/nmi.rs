//! An NMI inside an exception handler, and a breakpoint inside that.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use freestone::platform::devices::pc::apic;
use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

const NMI: u8 = 2;
static NMIS: AtomicU64 = AtomicU64::new(0);
static BREAKPOINTS: AtomicU64 = AtomicU64::new(0);

fn nmi(frame: &mut Frame, _word: usize) -> Outcome {
    assert_eq!(frame.vector(), NMI);
    NMIS.fetch_add(1, Ordering::Relaxed);
    traps::breakpoint();
    Outcome::Handled
}

fn breakpoint(frame: &mut Frame, _word: usize) -> Outcome {
    let (rip, rsp) = (frame.rip, frame.rsp);
    if BREAKPOINTS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        apic::send_nmi_to_self();
        let mut tries = 0;
        while NMIS.load(Ordering::Relaxed) * 2 < BREAKPOINTS.load(Ordering::Relaxed)
            && tries < 10_000_000
        {
            tries += 1;
        }
    }
    assert_eq!((frame.rip, frame.rsp), (rip, rsp), "the frame was overwritten");
    Outcome::Handled
}

fn main(_boot: &'static BootInfo) -> Exit {
    apic::start().expect("a local APIC");
    traps::handle(NMI, nmi, 0);
    traps::handle(traps::BREAKPOINT, breakpoint, 0);
    for _ in 0..100 {
        traps::breakpoint();
    }
    let counts = [&NMIS, &BREAKPOINTS].map(|count| count.load(Ordering::Relaxed));
    println!("NMIs and breakpoints: {counts:?}");
    if counts == [100, 200] { Exit::Success } else { Exit::Failure }
}
