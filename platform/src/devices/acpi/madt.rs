//! The MADT: which interrupt controllers there are, and which wire goes where.
//!
//! Source: ACPI 6.5, 5.2.12 (Multiple APIC Description Table).

use super::{Error, HEAD_BYTES, MADT, byte, half, long, word};
use crate::interrupts::words::{Polarity, Trigger, Wire};

/// What the MADT says. All its entries were seen to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Controllers<'a> {
    table: &'a [u8],
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its number.
    pub id: u8,
    /// Where its registers are.
    pub address: u32,
    /// The number of its first line among all lines of the machine (a "global system interrupt").
    pub first_line: u32,
}

impl Wire {
    /// What the ISA bus has: line `line`, rising edges.
    pub(crate) const fn isa(line: u32) -> Wire {
        Wire { line, trigger: Trigger::Edge, polarity: Polarity::High }
    }
}

/// An entry that this code knows. Others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A processor: its local APIC's number, and whether it may be started.
    Processor {
        /// What other entries call it.
        uid: u32,
        /// The number of its local APIC; above 254 it is reachable with x2APIC only.
        apic: u32,
        /// Whether it is there and may be started.
        is_usable: bool,
    },
    /// An I/O APIC.
    IoApic(IoApic),
    /// An interrupt of the ISA bus that is not on the line of its number, or not a rising edge.
    Override {
        /// Its number on the ISA bus.
        irq: u8,
        /// The line that it is on.
        line: u32,
        /// How it is signalled: bits 0 and 1 the polarity, bits 2 and 3 the trigger.
        flags: u16,
    },
    /// Where the local APIC is, if that needs 64 bits.
    LocalApic(u64),
    /// An input of a local APIC by which NMIs come.
    Nmi {
        /// Whose; `None`: every processor's.
        uid: Option<u32>,
        /// LINT0 or LINT1.
        line: u8,
        /// As in [`Override`](Entry::Override).
        flags: u16,
    },
}

/// Local APIC address and flags come before the entries.
const FIRST_ENTRY: usize = HEAD_BYTES + 8;

impl<'a> Controllers<'a> {
    /// `None` if an entry is cut off.
    pub(super) fn new(table: &'a [u8]) -> Option<Controllers<'a>> {
        let mut rest = table.get(FIRST_ENTRY..)?;
        while !rest.is_empty() {
            let (entry, behind) = split(rest)?;
            parse(entry)?;
            rest = behind;
        }
        Some(Controllers { table })
    }

    /// The entries that are known, in the firmware's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let mut rest = self.table.get(FIRST_ENTRY..).unwrap_or_default();
        core::iter::from_fn(move || {
            // `new` saw that there is an end.
            loop {
                let (entry, behind) = split(rest)?;
                rest = behind;
                if let Some(Some(known)) = parse(entry) {
                    return Some(known);
                }
            }
        })
    }

    /// Where each processor sees its local APIC, in xAPIC mode.
    pub fn local_apic(&self) -> u64 {
        let long = self.entries().find_map(|entry| match entry {
            Entry::LocalApic(address) => Some(address),
            _ => None,
        });
        long.unwrap_or_else(|| word(self.table, HEAD_BYTES).unwrap_or_default().into())
    }

    /// Whether there is a pair of 8259 interrupt controllers too, which must be masked.
    pub fn has_8259(&self) -> bool {
        const PCAT_COMPAT: u32 = 1 << 0;
        word(self.table, HEAD_BYTES + 4).is_some_and(|flags| flags & PCAT_COMPAT != 0)
    }

    /// The I/O APICs.
    pub fn io_apics(&self) -> impl Iterator<Item = IoApic> + use<'a> {
        self.entries().filter_map(|entry| match entry {
            Entry::IoApic(io_apic) => Some(io_apic),
            _ => None,
        })
    }

    /// The inputs by which NMIs come to the processor whose local APIC has this number. Always on an edge.
    pub fn nmis(&self, apic: u32) -> impl Iterator<Item = (u8, Polarity)> + use<'a> {
        let own = self.entries().find_map(|entry| match entry {
            Entry::Processor { uid, apic: other, .. } if other == apic => Some(uid),
            _ => None,
        });
        self.entries().filter_map(move |entry| match entry {
            Entry::Nmi { uid, line, flags } if uid.is_none() || uid == own => {
                Some((line, if flags & 3 == 3 { Polarity::Low } else { Polarity::High }))
            }
            _ => None,
        })
    }

    /// Where interrupt `irq` of the ISA bus comes.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] if it is described by values that mean nothing.
    pub fn isa(&self, irq: u8) -> Result<Wire, Error> {
        let found = self.entries().find_map(|entry| match entry {
            Entry::Override { irq: other, line, flags } if other == irq => Some((line, flags)),
            _ => None,
        });
        let Some((line, flags)) = found else { return Ok(Wire::isa(irq.into())) };
        // 0 means "as the bus has it".
        let (polarity, trigger) = match (flags & 3, flags >> 2 & 3) {
            (2, _) | (_, 2) => {
                return Err(Error::Unusable(MADT, "an override with reserved flags"));
            }
            (polarity, trigger) => (
                if polarity == 3 { Polarity::Low } else { Polarity::High },
                if trigger == 3 { Trigger::Level } else { Trigger::Edge },
            ),
        };
        Ok(Wire { line, trigger, polarity })
    }
}

/// The first entry, and what is behind it. `None` at the end, or if the entry does not fit.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(byte(bytes, 1)?);
    // Kind and length are two bytes of it.
    if len < 2 { None } else { bytes.split_at_checked(len) }
}

/// `None` if it is too short for what it is, `Some(None)` if it is not known.
fn parse(entry: &[u8]) -> Option<Option<Entry>> {
    // Bit 0 of the flags is "enabled", bit 1 "can be enabled later".
    let is_usable = |flags: u32| flags & 1 != 0;
    let known = match byte(entry, 0)? {
        0 => {
            let (uid, apic) = (byte(entry, 2)?.into(), byte(entry, 3)?.into());
            Entry::Processor { uid, apic, is_usable: is_usable(word(entry, 4)?) }
        }
        1 => {
            let (id, address, first_line) = (byte(entry, 2)?, word(entry, 4)?, word(entry, 8)?);
            Entry::IoApic(IoApic { id, address, first_line })
        }
        2 => {
            Entry::Override { irq: byte(entry, 3)?, line: word(entry, 4)?, flags: half(entry, 8)? }
        }
        4 => {
            let uid = Some(byte(entry, 2)?).filter(|&uid| uid != u8::MAX).map(u32::from);
            Entry::Nmi { uid, line: byte(entry, 5)?, flags: half(entry, 3)? }
        }
        5 => Entry::LocalApic(long(entry, 4)?),
        9 => {
            let (uid, apic) = (word(entry, 12)?, word(entry, 4)?);
            Entry::Processor { uid, apic, is_usable: is_usable(word(entry, 8)?) }
        }
        10 => {
            let uid = Some(word(entry, 4)?).filter(|&uid| uid != u32::MAX);
            Entry::Nmi { uid, line: byte(entry, 8)?, flags: half(entry, 2)? }
        }
        _ => return Some(None),
    };
    Some(Some(known))
}
