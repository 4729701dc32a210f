//! ACPI: the tables in which the firmware describes hardware that cannot be discovered in any other way.
//!
//! Enough is read to find interrupt controllers ([`Controllers`]), the HPET, PCI, virtio devices, the way to switch the machine off
//! ([`PowerOff`]) and to reset it. Code in the tables (AML) is searched for one name, never run. Nothing is
//! read before somebody asks.
//!
//! The crate `acpi` (6.1.1) was looked at and not taken. Its mapping callback cannot refuse an address; a table
//! shorter than its header underflows a length; an entry of length 0 in the MADT is returned for ever, and a short
//! one is read past its end; entries are read as references that are not aligned; and the sleep type wants its
//! AML interpreter, which wants a heap and four crates. Here every byte comes out of a slice that [`Memory`] has
//! vouched for, every list has a limit, and what is wrong is an [`Error`].
//!
//! ```text
//! RSDP ─► XSDT (or RSDT) ─► "APIC" the MADT: interrupt controllers
//!                         ├► "HPET"
//!                         ├► "MCFG": where PCI's configuration space is
//!                         ├► "FACP" the FADT ─► DSDT: \_S5, the sleep type of "off"
//!                         └► "SSDT" …
//! ```
//!
//! Source: ACPI 6.5, chapter 5 (tables).
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::devices::acpi;
//!
//! # fn example() -> Result<(), acpi::Error> {
//! let tables = acpi::tables()?;
//! for controller in tables.controllers()?.io_apics() {
//!     freestone_rt::println!("{controller:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod madt;
mod mcfg;
mod power;
#[cfg(test)]
mod tests;
mod virtio;

use core::fmt;
use core::ops::Range;

use freestone_rt::number::Hex;

use crate::arch;
use crate::boot_info::boot_info;
use crate::memory::address::PhysAddr;
use crate::memory::map::Kind;
use crate::memory::mapping::map_firmware;

pub use madt::{Controllers, Entry, IoApic};
pub(crate) use mcfg::MOST_PCI_SPACES;
pub use mcfg::PciSpace;
pub use power::{Bus, PowerOff, Register, Reset};

/// Physical memory as far as tables may lie in it.
pub trait Memory {
    /// The `len` bytes at `address`, or `None` if they are not all readable.
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]>;
}

/// The four letters that a table begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 4]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const RSDP: Signature = Signature(*b"RSD ");
const RSDT: Signature = Signature(*b"RSDT");
const XSDT: Signature = Signature(*b"XSDT");
const MADT: Signature = Signature(*b"APIC");
const FADT: Signature = Signature(*b"FACP");
const MCFG: Signature = Signature(*b"MCFG");
const HPET: Signature = Signature(*b"HPET");
const DSDT: Signature = Signature(*b"DSDT");
const SSDT: Signature = Signature(*b"SSDT");

/// Why the tables do not say what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The loader named no root pointer, and there is none where firmware puts it.
    Absent,
    /// The tables are whole, and this one is not among them.
    Missing(Signature),
    /// Not readable where others say it is: what, and the address.
    Unreachable(Signature, u64),
    /// Damaged: which, where, and what is wrong with it.
    Corrupt(Signature, u64, Damage),
    /// The table has no such entry, or one that this code cannot use.
    Unusable(Signature, &'static str),
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It begins with something else.
    Signature,
    /// It is shorter than its own head, or longer than any table is.
    Length,
    /// Its bytes do not add up to 0.
    Checksum,
    /// One of its entries is shorter than such entries are, or reaches past the end.
    Entry,
    /// It lists more tables than any machine has.
    Count,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::Signature => "its signature is wrong",
            Damage::Length => "its length is impossible",
            Damage::Checksum => "its checksum is wrong",
            Damage::Entry => "an entry in it is cut off",
            Damage::Count => "it lists too many tables",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Absent => f.write_str("the firmware left no ACPI tables"),
            Error::Missing(table) => write!(f, "the ACPI tables have no {table}"),
            Error::Unreachable(table, address) => {
                write!(f, "ACPI's {table} at 0x{} cannot be read", Hex(address))
            }
            Error::Corrupt(table, address, damage) => {
                write!(f, "ACPI's {table} at 0x{} is damaged: {damage}", Hex(address))
            }
            Error::Unusable(table, what) => write!(f, "ACPI's {table}: {what}"),
        }
    }
}

impl core::error::Error for Error {}

/// The head of every table: signature, length, revision, checksum, who made it.
const HEAD_BYTES: usize = 36;

/// More than any table has: the largest, those of servers with much AML, have some 600 KiB.
const MOST_BYTES: usize = 2 << 20;

/// More than any machine has: large servers have a hundred.
const MOST_TABLES: usize = 256;

/// The `N` bytes at `offset`, if the table reaches so far.
fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn byte(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    field(bytes, offset).map(u16::from_le_bytes)
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    field(bytes, offset).map(u32::from_le_bytes)
}

fn long(bytes: &[u8], offset: usize) -> Option<u64> {
    field(bytes, offset).map(u64::from_le_bytes)
}

fn adds_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// The machine's tables, found and not yet read.
#[derive(Debug)]
pub struct Tables<M> {
    memory: M,
    /// Where the XSDT is, or the RSDT.
    root: u64,
    kind: Signature,
}

impl<M: Memory> Tables<M> {
    /// Follows the root pointer at `rsdp`; without one, the first that is whole in `area`, on a multiple of 16.
    pub fn find(memory: M, rsdp: Option<u64>, area: Range<u64>) -> Result<Tables<M>, Error> {
        let at = rsdp.or_else(|| search(&memory, area)).ok_or(Error::Absent)?;
        let (kind, root) = read_rsdp(&memory, at)?;
        let tables = Tables { memory, root, kind };
        tables.list().map(drop)?;
        Ok(tables)
    }

    /// The table at `address`, whole and with the right signature. The root table may have any: where the firmware
    /// has an RSDT only, Xen 4.17 gives its dom0 an XSDT that is right but for that. The pointer says what it is.
    fn table(&self, signature: Signature, address: u64) -> Result<&[u8], Error> {
        let corrupt = |damage| Error::Corrupt(signature, address, damage);
        let unreachable = Error::Unreachable(signature, address);
        let head = self.memory.bytes(address, HEAD_BYTES).ok_or(unreachable)?;
        if field(head, 0) != Some(signature.0) && address != self.root {
            return Err(corrupt(Damage::Signature));
        }
        let len = word(head, 4).map_or(0, |len| len as usize);
        if !(HEAD_BYTES..=MOST_BYTES).contains(&len) {
            return Err(corrupt(Damage::Length));
        }
        let table = self.memory.bytes(address, len).ok_or(unreachable)?;
        if adds_up(table) { Ok(table) } else { Err(corrupt(Damage::Checksum)) }
    }

    /// The addresses in the root table.
    fn list(&self) -> Result<impl Iterator<Item = u64>, Error> {
        let table = self.table(self.kind, self.root)?;
        let entries = table.get(HEAD_BYTES..).unwrap_or_default();
        let width = if self.kind == XSDT { 8 } else { 4 };
        if entries.len() / width > MOST_TABLES {
            return Err(Error::Corrupt(self.kind, self.root, Damage::Count));
        }
        Ok(entries.chunks_exact(width).map(|entry| {
            let number = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            entry.iter().rev().fold(0, number)
        }))
    }

    /// Addresses of the tables with this signature. What cannot be read is left out: see
    /// [`first`](Self::first).
    fn all(&self, signature: Signature) -> Result<impl Iterator<Item = u64>, Error> {
        Ok(self.list()?.filter(move |&address| {
            let head = self.memory.bytes(address, 4);
            head.is_some_and(|head| head == signature.0)
        }))
    }

    /// The first table with this signature. If there is none, but one that cannot be read, that might be it.
    fn first(&self, signature: Signature) -> Result<(&[u8], u64), Error> {
        if let Some(address) = self.all(signature)?.next() {
            return Ok((self.table(signature, address)?, address));
        }
        let dark = self.list()?.find(|&address| self.memory.bytes(address, 4).is_none());
        Err(dark.map_or(Error::Missing(signature), |at| Error::Unreachable(signature, at)))
    }

    /// The interrupt controllers, by the MADT.
    pub fn controllers(&self) -> Result<Controllers<'_>, Error> {
        let (table, address) = self.first(MADT)?;
        Controllers::new(table).ok_or(Error::Corrupt(MADT, address, Damage::Entry))
    }

    /// Where the registers of the HPET are.
    pub fn hpet(&self) -> Result<PhysAddr, Error> {
        let (table, address) = self.first(HPET)?;
        // A generic address structure (5.2.3.2): byte 0 is the space, bytes 4 to 11 are the address.
        let (Some(space), Some(base)) = (byte(table, 40), long(table, 44)) else {
            return Err(Error::Corrupt(HPET, address, Damage::Length));
        };
        let base = PhysAddr::try_new(base).filter(|base| space == 0 && base.as_u64() != 0);
        base.ok_or(Error::Unusable(HPET, "its registers are not in memory"))
    }
}

/// The root pointer's oldest form, and the form from revision 2 on (5.2.5.3).
const RSDP_BYTES: usize = 20;
const LONG_RSDP_BYTES: usize = 36;
const RSDP_TEXT: &[u8; 8] = b"RSD PTR ";

/// The first root pointer in `area`.
fn search(memory: &impl Memory, area: Range<u64>) -> Option<u64> {
    const STEP: usize = 16;
    let len = area.end.saturating_sub(area.start);
    let bytes = memory.bytes(area.start, usize::try_from(len).ok()?)?;
    let places = (0..bytes.len()).step_by(STEP);
    let found = places.map(|at| (at, bytes.get(at..at + RSDP_BYTES))).find(|(_, pointer)| {
        pointer.is_some_and(|pointer| pointer.starts_with(RSDP_TEXT) && adds_up(pointer))
    });
    found.map(|(at, _)| area.start + at as u64)
}

/// Which root table the pointer names, and where it is: the XSDT if there is one.
fn read_rsdp(memory: &impl Memory, at: u64) -> Result<(Signature, u64), Error> {
    let unreachable = Error::Unreachable(RSDP, at);
    let corrupt = |damage| Error::Corrupt(RSDP, at, damage);
    let old = memory.bytes(at, RSDP_BYTES).ok_or(unreachable)?;
    if !old.starts_with(RSDP_TEXT) {
        return Err(corrupt(Damage::Signature));
    }
    if !adds_up(old) {
        return Err(corrupt(Damage::Checksum));
    }
    let [revision, a, b, c, d] = field(old, 15).ok_or(unreachable)?;
    if revision >= 2 {
        let pointer = memory.bytes(at, LONG_RSDP_BYTES).ok_or(unreachable)?;
        // Whatever is added to it later is covered by the second checksum too.
        const LONGEST: usize = 4096;
        let len = word(pointer, 20).map_or(0, |len| len as usize);
        if !(LONG_RSDP_BYTES..=LONGEST).contains(&len) {
            return Err(corrupt(Damage::Length));
        }
        let pointer = memory.bytes(at, len).ok_or(unreachable)?;
        if !adds_up(pointer) {
            return Err(corrupt(Damage::Checksum));
        }
        if let Some(address) = long(pointer, 24).filter(|&address| address != 0) {
            return Ok((XSDT, address));
        }
    }
    Ok((RSDT, u32::from_le_bytes([a, b, c, d]).into()))
}

/// Where the firmware of this machine left its tables: outside RAM that is ours to write.
#[derive(Clone, Copy, Debug)]
pub struct Firmware(());

impl Memory for Firmware {
    fn bytes(&self, address: u64, len: usize) -> Option<&[u8]> {
        let end = address.checked_add(len as u64)?;
        if let Some(copy) = arch::boot::root_pointer(address, len) {
            return Some(copy);
        }
        let mut regions = boot_info()?.memory().regions().iter();
        // What the kernel may write to meanwhile cannot be lent.
        let is_ours = regions.any(|region| {
            region.kind == Kind::Usable && region.start < end && address < region.end
        });
        if is_ours {
            return None;
        }
        let start = map_firmware(PhysAddr::try_new(address)?, len as u64).ok()?;
        // SAFETY: mapped, readable and cached, or `map_firmware` had refused; nobody writes there: it is not
        // usable memory, and nothing maps firmware's for writing. It stays mapped.
        Some(unsafe { core::slice::from_raw_parts(start.as_ptr(), len) })
    }
}

/// The tables of this machine. Not before `main`; allocates nothing, and may be called again.
///
/// # Errors
///
/// [`Error::Absent`] where there are none, as on QEMU's `microvm` with `acpi=off`. Others if they are damaged.
pub fn tables() -> Result<Tables<Firmware>, Error> {
    let rsdp = boot_info().and_then(|info| info.rsdp());
    Tables::find(Firmware(()), rsdp, arch::RSDP_AREA)
}
