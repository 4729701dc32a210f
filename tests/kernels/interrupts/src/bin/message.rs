//! A device that raises interrupts by writing to memory (MSI): the HPET's first timer, told to do so.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use freestone::devices::acpi;
use freestone::interrupts::{self, Frame, Outcome};
use freestone::memory::map_mmio;
use freestone::{BootInfo, Exit, println, time};

freestone::entry!(main, audit: exit);

static COUNT: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame, _word: usize) -> Outcome {
    COUNT.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

// IA-PC HPET specification 1.0a, 2.3.
const CONFIGURATION: usize = 0x10;
const ENABLE: u64 = 1 << 0;
const COUNTER: usize = 0xf0;
const TIMER: usize = 0x100;
const TIMER_ENABLE: u64 = 1 << 2;
const BY_MESSAGE: u64 = 1 << 14;
const CAN_BY_MESSAGE: u64 = 1 << 15;
const COMPARATOR: usize = 0x108;
const MESSAGE: usize = 0x110;

fn main(_boot: &'static BootInfo) -> Exit {
    // Measures the clock, by the HPET perhaps, before it is used for something else.
    time::now();
    let address = acpi::tables().and_then(|tables| tables.hpet());
    let address = address.unwrap_or_else(|error| panic!("{error}"));
    let registers: *mut u64 = map_mmio(address, 0x400).expect("a device").as_ptr().cast();
    // SAFETY: the device was just mapped, and these are its registers; nobody else uses it.
    let read = |at: usize| unsafe { registers.byte_add(at).read_volatile() };
    // SAFETY: as above.
    let write = |at: usize, value: u64| unsafe { registers.byte_add(at).write_volatile(value) };

    if read(TIMER) & CAN_BY_MESSAGE == 0 {
        println!("this HPET sends no messages");
        return Exit::Failure;
    }
    let vector = interrupts::allocate(tick, 0).expect("a vector");
    let message = interrupts::message(vector).unwrap_or_else(|error| panic!("{error}"));
    println!("vector {vector}: {:#x} to {:#x}", message.data, message.address);
    interrupts::enable();
    write(CONFIGURATION, read(CONFIGURATION) | ENABLE);
    write(MESSAGE, message.address << 32 | u64::from(message.data));
    write(TIMER, read(TIMER) | TIMER_ENABLE | BY_MESSAGE);
    for round in 1..=10 {
        // 100,000 counts of 10 ns.
        write(COMPARATOR, read(COUNTER) + 100_000);
        let limit = time::now() + Duration::from_secs(2);
        while COUNT.load(Ordering::Relaxed) < round && time::now() < limit {
            core::hint::spin_loop();
        }
    }
    write(TIMER, read(TIMER) & !(TIMER_ENABLE | BY_MESSAGE));
    write(CONFIGURATION, read(CONFIGURATION) & !ENABLE);
    let (count, unexpected) = (COUNT.load(Ordering::Relaxed), interrupts::unexpected());
    println!("messages: {count}, unexpected: {unexpected}");
    if count == 10 && unexpected == 0 { Exit::Success } else { Exit::Failure }
}
