//! Which virtio devices the machine has: on PCI, and behind registers that the command line or ACPI name.
//!
//! A device without a bus is named on the command line, as Linux takes it (`virtio_mmio.device=512@0xfeb00e00:12`; by
//! QEMU's microvm without ACPI, by Firecracker), or in AML. Nothing is looked for at an address that nobody named.
//!
//! Sources: Linux, `Documentation/admin-guide/kernel-parameters.txt`, virtio_mmio.device; VIRTIO 1.2, 4.1.2 (PCI).

use core::iter::once;

use freestone_virtio::Transport;
use freestone_virtio::pci::kind;

use super::device::{Device, Place};
use super::registers::registers_at;
use crate::boot_info::boot_info;
use crate::devices::{acpi, pci};
use crate::interrupts::words::Wire;
use crate::memory::address::PhysAddr;

/// The machine's virtio devices, those on PCI first. It allocates nothing. Where registers are named that are not
/// mapped, they are. As for [`pci::functions`], not in the handler of an NMI or a single step.
///
/// ```no_run
/// # use freestone_platform as freestone;
/// for device in freestone::devices::virtio::devices() {
///     freestone_rt::println!("{device:?}");
/// }
/// ```
pub fn devices() -> impl Iterator<Item = Device> {
    let named = named().filter_map(|(registers, wire)| {
        let kind = registers_at(registers)?.kind();
        (kind != 0).then_some(Device { kind, place: Place::Mmio(registers, wire) })
    });
    let on_pci = pci::functions().filter_map(|function| {
        let kind = kind(function.ids(), function.subsystem())?;
        Some(Device { kind, place: Place::Pci(function) })
    });
    on_pci.chain(named)
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
}
