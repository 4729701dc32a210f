//! Which virtio devices the machine has: on PCI, and behind registers that the command line or ACPI name.
//!
//! A device without a bus is named on the command line, as Linux takes it (`virtio_mmio.device=512@0xfeb00e00:12`; by
//! QEMU's microvm without ACPI, by Firecracker), or in AML. Nothing is looked for at an address that nobody named.
//!
//! Sources: Linux, `Documentation/admin-guide/kernel-parameters.txt`, virtio_mmio.device; VIRTIO 1.2, 4.1.2 (PCI).

use core::iter::once;

use super::Transport;
use super::mmio::Mmio;
use super::pci::Pci;
use crate::boot_info::boot_info;
use crate::devices::{acpi, pci};
use crate::interrupts::words::Wire;
use crate::memory::address::PhysAddr;

/// A virtio device.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// What it is: 1 a network, 2 a disk, 4 a source of entropy (VIRTIO 1.2, 5).
    pub kind: u32,
    /// Where it is, and how it interrupts.
    pub place: Place,
}

/// Where a virtio device is.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Behind registers (4.2).
    Mmio {
        /// The first of 512 bytes, which are mapped.
        registers: PhysAddr,
        /// The wire that it interrupts by, for [`connect`](crate::interrupts::connect).
        wire: Wire,
    },
    /// On PCI (4.1): it interrupts by [messages](pci::Function::message_table).
    Pci(pci::Function),
}

/// The machine's virtio devices, those without a bus first. It allocates nothing. Where registers are named that are not
/// mapped, they are. As for [`pci::functions`], not in the handler of an NMI or a single step.
///
/// ```no_run
/// # use freestone_platform as freestone;
/// for device in freestone::devices::virtio::devices() {
///     freestone_rt::println!("virtio device {} at {:?}", device.kind, device.place);
/// }
/// ```
pub fn devices() -> impl Iterator<Item = Device> {
    let named = named().filter_map(|(registers, wire)| {
        let kind = Mmio::at(registers)?.kind();
        (kind != 0).then_some(Device { kind, place: Place::Mmio { registers, wire } })
    });
    let on_pci = pci::functions().filter_map(|function| {
        let kind = kind(function.ids(), function.subsystem())?;
        Some(Device { kind, place: Place::Pci(function) })
    });
    named.chain(on_pci)
}

/// How the devices of this kind are driven.
pub fn open(kind: u32) -> impl Iterator<Item = AnyTransport> {
    devices().filter(move |device| device.kind == kind).filter_map(|device| match device.place {
        Place::Mmio { registers, .. } => Mmio::at(registers).map(AnyTransport::Mmio),
        Place::Pci(function) => Pci::new(function).ok().map(AnyTransport::Pci),
    })
}

/// Where devices without a bus are said to be.
fn named() -> impl Iterator<Item = (PhysAddr, Wire)> {
    let told = || boot_info().into_iter().flat_map(|boot| boot.arguments()).filter_map(told);
    let described = once(()).flat_map(move |()| {
        let tables = acpi::tables().ok();
        let mut all = [const { None }; MOST];
        if let Some(tables) = tables
            && let Ok(found) = tables.virtio_devices()
        {
            for (slot, device) in all.iter_mut().zip(found) {
                *slot = Some(device);
            }
        }
        all.into_iter().flatten()
    });
    let is_new = move |(at, _): &(PhysAddr, Wire)| !told().any(|(other, _)| other == *at);
    told().chain(described.filter(is_new))
}

/// More than any machine has without a bus: QEMU has room for 24.
const MOST: usize = 32;

/// Registers and wire in `virtio_mmio.device=SIZE@ADDRESS:IRQ`, with or without `:ID` behind.
fn told(argument: &str) -> Option<(PhysAddr, Wire)> {
    let (_size, rest) = argument.strip_prefix("virtio_mmio.device=")?.split_once('@')?;
    let mut numbers = rest.split(':');
    let address = number(numbers.next()?)?;
    let line = u32::try_from(number(numbers.next()?)?).ok()?;
    Some((PhysAddr::try_new(address)?, Wire::isa(line)))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What a function on PCI is, if it is a virtio device: devices that may be driven as before version 1.0 say so in
/// their subsystem.
fn kind([vendor, device]: [u16; 2], [_, subsystem]: [u16; 2]) -> Option<u32> {
    const VENDOR: u16 = 0x1af4;
    match device {
        _ if vendor != VENDOR => None,
        0x1000..0x1040 => Some(subsystem.into()),
        0x1040..0x1080 => Some(u32::from(device) - 0x1040),
        _ => None,
    }
}

/// A device of either kind.
pub enum AnyTransport {
    /// Behind registers.
    Mmio(Mmio),
    /// On PCI.
    Pci(Pci),
}

impl AnyTransport {
    fn either(&self) -> &dyn Transport {
        match self {
            AnyTransport::Mmio(device) => device,
            AnyTransport::Pci(device) => device,
        }
    }
}

impl Transport for AnyTransport {
    fn set_status(&self, status: u32) {
        self.either().set_status(status);
    }

    fn status(&self) -> u32 {
        self.either().status()
    }

    fn features_half(&self, which: u32) -> u32 {
        self.either().features_half(which)
    }

    fn accept_half(&self, which: u32, half: u32) {
        self.either().accept_half(which, half);
    }

    fn is_legacy(&self) -> bool {
        self.either().is_legacy()
    }

    fn give(&self, queue: &'static super::Queue) -> bool {
        self.either().give(queue)
    }

    fn notify(&self) {
        self.either().notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_wire_are_found_in_what_linux_takes() {
        let found = |text| told(text).map(|(at, wire)| (at.as_u64(), wire));
        let at = |address, line| Some((address, Wire::isa(line)));
        assert_eq!(found("virtio_mmio.device=512@0xfeb00e00:12"), at(0xfeb0_0e00, 12));
        assert_eq!(found("virtio_mmio.device=4K@0x1000:5:1"), at(0x1000, 5));
        assert_eq!(found("virtio_mmio.device=512@4096:5"), at(4096, 5));
        for wrong in [
            "",
            "virtio_mmio.device=",
            "virtio_mmio.device=512",
            "virtio_mmio.device=512@",
            "virtio_mmio.device=512@0x",
            "virtio_mmio.device=512@0x1000",
            "virtio_mmio.device=512@0x1000:",
            "virtio_mmio.device=512@0x1000:-1",
            "virtio_mmio.device=512@0x1000:4294967296",
            "virtio_mmio.device=512@0xzz:1",
            "virtio_mmio.device=512@0x10000000000000000:1",
            "virtio_mmio.device=512@-1:1",
            "other=512@0xfeb00e00:12",
        ] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn virtio_devices_on_pci_are_told_from_others() {
        assert_eq!(kind([0x1af4, 0x1041], [0x1af4, 0x1100]), Some(1));
        assert_eq!(kind([0x1af4, 0x1005], [0x1af4, 4]), Some(4));
        assert_eq!(kind([0x1af4, 0x1080], [0x1af4, 4]), None);
        assert_eq!(kind([0x1af4, 0x0fff], [0x1af4, 4]), None);
        assert_eq!(kind([0x8086, 0x1041], [0x1af4, 4]), None);
    }
}
