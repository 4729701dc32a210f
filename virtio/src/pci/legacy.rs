//! The registers of a device before version 1.0: VIRTIO 1.2, 4.1.4.10 and 4.1.5.1.2. They are ports, so only processors
//! of the x86 kind reach them.

use super::{Function, NO_VECTOR};
use crate::bell::Bell;
use crate::interrupt::Interrupt;
use crate::ports;
use crate::transport::{Places, Transport};

const FEATURES: u16 = 0x00;
const ACCEPTED: u16 = 0x04;
const QUEUE_PAGE: u16 = 0x08;
const QUEUE_LEN: u16 = 0x0c;
const QUEUE_SELECT: u16 = 0x0e;
const NOTIFY: u16 = 0x10;
const STATUS: u16 = 0x12;
const INTERRUPT_STATUS: u16 = 0x13;
/// These two are there if messages are in use; the configuration follows.
const CONFIG_MESSAGE: u16 = 0x14;
const QUEUE_MESSAGE: u16 = 0x16;
const REGISTERS_BYTES: u16 = 0x18;

/// Queues are counted in pages of this size.
const PAGE_SIZE: u64 = 4096;

#[derive(Debug)]
pub struct Legacy<F> {
    function: F,
    kind: u32,
    first: u16,
    /// How many ports there are.
    len: u16,
}

impl<F: Function> Legacy<F> {
    pub fn new(function: F, kind: u32) -> Option<Legacy<F>> {
        let (first, len) = function.ports(0).filter(|_| ports::EXIST)?;
        if len < REGISTERS_BYTES {
            return None;
        }
        Some(Legacy { function, kind, first, len })
    }

    /// Where a part of the configuration is.
    fn config(&self, offset: u16, bytes: u16) -> Option<u16> {
        let start = if self.function.has_messages() { REGISTERS_BYTES } else { CONFIG_MESSAGE };
        let end = offset.checked_add(start + bytes)?;
        (end <= self.len).then(|| self.first + start + offset)
    }
}

// SAFETY of all reads and writes below: `new` got the ports, which are the device's for good, and offsets are below their
// number; what the device is told to write to, `give`'s caller answers for.
impl<F: Function> Transport for Legacy<F> {
    fn kind(&self) -> u32 {
        self.kind
    }

    fn status(&self) -> u8 {
        // SAFETY: see above.
        unsafe { ports::read_byte(self.first + STATUS) }
    }

    fn set_status(&self, status: u8) {
        // SAFETY: see above.
        unsafe { ports::write_byte(self.first + STATUS, status) }
    }

    fn features(&self) -> u64 {
        // SAFETY: see above.
        unsafe { ports::read_word(self.first + FEATURES) }.into()
    }

    fn accept(&self, features: u64) {
        // SAFETY: see above.
        unsafe { ports::write_word(self.first + ACCEPTED, features as u32) }
    }

    fn is_legacy(&self) -> bool {
        true
    }

    fn generation(&self) -> u32 {
        0
    }

    fn config_byte(&self, offset: u16) -> u8 {
        // SAFETY: see above.
        self.config(offset, 1).map_or(0, |port| unsafe { ports::read_byte(port) })
    }

    fn config_half(&self, offset: u16) -> u16 {
        // SAFETY: see above.
        self.config(offset, 2).map_or(0, |port| unsafe { ports::read_half(port) })
    }

    fn config_word(&self, offset: u16) -> u32 {
        // SAFETY: see above.
        self.config(offset, 4).map_or(0, |port| unsafe { ports::read_word(port) })
    }

    fn set_config_word(&self, offset: u16, value: u32) {
        if let Some(port) = self.config(offset, 4) {
            // SAFETY: see above.
            unsafe { ports::write_word(port, value) }
        }
    }

    fn most(&self, index: u16) -> u16 {
        // SAFETY: see above.
        unsafe {
            ports::write_half(self.first + QUEUE_SELECT, index);
            let is_in_use = ports::read_word(self.first + QUEUE_PAGE) != 0;
            if is_in_use { 0 } else { ports::read_half(self.first + QUEUE_LEN) }
        }
    }

    fn has_fixed_len(&self) -> bool {
        true
    }

    unsafe fn give(&self, index: u16, places: Places, message: Option<u16>) -> Option<Bell> {
        let page = u32::try_from(places.descriptors / PAGE_SIZE).ok()?;
        // SAFETY: see above; the driver has reset the device before it becomes a master.
        unsafe {
            ports::write_half(self.first + QUEUE_SELECT, index);
            if self.function.has_messages() {
                let message = message.unwrap_or(NO_VECTOR);
                ports::write_half(self.first + QUEUE_MESSAGE, message);
                if ports::read_half(self.first + QUEUE_MESSAGE) != message {
                    return None;
                }
            }
            self.function.enable_bus_master();
            ports::write_word(self.first + QUEUE_PAGE, page);
        }
        // SAFETY: see above.
        Some(unsafe { Bell::port(self.first + NOTIFY, index) })
    }

    fn give_config_message(&self, message: u16) -> bool {
        if !self.function.has_messages() {
            return false;
        }
        // SAFETY: see above.
        unsafe {
            ports::write_half(self.first + CONFIG_MESSAGE, message);
            ports::read_half(self.first + CONFIG_MESSAGE) == message
        }
    }

    fn interrupt(&self) -> Interrupt {
        // SAFETY: see above.
        unsafe { Interrupt::port(self.first + INTERRUPT_STATUS) }
    }
}
