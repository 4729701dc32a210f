//! PCI: every function is printed; QEMU's `edu` interrupts by MSI, an `e1000e` by MSI-X, from two entries of its table.
#![no_std]
#![no_main]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

use freestone::devices::pci::{self, Function};
use freestone::devices::virtio;
use freestone::interrupts::{self, Frame, Outcome};
use freestone::{BootInfo, Exit, println, time, timer};

freestone::entry!(main, audit: exit);

/// A device's registers.
#[derive(Clone, Copy)]
struct Registers(NonNull<u32>);

impl Registers {
    fn read(self, at: usize) -> u32 {
        // SAFETY: this kernel's offsets are inside what it has mapped.
        unsafe { self.0.byte_add(at).read_volatile() }
    }

    fn write(self, at: usize, value: u32) {
        // SAFETY: as in `read`; neither device is told an address of memory.
        unsafe { self.0.byte_add(at).write_volatile(value) }
    }
}

/// Waits until `count` is `wanted`, and whether it came to that.
fn comes(count: &AtomicU32, wanted: u32) -> bool {
    let limit = time::now() + Duration::from_secs(2);
    while count.load(Ordering::Relaxed) < wanted && time::now() < limit {
        core::hint::spin_loop();
    }
    count.load(Ordering::Relaxed) == wanted
}

const EDU_IDS: [u16; 2] = [0x1234, 0x11e8];

static EDU: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());
static MESSAGES: AtomicU32 = AtomicU32::new(0);
static SUM: AtomicU32 = AtomicU32::new(0);

/// Registers of `edu` by QEMU's docs/specs/edu.txt.
const STATUS: usize = 0x24;
const RAISE: usize = 0x60;
const ACKNOWLEDGE: usize = 0x64;

fn raised(_: &mut Frame, _word: usize) -> Outcome {
    let Some(edu) = NonNull::new(EDU.load(Ordering::Relaxed)).map(Registers) else {
        return Outcome::Unhandled;
    };
    let status = edu.read(STATUS);
    edu.write(ACKNOWLEDGE, status);
    SUM.fetch_add(status, Ordering::Relaxed);
    MESSAGES.fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

/// MSI: ten interrupts, and none after the function has been stopped.
fn edu(function: Function) -> Result<bool, pci::Error> {
    let registers = function.map(0, 0, 0x100)?;
    EDU.store(registers.as_ptr().cast(), Ordering::Relaxed);
    let edu = Registers(registers.cast());
    function.message(interrupts::allocate(raised, 0).expect("a vector"))?;
    // SAFETY: it has been told no address.
    unsafe { function.enable_bus_master() };
    let all = (1..=10).all(|round| {
        edu.write(RAISE, round);
        comes(&MESSAGES, round)
    });
    function.stop();
    edu.write(RAISE, 100);
    let [count, sum] = [&MESSAGES, &SUM].map(|number| number.load(Ordering::Relaxed));
    println!("messages: {count}, sum: {sum}");
    Ok(all && (count, sum) == (10, 55))
}

static TABLE: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

fn from_table(_: &mut Frame, entry: usize) -> Outcome {
    TABLE[entry].fetch_add(1, Ordering::Relaxed);
    Outcome::Handled
}

/// Registers of the 82574 (its data sheet, 10.2): interrupt causes set and wanted, and the messages they have.
const CAUSES: usize = 0xc0;
const RAISE_CAUSES: usize = 0xc8;
const WANTED: usize = 0xd0;
const MESSAGES_OF_CAUSES: usize = 0xe4;
const OTHER_CAUSE: u32 = 1 << 24;

/// MSI-X: interrupts from two entries of the table; none from a masked one until it is unmasked.
fn e1000e(function: Function) -> Result<bool, pci::Error> {
    let registers = Registers(function.map(0, 0, 0x1000)?.cast());
    let table = function.message_table()?;
    let last = table.len() - 1;
    assert!(matches!(table.unmask(table.len()), Err(pci::Error::NoSuchEntry { .. })));
    // SAFETY: it has been told no address.
    unsafe { function.enable_bus_master() };
    let raise = |entry: u16| {
        registers.write(MESSAGES_OF_CAUSES, (u32::from(entry) | 8) << 16);
        registers.write(WANTED, OTHER_CAUSE);
        registers.write(CAUSES, OTHER_CAUSE);
        registers.write(RAISE_CAUSES, OTHER_CAUSE);
    };
    let mut is_right = true;
    for (word, entry) in [0, last].into_iter().enumerate() {
        table.route(entry, interrupts::allocate(from_table, word).expect("a vector"))?;
        raise(entry);
        is_right &= comes(&TABLE[word], 1);
        table.mask(entry)?;
        raise(entry);
        is_right &= TABLE[word].load(Ordering::Relaxed) == 1;
        table.unmask(entry)?;
        is_right &= comes(&TABLE[word], 2);
    }
    let counts = TABLE.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("of {} messages: {counts:?}", table.len());
    Ok(is_right)
}

static STOPPED: AtomicU32 = AtomicU32::new(0);

fn stop(_: usize) {
    for function in pci::functions().filter(|function| function.ids() == EDU_IDS) {
        function.stop();
    }
    STOPPED.fetch_add(1, Ordering::Relaxed);
}

/// A handler's `stop`, wherever it interrupts another change of the same function's configuration, is not undone.
fn stops_last(function: Function) -> Result<bool, pci::Error> {
    const COMMAND: u16 = 4;
    const IS_MASTER: u32 = 1 << 2;
    let mut lost = 0;
    for round in 0..300 {
        // SAFETY: it has been told no address.
        unsafe { function.enable_bus_master() };
        STOPPED.store(0, Ordering::Relaxed);
        timer::after(Duration::from_micros(20 + round % 50), stop, 0).expect("room");
        while STOPPED.load(Ordering::Relaxed) == 0 {
            function.map(0, 0, 0x100)?;
        }
        lost += u32::from(function.read(COMMAND) & IS_MASTER != 0);
    }
    println!("stops undone: {lost}");
    Ok(lost == 0)
}

fn main(_boot: &'static BootInfo) -> Exit {
    for function in pci::functions() {
        let ([vendor, device], [class, subclass, _]) = (function.ids(), function.class());
        println!(
            "{} {vendor:04x}:{device:04x} class {class:02x}{subclass:02x}",
            function.address()
        );
    }
    for device in virtio::devices() {
        println!("{device:?}");
    }
    interrupts::enable();
    let mut is_right = true;
    for function in pci::functions() {
        let done = match function.ids() {
            EDU_IDS => edu(function).and_then(|is_right| Ok(is_right & stops_last(function)?)),
            [0x8086, 0x10d3] => e1000e(function),
            _ => continue,
        };
        is_right &= done.unwrap_or_else(|error| panic!("{}: {error}", function.address()));
    }
    println!("unexpected: {}", interrupts::unexpected());
    if is_right && interrupts::unexpected() == 0 { Exit::Success } else { Exit::Failure }
}
