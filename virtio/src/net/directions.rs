//! What the device fills, and what it sends: a queue each, and a buffer for each descriptor.

use embassy_net_driver::{RxToken, TxToken};

use super::header::{self, Header};
use super::{ETHERNET_BYTES, MOST_BUFFERS, checksum};
use crate::memory::{Memory, Pages};
use crate::queue::{Lying, Queue, Segment};
use crate::transport::{Error, Features, Transport};

/// One frame's room, header included.
const BUFFER_BYTES: usize = 2048;

type FrameQueue<P> = Queue<MOST_BUFFERS, P>;

/// Buffers of one direction, beside their queue.
pub(super) struct Buffers<P> {
    pub(super) queue: FrameQueue<P>,
    pages: P,
    header_len: usize,
}

impl<P: Pages> Buffers<P> {
    /// Queue `index` of the device, with so many buffers, or as many as it has descriptors.
    pub(super) fn new<M: Memory<Pages = P>>(
        device: &impl Transport,
        index: u16,
        buffers: u16,
        features: &Features,
        message: Option<u16>,
    ) -> Result<Buffers<P>, Error> {
        let len = FrameQueue::<P>::len(device, index)?;
        let pages = M::zeroed(FrameQueue::<P>::bytes(len)).ok_or(Error::NoMemory)?;
        let count = usize::from(buffers.clamp(1, len));
        let bytes = count.min(MOST_BUFFERS) * BUFFER_BYTES;
        let data = M::zeroed(bytes).ok_or(Error::NoMemory)?;
        let queue = FrameQueue::new(device, index, len, pages, features, message)?;
        Ok(Buffers { queue, pages: data, header_len: Header::len(features) })
    }

    fn address(&self, id: u16) -> u64 {
        self.pages.address() + (usize::from(id) * BUFFER_BYTES) as u64
    }

    /// The buffer of this descriptor.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[inline]
    fn bytes(&mut self, id: u16) -> &mut [u8; BUFFER_BYTES] {
        let start = usize::from(id) * BUFFER_BYTES;
        assert!(start + BUFFER_BYTES <= self.pages.len(), "there is a buffer for each descriptor");
        // SAFETY: inside the pages, which are this one's. The device does not have the descriptor while the reference
        // lives, and if it keeps to what it was told (see the crate's page) does not touch the buffer.
        unsafe { self.pages.start().byte_add(start).cast().as_mut() }
    }
}

/// What the device fills.
pub(super) struct Receiver<P> {
    pub(super) buffers: Buffers<P>,
    pub(super) has_partial_checksums: bool,
    pub(super) received: u64,
    pub(super) dropped: u64,
}

/// What the device sends.
pub(super) struct Sender<P> {
    pub(super) buffers: Buffers<P>,
    /// Descriptors that are nobody's: the first `free_count`.
    free: [u8; MOST_BUFFERS],
    pub(super) free_count: usize,
    pub(super) completes_checksums: bool,
    pub(super) sent: u64,
}

const _: () = assert!(MOST_BUFFERS <= 1 << u8::BITS);

impl<P: Pages> Receiver<P> {
    /// All buffers are the device's at first.
    pub(super) fn new(mut buffers: Buffers<P>, has_partial_checksums: bool) -> Receiver<P> {
        let count = buffers.pages.len() / BUFFER_BYTES;
        for id in (0..buffers.queue.count()).take(count) {
            let address = buffers.address(id);
            let segment = Segment { address, len: BUFFER_BYTES as u32, is_written: true };
            buffers.queue.describe(id, segment, None);
            buffers.queue.offer(id);
        }
        Receiver { buffers, has_partial_checksums, received: 0, dropped: 0 }
    }

    /// The next frame that is one: its buffer, and how long it is with its header.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u16, usize)>, Lying> {
        while let Some((id, len)) = self.buffers.queue.take()? {
            let len = len as usize;
            if self.is_good(id, len) {
                self.received += 1;
                return Ok(Some((id, len)));
            }
            self.dropped += 1;
            self.give_back(id);
        }
        Ok(None)
    }

    #[inline]
    fn is_good(&mut self, id: u16, len: usize) -> bool {
        let header_len = self.buffers.header_len;
        if !(header_len + ETHERNET_BYTES..=BUFFER_BYTES).contains(&len) {
            return false;
        }
        if !self.has_partial_checksums {
            return true;
        }
        let bytes = self.buffers.bytes(id);
        header::is_vouched_for(bytes) || checksum::is_right(&bytes[header_len..len])
    }

    #[inline]
    fn give_back(&mut self, id: u16) {
        self.buffers.queue.offer(id);
        self.buffers.queue.show();
    }
}

impl<P: Pages> Sender<P> {
    /// All buffers are nobody's at first.
    pub(super) fn new(buffers: Buffers<P>, completes_checksums: bool) -> Sender<P> {
        let count = (buffers.pages.len() / BUFFER_BYTES).min(usize::from(buffers.queue.count()));
        let mut free = [0; MOST_BUFFERS];
        for (id, entry) in (0..).zip(&mut free[..count]) {
            *entry = id;
        }
        Sender { buffers, free, free_count: count, completes_checksums, sent: 0 }
    }

    /// Takes back what has been sent. If there is nothing, the device is told of what was not sent yet, and `register` is
    /// called before an interrupt is asked for.
    #[cold]
    pub(super) fn make_room(&mut self, register: impl FnOnce()) -> Result<bool, Lying> {
        self.take_back()?;
        if self.free_count == 0 {
            self.buffers.queue.tell();
            register();
            // For a good part of them, so that there is something to do then.
            let some = (self.buffers.queue.flying() / 2).max(1);
            if self.buffers.queue.ask(some) {
                self.take_back()?;
            }
        }
        if self.free_count != 0 {
            self.buffers.queue.hush();
        }
        Ok(self.free_count != 0)
    }

    fn take_back(&mut self) -> Result<(), Lying> {
        while let Some((id, _)) = self.buffers.queue.take()? {
            let Some(entry) = self.free.get_mut(self.free_count) else { return Err(Lying) };
            *entry = id as u8;
            self.free_count += 1;
        }
        Ok(())
    }

    #[inline]
    fn send<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let header_len = self.buffers.header_len;
        assert!(
            header_len + len <= BUFFER_BYTES,
            "a frame is longer than the device was said to take"
        );
        self.free_count -= 1;
        let id = u16::from(self.free[self.free_count]);
        let completes_checksums = self.completes_checksums;
        let bytes = self.buffers.bytes(id);
        let (head, frame) = bytes[..header_len + len].split_at_mut(header_len);
        let result = write(frame);
        let partial = if completes_checksums { checksum::begin(frame) } else { None };
        Header::write(head, partial);
        let address = self.buffers.address(id);
        let segment = Segment { address, len: (header_len + len) as u32, is_written: false };
        self.buffers.queue.describe(id, segment, None);
        self.buffers.queue.offer(id);
        self.sent += 1;
        result
    }
}

/// A frame that was received.
pub struct Received<'a, P: Pages> {
    pub(super) receiver: &'a mut Receiver<P>,
    pub(super) id: u16,
    pub(super) len: usize,
}

impl<P: Pages> RxToken for Received<'_, P> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        let header_len = self.receiver.buffers.header_len;
        read(&mut self.receiver.buffers.bytes(self.id)[header_len..self.len])
    }
}

impl<P: Pages> Drop for Received<'_, P> {
    #[inline]
    fn drop(&mut self) {
        self.receiver.give_back(self.id);
    }
}

/// Room for a frame.
pub struct Room<'a, P: Pages>(pub(super) &'a mut Sender<P>);

impl<P: Pages> TxToken for Room<'_, P> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.send(len, write)
    }
}
