//! The local APIC's timer has one owner, the kit or other code: the code that starts it owns it until it gives it back.
//!
//! `id`, `send`, `nmi` use the local APIC before it is on; `vector` passes an exception's vector. All of these must panic.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::interrupts::{self, Frame, Outcome};
use freestone::platform::devices::pc::{
    apic::{self, Error},
    apic_timer::Timer,
};
use freestone::{BootInfo, Exit, println, time, timer};

freestone::entry!(main, audit: exit);

static CAME: AtomicU64 = AtomicU64::new(0);

fn tick(_frame: &mut Frame, _word: usize) -> Outcome {
    CAME.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

const VECTOR: u8 = 0x40;

fn main(boot: &'static BootInfo) -> Exit {
    for argument in boot.arguments() {
        match argument {
            "id" => println!("{}", apic::id()),
            "send" => apic::send_to_self(VECTOR),
            "nmi" => apic::send_nmi_to_self(),
            "vector" => drop(Timer::start(31)),
            _ => {}
        }
    }
    interrupts::handle(VECTOR, tick, 0);
    let own = Timer::start(VECTOR).expect("a timer");
    assert_eq!(Timer::start(VECTOR).unwrap_err(), Error::Taken);
    assert_eq!(timer::start(), Err(Error::Taken));
    assert!(timer::after(Duration::ZERO, |_| {}, 0).is_none());
    let delay = Duration::from_millis(1);
    let before = time::now();
    // The clock is enough.
    timer::sleep(delay);
    assert!(time::now() - before >= delay);
    own.fire_in(1);
    while CAME.load(Ordering::Relaxed) == 0 {
        interrupts::wait();
    }
    own.fire_in(1_000_000_000);
    own.stop();
    drop(own);

    timer::start().expect("it was given back");
    assert_eq!(Timer::start(VECTOR).unwrap_err(), Error::Taken);
    timer::sleep(delay);
    assert_eq!((CAME.load(Ordering::Relaxed), interrupts::unexpected()), (1, 0));
    println!("the timer went round");
    Exit::Success
}
