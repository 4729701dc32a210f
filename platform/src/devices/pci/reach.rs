//! How configuration space is reached on this machine: through memory, where ACPI says at which address, else by ports.
//!
//! In memory (the enhanced configuration access mechanism, ECAM) each function has a page, each bus a MiB, which is
//! mapped when the bus is looked at.

use core::sync::atomic::{AtomicU64, Ordering};

use super::space::{IDS, Registers, is_there};
use super::walk::Host;
use crate::arch::pci_ports;
use crate::devices::acpi::{self, PciSpace};
use crate::memory::mapping::map_mmio;

/// A function, as its registers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By ports: bus, device and function, each where the address port wants it.
    Ports(u32),
    /// At this address, which is mapped.
    Memory(usize),
}

const PAGE_BYTES: u16 = 0x1000;
const PORTS_END: u16 = 0x100;

impl Registers for Reach {
    fn read(&self, offset: u16) -> u32 {
        let offset = offset & !3;
        match *self {
            Reach::Ports(function) if offset < PORTS_END => {
                pci_ports::read(function | u32::from(offset))
            }
            Reach::Memory(_) if offset < PAGE_BYTES => {
                // SAFETY: `Tree::bus` got the page mapped, for good, and the offset is in it.
                u32::from_le(unsafe { self.word(offset).read_volatile() })
            }
            _ => u32::MAX,
        }
    }

    fn write(&self, offset: u16, value: u32) {
        let offset = offset & !3;
        match *self {
            Reach::Ports(function) if offset < PORTS_END => {
                pci_ports::write(function | u32::from(offset), value);
            }
            Reach::Memory(_) if offset < PAGE_BYTES => {
                // SAFETY: as in `read`; what is written is for this folder to get right, and for `Function::write`'s
                // callers.
                unsafe { self.word(offset).write_volatile(value.to_le()) };
            }
            _ => {}
        }
    }
}

impl Reach {
    /// Null by ports.
    fn word(&self, offset: u16) -> *mut u32 {
        match *self {
            Reach::Memory(page) => {
                core::ptr::with_exposed_provenance_mut(page + usize::from(offset))
            }
            Reach::Ports(_) => core::ptr::null_mut(),
        }
    }
}

/// One tree of buses.
pub enum Tree {
    /// The one that the ports reach.
    Ports,
    /// In memory.
    Memory(PciSpace),
}

const BUS_BYTES: u64 = 1 << 20;

impl Host for Tree {
    /// Its first function.
    type Bus = Reach;
    type Registers = Reach;

    fn segment(&self) -> u16 {
        match self {
            Tree::Ports => 0,
            Tree::Memory(space) => space.segment,
        }
    }

    fn first_bus(&self) -> u8 {
        match self {
            Tree::Ports => 0,
            Tree::Memory(space) => *space.buses.start(),
        }
    }

    fn bus(&self, number: u8) -> Option<Reach> {
        match self {
            Tree::Ports => Some(Reach::Ports(u32::from(number) << 16)),
            Tree::Memory(space) if space.buses.contains(&number) => {
                /// The bus that was mapped last, for good: most walks ask for one bus only.
                static LAST: AtomicU64 = AtomicU64::new(0);
                let start = space.start.checked_add(BUS_BYTES * u64::from(number))?;
                if LAST.load(Ordering::Relaxed) != start.as_u64() {
                    map_mmio(start, BUS_BYTES).ok()?;
                    LAST.store(start.as_u64(), Ordering::Relaxed);
                }
                Some(Reach::Memory(start.as_u64() as usize))
            }
            Tree::Memory(_) => None,
        }
    }

    fn function(bus: &Reach, device: u8, function: u8) -> Reach {
        let place = usize::from(device) << 3 | usize::from(function);
        match bus {
            Reach::Ports(bus) => Reach::Ports(bus | (place as u32) << 8),
            Reach::Memory(bus) => Reach::Memory(bus + place * usize::from(PAGE_BYTES)),
        }
    }
}

/// All trees: what the tables say, as far as it can be believed; for segment 0 else the one behind the ports.
pub fn trees() -> impl Iterator<Item = Tree> {
    let mut trees = [const { None }; acpi::MOST_PCI_SPACES + 1];
    let ports = Some(Reach::Ports(0)).filter(is_there).map(|first| first.read(IDS));
    let mut count = 0;
    if let Ok(tables) = acpi::tables()
        && let Ok(spaces) = tables.pci_spaces()
    {
        for space in spaces {
            let overlaps = trees.iter().flatten().any(|tree: &Tree| tree.overlaps(&space));
            let tree = Tree::Memory(space);
            if !overlaps && tree.is_believed(ports) {
                trees[count] = Some(tree);
                count += 1;
            }
        }
    }
    if ports.is_some() && !trees.iter().flatten().any(|tree| tree.segment() == 0) {
        trees[count] = Some(Tree::Ports);
    }
    trees.into_iter().flatten()
}

impl Tree {
    fn overlaps(&self, other: &PciSpace) -> bool {
        match self {
            Tree::Ports => other.segment == 0,
            Tree::Memory(space) => {
                space.segment == other.segment
                    && space.buses.start() <= other.buses.end()
                    && other.buses.start() <= space.buses.end()
            }
        }
    }

    /// Whether it can be mapped and shows a function; the one that the ports show, if those reach it.
    fn is_believed(&self, ports: Option<u32>) -> bool {
        let first = self.first_bus();
        let Some(bus) = self.bus(first) else { return false };
        match ports.filter(|_| (self.segment(), first) == (0, 0)) {
            Some(ids) => bus.read(IDS) == ids,
            None => (0..32).any(|device| is_there(&Tree::function(&bus, device, 0))),
        }
    }
}
