//! virtio on PCI: section 4.1 of the specification. Where its groups of registers are, capabilities say.
//!
//! Devices that can be driven in the older way only, by ports, are not used.

use core::ptr::NonNull;

use super::{LEN, Queue, Transport};
use crate::devices::pci::{Error, Function};

/// Of capabilities: specific to the vendor.
const VENDOR_SPECIFIC: u8 = 0x09;

/// Groups of registers, and what is needed of each.
const COMMON: u8 = 1;
const COMMON_BYTES: u64 = 0x38;
const NOTIFICATIONS: u8 = 2;

const FEATURES_SELECT: usize = 0x00;
const FEATURES: usize = 0x04;
const ACCEPTED_SELECT: usize = 0x08;
const ACCEPTED: usize = 0x0c;
const STATUS: usize = 0x14;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_LEN: usize = 0x18;
const QUEUE_READY: usize = 0x1c;
const QUEUE_NOTIFY: usize = 0x1e;
/// Descriptors, available ring, used ring: two halves each.
const QUEUE_PARTS: [usize; 3] = [0x20, 0x28, 0x30];

/// A group of registers in a base address register.
#[derive(Clone, Copy)]
struct Group {
    bar: u8,
    offset: u64,
    len: u64,
    /// Of notifications: how far apart they are.
    multiplier: u32,
}

/// A device on PCI.
pub struct Pci {
    function: Function,
    common: NonNull<u8>,
    /// Where a write tells the device to look at queue 0.
    bell: NonNull<u16>,
}

// SAFETY: registers have no processor that they belong to.
unsafe impl Send for Pci {}

impl Pci {
    /// The device behind this function, which is one of virtio's.
    pub fn new(function: Function) -> Result<Pci, Error> {
        let common = group(function, COMMON).ok_or(Error::NoSuchBar(0))?;
        let bells = group(function, NOTIFICATIONS).ok_or(Error::NoSuchBar(0))?;
        if common.len < COMMON_BYTES || !common.offset.is_multiple_of(4) {
            return Err(Error::OutOfBar(common.bar));
        }
        let start = function.map(common.bar, common.offset, COMMON_BYTES)?;
        // Known when queue 0 is asked; until then the registers themselves are no worse than any other place.
        let mut device = Pci { function, common: start, bell: start.cast() };
        device.write_half(QUEUE_SELECT, 0);
        let number = u64::from(device.read_half(QUEUE_NOTIFY));
        // Below 2^48.
        let at = number * u64::from(bells.multiplier);
        let is_inside = at + 2 <= bells.len && (bells.offset + at).is_multiple_of(2);
        if !is_inside {
            return Err(Error::OutOfBar(bells.bar));
        }
        device.bell = function.map(bells.bar, bells.offset + at, 2)?.cast();
        Ok(device)
    }

    fn at<T>(&self, offset: usize) -> NonNull<T> {
        // SAFETY: `new` mapped the registers, for good; this file passes their offsets.
        unsafe { self.common.byte_add(offset).cast() }
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: as in `at`: a word, aligned since `new` saw that its group is.
        u32::from_le(unsafe { self.at::<u32>(offset).read_volatile() })
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`. What the device is told to write to is a `Queue`, made for it.
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
}

/// The first group of this kind (4.1.4).
fn group(function: Function, kind: u8) -> Option<Group> {
    let own = function.capabilities().filter(|one| one.id == VENDOR_SPECIFIC);
    own.map(|one| one.offset).find_map(|at| {
        let [_id, _next, _len, this] = function.read(at).to_le_bytes();
        let [bar, ..] = function.read(at + 4).to_le_bytes();
        let (offset, len) = (function.read(at + 8).into(), function.read(at + 12).into());
        let is_it = this == kind && bar < 6;
        is_it.then(|| Group { bar, offset, len, multiplier: function.read(at + 16) })
    })
}

impl Transport for Pci {
    fn set_status(&self, status: u32) {
        // SAFETY: as in `write`, of a byte.
        unsafe { self.at::<u8>(STATUS).write_volatile(status as u8) }
    }

    fn status(&self) -> u32 {
        // SAFETY: as in `read`, of a byte.
        unsafe { self.at::<u8>(STATUS).read_volatile() }.into()
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
        false
    }

    fn give(&self, queue: &'static Queue) -> bool {
        self.write_half(QUEUE_SELECT, 0);
        if self.read_half(QUEUE_READY) != 0 || self.read_half(QUEUE_LEN) < LEN as u16 {
            return false;
        }
        self.write_half(QUEUE_LEN, LEN as u16);
        for (offset, address) in QUEUE_PARTS.into_iter().zip(queue.addresses()) {
            self.write(offset, address as u32);
            self.write(offset + 4, (address >> 32) as u32);
        }
        // SAFETY: it has been reset, and told of this queue, which is made for it.
        unsafe { self.function.enable_bus_master() };
        self.write_half(QUEUE_READY, 1);
        true
    }

    fn notify(&self) {
        // SAFETY: `new` got it mapped, and saw that it is aligned; telling a device to look changes no memory but what
        // is made for it.
        unsafe { self.bell.write_volatile(0) }
    }
}
