//! What stands before each frame: VIRTIO 1.2, 5.1.6.

use super::checksum::Partial;
use crate::transport::Features;

/// The header: flags, kind of segmentation, two lengths for that, where the checksum begins and where it goes; for devices
/// of version 1.0 and later also how many buffers the frame takes.
pub struct Header;

const LEGACY_BYTES: usize = 10;
const BYTES: usize = 12;

/// In the flags: the checksum is to be completed.
const NEEDS_CHECKSUM: u8 = 1;
/// In the flags: the device has looked at it.
const IS_VALID: u8 = 2;

const FLAGS: usize = 0;
const START: usize = 6;
const OFFSET: usize = 8;

impl Header {
    /// How long it is.
    pub fn len(features: &Features) -> usize {
        if features.is_modern() { BYTES } else { LEGACY_BYTES }
    }

    /// Writes it.
    #[inline]
    pub fn write(bytes: &mut [u8], partial: Option<Partial>) {
        bytes.fill(0);
        if let (Some(partial), Some(bytes)) = (partial, bytes.first_chunk_mut::<LEGACY_BYTES>()) {
            bytes[FLAGS] = NEEDS_CHECKSUM;
            bytes[START..START + 2].copy_from_slice(&partial.start.to_le_bytes());
            bytes[OFFSET..OFFSET + 2].copy_from_slice(&partial.offset.to_le_bytes());
        }
    }
}

/// Whether the frame behind this header never left the host, or the device has seen that its checksum is right.
#[inline]
pub fn is_vouched_for(bytes: &[u8]) -> bool {
    bytes.get(FLAGS).is_some_and(|flags| flags & (NEEDS_CHECKSUM | IS_VALID) != 0)
}
