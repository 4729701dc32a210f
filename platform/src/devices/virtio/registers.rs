//! How the registers of this machine's devices are reached: what the crate for virtio must know of pages and of PCI.

use core::ptr::NonNull;

use freestone_virtio::mmio::{Mmio, REGISTERS_BYTES};
use freestone_virtio::pci::{self, Pci};
use freestone_virtio::{Bell, Interrupt, Places, Transport};

use super::device::{Device, Place};
use crate::devices::pci::Function;
use crate::memory::address::PhysAddr;
use crate::memory::mapping::map_mmio;

/// The registers at `address`, if they are a device's. There may be no device behind them yet: its kind is 0 then.
pub fn registers_at(address: PhysAddr) -> Option<Mmio> {
    if !address.as_u64().is_multiple_of(4) {
        return None;
    }
    let registers = map_mmio(address, REGISTERS_BYTES).ok()?;
    // SAFETY: mapped, for good; the command line or ACPI says that a device is there.
    unsafe { Mmio::new(registers) }
}

impl Device {
    /// Its registers, for a driver of the crate `freestone-virtio`. `None` if it lacks some that it must have, or they
    /// cannot be mapped.
    ///
    /// # Safety
    ///
    /// - Nobody else drives the device.
    pub unsafe fn open(&self) -> Option<Registers> {
        match self.place {
            Place::Mmio(registers, _) => registers_at(registers).map(Registers::Mmio),
            // SAFETY: `devices` has seen that it is one of virtio's; the caller's promise.
            Place::Pci(function) => unsafe { Pci::new(function, self.kind) }.map(Registers::Pci),
        }
    }
}

impl pci::Function for Function {
    fn read(&self, offset: u16) -> u32 {
        Function::read(self, offset)
    }

    fn map(&self, bar: u8, offset: u64, len: u64) -> Option<NonNull<u8>> {
        Function::map(self, bar, offset, len).ok()
    }

    fn ports(&self, bar: u8) -> Option<(u16, u16)> {
        Function::ports(self, bar)
    }

    unsafe fn enable_bus_master(&self) {
        // SAFETY: the caller's promise.
        unsafe { Function::enable_bus_master(self) };
    }

    fn has_messages(&self) -> bool {
        self.has_message_table_on()
    }
}

/// The registers of a device of either kind.
#[derive(Debug)]
pub enum Registers {
    /// Behind registers in memory.
    Mmio(Mmio),
    /// On PCI.
    Pci(Pci<Function>),
}

impl Registers {
    fn either(&self) -> &dyn Transport {
        match self {
            Registers::Mmio(device) => device,
            Registers::Pci(device) => device,
        }
    }
}

impl Transport for Registers {
    fn kind(&self) -> u32 {
        self.either().kind()
    }

    fn status(&self) -> u8 {
        self.either().status()
    }

    fn set_status(&self, status: u8) {
        self.either().set_status(status);
    }

    fn features(&self) -> u64 {
        self.either().features()
    }

    fn accept(&self, features: u64) {
        self.either().accept(features);
    }

    fn is_legacy(&self) -> bool {
        self.either().is_legacy()
    }

    fn generation(&self) -> u32 {
        self.either().generation()
    }

    fn config_byte(&self, offset: u16) -> u8 {
        self.either().config_byte(offset)
    }

    fn config_half(&self, offset: u16) -> u16 {
        self.either().config_half(offset)
    }

    fn config_word(&self, offset: u16) -> u32 {
        self.either().config_word(offset)
    }

    fn set_config_word(&self, offset: u16, value: u32) {
        self.either().set_config_word(offset, value);
    }

    fn most(&self, index: u16) -> u16 {
        self.either().most(index)
    }

    fn has_fixed_len(&self) -> bool {
        self.either().has_fixed_len()
    }

    unsafe fn give(&self, index: u16, places: Places, message: Option<u16>) -> Option<Bell> {
        // SAFETY: the caller's promise.
        unsafe { self.either().give(index, places, message) }
    }

    fn give_config_message(&self, message: u16) -> bool {
        self.either().give_config_message(message)
    }

    fn interrupt(&self) -> Interrupt {
        self.either().interrupt()
    }
}
