//! A network, by the machine's virtio device: its driver and its task, and the address by `ip=` on the command line or by
//! DHCP.
//!
//! ```no_run
//! use freestone::net::embedded_io_async::{Read, Write};
//! use freestone::net::{self, Options};
//! use freestone::{BootInfo, Exit, println, task};
//!
//! // In a kernel: freestone::entry!(async kernel_main); freestone::task_time_driver!();
//! async fn kernel_main(boot: &'static BootInfo) -> Exit {
//!     let Ok(net) = net::start(boot) else { return Exit::Failure };
//!     let listener = net.listen(7, &Options::default()).expect("a free port");
//!     net.wait_up().await;
//!     loop {
//!         let mut stream = listener.accept().await;
//!         task::spawn(async move {
//!             let mut bytes = [0; 512];
//!             while let Ok(count @ 1..) = stream.read(&mut bytes).await {
//!                 if stream.write_all(&bytes[..count]).await.is_err() {
//!                     break;
//!                 }
//!             }
//!         });
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! All else is [`freestone_net`]'s: listeners, streams, and embassy-net's own sockets, by [`Net::stack`]. Its clock is that
//! of `embassy-time`, which a kernel's `task_time_driver!` makes; without that line the linker misses `_embassy_time_now`.

extern crate alloc;

use alloc::boxed::Box;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use freestone_platform::boot_info::boot_info;
use freestone_platform::devices::virtio::{self, ConnectError, Registers};
use freestone_platform::memory::KernelStack;
use freestone_platform::x86_64::cpu;
use freestone_platform::{BootInfo, dma, entropy, time};
use freestone_rt::println;
use freestone_virtio::net as device;
use freestone_virtio::{Attention, Transport};

pub use freestone_net::*;

use crate::claims::claim;
use crate::{task, wants};

/// The driver of the machine's device.
pub type Driver = device::Net<Registers, dma::Shared>;

/// Why there is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The machine has no virtio network device, or no further one.
    Absent,
    /// The device lacks registers that it must have, or they cannot be mapped.
    Unreachable,
    /// It cannot interrupt.
    Interrupt(ConnectError),
    /// It cannot be used.
    Device(freestone_virtio::Error),
    /// `ip=` on the command line is wrong.
    Config(ConfigError),
    /// There is no memory for the task.
    NoMemory,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Absent => f.write_str(
                "the machine has no virtio network device (cargo freestone run --net user gives it one)",
            ),
            StartError::Unreachable => {
                f.write_str("the registers of the network device cannot be reached")
            }
            StartError::Interrupt(error) => write!(f, "the network device: {error}"),
            StartError::Device(error) => error.fmt(f),
            StartError::Config(error) => write!(f, "ip= on the command line: {error}"),
            StartError::NoMemory => f.write_str("there is no memory for the network's task"),
        }
    }
}

impl core::error::Error for StartError {}

/// The network of the machine's first virtio network device, with the addresses that `ip=` on the command line says; without
/// it by DHCP, and by SLAAC for IPv6. [`Net::wait_up`] waits for an address. There is room for 32 sockets of embassy-net, two
/// of which DHCP and DNS take; listeners and their streams are not among them.
///
/// # Errors
///
/// As [`StartError`] says.
#[inline]
pub fn start(boot: &BootInfo) -> Result<Net, StartError> {
    let config = match boot.argument("ip") {
        Some(text) => Config::from_ip_parameter(text).map_err(StartError::Config)?,
        None => Config::default(),
    };
    start_with(config)
}

/// [`start`], with these addresses.
///
/// # Errors
///
/// As for [`start`].
#[inline]
pub fn start_with(config: Config) -> Result<Net, StartError> {
    wants::network();
    start_device(config)
}

fn start_device(config: Config) -> Result<Net, StartError> {
    let driver = open()?;
    let (net, runner) =
        on_enough_stack(|| freestone_net::with_sockets::<_, 32>(driver, config, random()));
    task::try_spawn_named("network", run(net, runner)).map_err(|_| StartError::NoMemory)?;
    Ok(net)
}

/// Making a network takes more than 240 KiB of stack in a build without optimisation, where its parts pass from function to
/// function by copies, and `main` has 256. With optimisation it is 35.
const MAKING_BYTES: usize = 512 << 10;

/// Runs `make` on a stack of its own in a debug build. Where there is no memory for that, the one at hand may be enough.
fn on_enough_stack<R>(make: impl FnOnce() -> R) -> R {
    let is_debug = cfg!(debug_assertions);
    match is_debug.then(|| KernelStack::new("network", MAKING_BYTES)) {
        Some(Ok(mut stack)) => stack.run(make),
        Some(Err(_)) | None => make(),
    }
}

/// Runs the network for ever. A device that fails, or is taken out, takes its addresses with it: the console says why, and
/// connections there end with [`Error::AddressLost`]. The rest goes on, so that all other waits end by their limits.
async fn run(net: Net, mut runner: Runner<Driver>) {
    let mut is_told = false;
    poll_fn::<(), _>(|context| {
        runner.poll(context);
        if let Some(error) = runner.driver().error()
            && !core::mem::replace(&mut is_told, true)
        {
            println!("network: {error}; it is used no more");
            net.set_ipv4(embassy_net::ConfigV4::None);
            net.set_ipv6(embassy_net::ConfigV6::None);
        }
        Poll::Pending
    })
    .await;
}

/// The first network device that nobody has opened, brought up: for another stack than [`freestone_net`]'s, or a second
/// network.
///
/// # Errors
///
/// As for [`start`].
pub fn open() -> Result<Driver, StartError> {
    let mut devices = virtio::devices().filter(|device| device.kind == device::KIND);
    let device = devices.find(claim).ok_or(StartError::Absent)?;
    // SAFETY: it was claimed, and is no source of entropy, which the platform drives.
    let registers = unsafe { device.open() }.ok_or(StartError::Unreachable)?;
    let attention = Box::leak(Box::new(Attention::new(registers.interrupt())));
    let messages = device.connect(attention).map_err(StartError::Interrupt)?;
    let limit = time::now() + Duration::from_secs(1);
    let is_over = || time::now() >= limit;
    Driver::new(registers, attention, messages, buffers(), own_address(), is_over)
        .map_err(StartError::Device)
}

/// How many buffers the device has in each direction: as many as a round of the network takes in, or less if they would be
/// more than a sixteenth of the memory.
fn buffers() -> u16 {
    const PAIR_BYTES: u64 = 2 * 2048;
    let bytes = boot_info().map_or(0, |boot| boot.memory().usable_bytes());
    (bytes / 16 / PAIR_BYTES).clamp(16, 64) as u16
}

/// The address of a device that has none: any of those that nobody gives away (IEEE 802, 8.4: local, of one station).
fn own_address() -> [u8; 6] {
    let [_, _, mut address @ ..] = random().to_ne_bytes();
    address[0] = address[0] & !1 | 2;
    address
}

/// What peers must not guess. Where there is no entropy they may, and the console says so.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match entropy::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(error) => {
            println!("network: {error}; its sequence numbers can be guessed");
            cpu::ticks()
        }
    }
}
