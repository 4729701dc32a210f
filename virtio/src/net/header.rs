//! What stands before each frame: VIRTIO 1.2, 5.1.6.

use super::MERGED_BUFFERS;
use super::checksum::Partial;
use crate::transport::Features;

/// The header: flags, kind of segmentation, two lengths for that, where the checksum begins and where it goes; for devices
/// of version 1.0 and later, and where frames come in several buffers, also how many buffers this one takes.
pub struct Header;

const LEGACY_BYTES: usize = 10;
pub const BYTES: usize = 12;

/// In the flags: the checksum is to be completed.
const NEEDS_CHECKSUM: u8 = 1;
/// In the flags: the device has looked at it.
const IS_VALID: u8 = 2;

const FLAGS: usize = 0;
const KIND: usize = 1;
const HEADERS_LEN: usize = 2;
const SIZE: usize = 4;
const START: usize = 6;
const OFFSET: usize = 8;
const BUFFERS: usize = 10;

/// How the device is to cut a TCP segment that is larger than a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub is_v6: bool,
    /// How long all headers in front of the data are.
    pub headers_len: u16,
    /// How many bytes of data each piece has; the last may have fewer.
    pub size: u16,
}

const CUT_TCP_V4: u8 = 1;
const CUT_TCP_V6: u8 = 4;

impl Header {
    /// How long it is.
    pub fn len(features: &Features) -> usize {
        let has_buffers = features.is_modern() || features.has(MERGED_BUFFERS);
        if has_buffers { BYTES } else { LEGACY_BYTES }
    }

    /// Writes it.
    #[inline]
    pub fn write(bytes: &mut [u8], partial: Option<Partial>, cut: Option<Cut>) {
        bytes.fill(0);
        if let (Some(partial), Some(bytes)) = (partial, bytes.first_chunk_mut::<LEGACY_BYTES>()) {
            bytes[FLAGS] = NEEDS_CHECKSUM;
            bytes[START..START + 2].copy_from_slice(&partial.start.to_le_bytes());
            bytes[OFFSET..OFFSET + 2].copy_from_slice(&partial.offset.to_le_bytes());
            if let Some(cut) = cut {
                bytes[KIND] = if cut.is_v6 { CUT_TCP_V6 } else { CUT_TCP_V4 };
                bytes[HEADERS_LEN..HEADERS_LEN + 2].copy_from_slice(&cut.headers_len.to_le_bytes());
                bytes[SIZE..SIZE + 2].copy_from_slice(&cut.size.to_le_bytes());
            }
        }
    }
}

/// Whether the frame behind this header never left the host, or the device has seen that its checksum is right.
#[inline]
pub fn is_vouched_for(bytes: &[u8]) -> bool {
    bytes.get(FLAGS).is_some_and(|flags| flags & (NEEDS_CHECKSUM | IS_VALID) != 0)
}

/// How many buffers the frame behind this header takes, if the header says so.
#[inline]
pub fn buffers(bytes: &[u8; super::BUFFER_BYTES]) -> u16 {
    u16::from_le_bytes([bytes[BUFFERS], bytes[BUFFERS + 1]])
}
