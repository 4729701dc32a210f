//! The registers of a device, whichever way they are reached, and how a device is brought up and reset.
//!
//! Source: VIRTIO 1.2, 2.1 (device status), 2.2 (features), 3.1 (initialization).

use crate::bell::Bell;
use crate::interrupt::Interrupt;

/// How the registers of a device are reached.
pub trait Transport {
    /// What the device is (section 5): 1 a network, 2 a disk, 3 a console, 4 a source of entropy; 0 is none.
    fn kind(&self) -> u32;
    /// Device status (2.1).
    fn status(&self) -> u8;
    /// Sets it; 0 resets the device.
    fn set_status(&self, status: u8);
    /// What the device can do.
    fn features(&self) -> u64;
    /// What of it is wanted.
    fn accept(&self, features: u64);
    /// Whether the device is of the kind before virtio 1.0.
    fn is_legacy(&self) -> bool;
    /// Changes when the configuration has changed; always the same for a legacy device.
    fn generation(&self) -> u32;
    /// A byte of the configuration of this kind of device; zero beyond its end.
    fn config_byte(&self, offset: u16) -> u8;
    /// Two bytes of it, at a multiple of 2.
    fn config_half(&self, offset: u16) -> u16;
    /// Four bytes of it, at a multiple of 4.
    fn config_word(&self, offset: u16) -> u32;
    /// Writes four bytes of it, at a multiple of 4, in one access. Beyond its end nothing happens.
    fn set_config_word(&self, offset: u16, value: u32);
    /// The longest that queue `index` may be; 0 if there is none. That it is in use already counts as none.
    fn most(&self, index: u16) -> u16;
    /// Whether queues are exactly as long as [`most`](Self::most) says.
    fn has_fixed_len(&self) -> bool;
    /// Gives the device a queue, whose interrupts come by that message, if there are messages. `None` if the device does
    /// not take it.
    ///
    /// # Safety
    ///
    /// - The places are those of a queue of such a length that stays as long as the device may use it: until it has been
    ///   reset.
    unsafe fn give(&self, index: u16, places: Places, message: Option<u16>) -> Option<Bell>;
    /// Has changes of the configuration come by that message. Whether the device takes it.
    fn give_config_message(&self, message: u16) -> bool;
    /// How an interrupt by wire is answered.
    fn interrupt(&self) -> Interrupt;
}

/// Where the parts of a queue are, as the device sees memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// How many descriptors it has: a power of two.
    pub len: u16,
    /// The table of descriptors. The other two are where a legacy device expects them, relative to it.
    pub descriptors: u64,
    /// The ring that the driver fills.
    pub available: u64,
    /// The ring that the device fills.
    pub used: u64,
}

/// Why there is no use in a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not of the kind that is asked for.
    OtherKind(u32),
    /// It did not do what it must to be used.
    Refused,
    /// It did not answer in time.
    Silent,
    /// Its answer cannot be, or it asks to be reset.
    Lying,
    /// It is not there any more.
    Unplugged,
    /// There is no memory for its queues and buffers.
    NoMemory,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::OtherKind(kind) => write!(f, "the virtio device is of another kind: {kind}"),
            Error::Refused => f.write_str("the virtio device refuses what it must take"),
            Error::Silent => f.write_str("the virtio device did not answer in time"),
            Error::Lying => f.write_str("the virtio device says what cannot be"),
            Error::Unplugged => f.write_str("the virtio device has been taken out"),
            Error::NoMemory => f.write_str("there is no memory for the virtio device's queues"),
        }
    }
}

impl core::error::Error for Error {}

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;

/// A descriptor may hold the header and what follows (2.7.4.2): legacy devices say so, others always can.
const ANY_LAYOUT: u64 = 1 << 27;
/// Both sides say at which index they want to be told (2.7.7.1).
pub(crate) const EVENT_INDEX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;
/// Addresses are those of the device's platform, which are the kernel's: there is no IOMMU between.
const ACCESS_PLATFORM: u64 = 1 << 33;

/// A device that has taken its features, and waits for its queues.
#[derive(Debug)]
pub(crate) struct Features(u64);

impl Features {
    /// Whether that one was taken.
    pub(crate) fn has(&self, feature: u64) -> bool {
        self.0 & feature != 0
    }

    /// Whether a header may share a descriptor with what follows it.
    pub(crate) fn has_any_layout(&self) -> bool {
        self.has(ANY_LAYOUT | VERSION_1)
    }

    /// Whether the device is of version 1.0 or later.
    pub(crate) fn is_modern(&self) -> bool {
        self.has(VERSION_1)
    }
}

/// Resets a device and takes those of `wanted` that it offers. `is_over` ends the wait for the reset.
pub(crate) fn negotiate(
    device: &impl Transport,
    kind: u32,
    wanted: u64,
    is_over: impl FnMut() -> bool,
) -> Result<Features, Error> {
    negotiate_by(device, kind, |_| wanted, is_over)
}

/// [`negotiate`], where what is wanted depends on what is offered.
pub(crate) fn negotiate_by(
    device: &impl Transport,
    kind: u32,
    wanted: impl FnOnce(u64) -> u64,
    is_over: impl FnMut() -> bool,
) -> Result<Features, Error> {
    if device.kind() != kind {
        return Err(Error::OtherKind(device.kind()));
    }
    reset(device, is_over)?;
    device.set_status(ACKNOWLEDGE);
    device.set_status(ACKNOWLEDGE | DRIVER);
    let offered = device.features();
    let wanted = wanted(offered);
    if device.is_legacy() {
        let accepted = offered & (wanted | ANY_LAYOUT) & u64::from(u32::MAX);
        device.accept(accepted);
        return Ok(Features(accepted));
    }
    if offered & VERSION_1 == 0 {
        return Err(Error::Refused);
    }
    let accepted = offered & (wanted | VERSION_1 | ACCESS_PLATFORM);
    device.accept(accepted);
    device.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if device.status() & FEATURES_OK == 0 {
        return Err(Error::Refused);
    }
    Ok(Features(accepted))
}

/// The device may use its queues from here on.
pub(crate) fn start(device: &impl Transport, features: &Features) {
    let agreed = if features.is_modern() { FEATURES_OK } else { 0 };
    device.set_status(ACKNOWLEDGE | DRIVER | agreed | DRIVER_OK);
}

/// What the registers of a device read as that is not there (PCI Express 4.0, 2.3.2: all ones).
const GONE: u8 = 0xff;

/// Whether the device asks to be reset, or is not there any more.
pub(crate) fn is_lost(device: &impl Transport) -> bool {
    loss(device).is_some()
}

/// Why the device is lost that was in use, if it is.
pub(crate) fn loss(device: &impl Transport) -> Option<Error> {
    match device.status() {
        GONE | 0 => Some(Error::Unplugged),
        status if status & NEEDS_RESET != 0 || status & DRIVER_OK == 0 => Some(Error::Lying),
        _ => None,
    }
}

/// Takes everything back that the device was given.
///
/// # Errors
///
/// `Silent`: then it may go on writing to what it was given. `Unplugged`: nothing is there to answer.
pub fn reset(device: &impl Transport, mut is_over: impl FnMut() -> bool) -> Result<(), Error> {
    device.set_status(0);
    loop {
        match device.status() {
            0 => return Ok(()),
            GONE => return Err(Error::Unplugged),
            _ if is_over() => return Err(Error::Silent),
            _ => core::hint::spin_loop(),
        }
    }
}

/// A limit for a wait where there is no clock: so many looks.
pub(crate) fn limited() -> impl FnMut() -> bool {
    let mut looks = 0_u32;
    move || {
        looks += 1;
        looks >= 1 << 20
    }
}

/// Reads what is longer than a word as the device had it at one time (2.5.1). `None` if it changes all the time.
pub(crate) fn consistent<R>(device: &impl Transport, read: impl Fn() -> R) -> Option<R> {
    const MOST: usize = 8;
    for _ in 0..MOST {
        let before = device.generation();
        let value = read();
        if device.generation() == before {
            return Some(value);
        }
    }
    None
}
