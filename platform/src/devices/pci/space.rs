//! Configuration space: what stands in it, read from whatever answers.

use core::ops::RangeInclusive;

use crate::memory::address::PhysAddr;

use super::Error;

/// How the configuration of one function is reached, a word at a time. What is not there reads as all ones.
pub trait Registers {
    /// The word at `offset`, rounded down to a multiple of 4.
    fn read(&self, offset: u16) -> u32;
    /// Writes it.
    fn write(&self, offset: u16, value: u32);
}

pub const IDS: u16 = 0x00;
pub const COMMAND: u16 = 0x04;
pub const CLASS: u16 = 0x08;
const HEADER_KIND: u16 = 0x0c;
const FIRST_BAR: u16 = 0x10;
/// Of a bridge: the buses on both sides.
const BUSES: u16 = 0x18;
const SUBSYSTEM: u16 = 0x2c;
const FIRST_CAPABILITY: u16 = 0x34;
/// The line, as firmware has it, and the pin.
pub const INTERRUPT: u16 = 0x3c;
const FIRST_FREE: u16 = 0x40;
const LEGACY_END: u16 = 0x100;

pub const ANSWERS_AT_PORTS: u16 = 1 << 0;
pub const ANSWERS_IN_MEMORY: u16 = 1 << 1;
pub const IS_MASTER: u16 = 1 << 2;
pub const WIRE_IS_OFF: u16 = 1 << 10;
/// In the status, the upper half of the command's word.
const HAS_CAPABILITIES: u32 = 1 << 20;

/// The lower and the upper half.
pub fn halves(word: u32) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

/// Whether there is a function at all. No vendor has the number 0, which memory reads as that is no configuration.
pub fn is_there(registers: &impl Registers) -> bool {
    let [vendor, _] = halves(registers.read(IDS));
    !matches!(vendor, 0 | 0xffff)
}

/// Whether the device has functions beside its first.
pub fn has_more(registers: &impl Registers) -> bool {
    registers.read(HEADER_KIND) >> 16 & 0x80 != 0
}

fn header_kind(registers: &impl Registers) -> u8 {
    (registers.read(HEADER_KIND) >> 16 & 0x7f) as u8
}

/// The first and the last bus behind it, if it is a bridge.
pub fn buses_behind(registers: &impl Registers) -> Option<RangeInclusive<u8>> {
    let [_primary, secondary, last, _timer] = registers.read(BUSES).to_le_bytes();
    (header_kind(registers) == 1 && secondary != 0).then_some(secondary..=last)
}

pub fn subsystem(registers: &impl Registers) -> [u16; 2] {
    if header_kind(registers) == 0 { halves(registers.read(SUBSYSTEM)) } else { [0, 0] }
}

/// Changes the command. Zeros leave the status, the upper half, as it is: its bits are cleared by ones.
pub fn change_command(registers: &impl Registers, change: impl FnOnce(u16) -> u16) {
    let [command, _status] = halves(registers.read(COMMAND));
    registers.write(COMMAND, change(command).into());
}

/// Where a capability is in the configuration of its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is (PCI Local Bus 3.0, appendix H).
    pub id: u8,
    /// Where its first word is: the upper half of that is its own already.
    pub offset: u16,
}

/// The capabilities in the first 256 bytes. They need 4 bytes each, so a list that is longer than the room loops.
pub fn capabilities<R: Registers>(registers: R) -> impl Iterator<Item = Capability> {
    const MOST: usize = (LEGACY_END - FIRST_FREE) as usize / 4;
    let has_some = is_there(&registers) && registers.read(COMMAND) & HAS_CAPABILITIES != 0;
    let offset = |word: u32| (word & 0xfc) as u16;
    let mut next = if has_some { offset(registers.read(FIRST_CAPABILITY)) } else { 0 };
    let list = core::iter::from_fn(move || {
        let here = Some(next).filter(|&next| next >= FIRST_FREE)?;
        let word = registers.read(here);
        next = offset(word >> 8);
        Some(Capability { id: word as u8, offset: here })
    });
    list.take(MOST)
}

/// The first capability of this kind.
pub fn capability(registers: &impl Registers, id: u8) -> Option<u16> {
    capabilities(registers).find(|one| one.id == id).map(|one| one.offset)
}

impl<R: Registers> Registers for &R {
    fn read(&self, offset: u16) -> u32 {
        (*self).read(offset)
    }

    fn write(&self, offset: u16, value: u32) {
        (*self).write(offset, value);
    }
}

/// What a base address register says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Where the registers begin.
    pub start: PhysAddr,
    /// How many bytes they are: a power of two, 16 or more. Their end is an address too.
    pub len: u64,
}

impl Bar {
    /// Where the part of `len` bytes from byte `offset` on is, if it lies inside and has a byte.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Option<PhysAddr> {
        let end = offset.checked_add(len)?;
        if len == 0 || end > self.len { None } else { self.start.checked_add(offset) }
    }
}

const IS_PORTS: u32 = 1 << 0;
/// The lower bits, which say what kind of register it is.
const KIND: u32 = 0xf;

/// Whether the register has the next one as its upper half.
fn is_long(low: u32) -> Option<bool> {
    match low & (IS_PORTS | 6) {
        0 => Some(false),
        4 => Some(true),
        // Below 1 MiB, until PCI 2.1; reserved.
        _ => None,
    }
}

fn bar_offset(index: u8) -> u16 {
    FIRST_BAR + 4 * u16::from(index)
}

/// How many words of them the function has.
fn count(registers: &impl Registers) -> u8 {
    match header_kind(registers) {
        0 => 6,
        1 => 2,
        _ => 0,
    }
}

/// Their numbers: those of the upper halves are none.
fn bars(registers: &impl Registers, count: u8) -> impl Iterator<Item = u8> {
    let mut next = 0;
    core::iter::from_fn(move || {
        let index = Some(next).filter(|&next| next < count)?;
        let has_upper = is_long(registers.read(bar_offset(index))) == Some(true);
        next += if has_upper { 2 } else { 1 };
        Some(index)
    })
}

/// Has it answer in memory, unless that puts registers which have no address over what is at address 0.
pub fn answer(registers: &impl Registers) -> Result<(), Error> {
    let [command, _status] = halves(registers.read(COMMAND));
    if command & ANSWERS_IN_MEMORY == 0 {
        let astray = bars(registers, count(registers))
            .find(|&one| bar(registers, one) == Err(Error::Unassigned(one)));
        if let Some(one) = astray {
            return Err(Error::Unassigned(one));
        }
    }
    change_command(registers, |command| command | ANSWERS_IN_MEMORY);
    Ok(())
}

/// The first port of a register, and how many there are.
pub fn ports(registers: &impl Registers, index: u8) -> Option<(u16, u16)> {
    bars(registers, count(registers)).find(|&one| one == index)?;
    let at = bar_offset(index);
    let word = registers.read(at);
    if word & IS_PORTS == 0 {
        return None;
    }
    // As in `bar`. The upper half need not be kept.
    let [command, _status] = halves(registers.read(COMMAND));
    registers.write(COMMAND, (command & !(ANSWERS_AT_PORTS | ANSWERS_IN_MEMORY)).into());
    registers.write(at, u32::MAX);
    let kept = registers.read(at);
    registers.write(at, word);
    registers.write(COMMAND, command.into());
    let len = ((kept & 0xfffc) as u16).wrapping_neg();
    let first = u16::try_from(word & !3).ok()?;
    let is_one = first != 0 && len.is_power_of_two() && first.checked_add(len - 1).is_some();
    is_one.then_some((first, len))
}

/// See [`Function::bar`](super::Function::bar). Nobody uses the function meanwhile (6.2.5.1).
pub fn bar(registers: &impl Registers, index: u8) -> Result<Bar, Error> {
    let count = count(registers);
    if !bars(registers, count).any(|one| one == index) {
        return Err(Error::NoSuchBar(index));
    }
    let at = bar_offset(index);
    let low = registers.read(at);
    if low & IS_PORTS != 0 {
        return Err(Error::Ports(index));
    }
    let is_long = is_long(low).filter(|&is_long| !is_long || index + 1 < count);
    let is_long = is_long.ok_or(Error::BadBar(index))?;
    let high = if is_long { registers.read(at + 4) } else { 0 };

    // It answers nowhere while its addresses are not addresses.
    let [command, _status] = halves(registers.read(COMMAND));
    registers.write(COMMAND, (command & !(ANSWERS_AT_PORTS | ANSWERS_IN_MEMORY)).into());
    let writable = |at, value| {
        registers.write(at, u32::MAX);
        let kept = registers.read(at);
        registers.write(at, value);
        kept
    };
    let low_mask = writable(at, low) & !KIND;
    let high_mask = if is_long { writable(at + 4, high) } else { u32::MAX };
    registers.write(COMMAND, command.into());

    if low_mask == 0 && (!is_long || high_mask == 0) {
        return Err(Error::NoSuchBar(index));
    }
    let long = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let len = long(high_mask, low_mask).wrapping_neg();
    let start = long(high, low & !KIND);
    if start == 0 {
        return Err(Error::Unassigned(index));
    }
    let start = PhysAddr::try_new(start)
        .filter(|start| len.is_power_of_two() && start.as_u64().is_multiple_of(len));
    let bar = start.map(|start| Bar { start, len });
    bar.filter(|bar| bar.start.checked_add(len).is_some()).ok_or(Error::BadBar(index))
}
