//! Interrupts by messages: a word that the function writes where a processor listens.
//!
//! MSI has its address and word in configuration space; we use one of its messages. MSI-X has a table of them among
//! the function's registers, each with a mask of its own.
//!
//! Source: PCI Local Bus 3.0, 6.8.1 (MSI), 6.8.2 (MSI-X).

use core::ptr::NonNull;

use super::Error;
use super::space::{Registers, WIRE_IS_OFF, capability, change_command};
use crate::interrupts::{self, Message};

const MSI: u8 = 0x05;
const MSI_X: u8 = 0x11;

/// Of both: in the first word, whose upper half is the control.
const MSI_ENABLED: u32 = 1 << 16;
const MSI_COUNT: u32 = 7 << 20;
const MSI_IS_LONG: u32 = 1 << 23;
const MSI_HAS_MASKS: u32 = 1 << 24;
const MSI_X_ENABLED: u32 = 1 << 31;
const MSI_X_MASKED: u32 = 1 << 30;

/// See [`Function::message`](super::Function::message).
pub fn route(registers: &impl Registers, message: Message) -> Result<(), Error> {
    let at = capability(registers, MSI).ok_or(Error::NoMessages)?;
    let control = registers.read(at) & !(MSI_ENABLED | MSI_COUNT);
    let (low, high) = (message.address as u32, (message.address >> 32) as u32);
    let is_long = control & MSI_IS_LONG != 0;
    if !is_long && high != 0 {
        return Err(Error::NoMessages);
    }
    let data_at = if is_long { at + 12 } else { at + 8 };
    registers.write(at, control);
    registers.write(at + 4, low);
    if is_long {
        registers.write(at + 8, high);
    }
    // The data is a half: what is above it is not ours.
    let data = message.data & 0xffff;
    registers.write(data_at, registers.read(data_at) & !0xffff | data);
    let is_kept = registers.read(at + 4) == low
        && (!is_long || registers.read(at + 8) == high)
        && registers.read(data_at) & 0xffff == data;
    if !is_kept {
        return Err(Error::Dead);
    }
    if control & MSI_HAS_MASKS != 0 {
        registers.write(data_at + 4, 0);
    }
    if let Some(table) = capability(registers, MSI_X) {
        registers.write(table, registers.read(table) & !MSI_X_ENABLED);
    }
    change_command(registers, |command| command | WIRE_IS_OFF);
    registers.write(at, control | MSI_ENABLED);
    Ok(())
}

/// No messages of either kind.
pub fn disable(registers: &impl Registers) {
    for (id, enabled) in [(MSI, MSI_ENABLED), (MSI_X, MSI_X_ENABLED)] {
        if let Some(at) = capability(registers, id) {
            registers.write(at, registers.read(at) & !enabled);
        }
    }
}

/// Whether the table is in use.
pub fn is_on(registers: &impl Registers) -> bool {
    capability(registers, MSI_X).is_some_and(|at| registers.read(at) & MSI_X_ENABLED != 0)
}

/// Where a table is: in which base address register, at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    capability: u16,
    pub bar: u8,
    pub offset: u64,
    pub len: u16,
}

const ENTRY_BYTES: u64 = 16;

impl Place {
    pub fn bytes(&self) -> u64 {
        u64::from(self.len) * ENTRY_BYTES
    }
}

/// What the capability says of the table.
pub fn table(registers: &impl Registers) -> Result<Place, Error> {
    let capability = capability(registers, MSI_X).ok_or(Error::NoMessages)?;
    let len = (registers.read(capability) >> 16 & 0x7ff) as u16 + 1;
    let place = registers.read(capability + 4);
    Ok(Place { capability, bar: (place & 7) as u8, offset: (place & !7).into(), len })
}

/// Puts the table, mapped from `start` on, in use, with all its messages masked.
pub fn take_over(
    registers: &impl Registers,
    place: Place,
    start: NonNull<u8>,
) -> Result<MessageTable, Error> {
    if let Some(at) = capability(registers, MSI) {
        registers.write(at, registers.read(at) & !MSI_ENABLED);
    }
    change_command(registers, |command| command | WIRE_IS_OFF);
    // Nothing comes before each message has its own mask.
    let control = registers.read(place.capability) | MSI_X_ENABLED;
    registers.write(place.capability, control | MSI_X_MASKED);
    if registers.read(place.capability) & MSI_X_ENABLED == 0 {
        return Err(Error::Dead);
    }
    let table = MessageTable { start: start.cast(), len: place.len };
    for entry in 0..table.len {
        table.change(entry, |control| control | IS_MASKED)?;
    }
    registers.write(place.capability, control & !MSI_X_MASKED);
    Ok(table)
}

/// The messages of a function, by MSI-X. Which of its events raises which of them, the function's driver tells it.
#[derive(Debug)]
pub struct MessageTable {
    start: NonNull<u32>,
    len: u16,
}

// SAFETY: registers have no processor that they belong to.
unsafe impl Send for MessageTable {}

/// In the last word of an entry.
const IS_MASKED: u32 = 1 << 0;

impl MessageTable {
    /// How many there are: 1 to 2048.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u16 {
        self.len
    }

    /// Has message `entry` raise `vector` on this processor, and lets it through.
    ///
    /// # Errors
    ///
    /// `NoSuchEntry`; `Line`; `Dead`.
    ///
    /// # Panics
    ///
    /// If `vector` is not an interrupt's.
    pub fn route(&self, entry: u16, vector: u8) -> Result<(), Error> {
        let message = interrupts::message(vector).map_err(Error::Line)?;
        interrupts::without(|| self.write_message(entry, message))
    }

    /// Interrupts are out here, in `mask` and in `unmask`, so that no handler's change is undone.
    pub(super) fn write_message(&self, entry: u16, message: Message) -> Result<(), Error> {
        let at = self.entry(entry)?;
        let words = [message.address as u32, (message.address >> 32) as u32, message.data];
        self.change(entry, |control| control | IS_MASKED)?;
        for (part, word) in words.into_iter().enumerate() {
            self.write(at + part, word);
        }
        let is_kept = (0..).zip(words).all(|(part, word)| self.read(at + part) == word);
        if is_kept { self.change(entry, |control| control & !IS_MASKED) } else { Err(Error::Dead) }
    }

    /// Holds a message back: it is written when the mask is gone.
    ///
    /// # Errors
    ///
    /// `NoSuchEntry`.
    pub fn mask(&self, entry: u16) -> Result<(), Error> {
        self.entry(entry)?;
        interrupts::without(|| self.change(entry, |control| control | IS_MASKED))
    }

    /// Lets it through.
    ///
    /// # Errors
    ///
    /// `NoSuchEntry`.
    pub fn unmask(&self, entry: u16) -> Result<(), Error> {
        self.entry(entry)?;
        interrupts::without(|| self.change(entry, |control| control & !IS_MASKED))
    }

    fn change(&self, entry: u16, change: impl FnOnce(u32) -> u32) -> Result<(), Error> {
        let control = self.entry(entry)? + 3;
        self.write(control, change(self.read(control)));
        Ok(())
    }

    /// The number of an entry's first word.
    fn entry(&self, entry: u16) -> Result<usize, Error> {
        let len = self.len;
        if entry < len {
            Ok(4 * usize::from(entry))
        } else {
            Err(Error::NoSuchEntry { entry, len })
        }
    }

    fn read(&self, word: usize) -> u32 {
        // SAFETY: `take_over` got all entries mapped, for good, and `entry` has seen that it is one of them.
        unsafe { self.start.add(word).read_volatile() }
    }

    fn write(&self, word: usize, value: u32) {
        // SAFETY: as in `read`. A message that is not a processor's is not written: `interrupts::message` makes them.
        unsafe { self.start.add(word).write_volatile(value) }
    }
}
