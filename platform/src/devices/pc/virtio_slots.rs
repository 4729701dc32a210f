//! Where virtio devices may be on a PC without PCI: where the command line says, and at QEMU's fixed places.
//!
//! QEMU's microvm has its devices in slots from 0xfeb0_0000 on, and tells them by the command line, as Linux takes
//! them (`virtio_mmio.device=512@0xfeb00e00:12`), or in AML. Without the former the slots are looked at, but only
//! where QEMU runs us and there is no PCI: elsewhere something else may be there. Devices on PCI are not looked for.
//!
//! Source: Linux, `Documentation/admin-guide/kernel-parameters.txt`, virtio_mmio.device; QEMU, `hw/i386/microvm.c`.

use crate::boot_info::{BootInfo, Hypervisor, boot_info};
use crate::devices::virtio::mmio::{Mmio, REGISTERS_BYTES};
use crate::memory::address::PhysAddr;
use crate::x86_64::cpu;

const SLOTS: u64 = 0xfeb0_0000;
const SLOT_COUNT: u64 = 24;

/// The first device of this kind.
pub fn find(device_id: u32) -> Option<Mmio> {
    let boot = boot_info()?;
    let told = || boot.arguments().filter_map(told_address);
    if let Some(device) = told().find_map(|address| Mmio::find(address, device_id)) {
        return Some(device);
    }
    if told().next().is_some() || !has_slots(boot) {
        return None;
    }
    let slots = (0..SLOT_COUNT).map(|slot| PhysAddr::new(SLOTS + slot * REGISTERS_BYTES));
    slots.into_iter().find_map(|address| Mmio::find(address, device_id))
}

fn has_slots(boot: &BootInfo) -> bool {
    matches!(boot.hypervisor(), Hypervisor::Tcg | Hypervisor::Kvm) && !has_pci()
}

/// Whether there is a device 0 on bus 0, by configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2).
fn has_pci() -> bool {
    const ADDRESS: u16 = 0xcf8;
    const DATA: u16 = 0xcfc;
    const FIRST_DEVICE: u32 = 1 << 31;
    // SAFETY: the two ports are PCI's or nobody's, and reading an identification changes nothing.
    let vendor = unsafe {
        cpu::outl(ADDRESS, FIRST_DEVICE);
        cpu::inl(DATA)
    };
    vendor & 0xffff != 0xffff
}

/// The address in `virtio_mmio.device=SIZE@ADDRESS:IRQ`.
fn told_address(argument: &str) -> Option<PhysAddr> {
    let (_size, rest) = argument.strip_prefix("virtio_mmio.device=")?.split_once('@')?;
    let address = rest.split(':').next()?;
    let address = match address.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => address.parse(),
    };
    PhysAddr::try_new(address.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_linux_takes() {
        let told = |text| told_address(text).map(PhysAddr::as_u64);
        assert_eq!(told("virtio_mmio.device=512@0xfeb00e00:12"), Some(0xfeb0_0e00));
        assert_eq!(told("virtio_mmio.device=4K@0x1000:5:1"), Some(0x1000));
        assert_eq!(told("virtio_mmio.device=512@4096:5"), Some(4096));
        for wrong in [
            "",
            "virtio_mmio.device=",
            "virtio_mmio.device=512",
            "virtio_mmio.device=512@",
            "virtio_mmio.device=512@0x",
            "virtio_mmio.device=512@0xzz:1",
            "virtio_mmio.device=512@0x10000000000000000:1",
            "virtio_mmio.device=512@-1:1",
            "other=512@0xfeb00e00:12",
        ] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }
}
