//! Devices with a line: the serial port, the battery-backed clock and the interval timer, by the I/O APIC.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use freestone::devices::acpi;
use freestone::interrupts::{self, Frame, Line, Outcome, Trigger, Wire};
use freestone::platform::devices::pc::io_apic;
use freestone::platform::x86_64::cpu::{inb, outb};
use freestone::{BootInfo, Exit, println, time};

freestone::entry!(main, audit: exit);

const UART_INTERRUPT_ENABLE: u16 = 0x3f9;
const UART_IDENTIFICATION: u16 = 0x3fa;
const UART_MODEM_CONTROL: u16 = 0x3fc;
const TRANSMITTER_EMPTY: u8 = 2;

static SERIAL: AtomicU32 = AtomicU32::new(0);
/// How often the serial port's handler leaves it unsatisfied.
static LAZY: AtomicU32 = AtomicU32::new(0);
static CLOCK: AtomicU32 = AtomicU32::new(0);
static TIMER: AtomicU32 = AtomicU32::new(0);

fn write(port: u16, value: u8) {
    // SAFETY: these devices are this kernel's; none of them touches memory.
    unsafe { outb(port, value) }
}

fn read(port: u16) -> u8 {
    // SAFETY: as in `write`.
    unsafe { inb(port) }
}

fn rtc(register: u8) -> u8 {
    write(0x70, register);
    read(0x71)
}

fn serial(_: &mut Frame, _word: usize) -> Outcome {
    SERIAL.fetch_add(1, Ordering::Relaxed);
    if LAZY.load(Ordering::Relaxed) > 0 {
        LAZY.fetch_sub(1, Ordering::Relaxed);
    } else {
        // Reading takes the cause away; without the second line it would come back with the next byte.
        assert_eq!(read(UART_IDENTIFICATION) & 0x0f, TRANSMITTER_EMPTY);
        write(UART_INTERRUPT_ENABLE, 0);
    }
    Outcome::Handled
}

fn clock(_: &mut Frame, _word: usize) -> Outcome {
    const PERIODIC: u8 = 1 << 6;
    if rtc(0x0c) & PERIODIC != 0 {
        CLOCK.fetch_add(1, Ordering::Relaxed);
    }
    Outcome::Handled
}

fn timer(_: &mut Frame, _word: usize) -> Outcome {
    TIMER.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

fn connect(wire: Wire, handler: interrupts::Handler) -> Line {
    let vector = interrupts::allocate(handler, 0).expect("a vector");
    let line = interrupts::connect(wire, vector).unwrap_or_else(|error| panic!("{error}"));
    assert!(line.is_masked());
    line
}

/// What was counted, once it is `wanted` or two seconds have passed.
fn count(counter: &AtomicU32, wanted: u32) -> u32 {
    let limit = time::now() + Duration::from_secs(2);
    while counter.load(Ordering::Relaxed) < wanted && time::now() < limit {
        core::hint::spin_loop();
    }
    counter.load(Ordering::Relaxed)
}

fn pause() {
    let limit = time::now() + Duration::from_millis(30);
    while time::now() < limit {
        core::hint::spin_loop();
    }
}

fn main(_boot: &'static BootInfo) -> Exit {
    println!("tables: {}", acpi::tables().is_ok());
    let isa = |irq| io_apic::isa(irq).unwrap_or_else(|error| panic!("{error}"));
    interrupts::enable();

    // The serial port wants an interrupt when it has nothing to send, which is now.
    write(UART_MODEM_CONTROL, 0x0b);
    let line = connect(isa(4), serial);
    write(UART_INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
    pause();
    assert_eq!(SERIAL.load(Ordering::Relaxed), 0, "the line is masked");
    write(UART_INTERRUPT_ENABLE, 0);
    line.unmask();
    pause();
    let before = SERIAL.load(Ordering::Relaxed);
    write(UART_INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
    let serial_edges = count(&SERIAL, before + 1) - before;
    line.mask();

    // The same by its level: a handler that does not satisfy it is called again.
    let line = connect(Wire { trigger: Trigger::Level, ..isa(4) }, serial);
    SERIAL.store(0, Ordering::Relaxed);
    LAZY.store(3, Ordering::Relaxed);
    line.unmask();
    write(UART_INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
    count(&SERIAL, 4);
    pause();
    let serial_levels = SERIAL.load(Ordering::Relaxed);
    println!("serial: {serial_edges} edge, {serial_levels} levels");

    // The clock ticks 1024 times a second.
    let line = connect(isa(8), clock);
    let status = rtc(0x0b);
    write(0x70, 0x0b);
    write(0x71, status | 1 << 6);
    rtc(0x0c);
    line.unmask();
    let ticks = count(&CLOCK, 20);
    line.mask();
    pause();
    let masked = CLOCK.load(Ordering::Relaxed);
    pause();
    assert_eq!(CLOCK.load(Ordering::Relaxed), masked, "the line is masked");
    write(0x70, 0x0b);
    write(0x71, status);
    println!("clock: {ticks}");

    // Channel 0 of the interval timer, every 10 ms. No table of microvm's says that it is not on line 0.
    let line = connect(if isa(0).line == 0 { isa(2) } else { isa(0) }, timer);
    write(0x43, 0b0011_0100);
    write(0x40, 0x9c);
    write(0x40, 0x2e);
    line.unmask();
    let ticks = count(&TIMER, 5);
    line.mask();
    println!("timer: {ticks}");

    let nowhere = interrupts::connect(Wire { line: 1000, ..isa(4) }, 0x40);
    println!("{}", nowhere.expect_err("there is no line 1000"));
    let unexpected = interrupts::unexpected();
    println!("unexpected: {unexpected}");
    let is_right = serial_edges == 1 && serial_levels == 4 && masked >= 20 && ticks >= 5;
    if is_right && unexpected == 0 { Exit::Success } else { Exit::Failure }
}
