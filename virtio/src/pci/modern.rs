//! The registers of a device of version 1.0 or later: VIRTIO 1.2, 4.1.4.

use core::ptr::NonNull;

use super::{Function, NO_VECTOR};
use crate::bell::Bell;
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::transport::{Places, Transport};

/// Of capabilities: specific to the vendor.
const VENDOR_SPECIFIC: u8 = 0x09;

const COMMON: u8 = 1;
const COMMON_BYTES: u64 = 0x38;
const NOTIFICATIONS: u8 = 2;
const INTERRUPT_STATUS: u8 = 3;
const DEVICE: u8 = 4;

const FEATURES_SELECT: usize = 0x00;
const FEATURES: usize = 0x04;
const ACCEPTED_SELECT: usize = 0x08;
const ACCEPTED: usize = 0x0c;
const CONFIG_MESSAGE: usize = 0x10;
const STATUS: usize = 0x14;
const GENERATION: usize = 0x15;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_LEN: usize = 0x18;
const QUEUE_MESSAGE: usize = 0x1a;
const QUEUE_READY: usize = 0x1c;
const QUEUE_NOTIFY: usize = 0x1e;
/// Descriptors, available ring, used ring: two halves each.
const QUEUE_PARTS: [usize; 3] = [0x20, 0x28, 0x30];

/// A group of registers in a base address register.
#[derive(Clone, Copy, Debug)]
struct Group {
    bar: u8,
    offset: u64,
    len: u64,
    /// Of notifications: how far apart they are.
    multiplier: u32,
}

/// Where the groups are that a driver needs.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    common: Group,
    notifications: Group,
    interrupt_status: Option<Group>,
    device: Option<Group>,
}

impl Groups {
    /// What the function's capabilities say.
    pub fn find(function: &impl Function) -> Option<Groups> {
        Some(Groups {
            common: group(function, COMMON)?,
            notifications: group(function, NOTIFICATIONS)?,
            interrupt_status: group(function, INTERRUPT_STATUS),
            device: group(function, DEVICE),
        })
    }
}

/// The first group of this kind. Capabilities need 4 bytes each, in 192: a longer list loops.
fn group(function: &impl Function, kind: u8) -> Option<Group> {
    const FIRST: u16 = 0x34;
    const MOST: usize = 48;
    let mut at = u16::from(function.read(FIRST) as u8 & !3);
    for _ in 0..MOST {
        if !(0x40..=0xfc).contains(&at) {
            return None;
        }
        let [id, next, _len, this] = function.read(at).to_le_bytes();
        // The longest that is read here has 20 bytes.
        if id == VENDOR_SPECIFIC && this == kind && at <= 0x100 - 20 {
            let [bar, ..] = function.read(at + 4).to_le_bytes();
            if bar < 6 {
                let (offset, len) = (function.read(at + 8).into(), function.read(at + 12).into());
                let multiplier = function.read(at + 16);
                return Some(Group { bar, offset, len, multiplier });
            }
        }
        at = u16::from(next & !3);
    }
    None
}

#[derive(Debug)]
pub struct Modern<F> {
    function: F,
    kind: u32,
    common: NonNull<u8>,
    notifications: Group,
    interrupt_status: Option<NonNull<u8>>,
    config: Option<Config>,
}

// SAFETY: registers have no processor that they belong to.
unsafe impl<F: Send> Send for Modern<F> {}

impl<F: Function> Modern<F> {
    pub fn new(function: F, kind: u32, groups: Groups) -> Option<Modern<F>> {
        let Groups { common, notifications, interrupt_status, device } = groups;
        if common.len < COMMON_BYTES || !common.offset.is_multiple_of(4) {
            return None;
        }
        let start = function.map(common.bar, common.offset, COMMON_BYTES)?;
        let map = |group: Group, len| function.map(group.bar, group.offset, len);
        let interrupt_status = interrupt_status.filter(|group| group.len != 0);
        // No kind of device has more.
        const MOST: u64 = 0x1000;
        let device = device.filter(|group| group.len != 0 && group.offset.is_multiple_of(4));
        let config = device.and_then(|group| {
            let len = group.len.min(MOST);
            // SAFETY: mapped for good; base address registers are at multiples of more than 4.
            map(group, len).map(|start| unsafe { Config::new(start, len) })
        });
        Some(Modern {
            kind,
            common: start,
            notifications,
            interrupt_status: interrupt_status.and_then(|group| map(group, 1)),
            config,
            function,
        })
    }

    fn at<T>(&self, offset: usize) -> NonNull<T> {
        // SAFETY: `new` got the registers mapped, for good; this file passes their offsets.
        unsafe { self.common.byte_add(offset).cast() }
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: as in `at`: a word, aligned since `new` saw that its group is.
        u32::from_le(unsafe { self.at::<u32>(offset).read_volatile() })
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`. What the device is told to write to, `give`'s caller answers for.
        unsafe { self.at::<u32>(offset).write_volatile(value.to_le()) }
    }

    fn read_half(&self, offset: usize) -> u16 {
        // SAFETY: as in `read`, of half a word.
        u16::from_le(unsafe { self.at::<u16>(offset).read_volatile() })
    }

    fn write_half(&self, offset: usize, value: u16) {
        // SAFETY: as in `write`.
        unsafe { self.at::<u16>(offset).write_volatile(value.to_le()) }
    }

    fn read_byte(&self, offset: usize) -> u8 {
        // SAFETY: as in `read`, of a byte.
        unsafe { self.at::<u8>(offset).read_volatile() }
    }
}

impl<F: Function> Transport for Modern<F> {
    fn kind(&self) -> u32 {
        self.kind
    }

    fn status(&self) -> u8 {
        self.read_byte(STATUS)
    }

    fn set_status(&self, status: u8) {
        // SAFETY: as in `write`, of a byte.
        unsafe { self.at::<u8>(STATUS).write_volatile(status) }
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
        false
    }

    fn generation(&self) -> u32 {
        self.read_byte(GENERATION).into()
    }

    fn config_byte(&self, offset: u16) -> u8 {
        self.config.map_or(0, |config| config.byte(offset))
    }

    fn config_half(&self, offset: u16) -> u16 {
        self.config.map_or(0, |config| config.half(offset))
    }

    fn config_word(&self, offset: u16) -> u32 {
        self.config.map_or(0, |config| config.word(offset))
    }

    fn set_config_word(&self, offset: u16, value: u32) {
        if let Some(config) = self.config {
            config.set_word(offset, value);
        }
    }

    fn most(&self, index: u16) -> u16 {
        self.write_half(QUEUE_SELECT, index);
        if self.read_half(QUEUE_READY) != 0 { 0 } else { self.read_half(QUEUE_LEN) }
    }

    fn has_fixed_len(&self) -> bool {
        false
    }

    unsafe fn give(&self, index: u16, places: Places, message: Option<u16>) -> Option<Bell> {
        self.write_half(QUEUE_SELECT, index);
        let number = u64::from(self.read_half(QUEUE_NOTIFY));
        // Below 2^48.
        let at = number * u64::from(self.notifications.multiplier);
        let Group { bar, offset, len, .. } = self.notifications;
        if at + 2 > len || !(offset + at).is_multiple_of(2) {
            return None;
        }
        let bell = self.function.map(bar, offset + at, 2)?;
        self.write_half(QUEUE_LEN, places.len);
        let message = message.unwrap_or(NO_VECTOR);
        self.write_half(QUEUE_MESSAGE, message);
        if self.read_half(QUEUE_MESSAGE) != message {
            return None;
        }
        let parts = [places.descriptors, places.available, places.used];
        for (offset, address) in QUEUE_PARTS.into_iter().zip(parts) {
            self.write(offset, address as u32);
            self.write(offset + 4, (address >> 32) as u32);
        }
        // SAFETY: the driver has reset it, and the caller answers for what it is told of.
        unsafe { self.function.enable_bus_master() };
        self.write_half(QUEUE_READY, 1);
        // SAFETY: mapped, and it makes the device look at what it was given.
        Some(unsafe { Bell::half(bell.cast(), index) })
    }

    fn give_config_message(&self, message: u16) -> bool {
        self.write_half(CONFIG_MESSAGE, message);
        self.read_half(CONFIG_MESSAGE) == message
    }

    fn interrupt(&self) -> Interrupt {
        // SAFETY: `new` got it mapped.
        self.interrupt_status.map_or(Interrupt::NONE, |status| unsafe { Interrupt::byte(status) })
    }
}
