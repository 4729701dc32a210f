//! Frames that come in several buffers, put together in one.
//!
//! A device that hands over large TCP segments (5.1.6.3.1, `VIRTIO_NET_F_GUEST_TSO4`) needs room for 64 KiB for each of
//! them, or buffers of any size of which it takes as many as it needs (`VIRTIO_NET_F_MRG_RXBUF`). The latter leaves the
//! buffers small, which most frames are. A stack takes a frame in one piece, so that one of several buffers is copied, and
//! its buffers go back at once. Most frames lie in one buffer, and are not.
//!
//! Nothing says that all buffers of a frame are handed over at once: what has come is kept until the rest has.
//!
//! Source: VIRTIO 1.2, 5.1.6.4.

use super::header;
use super::{BUFFER_BYTES, ETHERNET_BYTES};
use crate::memory::Pages;
use crate::queue::Lying;

/// The longest frame: headers of Ethernet and IPv6, and as much as a length of 16 bits says.
pub const LONGEST_FRAME: usize = ETHERNET_BYTES + 40 + u16::MAX as usize;

/// Such a frame behind its header.
pub const BYTES: usize = header::BYTES + LONGEST_FRAME;

/// How many buffers the longest takes. A device with fewer would wait for more for ever.
pub const MOST_BUFFERS: usize = BYTES.div_ceil(BUFFER_BYTES);

/// Where frames are put together.
pub struct Merged<P> {
    /// [`BYTES`] at least.
    pages: P,
    /// How much of the frame is here, header included.
    len: usize,
    /// How many of its buffers have not come yet.
    left: u16,
    /// A length was impossible, or there is too much of it.
    is_refused: bool,
}

/// What a buffer was to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// There are more to come.
    More,
    /// The last. So long is the frame, with its header.
    Last(usize),
    /// The last of one that cannot be.
    Refused,
}

impl<P: Pages> Merged<P> {
    /// `None` if the pages are too few.
    pub fn new(pages: P) -> Option<Merged<P>> {
        (pages.len() >= BYTES).then_some(Merged { pages, len: 0, left: 0, is_refused: false })
    }

    /// Whether the next buffer belongs to a frame that is here already.
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.left != 0
    }

    /// The next buffer begins a frame of so many, of which the device has `most` at a time.
    pub fn begin(&mut self, buffers: u16, most: u16) -> Result<(), Lying> {
        if buffers == 0 || buffers > most {
            return Err(Lying);
        }
        (self.len, self.left, self.is_refused) = (0, buffers, false);
        Ok(())
    }

    /// Takes a buffer's bytes; the device says that it has written `len` of them.
    pub fn add(&mut self, bytes: &[u8; BUFFER_BYTES], len: usize) -> Part {
        let (before, end) = (self.len, self.len.saturating_add(len));
        match bytes.get(..len).filter(|bytes| !bytes.is_empty() && end <= BYTES) {
            Some(bytes) if !self.is_refused => {
                self.frame_to(end)[before..].copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.is_refused = true,
        }
        self.left = self.left.saturating_sub(1);
        match (self.left, self.is_refused) {
            (0, false) => Part::Last(self.len),
            (0, true) => Part::Refused,
            _ => Part::More,
        }
    }

    /// The first `len` bytes of what is here.
    ///
    /// # Panics
    ///
    /// If that is more than there can be.
    pub fn frame_to(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= BYTES, "a frame is longer than frames can be");
        // SAFETY: inside the pages, which `new` saw to have so many bytes; they are this one's alone, and no device knows
        // of them.
        unsafe { core::slice::from_raw_parts_mut(self.pages.start().as_ptr(), len) }
    }
}
