//! A disk as a [`BlockDevice`], for file systems that take that trait.
//!
//! The trait lends buffers, and a future that is dropped gives them back while the device may still write to them. So
//! what is read and written is copied, by a buffer of this driver's own.
//!
//! Source: the crate `block-device-driver` 0.2.

use alloc::vec::Vec;

use aligned::{A4, Aligned};
use block_device_driver::{BlockDevice, blocks_to_slice, blocks_to_slice_mut};

use super::{Disk, Error, SECTOR_BYTES};
use crate::memory::Memory;
use crate::transport::Transport;

/// A disk in blocks of any multiple of 512 bytes that the disk's own [size](super::Properties::block_bytes) divides.
pub struct Blocks<T: Transport, M: Memory> {
    disk: Disk<T, M>,
    /// Kept for the next request.
    buffer: Vec<u8>,
}

impl<T: Transport, M: Memory> Blocks<T, M> {
    /// Of this disk.
    pub fn new(disk: Disk<T, M>) -> Self {
        Blocks { disk, buffer: Vec::new() }
    }

    /// The disk.
    pub fn disk(&self) -> &Disk<T, M> {
        &self.disk
    }

    fn sector<const SIZE: usize>(address: u32) -> u64 {
        const { assert!(SIZE != 0 && SIZE.is_multiple_of(SECTOR_BYTES), "blocks are whole sectors") };
        u64::from(address) * (SIZE / SECTOR_BYTES) as u64
    }
}

impl<T: Transport, M: Memory, const SIZE: usize> BlockDevice<SIZE> for Blocks<T, M> {
    type Error = Error;
    type Align = A4;

    async fn read(
        &mut self,
        address: u32,
        data: &mut [Aligned<A4, [u8; SIZE]>],
    ) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let bytes = blocks_to_slice_mut(data);
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.resize(bytes.len(), 0);
        self.buffer = self.disk.read(Self::sector::<SIZE>(address), buffer).await?;
        bytes.copy_from_slice(&self.buffer);
        Ok(())
    }

    async fn write(&mut self, address: u32, data: &[Aligned<A4, [u8; SIZE]>]) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(blocks_to_slice(data));
        self.buffer = self.disk.write(Self::sector::<SIZE>(address), buffer).await?;
        Ok(())
    }

    async fn size(&mut self) -> Result<u64, Error> {
        Ok(self.disk.sectors() * SECTOR_BYTES as u64)
    }
}
