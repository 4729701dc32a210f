//! Keys and values on a virtio disk, in tasks: what a `put` has acknowledged is there after any crash.
//!
//! ```no_run
//! use freestone::{block, println, store};
//!
//! # async fn example() -> Result<(), Box<dyn core::error::Error>> {
//! let found = block::disks().next().expect("a disk");
//! let store = store::open(&block::open(&found)?, store::Options::default()).await?;
//! store.put(b"greeting", b"hello").await?;
//! println!("{:?}, {} keys, {}", store.get(b"greeting").await?, store.stats().keys, store.state());
//! # Ok(())
//! # }
//! ```
//!
//! [`open`] spawns a task for the store, which ends when it is closed or the last handle is dropped. All else is
//! [`freestone_store`]'s.

extern crate alloc;

use core::fmt;

use freestone_platform::memory::Zone;
use freestone_platform::{dma, entropy};

pub use freestone_store::{
    Change, DiskError, Error, Format, KEY_BYTES, LEAST_DISK_BYTES, Options, Reason, Recovery,
    SEGMENT_BYTES, State, Stats, VALUE_BYTES, WatchError,
};

use crate::block::{Disk, Failed, PageBuffer};
use crate::{block, task};

/// A handle of a store.
pub type Store = freestone_store::Store<Volume>;

/// The changes of some keys of a store.
pub type Watch = freestone_store::Watch<Volume>;

/// A virtio disk, as a store takes it.
pub struct Volume(Disk);

impl freestone_store::Disk for Volume {
    type Buffer = PageBuffer;

    fn sectors(&self) -> u64 {
        self.0.sectors()
    }

    fn block_bytes(&self) -> usize {
        let properties = self.0.properties();
        properties.block_bytes.max(properties.physical_block_bytes.min(LARGEST_BLOCK)) as usize
    }

    fn is_read_only(&self) -> bool {
        self.0.properties().is_read_only
    }

    fn buffer(&self, bytes: usize) -> Option<PageBuffer> {
        let mut buffer = PageBuffer::new(dma::Buffer::zeroed(bytes, Zone::Any).ok()?);
        buffer.resize(bytes);
        Some(buffer)
    }

    fn resize(&self, buffer: &mut PageBuffer, bytes: usize) {
        buffer.resize(bytes);
    }

    async fn read(&self, sector: u64, buffer: PageBuffer) -> Result<PageBuffer, DiskError> {
        self.0.read(sector, buffer).await.map_err(of_request)
    }

    async fn write(&self, sector: u64, buffer: PageBuffer) -> Result<PageBuffer, DiskError> {
        self.0.write(sector, buffer).await.map_err(of_request)
    }

    async fn flush(&self) -> Result<(), DiskError> {
        self.0.flush().await.map_err(of)
    }
}

/// A medium's larger units are not kept to: all of what is written would be a multiple of it.
const LARGEST_BLOCK: u32 = 4096;

fn of_request(failed: Failed<PageBuffer>) -> DiskError {
    of(failed.error)
}

fn of(error: block::Error) -> DiskError {
    match error {
        block::Error::Io => DiskError::Io,
        block::Error::TimedOut => DiskError::TimedOut,
        block::Error::Lying | block::Error::Unplugged | block::Error::Stopped => DiskError::Gone,
        block::Error::ReadOnly => DiskError::ReadOnly,
        _ => DiskError::Refused,
    }
}

/// Why a store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It cannot be opened.
    Store(freestone_store::OpenError),
    /// There is no memory for its task.
    NoMemory,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::NoMemory => f.write_str("there is no memory for the store's task"),
        }
    }
}

impl core::error::Error for OpenError {}

/// Opens the store on a disk, or makes one, and spawns its task. A [seed](Options::seed) of 0 is replaced by a random one
/// where the machine has a source of them.
///
/// # Errors
///
/// As [`OpenError`] says.
pub async fn open(disk: &Disk, mut options: Options) -> Result<Store, OpenError> {
    if options.seed == 0 {
        let mut seed = [0; 8];
        if entropy::fill(&mut seed).is_ok() {
            options.seed = u64::from_le_bytes(seed);
        }
    }
    let opened = freestone_store::Store::open(Volume(disk.clone()), options).await;
    let (store, runner) = opened.map_err(OpenError::Store)?;
    let spawned = task::try_spawn_named("store", runner.run());
    // It ends by itself.
    spawned.map(|_| store).map_err(|_| OpenError::NoMemory)
}
