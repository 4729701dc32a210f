//! The machine's virtio console, in tasks, and for panics.
//!
//! ```no_run
//! use freestone::virtio_console;
//!
//! # async fn example() -> Result<(), Box<dyn core::error::Error>> {
//! virtio_console::register()?; // Panics are reported there too.
//! let mut console = virtio_console::open()?;
//! console.write_all(b"name? ").await.and(console.flush().await)?;
//! let mut name = [0; 64];
//! let count = console.read(&mut name).await?;
//! console.write_all(&name[..count]).await.and(console.flush().await)?;
//! # Ok(())
//! # }
//! ```
//!
//! What is written in tasks is collected, and costs one notification for each flush: see [`freestone_virtio::console`]. What
//! [`register`]ed output writes costs one for each byte, needs nothing but the device, and does not wait for what a task has
//! written and not flushed.

extern crate alloc;

use alloc::boxed::Box;
use core::time::Duration;

use freestone_platform::devices::virtio::{ConnectError, Device, Registers, devices};
use freestone_platform::{dma, time};
use freestone_rt::console as rt;
use freestone_virtio::{Attention, Transport, console};

use crate::claims::claim;

/// The console.
pub type Console = console::Console<Registers, dma::Shared>;

pub use freestone_virtio::Error;

/// How long a device may take to be reset.
const RESET_LIMIT: Duration = Duration::from_secs(1);

/// Why there is no console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The machine has no virtio console, or no further one.
    Absent,
    /// Its registers are not there, or cannot be mapped.
    NoRegisters,
    /// It cannot interrupt.
    Connect(ConnectError),
    /// The device is no good.
    Device(Error),
    /// It takes no output by its configuration (`VIRTIO_CONSOLE_F_EMERG_WRITE`).
    NoEmergency,
    /// All places for consoles are taken.
    Full(rt::RegistryFull),
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            OpenError::Absent => f.write_str("the machine has no virtio console that is not in use"),
            OpenError::NoRegisters => f.write_str("the console's registers cannot be reached"),
            OpenError::Connect(error) => error.fmt(f),
            OpenError::Device(error) => error.fmt(f),
            OpenError::NoEmergency => {
                f.write_str("the virtio console takes output from its driver only; QEMU's needs emergency-write=on")
            }
            OpenError::Full(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

fn consoles() -> impl Iterator<Item = Device> {
    devices().filter(|device| device.kind == console::KIND)
}

/// Brings the first virtio console up that nobody has opened.
///
/// # Errors
///
/// As [`OpenError`] says.
pub fn open() -> Result<Console, OpenError> {
    let device = consoles().find(claim).ok_or(OpenError::Absent)?;
    // SAFETY: it was claimed, and is no source of entropy, which the platform drives.
    let registers = unsafe { device.open() }.ok_or(OpenError::NoRegisters)?;
    // Its interrupts have it for ever.
    let attention: &'static Attention = Box::leak(Box::new(Attention::new(registers.interrupt())));
    let messages = device.connect(attention).map_err(OpenError::Connect)?;
    let end = time::now() + RESET_LIMIT;
    Console::new(registers, attention, messages, || time::now() >= end).map_err(OpenError::Device)
}

/// Has all that is printed, and reports of panics, go to the first virtio console too. It may be [`open`]ed before, later, or
/// never. Once is enough: twice prints twice.
///
/// # Errors
///
/// As [`OpenError`] says.
pub fn register() -> Result<(), OpenError> {
    let device = consoles().next().ok_or(OpenError::Absent)?;
    // SAFETY: what drives it may be another: nothing but a word of the configuration is written, which the device takes at any
    // time (VIRTIO 1.2, 5.3.4). To find out whether it does, its features are read.
    let registers = unsafe { device.open() }.ok_or(OpenError::NoRegisters)?;
    let emergency = console::Emergency::new(registers).ok_or(OpenError::NoEmergency)?;
    rt::register(Box::leak(Box::new(Output(emergency)))).map_err(OpenError::Full)
}

/// What prints to it.
struct Output(console::Emergency<Registers>);

// SAFETY: writing is one access of a register for each byte, or one of a port, from wherever it is called; it changes nothing
// else.
unsafe impl Sync for Output {}

impl rt::Console for Output {
    fn name(&self) -> &'static str {
        "virtio"
    }

    fn write(&self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}
