//! virtio over MMIO: section 4.2 of the specification, and 4.2.4 for legacy devices (before 1.0), QEMU's default.

use core::ptr::NonNull;

use super::{LEN, Queue, Transport};
use crate::memory::address::{PAGE_SIZE, PhysAddr};
use crate::memory::mapping::map_mmio;

/// What the registers of one device take.
pub const REGISTERS_BYTES: u64 = 0x200;

const MAGIC: usize = 0x00;
const VERSION: usize = 0x04;
const DEVICE_ID: usize = 0x08;
const FEATURES: usize = 0x10;
const FEATURES_SELECT: usize = 0x14;
const ACCEPTED: usize = 0x20;
const ACCEPTED_SELECT: usize = 0x24;
const LEGACY_PAGE_SIZE: usize = 0x28;
const QUEUE_SELECT: usize = 0x30;
const QUEUE_MOST: usize = 0x34;
const QUEUE_LEN: usize = 0x38;
const LEGACY_ALIGNMENT: usize = 0x3c;
const LEGACY_PAGE: usize = 0x40;
const QUEUE_READY: usize = 0x44;
const NOTIFY: usize = 0x50;
const STATUS: usize = 0x70;
/// Descriptors, available ring, used ring: two halves each.
const QUEUE_PARTS: [usize; 3] = [0x80, 0x90, 0xa0];

/// A device behind registers in memory.
#[derive(Clone, Copy)]
pub struct Mmio {
    registers: NonNull<u8>,
    is_legacy: bool,
}

// SAFETY: registers have no processor that they belong to.
unsafe impl Send for Mmio {}

impl Mmio {
    /// The registers at `address`, if they are a device's. There may be no device behind them yet: see
    /// [`kind`](Self::kind).
    pub fn at(address: PhysAddr) -> Option<Mmio> {
        const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"virt");
        if !address.as_u64().is_multiple_of(4) {
            return None;
        }
        let registers = map_mmio(address, REGISTERS_BYTES).ok()?;
        let mut device = Mmio { registers, is_legacy: false };
        if device.read(MAGIC) != MAGIC_VALUE {
            return None;
        }
        device.is_legacy = match device.read(VERSION) {
            1 => true,
            2 => false,
            _ => return None,
        };
        Some(device)
    }

    /// What the device is; 0 if there is none.
    pub fn kind(&self) -> u32 {
        self.read(DEVICE_ID)
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: `find` mapped the registers, for good; this file passes their offsets.
        u32::from_le(unsafe { self.registers.byte_add(offset).cast::<u32>().read_volatile() })
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`. What the device is told to write to is a `Queue`, made for it.
        unsafe { self.registers.byte_add(offset).cast::<u32>().write_volatile(value.to_le()) }
    }
}

impl Transport for Mmio {
    fn set_status(&self, status: u32) {
        self.write(STATUS, status);
    }

    fn status(&self) -> u32 {
        self.read(STATUS)
    }

    fn features_half(&self, which: u32) -> u32 {
        self.write(FEATURES_SELECT, which);
        self.read(FEATURES)
    }

    fn accept_half(&self, which: u32, half: u32) {
        self.write(ACCEPTED_SELECT, which);
        self.write(ACCEPTED, half);
    }

    fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    fn give(&self, queue: &'static Queue) -> bool {
        self.write(QUEUE_SELECT, 0);
        let in_use = self.read(if self.is_legacy { LEGACY_PAGE } else { QUEUE_READY });
        if in_use != 0 || self.read(QUEUE_MOST) < LEN as u32 {
            return false;
        }
        self.write(QUEUE_LEN, LEN as u32);
        let addresses = queue.addresses();
        if self.is_legacy {
            let Ok(page) = u32::try_from(addresses[0] / PAGE_SIZE) else { return false };
            self.write(LEGACY_PAGE_SIZE, PAGE_SIZE as u32);
            self.write(LEGACY_ALIGNMENT, PAGE_SIZE as u32);
            self.write(LEGACY_PAGE, page);
            return true;
        }
        for (offset, address) in QUEUE_PARTS.into_iter().zip(addresses) {
            self.write(offset, address as u32);
            self.write(offset + 4, (address >> 32) as u32);
        }
        self.write(QUEUE_READY, 1);
        true
    }

    fn notify(&self) {
        self.write(NOTIFY, 0);
    }
}
