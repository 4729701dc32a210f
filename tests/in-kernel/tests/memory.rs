//! What only a machine shows of memory: devices, and maps that change while they are used.
#![no_std]
#![no_main]

use freestone::memory::{self, MapError, PhysAddr};

freestone_harness::harness!();

/// The local APIC's registers, and which of them holds its version (Intel SDM volume 3, 12.4).
const LOCAL_APIC: u64 = 0xfee0_0000;
const VERSION: usize = 0x30;

freestone_harness::tests! {
    fn the_registers_of_a_device_can_be_read() {
        for _ in 0..2 {
            let registers = memory::map_mmio(PhysAddr::new(LOCAL_APIC), 0x400).unwrap();
            // SAFETY: mapped, and reading this register has no effect.
            let version = unsafe { registers.as_ptr().add(VERSION).cast::<u32>().read_volatile() };
            assert!((0x10..=0x1f).contains(&(version & 0xff)), "version {version:#x}");
        }
    }

    fn tables_of_the_firmware_can_be_read_and_not_written() {
        // Below 4 GiB firmware ends; whatever this machine has there can be read.
        let start = PhysAddr::new(0xffff_f000);
        let bytes = memory::map_firmware(start, 0x1000).unwrap();
        // SAFETY: mapped.
        let _ = unsafe { bytes.as_ptr().read_volatile() };
        let at = bytes.as_ptr().into();
        assert_eq!(memory::translate(at), Some((start, memory::Access::Read)));
    }

    fn memory_is_no_device() {
        let variable = 0_u64;
        let here = PhysAddr::new((&raw const variable).addr() as u64);
        assert_eq!(memory::map_mmio(here, 8), Err(MapError::Ram));
        assert_eq!(memory::map_mmio(PhysAddr::new(0), 8), Err(MapError::Guarded));
        assert_eq!(memory::map_mmio(PhysAddr::new(1 << 51), 8), Err(MapError::BadRange));
        assert_eq!(memory::map_mmio(PhysAddr::new(LOCAL_APIC), 0), Err(MapError::BadRange));
    }
}
