//! A virtio device, before it has a driver.

use core::fmt;

use crate::devices::pci;
use crate::interrupts::words::Wire;
use crate::memory::address::PhysAddr;

/// A virtio device.
#[derive(Clone, Copy)]
pub struct Device {
    /// What it is: 1 a network, 2 a disk, 3 a console, 4 a source of entropy (VIRTIO 1.2, 5).
    pub kind: u32,
    pub(super) place: Place,
}

impl Device {
    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }
}

/// Where a virtio device is.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Behind registers (4.2), which are mapped; it interrupts by this wire.
    Mmio(PhysAddr, Wire),
    /// On PCI (4.1): it interrupts by messages, or by its function's wire.
    Pci(pci::Function),
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtio {} at ", self.kind)?;
        match self.place {
            Place::Mmio(registers, wire) => write!(f, "{registers}, {wire:?}"),
            Place::Pci(function) => fmt::Debug::fmt(&function, f),
        }
    }
}
