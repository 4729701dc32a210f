//! A kernel that hangs with interrupts off and its local APIC on, so that an NMI from outside can ask where it is. `handled`:
//! it has a handler for the NMI. `off`: its APIC is as the firmware left it.
#![no_std]
#![no_main]

use freestone::platform::devices::pc::apic;
use freestone::traps::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

const NMI: u8 = 2;

fn nmi(frame: &mut Frame, _word: usize) -> Outcome {
    println!("I am at {:#x}, and go on", frame.rip);
    Outcome::Handled
}

#[inline(never)]
fn wait_for_ever() -> ! {
    println!("the last words");
    loop {
        core::hint::spin_loop();
    }
}

fn main(boot: &'static BootInfo) -> Exit {
    if !boot.has_argument("off") {
        apic::start().expect("a local APIC");
    }
    if boot.has_argument("handled") {
        traps::handle(NMI, nmi, 0);
    }
    wait_for_ever()
}
