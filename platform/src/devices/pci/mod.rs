//! PCI: which functions there are, where their registers are, and which interrupts they raise.
//!
//! A device on PCI has one to eight functions, each with a configuration space of its own. It says who made the
//! function and what it does, in its base address registers (BARs) where in memory its own registers are, and in a
//! list of capabilities what else it can do: to interrupt by messages (MSI, MSI-X), for one.
//!
//! Addresses are the firmware's: a register that it gave none is [`Error::Unassigned`]. What a function says is not
//! believed: lists that loop, sizes that cannot be, and tables outside their registers are errors.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::devices::pci;
//! use freestone::Signal;
//!
//! static RECEIVED: Signal = Signal::new();
//!
//! # fn example() -> Result<(), pci::Error> {
//! // QEMU's `-device edu`: registers in BAR 0, interrupts by MSI.
//! let edu = pci::functions().find(|function| function.ids() == [0x1234, 0x11e8]);
//! let edu = edu.expect("start QEMU with -device edu");
//! let registers = edu.map(0, 0, 0x100)?;
//! edu.message(RECEIVED.vector().expect("a free vector"))?;
//! // SAFETY: it has been told no address, so it writes its messages and nothing else.
//! unsafe { edu.enable_bus_master() };
//! # let _ = registers;
//! # Ok(())
//! # }
//! ```
//!
//! Interrupts by wire (INTx) are not served: on which line they come only AML says, which is not run. virtio devices
//! and everything on PCI Express have messages.
//!
//! The crate `pci_types` (0.10) was looked at and not taken: a list of capabilities that loops holds it for ever.
//!
//! Sources: PCI Local Bus 3.0, chapter 6 (configuration space), 6.7 (capabilities), 6.8 (MSI, MSI-X); PCI Express Base
//! 4.0, 7.2.2 (ECAM); PCI-to-PCI Bridge 1.2, 3.2.5.

mod message;
mod reach;
mod space;
#[cfg(test)]
mod tests;
mod walk;

use core::fmt;
use core::ptr::NonNull;

use crate::interrupts::words::Wire;
use crate::interrupts::{self, LineError};
use crate::memory::access::MapError;
use crate::memory::address::PhysAddr;
use crate::memory::mapping::map_mmio;
use reach::Reach;
use space::Registers;

pub use message::MessageTable;
pub use space::{Bar, Capability};

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A machine has one of these trees of buses, or more.
    pub segment: u16,
    /// The bus in it.
    pub bus: u8,
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { segment, bus, device, function } = self;
        write!(f, "{segment:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

/// Why a function cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The function has no such base address register, or this is the upper half of one.
    NoSuchBar(u8),
    /// It counts I/O ports, not memory.
    Ports(u8),
    /// The firmware gave it no address.
    Unassigned(u8),
    /// It names a kind, a size or an address that cannot be.
    BadBar(u8),
    /// The bytes that are wanted, or said to be there, are not in it.
    OutOfBar(u8),
    /// The registers cannot be mapped.
    Unmappable(PhysAddr, MapError),
    /// It cannot interrupt in this way.
    NoMessages,
    /// Its table of messages has so many entries.
    NoSuchEntry {
        /// The one that was asked for.
        entry: u16,
        /// How many there are.
        len: u16,
    },
    /// It did not keep what was written to it.
    Dead,
    /// The processor takes no messages.
    Line(LineError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchBar(bar) => write!(f, "there is no base address register {bar}"),
            Error::Ports(bar) => write!(f, "base address register {bar} is for I/O ports"),
            Error::Unassigned(bar) => {
                write!(f, "the firmware gave base address register {bar} no address")
            }
            Error::BadBar(bar) => write!(f, "base address register {bar} names what cannot be"),
            Error::OutOfBar(bar) => {
                write!(f, "what is wanted does not lie in base address register {bar}")
            }
            Error::Unmappable(at, error) => write!(f, "the registers at {at}: {error}"),
            Error::NoMessages => f.write_str("the function has no such interrupts"),
            Error::NoSuchEntry { entry, len } => {
                write!(f, "there is no message {entry}: the function has {len}")
            }
            Error::Dead => f.write_str("the function does not keep what is written to it"),
            Error::Line(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// The machine's functions, in the order of their buses: those behind bridges to which the firmware gave a bus number,
/// too. By memory (ECAM) where ACPI's MCFG says how, else by ports where the machine has those; where it has both, the
/// MCFG is believed if the first function is the same by both ways. It allocates nothing.
///
/// In a handler that interrupts a change of the page tables, buses that were not looked at before are out of reach. Not
/// for handlers of NMIs and single steps: see [`Function`].
pub fn functions() -> impl Iterator<Item = Function> {
    let all = reach::trees().flat_map(walk::functions);
    all.map(|(address, reach)| Function { address, reach })
}

/// A function that is there. It may be named by several pieces of code: that each device has one driver is for the
/// kernel to see to.
///
/// In the handler of an NMI or a single step its configuration must not be read or written: an access by ports is two
/// steps, and a change is a reading and a writing. Others may.
#[derive(Clone, Copy)]
pub struct Function {
    address: Address,
    reach: Reach,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl Function {
    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its vendor and its number among that vendor's devices.
    pub fn ids(&self) -> [u16; 2] {
        space::halves(self.reach.read(space::IDS))
    }

    /// The same two of the board it is on; zeros for a bridge.
    pub fn subsystem(&self) -> [u16; 2] {
        space::subsystem(&self.reach)
    }

    /// What it does: class, subclass, programming interface (PCI Local Bus 3.0, appendix D).
    pub fn class(&self) -> [u8; 3] {
        let [_revision, interface, subclass, class] = self.reach.read(space::CLASS).to_le_bytes();
        [class, subclass, interface]
    }

    /// The word of its configuration at `offset`, which is rounded down to a multiple of 4. All ones beyond its end:
    /// byte 256, or 4096 where configuration is in memory.
    pub fn read(&self, offset: u16) -> u32 {
        self.reach.read(offset)
    }

    /// Writes a word of its configuration.
    ///
    /// # Safety
    ///
    /// - What the function does with it is nothing that Rust does not know of: it makes it no master of the bus that
    ///   writes to memory which is not its driver's, and puts its registers over no memory.
    pub unsafe fn write(&self, offset: u16, value: u32) {
        self.reach.write(offset, value);
    }

    /// Its capabilities, in the order of its list.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        space::capabilities(self.reach)
    }

    /// Where base address register `index`, 0 to 5, puts its registers. To learn their size the function is kept from
    /// answering for a moment: before its driver uses it.
    ///
    /// # Errors
    ///
    /// Those of [`Error`] that name a register.
    pub fn bar(&self, index: u8) -> Result<Bar, Error> {
        interrupts::without(|| space::bar(&self.reach, index))
    }

    /// Makes `len` bytes from byte `offset` of base address register `bar` on reachable, as
    /// [`map_mmio`] does, and has the function answer there.
    ///
    /// # Errors
    ///
    /// As [`bar`](Self::bar); `OutOfBar`; `Unmappable`. `Unassigned` also for another of its registers, if it answers
    /// nowhere so far: that one would answer at address 0.
    pub fn map(&self, bar: u8, offset: u64, len: u64) -> Result<NonNull<u8>, Error> {
        let part = self.bar(bar)?.part(offset, len).ok_or(Error::OutOfBar(bar))?;
        let mapped = map_mmio(part, len).map_err(|error| Error::Unmappable(part, error))?;
        interrupts::without(|| space::answer(&self.reach))?;
        Ok(mapped)
    }

    /// The first port of base address register `index`, at which it answers then, and how many there are.
    pub(crate) fn ports(&self, index: u8) -> Option<(u16, u16)> {
        interrupts::without(|| {
            let found = space::ports(&self.reach, index)?;
            space::change_command(&self.reach, |command| command | space::ANSWERS_AT_PORTS);
            Some(found)
        })
    }

    /// The wire that it interrupts by, if firmware has said which.
    pub(crate) fn wire(&self) -> Option<Wire> {
        let [line, pin, ..] = self.reach.read(space::INTERRUPT).to_le_bytes();
        if pin == 0 { None } else { crate::arch::lines::pci(line).ok() }
    }

    /// Whether its table of messages is in use.
    pub(crate) fn has_message_table_on(&self) -> bool {
        message::is_on(&self.reach)
    }

    /// No messages: it interrupts by its wire.
    pub(crate) fn use_wire(&self) {
        interrupts::without(|| message::disable(&self.reach));
        self.change_command(|command| command & !space::WIRE_IS_OFF);
    }

    /// Lets it read and write memory by itself; messages are written too.
    ///
    /// # Safety
    ///
    /// - What it writes to, as long as it is a master, is its driver's memory: it has been reset, or was never told an
    ///   address before, and is told no others.
    pub unsafe fn enable_bus_master(&self) {
        let above = |bridge: &Function| {
            let is_in_segment = bridge.address.segment == self.address.segment;
            let behind = space::buses_behind(&bridge.reach).filter(|_| is_in_segment);
            behind.is_some_and(|buses| buses.contains(&self.address.bus))
        };
        // Firmware need not have let them pass on what comes from behind them.
        for bridge in functions().filter(above) {
            bridge.change_command(|command| command | space::IS_MASTER);
        }
        self.change_command(|command| command | space::IS_MASTER);
    }

    /// Takes that back, and its messages.
    pub fn stop(&self) {
        self.change_command(|command| command & !space::IS_MASTER);
        interrupts::without(|| message::disable(&self.reach));
    }

    /// With interrupts out, so that no handler's change is undone. All changes of configuration are made so.
    fn change_command(&self, change: impl FnOnce(u16) -> u16) {
        interrupts::without(|| space::change_command(&self.reach, change));
    }

    /// Has its one message (MSI) raise `vector` on this processor. It must be a [master](Self::enable_bus_master) to
    /// write it. A [table](Self::message_table) that was in use is so no more.
    ///
    /// # Errors
    ///
    /// `NoMessages`; `Line`; `Dead`.
    ///
    /// # Panics
    ///
    /// If `vector` is not an interrupt's.
    pub fn message(&self, vector: u8) -> Result<(), Error> {
        let message = interrupts::message(vector).map_err(Error::Line)?;
        interrupts::without(|| message::route(&self.reach, message))
    }

    /// The table of its messages (MSI-X), all of them [masked](MessageTable::mask), in use instead of its wire and of
    /// MSI.
    ///
    /// # Errors
    ///
    /// `NoMessages`; those of [`map`](Self::map); `Dead`.
    pub fn message_table(&self) -> Result<MessageTable, Error> {
        let place = message::table(&self.reach)?;
        let start = self.map(place.bar, place.offset, place.bytes())?;
        interrupts::without(|| message::take_over(&self.reach, place, start))
    }
}
