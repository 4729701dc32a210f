//! The MCFG: where PCI's configuration space is in memory.
//!
//! Source: PCI Firmware Specification 3.3, 4.1.2.

use core::ops::RangeInclusive;

use super::{Damage, Error, HEAD_BYTES, MCFG, Memory, Tables, byte, half, long};
use crate::memory::address::PhysAddr;

/// The configuration of some buses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciSpace {
    /// The number of the tree of buses.
    pub segment: u16,
    /// Where bus 0 would be; each bus has 1 MiB.
    pub start: PhysAddr,
    /// The buses that are there.
    pub buses: RangeInclusive<u8>,
}

/// Eight reserved bytes come before the entries.
const FIRST_ENTRY: usize = HEAD_BYTES + 8;
const ENTRY_BYTES: usize = 16;

/// More than any machine has.
pub(crate) const MOST_PCI_SPACES: usize = 64;

impl<M: Memory> Tables<M> {
    /// Where the configuration of which buses is. Entries that name none, or addresses that cannot be, are left out.
    pub fn pci_spaces(&self) -> Result<impl Iterator<Item = PciSpace>, Error> {
        let (table, address) = self.first(MCFG)?;
        let corrupt = |damage| Error::Corrupt(MCFG, address, damage);
        let entries = table.get(FIRST_ENTRY..).ok_or(corrupt(Damage::Length))?;
        if entries.len() / ENTRY_BYTES > MOST_PCI_SPACES {
            return Err(corrupt(Damage::Count));
        }
        Ok(entries.chunks_exact(ENTRY_BYTES).filter_map(space))
    }
}

fn space(entry: &[u8]) -> Option<PciSpace> {
    let start = PhysAddr::try_new(long(entry, 0)?).filter(|start| start.is_page())?;
    let buses = byte(entry, 10)?..=byte(entry, 11)?;
    let is_one = start.as_u64() != 0 && !buses.is_empty();
    is_one.then_some(PciSpace { segment: half(entry, 8)?, start, buses })
}
