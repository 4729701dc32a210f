//! virtio disks, in tasks.
//!
//! ```no_run
//! use freestone::block;
//!
//! # async fn example() -> Result<(), block::OpenError> {
//! for found in block::disks() {
//!     let disk = block::open(&found)?;
//!     match disk.read(0, vec![0; 512]).await {
//!         Ok(sector) => freestone::println!("{} sectors, the first begins {:?}", disk.sectors(), &sector[..4]),
//!         Err(failed) => freestone::println!("{failed}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`open`] spawns a task for the disk, which ends when the last handle is dropped. What requests promise, and in which
//! order they are done, is told in [`freestone_virtio::block`].

extern crate alloc;

use alloc::boxed::Box;
use core::time::Duration;

use freestone_platform::devices::virtio::{ConnectError, Device, Registers, devices};
use freestone_platform::dma;
use freestone_platform::time;
use freestone_rt::println;
use freestone_virtio::{Attention, Transport, block};

pub use freestone_virtio::block::{Buffer, Error, Failed, Properties, SECTOR_BYTES, Statistics};

use crate::claims::claim;
use crate::{task, wants};

/// A handle of a disk.
pub type Disk = block::Disk<Registers, dma::Shared>;

/// A request to a disk.
pub type Request<'a, B> = block::Request<'a, Registers, dma::Shared, B>;

/// Pages as a buffer, for requests that are to cost the least.
pub type PageBuffer = block::PageBuffer<dma::Buffer>;

/// A disk as a row of bytes, by the traits of `embedded-io-async`.
#[cfg(feature = "embedded-io")]
pub type Stream = block::Stream<Registers, dma::Shared>;

/// How long a request may take, unless [`open_with`] says something else: as long as Linux waits for a disk.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a device may take to be reset.
const RESET_LIMIT: Duration = Duration::from_secs(1);

/// Why a disk cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It has been opened already, or too many have.
    Busy,
    /// Its registers are not there, or cannot be mapped.
    NoRegisters,
    /// It cannot interrupt.
    Connect(ConnectError),
    /// The device is no good.
    Device(freestone_virtio::Error),
    /// There is no memory for its task.
    NoMemory,
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            OpenError::Busy => f.write_str("the disk has a driver already"),
            OpenError::NoRegisters => f.write_str("the disk's registers cannot be reached"),
            OpenError::Connect(error) => error.fmt(f),
            OpenError::Device(error) => error.fmt(f),
            OpenError::NoMemory => f.write_str("there is no memory for the disk's task"),
        }
    }
}

impl core::error::Error for OpenError {}

/// The machine's virtio disks.
pub fn disks() -> impl Iterator<Item = Device> {
    devices().filter(|device| device.kind == block::KIND)
}

/// Brings a disk up, once. In a task, or before the executor runs.
///
/// # Errors
///
/// As [`OpenError`] says.
#[inline]
pub fn open(device: &Device) -> Result<Disk, OpenError> {
    open_with(device, LIMIT)
}

/// [`open`], with another limit for each request. A disk that takes longer is used no more.
///
/// # Errors
///
/// As [`OpenError`] says.
#[inline]
pub fn open_with(device: &Device, limit: Duration) -> Result<Disk, OpenError> {
    wants::disk();
    bring_up(device, limit)
}

fn bring_up(device: &Device, limit: Duration) -> Result<Disk, OpenError> {
    if device.kind != block::KIND {
        return Err(OpenError::Device(freestone_virtio::Error::OtherKind(device.kind)));
    }
    if !claim(device) {
        return Err(OpenError::Busy);
    }
    // SAFETY: it was claimed, and is no source of entropy, which the platform drives.
    let registers = unsafe { device.open() }.ok_or(OpenError::NoRegisters)?;
    // Its interrupts have it for ever.
    let attention: &'static Attention = Box::leak(Box::new(Attention::new(registers.interrupt())));
    let messages = device.connect(attention).map_err(OpenError::Connect)?;
    let end = time::now() + RESET_LIMIT;
    let opened = block::Disk::new(registers, attention, messages, || time::now() >= end);
    let (disk, runner) = opened.map_err(OpenError::Device)?;
    let running = async move {
        if let Err(error) = runner.run(limit, task::sleep).await {
            println!("{error}, and is used no more");
        }
    };
    let spawned = task::try_spawn_named("disk", running);
    // It ends by itself.
    spawned.map(|_| disk).map_err(|_| OpenError::NoMemory)
}
