//! What a disk says of itself, as far as that can be.
//!
//! Source: VIRTIO 1.2, 5.2.3 (feature bits), 5.2.4 (configuration).

use crate::transport::{EVENT_INDEX, Error, Features, Transport, consistent};

const SIZE_MAX: u64 = 1 << 1;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const TOPOLOGY: u64 = 1 << 10;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;

/// What the driver wants. `SEG_MAX` is not among it: a request's data is one segment.
pub(super) const WANTED: u64 =
    SIZE_MAX | RO | BLK_SIZE | FLUSH | TOPOLOGY | DISCARD | WRITE_ZEROES | EVENT_INDEX;

const CAPACITY_AT: u16 = 0;
const SIZE_MAX_AT: u16 = 8;
const BLK_SIZE_AT: u16 = 20;
const PHYSICAL_EXPONENT_AT: u16 = 24;
const OPTIMAL_AT: u16 = 28;
const MAX_DISCARD_AT: u16 = 36;
const MAX_WRITE_ZEROES_AT: u16 = 48;

/// The unit of sector numbers, in bytes, whatever blocks a disk has.
pub const SECTOR_BYTES: usize = 512;

/// The longest segment that is given to a device that names no limit, in bytes.
const LONGEST: u32 = 1 << 22;

/// Larger blocks are not believed.
const LARGEST_BLOCK: u32 = 1 << 16;

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// The unit that it is read and written by, in bytes: a power of two, 512 or more.
    pub block_bytes: u32,
    /// The unit of the medium, in bytes; a write of less may be slower.
    pub physical_block_bytes: u32,
    /// The best length of a request, in bytes; 0 if it says nothing.
    pub optimal_bytes: u32,
    /// The most bytes of one request to the device. Longer ones are split.
    pub most_bytes: u32,
    /// It cannot be written to.
    pub is_read_only: bool,
    /// It has a cache: what was written is durable after a [flush](super::Disk::flush). Without one it is when the write is
    /// done.
    pub has_cache: bool,
    /// The most sectors that it discards at once; 0 if it discards none.
    pub most_discarded: u32,
    /// The most sectors that it zeroes at once; 0 if it zeroes none.
    pub most_zeroed: u32,
}

/// How many sectors there are.
pub(super) fn capacity(device: &impl Transport) -> Result<u64, Error> {
    let read = || {
        let [lower, upper] = [0, 4].map(|at| u64::from(device.config_word(CAPACITY_AT + at)));
        lower | upper << 32
    };
    // The last byte's number is one too.
    let most = u64::MAX / SECTOR_BYTES as u64;
    consistent(device, read).filter(|&sectors| sectors <= most).ok_or(Error::Lying)
}

pub(super) fn properties(
    device: &impl Transport,
    features: &Features,
) -> Result<Properties, Error> {
    let read = || {
        let word = |feature, at| if features.has(feature) { device.config_word(at) } else { 0 };
        let exponent =
            if features.has(TOPOLOGY) { device.config_byte(PHYSICAL_EXPONENT_AT) } else { 0 };
        (
            word(BLK_SIZE, BLK_SIZE_AT),
            word(SIZE_MAX, SIZE_MAX_AT),
            exponent,
            word(TOPOLOGY, OPTIMAL_AT),
            [word(DISCARD, MAX_DISCARD_AT), word(WRITE_ZEROES, MAX_WRITE_ZEROES_AT)],
        )
    };
    let (block, segment, exponent, optimal, [most_discarded, most_zeroed]) =
        consistent(device, read).ok_or(Error::Lying)?;
    let block_bytes = if features.has(BLK_SIZE) { block } else { SECTOR_BYTES as u32 };
    let is_block = block_bytes.is_power_of_two()
        && (SECTOR_BYTES as u32..=LARGEST_BLOCK).contains(&block_bytes);
    if !is_block {
        return Err(Error::Lying);
    }
    let segment = if features.has(SIZE_MAX) { segment.min(LONGEST) } else { LONGEST };
    let most_bytes = segment & !(block_bytes - 1);
    if most_bytes == 0 {
        // A block would need several segments.
        return Err(Error::Refused);
    }
    Ok(Properties {
        block_bytes,
        physical_block_bytes: block_bytes
            .checked_shl(exponent.into())
            .unwrap_or(block_bytes)
            .max(block_bytes),
        optimal_bytes: optimal.saturating_mul(block_bytes),
        most_bytes,
        is_read_only: features.has(RO),
        has_cache: features.has(FLUSH),
        most_discarded,
        most_zeroed,
    })
}
