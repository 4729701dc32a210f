//! virtio over MMIO: section 4.2 of the specification, and 4.2.4 for legacy devices (before 1.0), QEMU's default.

use core::ptr::NonNull;

use crate::bell::Bell;
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::transport::{Places, Transport};

/// What the registers of one device take, with its configuration.
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
const INTERRUPT_STATUS: usize = 0x60;
const INTERRUPT_ACKNOWLEDGE: usize = 0x64;
const STATUS: usize = 0x70;
/// Descriptors, available ring, used ring: two halves each.
const QUEUE_PARTS: [usize; 3] = [0x80, 0x90, 0xa0];
const GENERATION: usize = 0xfc;
const CONFIG: usize = 0x100;

/// Legacy devices count memory in pages of the size that the driver says.
const PAGE_SIZE: u64 = 4096;

/// A device behind registers in memory.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    registers: NonNull<u8>,
    is_legacy: bool,
}

// SAFETY: registers have no processor that they belong to.
unsafe impl Send for Mmio {}

impl Mmio {
    /// The device behind these registers, if they are a device's. There may be none behind them yet: its kind is 0 then.
    ///
    /// # Safety
    ///
    /// - [`REGISTERS_BYTES`] from there on, a multiple of 4, are mapped as a device's registers are, for good, and are no
    ///   other thing's if they begin with the magic value.
    pub unsafe fn new(registers: NonNull<u8>) -> Option<Mmio> {
        const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"virt");
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

    fn at<T>(&self, offset: usize) -> NonNull<T> {
        // SAFETY: `new`'s caller got the registers mapped; this file passes their offsets.
        unsafe { self.registers.byte_add(offset).cast() }
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: as in `at`; a multiple of 4.
        u32::from_le(unsafe { self.at::<u32>(offset).read_volatile() })
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`. What the device is told to write to, `give`'s caller answers for.
        unsafe { self.at::<u32>(offset).write_volatile(value.to_le()) }
    }

    fn config(&self) -> Config {
        // SAFETY: `new`'s caller got it mapped, to the end of the registers.
        unsafe { Config::new(self.at(CONFIG), REGISTERS_BYTES - CONFIG as u64) }
    }
}

impl Transport for Mmio {
    fn kind(&self) -> u32 {
        self.read(DEVICE_ID)
    }

    fn status(&self) -> u8 {
        self.read(STATUS) as u8
    }

    fn set_status(&self, status: u8) {
        self.write(STATUS, status.into());
    }

    fn features(&self) -> u64 {
        let [lower, upper] = [0, 1].map(|half| {
            self.write(FEATURES_SELECT, half);
            u64::from(self.read(FEATURES))
        });
        lower | upper << 32
    }

    fn accept(&self, features: u64) {
        for half in [0, 1] {
            self.write(ACCEPTED_SELECT, half);
            self.write(ACCEPTED, (features >> (32 * half)) as u32);
        }
    }

    fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    fn generation(&self) -> u32 {
        if self.is_legacy { 0 } else { self.read(GENERATION) }
    }

    fn config_byte(&self, offset: u16) -> u8 {
        self.config().byte(offset)
    }

    fn config_half(&self, offset: u16) -> u16 {
        self.config().half(offset)
    }

    fn config_word(&self, offset: u16) -> u32 {
        self.config().word(offset)
    }

    fn set_config_word(&self, offset: u16, value: u32) {
        self.config().set_word(offset, value);
    }

    fn most(&self, index: u16) -> u16 {
        self.write(QUEUE_SELECT, index.into());
        let in_use = self.read(if self.is_legacy { LEGACY_PAGE } else { QUEUE_READY });
        if in_use != 0 { 0 } else { u16::try_from(self.read(QUEUE_MOST)).unwrap_or(1 << 15) }
    }

    fn has_fixed_len(&self) -> bool {
        false
    }

    unsafe fn give(&self, index: u16, places: Places, _message: Option<u16>) -> Option<Bell> {
        self.write(QUEUE_SELECT, index.into());
        self.write(QUEUE_LEN, places.len.into());
        if self.is_legacy {
            let page = u32::try_from(places.descriptors / PAGE_SIZE).ok()?;
            self.write(LEGACY_PAGE_SIZE, PAGE_SIZE as u32);
            self.write(LEGACY_ALIGNMENT, PAGE_SIZE as u32);
            self.write(LEGACY_PAGE, page);
        } else {
            let parts = [places.descriptors, places.available, places.used];
            for (offset, address) in QUEUE_PARTS.into_iter().zip(parts) {
                self.write(offset, address as u32);
                self.write(offset + 4, (address >> 32) as u32);
            }
            self.write(QUEUE_READY, 1);
        }
        // SAFETY: as in `write`.
        Some(unsafe { Bell::word(self.at(NOTIFY), index) })
    }

    fn give_config_message(&self, _message: u16) -> bool {
        false
    }

    fn interrupt(&self) -> Interrupt {
        // SAFETY: as in `at`.
        unsafe { Interrupt::words(self.at(INTERRUPT_STATUS), self.at(INTERRUPT_ACKNOWLEDGE)) }
    }
}
