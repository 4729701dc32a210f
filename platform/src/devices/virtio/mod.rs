//! virtio devices: [which there are](devices), and as much of a driver as entropy needs: one queue, one buffer at a
//! time, waited for.
//!
//! The crate `virtio-drivers` (0.13) was looked at and not taken for this: it waits for its device without a limit,
//! when it resets one on PCI and when it asks for entropy, and has no words for a device that lies. What it would
//! save is this folder. It is the one to take for disks and networks.
//!
//! Everything that the device writes to is made of atomics, and nothing it says is believed: see `Queue::take`.
//!
//! Source: OASIS, Virtual I/O Device (VIRTIO) 1.2: 2.7 (split virtqueues), 3.1 (initialization), 4.2 (MMIO),
//! 5.4 (entropy device).

mod found;
pub(crate) mod mmio;
pub(crate) mod pci;
pub(crate) mod rng;

pub(crate) use found::{AnyTransport, open};
pub use found::{Device, Place, devices};

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

use crate::memory::address::PAGE_SIZE;

/// How the registers of a device are reached.
pub(crate) trait Transport {
    /// Device status (2.1); 0 resets the device.
    fn set_status(&self, status: u32);
    /// Device status.
    fn status(&self) -> u32;
    /// The lower or the upper half of what the device can do: 0 or 1.
    fn features_half(&self, which: u32) -> u32;
    /// What of it is wanted.
    fn accept_half(&self, which: u32, half: u32);
    /// What the device can do.
    fn features(&self) -> u64 {
        let [lower, upper] = [0, 1].map(|which| u64::from(self.features_half(which)));
        lower | upper << 32
    }
    /// What of it is wanted.
    fn accept(&self, features: u64) {
        self.accept_half(0, features as u32);
        self.accept_half(1, (features >> 32) as u32);
    }
    /// Whether the device is of the kind before virtio 1.0.
    fn is_legacy(&self) -> bool;
    /// Gives the device queue 0. `false` if it has none, or it is in use.
    fn give(&self, queue: &'static Queue) -> bool;
    /// Tells the device to look at queue 0.
    fn notify(&self);
}

/// Why there is no use in a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// It did not do what it must to be used.
    Refused,
    /// It did not answer in time.
    Silent,
    /// Its answer cannot be.
    Lying,
}

const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const NEEDS_RESET: u32 = 64;

const VERSION_1: u64 = 1 << 32;
/// Addresses are those of the device's platform, which are the kernel's: there is no IOMMU between.
const ACCESS_PLATFORM: u64 = 1 << 33;

/// Brings a device up, with none of its features that change anything. It is reset first; `is_over` ends the wait for
/// that. After an error it does not have the queue.
pub(crate) fn start(
    device: &impl Transport,
    queue: &'static Queue,
    is_over: impl FnMut() -> bool,
) -> Result<(), Error> {
    reset(device, is_over)?;
    device.set_status(ACKNOWLEDGE);
    device.set_status(ACKNOWLEDGE | DRIVER);
    let mut status = ACKNOWLEDGE | DRIVER;
    let offered = device.features();
    if device.is_legacy() {
        device.accept(0);
    } else {
        if offered & VERSION_1 == 0 {
            return Err(Error::Refused);
        }
        device.accept(offered & (VERSION_1 | ACCESS_PLATFORM));
        status |= FEATURES_OK;
        device.set_status(status);
        if device.status() & FEATURES_OK == 0 {
            return Err(Error::Refused);
        }
    }
    queue.clear();
    if !device.give(queue) {
        return Err(Error::Refused);
    }
    device.set_status(status | DRIVER_OK);
    Ok(())
}

/// Takes everything back that the device was given.
pub(crate) fn reset(
    device: &impl Transport,
    mut is_over: impl FnMut() -> bool,
) -> Result<(), Error> {
    device.set_status(0);
    while device.status() != 0 {
        if is_over() {
            return Err(Error::Silent);
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// How many descriptors there are. One is used; the number is a power of 2.
pub(crate) const LEN: usize = 2;
/// How much is asked for at a time.
pub(crate) const BUFFER_BYTES: usize = 64;

const DEVICE_WRITES: u16 = 2;
const NO_INTERRUPT: u16 = 1;

#[repr(C, align(16))]
struct Descriptor {
    address: AtomicU64,
    len: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

#[repr(C)]
pub(crate) struct Used {
    flags: AtomicU16,
    pub(crate) index: AtomicU16,
    pub(crate) ring: [(AtomicU32, AtomicU32); LEN],
    _available_event: AtomicU16,
}

/// A queue with its buffer, laid out as devices before 1.0 want it, which suits the others too:
///
/// ```text
/// page 0    descriptors, available ring
/// page 1    used ring, buffer
/// ```
///
/// The kernel is mapped at its physical addresses, so an address here is the device's, too.
#[repr(C, align(4096))]
pub(crate) struct Queue {
    descriptors: [Descriptor; LEN],
    available_flags: AtomicU16,
    pub(crate) available_index: AtomicU16,
    available_ring: [AtomicU16; LEN],
    _used_event: AtomicU16,
    _rest: [AtomicU64; (PAGE_SIZE as usize - AVAILABLE_END) / 8],
    pub(crate) used: Used,
    pub(crate) buffer: [AtomicU64; BUFFER_BYTES / 8],
}

const AVAILABLE_END: usize = (LEN * size_of::<Descriptor>() + 2 * (3 + LEN)).next_multiple_of(8);

const _: () = assert!(core::mem::offset_of!(Queue, used) == PAGE_SIZE as usize);
const _: () = assert!(core::mem::offset_of!(Used, ring) == 4);

impl Queue {
    /// An empty one.
    #[expect(clippy::declare_interior_mutable_const, reason = "to fill arrays with")]
    pub const fn new() -> Queue {
        const ZERO_16: AtomicU16 = AtomicU16::new(0);
        const ZERO_32: AtomicU32 = AtomicU32::new(0);
        const ZERO_64: AtomicU64 = AtomicU64::new(0);
        const EMPTY: Descriptor =
            Descriptor { address: ZERO_64, len: ZERO_32, flags: ZERO_16, next: ZERO_16 };
        Queue {
            descriptors: [EMPTY; LEN],
            available_flags: ZERO_16,
            available_index: ZERO_16,
            available_ring: [ZERO_16; LEN],
            _used_event: ZERO_16,
            _rest: [ZERO_64; (PAGE_SIZE as usize - AVAILABLE_END) / 8],
            used: Used {
                flags: ZERO_16,
                index: ZERO_16,
                ring: [const { (ZERO_32, ZERO_32) }; LEN],
                _available_event: ZERO_16,
            },
            buffer: [ZERO_64; BUFFER_BYTES / 8],
        }
    }

    fn clear(&self) {
        self.available_flags.store(NO_INTERRUPT, Ordering::Relaxed);
        self.available_index.store(0, Ordering::Relaxed);
        self.used.flags.store(0, Ordering::Relaxed);
        self.used.index.store(0, Ordering::Relaxed);
    }

    /// Where the descriptors, the available ring and the used ring are.
    pub fn addresses(&self) -> [u64; 3] {
        let address = |part: *const ()| part.expose_provenance() as u64;
        [
            address((&raw const self.descriptors).cast()),
            address((&raw const self.available_flags).cast()),
            address((&raw const self.used).cast()),
        ]
    }

    /// Has the device fill the buffer, and tells how many bytes it says it has written: 1 to
    /// [`BUFFER_BYTES`]. What it has not is zero.
    ///
    /// After an error the device may still write: [`reset`] it, and use it no more.
    pub fn take(
        &self,
        device: &impl Transport,
        mut is_over: impl FnMut() -> bool,
    ) -> Result<usize, Error> {
        for word in &self.buffer {
            word.store(0, Ordering::Relaxed);
        }
        let descriptor = &self.descriptors[0];
        let buffer = (&raw const self.buffer).expose_provenance() as u64;
        descriptor.address.store(buffer, Ordering::Relaxed);
        descriptor.len.store(BUFFER_BYTES as u32, Ordering::Relaxed);
        descriptor.flags.store(DEVICE_WRITES, Ordering::Relaxed);
        let before = self.available_index.load(Ordering::Relaxed);
        let after = before.wrapping_add(1);
        self.available_ring[usize::from(before) % LEN].store(0, Ordering::Relaxed);
        self.available_index.store(after, Ordering::Release);
        // The device must see the index before it is told to look.
        fence(Ordering::SeqCst);
        device.notify();
        loop {
            match self.used.index.load(Ordering::Acquire) {
                index if index == after => break,
                index if index != before => return Err(Error::Lying),
                _ if is_over() => return Err(Error::Silent),
                _ => core::hint::spin_loop(),
            }
        }
        let (id, len) = &self.used.ring[usize::from(before) % LEN];
        let (id, len) = (id.load(Ordering::Relaxed), len.load(Ordering::Relaxed) as usize);
        let is_possible = id == 0 && (1..=BUFFER_BYTES).contains(&len);
        if !is_possible || device.status() & NEEDS_RESET != 0 {
            return Err(Error::Lying);
        }
        Ok(len)
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue::new()
    }
}
