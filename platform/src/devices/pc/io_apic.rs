//! I/O APICs: which line of a device becomes which vector.
//!
//! Where they are, and on which line an interrupt of the ISA bus comes, ACPI's MADT says. Where there are no tables
//! (QEMU's `microvm` with `acpi=off`) the place and the lines that every PC has are tried; in both cases what answers
//! there is used only if it looks like an I/O APIC. Nothing is kept: a [`Line`] knows its registers.
//!
//! The older 8259 controllers were masked at boot. Nothing here waits.
//!
//! Source: Intel 82093AA (I/O APIC) data sheet, 3.1 and 3.2; Intel SDM volume 3, 12.11 (messages).

use core::fmt;

use super::apic;

pub use super::apic::Message;
use crate::devices::acpi::{self, IoApic};
use crate::interrupts::words::{Polarity, Trigger, Wire};
use crate::memory::access::MapError;
use crate::memory::address::PhysAddr;
use crate::memory::mapping::map_mmio;
use crate::x86_64::cpu::without_interrupts as without;
use crate::x86_64::trap::frame::FIRST_INTERRUPT;

/// Where it is when nobody says otherwise.
const USUAL: IoApic = IoApic { id: 0, address: 0xfec0_0000, first_line: 0 };

/// More than any machine has: more are not looked at.
const MOST: usize = 64;

const VERSION: u8 = 1;

/// The register of a line: two words from here on.
const fn redirection(entry: u8) -> u8 {
    0x10 + 2 * entry
}

const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;
/// What was written can be read again but for two bits: what became of the delivery.
const WRITABLE: u32 = 0x1_afff;

/// Why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// ACPI's tables are there and cannot be used.
    Tables(acpi::Error),
    /// The ISA bus has interrupts 0 to 15 only.
    NoSuchIsa(u8),
    /// No I/O APIC has the line.
    NoSuchLine(u32),
    /// The registers at this address cannot be mapped.
    Unmappable(u32, MapError),
    /// What is at this address does not behave like an I/O APIC.
    Dead(u32),
    /// The local APIC.
    Local(apic::Error),
    /// The processor's number has no place in a message, which has 8 bits for it.
    TooFar(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Tables(error) => error.fmt(f),
            Error::NoSuchIsa(irq) => {
                write!(f, "the ISA bus has interrupts 0 to 15, and no {irq}")
            }
            Error::NoSuchLine(line) => write!(f, "no I/O APIC has line {line}"),
            Error::Unmappable(at, error) => write!(f, "the I/O APIC at {at:#x}: {error}"),
            Error::Dead(at) => write!(f, "no I/O APIC answers at {at:#x}"),
            Error::Local(error) => error.fmt(f),
            Error::TooFar(id) => {
                write!(f, "devices cannot name the processor with the APIC number {id}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// How its registers are reached: by index.
trait Registers {
    fn read(&self, index: u8) -> u32;
    fn write(&self, index: u8, value: u32);
}

/// Registers behind a window: an index is written, then the word is read or written. Interrupts are out
/// meanwhile, so that no handler moves the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window(u32);

const WINDOW_BYTES: u64 = 0x20;
const DATA: usize = 0x10;

impl Window {
    fn at(address: u32) -> Result<Window, Error> {
        let error = |error| Error::Unmappable(address, error);
        if !address.is_multiple_of(16) {
            return Err(error(MapError::BadRange));
        }
        map_mmio(PhysAddr::new(address.into()), WINDOW_BYTES).map_err(error)?;
        Ok(Window(address))
    }

    fn select(&self, index: u8) -> *mut u32 {
        let window: *mut u32 = core::ptr::with_exposed_provenance_mut(self.0 as usize);
        // SAFETY: `at` mapped the registers, and saw that they are aligned.
        unsafe {
            window.write_volatile(index.into());
            window.byte_add(DATA)
        }
    }
}

impl Registers for Window {
    fn read(&self, index: u8) -> u32 {
        // SAFETY: as in `select`; reading changes nothing.
        without(|| unsafe { self.select(index).read_volatile() })
    }

    fn write(&self, index: u8, value: u32) {
        // SAFETY: as in `select`; what is written is for this file to get right.
        without(|| unsafe { self.select(index).write_volatile(value) });
    }
}

/// How many lines it has, if it is an I/O APIC: a version of those that processors of our kind were built with, and
/// as many lines as its registers have room for.
fn lines(registers: &impl Registers) -> Option<u8> {
    let [version, _, last, _] = registers.read(VERSION).to_le_bytes();
    let is_one = (0x10..0x30).contains(&version) && (1..=119).contains(&last);
    is_one.then(|| last + 1)
}

/// The two words that route a line, masked; the upper one first.
fn words(wire: Wire, vector: u8, destination: u8) -> [u32; 2] {
    let trigger = if wire.trigger == Trigger::Level { LEVEL } else { 0 };
    let polarity = if wire.polarity == Polarity::Low { ACTIVE_LOW } else { 0 };
    [u32::from(destination) << 24, MASKED | polarity | trigger | u32::from(vector)]
}

/// Routes a line and leaves it masked. Whether the device has taken it.
fn route(registers: &impl Registers, entry: u8, [upper, lower]: [u32; 2]) -> bool {
    let at = redirection(entry);
    // Masked before anything is changed: half of a route is none.
    registers.write(at, MASKED);
    registers.write(at + 1, upper);
    registers.write(at, lower);
    registers.read(at) & WRITABLE == lower && registers.read(at + 1) == upper
}

/// A line that is [connected](crate::interrupts::connect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    window: Window,
    entry: u8,
}

impl Line {
    /// Lets interrupts of this line through.
    pub fn unmask(&self) {
        self.change(|word| word & !MASKED);
    }

    /// Holds them back. An edge that comes meanwhile may be lost.
    pub fn mask(&self) {
        self.change(|word| word | MASKED);
    }

    /// Whether they are held back.
    pub fn is_masked(&self) -> bool {
        self.window.read(redirection(self.entry)) & MASKED != 0
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        let at = redirection(self.entry);
        without(|| self.window.write(at, change(self.window.read(at))));
    }
}

/// See [`crate::interrupts::connect`].
pub(crate) fn connect(wire: Wire, vector: u8) -> Result<Line, Error> {
    assert!(vector >= FIRST_INTERRUPT, "an interrupt's vector is 32 or more");
    let destination = destination()?;
    let line = find(wire.line)?;
    if !route(&line.window, line.entry, words(wire, vector, destination)) {
        return Err(Error::Dead(line.window.0));
    }
    Ok(line)
}

/// This processor's number, as devices say it; its local APIC is on then.
fn destination() -> Result<u8, Error> {
    apic::start().map_err(Error::Local)?;
    u8::try_from(apic::id()).map_err(|_| Error::TooFar(apic::id()))
}

/// See [`crate::interrupts::message`].
pub(crate) fn message(vector: u8) -> Result<Message, Error> {
    let destination = destination()?.into();
    Ok(apic::message(vector, destination).expect("an interrupt's vector is 32 or more"))
}

/// The line with this number.
fn find(number: u32) -> Result<Line, Error> {
    let tables = match acpi::tables() {
        Ok(tables) => tables,
        Err(acpi::Error::Absent) => return find_among(number, [USUAL]),
        Err(error) => return Err(Error::Tables(error)),
    };
    let controllers = tables.controllers().map_err(Error::Tables)?;
    find_among(number, controllers.io_apics().take(MOST))
}

fn find_among(number: u32, all: impl IntoIterator<Item = IoApic>) -> Result<Line, Error> {
    let mut reason = Error::NoSuchLine(number);
    // It can only have lines behind its first.
    for io_apic in all.into_iter().filter(|io_apic| io_apic.first_line <= number) {
        let window = Window::at(io_apic.address);
        let lines = window.and_then(|window| lines(&window).ok_or(Error::Dead(io_apic.address)));
        let entry = number - io_apic.first_line;
        match (window, lines) {
            (Ok(window), Ok(lines)) if entry < lines.into() => {
                return Ok(Line { window, entry: entry as u8 });
            }
            (_, Ok(_)) => {}
            // Another one may have the line.
            (_, Err(error)) => reason = error,
        }
    }
    Err(reason)
}

/// Where interrupt `irq` of the ISA bus comes: by ACPI's tables; without them as on every PC, where 0 is on line 2 and
/// the others are on the line of their number.
///
/// # Errors
///
/// [`Error::NoSuchIsa`] above 15; [`Error::Tables`] if there are tables, and they are damaged.
pub fn isa(irq: u8) -> Result<Wire, Error> {
    if irq > 15 {
        return Err(Error::NoSuchIsa(irq));
    }
    match acpi::tables() {
        Ok(tables) => {
            tables.controllers().and_then(|controllers| controllers.isa(irq)).map_err(Error::Tables)
        }
        Err(acpi::Error::Absent) => Ok(Wire::isa(if irq == 0 { 2 } else { irq.into() })),
        Err(error) => Err(Error::Tables(error)),
    }
}

/// Where the wire of a function on PCI comes that firmware has put on interrupt `irq` of the ISA bus. It interrupts by its
/// level; which one, the tables say.
pub(crate) fn pci(irq: u8) -> Result<Wire, Error> {
    isa(irq).map(|wire| Wire { trigger: Trigger::Level, ..wire })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Registers that keep what is written; `stuck` bits of the lower words stay 0.
    struct Model {
        version: u32,
        words: [Cell<u32>; 256],
        stuck: u32,
    }

    impl Model {
        fn new(version: u32) -> Model {
            Model { version, words: [const { Cell::new(0) }; 256], stuck: 0 }
        }
    }

    impl Registers for Model {
        fn read(&self, index: u8) -> u32 {
            match index {
                VERSION => self.version,
                // What became of the delivery, in the lower words.
                16.. if index.is_multiple_of(2) => self.words[usize::from(index)].get() | 0x5000,
                _ => self.words[usize::from(index)].get(),
            }
        }

        fn write(&self, index: u8, value: u32) {
            let stuck = if index.is_multiple_of(2) { self.stuck } else { 0 };
            self.words[usize::from(index)].set(value & !stuck & !0x5000);
        }
    }

    #[test]
    fn what_is_no_io_apic_is_not_believed() {
        // QEMU's two versions, the 82093AA, a server's with 120 lines.
        for (version, expected) in [
            (0x0017_0020, Some(24)),
            (0x0017_0011, Some(24)),
            (0x000f_0013, Some(16)),
            (0x0077_0020, Some(120)),
            (0, None),
            (u32::MAX, None),
            (0x0017_0000, None),
            (0x0000_0020, None),
            (0x00f0_0020, None),
            (0x0017_0030, None),
        ] {
            assert_eq!(lines(&Model::new(version)), expected, "{version:#x}");
        }
    }

    #[test]
    fn routes_are_what_the_data_sheet_draws() {
        let wire = |trigger, polarity| Wire { line: 9, trigger, polarity };
        for (wire, lower) in [
            (wire(Trigger::Edge, Polarity::High), 0x1_0041),
            (wire(Trigger::Edge, Polarity::Low), 0x1_2041),
            (wire(Trigger::Level, Polarity::High), 0x1_8041),
            (wire(Trigger::Level, Polarity::Low), 0x1_a041),
        ] {
            assert_eq!(words(wire, 0x41, 0xab), [0xab00_0000, lower]);
            for entry in [0, 9, 119] {
                let model = Model::new(0x0077_0020);
                assert!(route(&model, entry, words(wire, 0x41, 0xab)));
                let at = 0x10 + 2 * usize::from(entry);
                assert_eq!(
                    [model.words[at].get(), model.words[at + 1].get()],
                    [lower, 0xab00_0000]
                );
            }
        }
    }

    #[test]
    fn a_device_that_does_not_keep_a_route_is_dead() {
        let words = [0xab00_0000, MASKED | ACTIVE_LOW | LEVEL | 0xff];
        for bit in (0..32).map(|bit| 1 << bit) {
            let model = Model { stuck: bit, ..Model::new(0x0017_0020) };
            assert_eq!(route(&model, 3, words), words[1] & bit == 0, "{bit:#x}");
        }
    }
}
