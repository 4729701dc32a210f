//! Files of a FAT (Microsoft's FAT specification, revision 1.03), by the crate `hadris-fat`.
//!
//! A volume belongs to one task: `hadris-fat` holds a spin lock while it waits for the disk, and on one processor a second
//! task that wants it would spin for ever.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use embedded_io_async::{Read, Seek, Write};
use hadris_fat::r#async::{FatVolume, FatVolumeReadExt, FatVolumeWriteExt, FileEntry};
use hadris_fat::error::Error;
use hadris_fat::time::TimeProvider;
use hadris_io::SeekFrom;
use hadris_io::r#async::FromEmbedded;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 4096;

/// A FAT on `D`.
pub type Volume<D> = FatVolume<FromEmbedded<D>>;

/// The FAT that begins with the first byte of `disk`. `clock` dates what is written.
///
/// # Errors
///
/// The disk's, or there is no FAT.
pub async fn mount<D: Read + Seek>(
    disk: D,
    clock: &'static dyn TimeProvider,
) -> Result<Volume<D>, Error> {
    let mut disk = FromEmbedded(disk);
    // `hadris-fat` begins where the disk's position is.
    hadris_io::r#async::Seek::seek(&mut disk, SeekFrom::Start(0)).await?;
    Volume::builder(disk).time_provider(clock).open().await
}

/// What is in the root folder.
///
/// # Errors
///
/// The disk's, or the folder is broken.
pub async fn list<D: Read + Seek>(volume: &Volume<D>) -> Result<Vec<FileEntry>, Error> {
    let mut entries = volume.root_dir().entries();
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await {
        found.extend(entry?.as_entry().cloned());
    }
    Ok(found)
}

/// Reads the file at `path`, whose folders `/` separates, and gives it to `take` in pieces.
///
/// # Errors
///
/// The disk's, there is no such file, or it is broken: shorter than its folder says, too.
pub async fn read<D: Read + Seek>(
    volume: &Volume<D>,
    path: &str,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Error> {
    let entry = volume.open_path(path).await?;
    let mut reader = volume.read_file(&entry)?;
    let mut piece = vec![0; PIECE_BYTES];
    while reader.remaining() != 0 {
        match reader.read(&mut piece).await? {
            0 => return Err(Error::CorruptFilesystem { context: "a file that is cut off" }),
            len => take(&piece[..len]),
        }
    }
    Ok(())
}

/// Has the root folder's file `name` be `content`, on the disk, when it returns.
///
/// # Errors
///
/// The disk's, or it is full; this is no name, or a folder's. The file may be there then, with a part of the content.
pub async fn write<D: Read + Write + Seek>(
    volume: &Volume<D>,
    name: &str,
    mut content: &[u8],
) -> Result<(), Error> {
    let root = volume.root_dir();
    let entry = match root.find(name).await? {
        Some(entry) => entry,
        None => volume.create_file(&root, name).await?,
    };
    let mut writer = volume.write_file(&entry)?;
    while !content.is_empty() {
        let written = writer.write(content).await?;
        content = content.get(written..).filter(|_| written != 0).ok_or(Error::NoFreeSpace)?;
    }
    writer.finish().await?;
    volume.sync().await
}
