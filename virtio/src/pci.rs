//! virtio on PCI: section 4.1 of the specification. A device has groups of registers where its capabilities say (4.1.4),
//! or, if it is of the kind before 1.0, all of them at the ports of its first base address register (4.1.5.1).

use core::ptr::NonNull;

use crate::bell::Bell;
use crate::interrupt::Interrupt;
use crate::transport::{Places, Transport};

mod legacy;
mod modern;

/// The function that a device is, as a kernel's code for PCI reaches it.
pub trait Function {
    /// The word of its configuration at `offset`, a multiple of 4.
    fn read(&self, offset: u16) -> u32;
    /// Makes `len` bytes from `offset` on of a base address register reachable, for good. `None` if they are not there.
    fn map(&self, bar: u8, offset: u64, len: u64) -> Option<NonNull<u8>>;
    /// The first port of a base address register, at which it then answers, for good, and how many there are. `None` if it
    /// has none.
    fn ports(&self, bar: u8) -> Option<(u16, u16)>;
    /// Lets it read and write memory.
    ///
    /// # Safety
    ///
    /// - It has been reset, and is told of no memory but its driver's.
    unsafe fn enable_bus_master(&self);
    /// Whether its messages (MSI-X) are in use: then the registers of a legacy device have two more.
    fn has_messages(&self) -> bool;
}

/// A device on PCI.
#[derive(Debug)]
pub struct Pci<F>(Registers<F>);

#[derive(Debug)]
enum Registers<F> {
    Modern(modern::Modern<F>),
    Legacy(legacy::Legacy<F>),
}

/// No message.
const NO_VECTOR: u16 = 0xffff;

const VENDOR: u16 = 0x1af4;

/// What a function is, if it is a virtio device: those that may be driven as before version 1.0 say so in their subsystem
/// (4.1.2).
pub fn kind([vendor, device]: [u16; 2], [_, subsystem]: [u16; 2]) -> Option<u32> {
    match device {
        _ if vendor != VENDOR => None,
        0x1000..0x1040 => Some(subsystem.into()),
        0x1040..0x1080 => Some(u32::from(device) - 0x1040),
        _ => None,
    }
}

impl<F: Function> Pci<F> {
    /// The device of this [`kind`] behind that function. `None` if it lacks registers that it must have.
    ///
    /// # Safety
    ///
    /// - The function is a virtio device's, and nobody else drives it.
    pub unsafe fn new(function: F, kind: u32) -> Option<Pci<F>> {
        let registers = match modern::Groups::find(&function) {
            Some(groups) => Registers::Modern(modern::Modern::new(function, kind, groups)?),
            None => Registers::Legacy(legacy::Legacy::new(function, kind)?),
        };
        Some(Pci(registers))
    }
}

/// Has each method do what the registers' does.
macro_rules! either {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        fn $name(&self, $($argument: $type),*) $(-> $result)? {
            match &self.0 {
                Registers::Modern(registers) => registers.$name($($argument),*),
                Registers::Legacy(registers) => registers.$name($($argument),*),
            }
        }
    )*};
}

impl<F: Function> Transport for Pci<F> {
    either! {
        fn kind() -> u32;
        fn status() -> u8;
        fn set_status(status: u8);
        fn features() -> u64;
        fn accept(features: u64);
        fn is_legacy() -> bool;
        fn generation() -> u32;
        fn config_byte(offset: u16) -> u8;
        fn config_half(offset: u16) -> u16;
        fn config_word(offset: u16) -> u32;
        fn set_config_word(offset: u16, value: u32);
        fn most(index: u16) -> u16;
        fn has_fixed_len() -> bool;
        fn give_config_message(message: u16) -> bool;
        fn interrupt() -> Interrupt;
    }

    unsafe fn give(&self, index: u16, places: Places, message: Option<u16>) -> Option<Bell> {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.0 {
                Registers::Modern(registers) => registers.give(index, places, message),
                Registers::Legacy(registers) => registers.give(index, places, message),
            }
        }
    }
}
