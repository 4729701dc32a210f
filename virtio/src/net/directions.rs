//! What the device fills, and what it sends: a queue each, and a buffer for each descriptor.

use embassy_net_driver::{RxToken, TxToken};

use super::header::{self, Header};
use super::merged::{Merged, Part};
use super::run::{Run, Segment as TcpSegment, WORTH_BYTES};
use super::{BUFFER_BYTES, ETHERNET_BYTES, MOST_BUFFERS, checksum};
use crate::memory::{Memory, Pages};
use crate::queue::{Lying, Queue, Segment};
use crate::transport::{Error, Features, Transport};

pub(super) type FrameQueue<P> = Queue<MOST_BUFFERS, P>;

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

    /// How many buffers there are: those of the descriptors below this number.
    fn count(&self) -> u16 {
        // As many as descriptors at most.
        (self.pages.len() / BUFFER_BYTES).min(usize::from(self.queue.count())) as u16
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
    /// Where frames of several buffers are put together, if there are such.
    merged: Option<Merged<P>>,
    pub(super) has_partial_checksums: bool,
    pub(super) received: u64,
    /// How many of them were put together.
    pub(super) large: u64,
    pub(super) dropped: u64,
}

/// What the device sends.
pub(super) struct Sender<P> {
    pub(super) buffers: Buffers<P>,
    /// Descriptors that are nobody's: the first `free_count`.
    free: [u8; MOST_BUFFERS],
    pub(super) free_count: usize,
    /// Of each descriptor the one that follows it in its chain: itself, if it is the last.
    next: [u8; MOST_BUFFERS],
    /// Segments that others may still follow.
    open: Option<Open>,
    pub(super) completes_checksums: bool,
    /// Whether the device cuts segments over IPv4, and over IPv6.
    cuts: [bool; 2],
    /// Frames from this length on are looked at.
    worth_bytes: usize,
    pub(super) sent: u64,
    /// How many of them went out as part of a larger one.
    pub(super) joined: u64,
}

/// A chain that was not offered yet.
struct Open {
    run: Run,
    head: u16,
    /// How long the first frame is.
    len: usize,
    /// The last descriptor, and what is to be in it.
    tail: (u16, Segment),
}

const _: () = assert!(MOST_BUFFERS <= 1 << u8::BITS);

/// A frame that has come: its buffer, if it lies in one and was not put together, and how long it is with its header.
pub(super) type Place = (Option<u16>, usize);

impl<P: Pages> Receiver<P> {
    /// All buffers are the device's at first.
    pub(super) fn new(
        mut buffers: Buffers<P>,
        merged: Option<Merged<P>>,
        has_partial_checksums: bool,
    ) -> Receiver<P> {
        for id in 0..buffers.count() {
            let address = buffers.address(id);
            let segment = Segment { address, len: BUFFER_BYTES as u32, is_written: true };
            buffers.queue.describe(id, segment, None);
            buffers.queue.offer(id);
        }
        Receiver { buffers, merged, has_partial_checksums, received: 0, large: 0, dropped: 0 }
    }

    /// The next frame that is one. There may be more where there was none: a device that gives nothing but what is dropped, for
    /// somebody sends it that, has as many turns as buffers.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Place>, Lying> {
        for _ in 0..self.buffers.count() {
            let Some((id, len)) = self.buffers.queue.take()? else { break };
            let len = len as usize;
            if self.is_part(id, len) {
                if let Some(len) = self.merge(id, len)? {
                    return Ok(Some((None, len)));
                }
            } else if self.is_good(id, len) {
                self.received += 1;
                return Ok(Some((Some(id), len)));
            } else {
                self.dropped += 1;
                self.give_back(id);
            }
        }
        Ok(None)
    }

    /// Whether a buffer is not all of a frame.
    #[inline]
    fn is_part(&mut self, id: u16, len: usize) -> bool {
        let Some(merged) = &self.merged else { return false };
        // One that is too short has no header to be read.
        merged.has_begun() || (len >= header::BYTES && header::buffers(self.buffers.bytes(id)) != 1)
    }

    /// Puts a buffer behind what has come of its frame. How long that is, if it is all there.
    #[cold]
    fn merge(&mut self, id: u16, len: usize) -> Result<Option<usize>, Lying> {
        let most = self.buffers.count();
        let Some(merged) = &mut self.merged else { return Err(Lying) };
        let bytes = self.buffers.bytes(id);
        if !merged.has_begun() {
            merged.begin(header::buffers(bytes), most)?;
        }
        let part = merged.add(bytes, len);
        self.give_back(id);
        let (len, is_good) = match part {
            Part::More => return Ok(None),
            Part::Last(len) => (len, self.is_good_merged(len)),
            Part::Refused => (0, false),
        };
        self.received += u64::from(is_good);
        self.large += u64::from(is_good);
        self.dropped += u64::from(!is_good);
        Ok(is_good.then_some(len))
    }

    fn is_good_merged(&mut self, len: usize) -> bool {
        let header_len = self.buffers.header_len;
        let Some(merged) = self.merged.as_mut().filter(|_| len >= header_len + ETHERNET_BYTES)
        else {
            return false;
        };
        let bytes = merged.frame_to(len);
        !self.has_partial_checksums
            || header::is_vouched_for(bytes)
            || checksum::is_right(&bytes[header_len..])
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
    /// All buffers are nobody's at first. `cuts`: whether the device cuts segments over IPv4, and over IPv6.
    pub(super) fn new(
        buffers: Buffers<P>,
        completes_checksums: bool,
        cuts: [bool; 2],
    ) -> Sender<P> {
        let free_count = usize::from(buffers.count());
        let free = core::array::from_fn(|id| id as u8);
        Sender {
            buffers,
            next: free,
            free,
            free_count,
            open: None,
            completes_checksums,
            cuts,
            worth_bytes: if cuts == [false; 2] { usize::MAX } else { WORTH_BYTES },
            sent: 0,
            joined: 0,
        }
    }

    /// Takes back what has been sent. If there is nothing, the device is told of what was not sent yet, and `register` is
    /// called before an interrupt is asked for.
    #[cold]
    pub(super) fn make_room(&mut self, register: impl FnOnce()) -> Result<bool, Lying> {
        self.take_back()?;
        if self.free_count == 0 {
            self.close();
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
            let mut id = id as u8;
            loop {
                let Some(entry) = self.free.get_mut(self.free_count) else { return Err(Lying) };
                *entry = id;
                self.free_count += 1;
                let next = core::mem::replace(&mut self.next[usize::from(id)], id);
                if next == id {
                    break;
                }
                id = next;
            }
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
        let result = write(&mut self.buffers.bytes(id)[header_len..header_len + len]);
        self.sent += 1;
        if len >= self.worth_bytes || self.open.is_some() {
            self.join(id, len);
        } else {
            self.offer(id, len);
        }
        result
    }

    /// Gives the device a frame that stands alone.
    #[inline(always)]
    fn offer(&mut self, id: u16, len: usize) {
        let header_len = self.buffers.header_len;
        let completes_checksums = self.completes_checksums;
        let (head, frame) = self.buffers.bytes(id)[..header_len + len].split_at_mut(header_len);
        let partial = if completes_checksums { checksum::begin(frame) } else { None };
        Header::write(head, partial, None);
        let segment = self.segment(id, header_len + len);
        self.buffers.queue.describe(id, segment, None);
        self.buffers.queue.offer(id);
    }

    /// The first `len` bytes of a buffer.
    #[inline]
    fn segment(&self, id: u16, len: usize) -> Segment {
        Segment { address: self.buffers.address(id), len: len as u32, is_written: false }
    }

    /// Puts a frame behind those that are open, or lets it be the first of others. If it can be neither it goes alone, and
    /// what is open before it.
    #[inline(never)]
    fn join(&mut self, id: u16, len: usize) {
        let header_len = self.buffers.header_len;
        let frame = &self.buffers.bytes(id)[header_len..header_len + len];
        let segment =
            TcpSegment::read(frame).filter(|segment| self.cuts[usize::from(segment.is_v6)]);
        let taken = segment.and_then(|segment| self.open.as_mut()?.run.take(&segment));
        if let (Some(headers_len), Some(open)) = (taken, &mut self.open) {
            let (last, described) = open.tail;
            self.buffers.queue.describe(last, described, Some(id));
            self.next[usize::from(last)] = id as u8;
            let data = self.buffers.address(id) + (header_len + headers_len) as u64;
            let len = (len - headers_len) as u32;
            open.tail = (id, Segment { address: data, len, is_written: false });
            return;
        }
        self.close();
        let tail = (id, self.segment(id, header_len + len));
        match segment.and_then(Run::new) {
            Some(run) => self.open = Some(Open { run, head: id, len, tail }),
            None => self.offer(id, len),
        }
    }

    /// Gives the device what is open.
    #[inline]
    pub(super) fn close(&mut self) {
        if self.open.is_some() {
            self.offer_open();
        }
    }

    #[inline(never)]
    fn offer_open(&mut self) {
        let Some(Open { run, head, len, tail }) = self.open.take() else { return };
        let header_len = self.buffers.header_len;
        let (start, frame) = self.buffers.bytes(head)[..header_len + len].split_at_mut(header_len);
        let (partial, cut) = run.finish(frame);
        Header::write(start, Some(partial), cut);
        self.buffers.queue.describe(tail.0, tail.1, None);
        self.buffers.queue.offer(head);
        if cut.is_some() {
            self.joined += run.count();
        }
    }
}

/// A frame that was received.
pub struct Received<'a, P: Pages> {
    pub(super) receiver: &'a mut Receiver<P>,
    pub(super) place: Place,
}

impl<P: Pages> RxToken for Received<'_, P> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        let header_len = self.receiver.buffers.header_len;
        let (id, len) = self.place;
        let bytes: &mut [u8] = match (id, &mut self.receiver.merged) {
            (Some(id), _) => self.receiver.buffers.bytes(id),
            (None, Some(merged)) => merged.frame_to(len),
            (None, None) => &mut [],
        };
        read(bytes.get_mut(header_len..len).unwrap_or_default())
    }
}

impl<P: Pages> Drop for Received<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(id), _) = self.place {
            self.receiver.give_back(id);
        }
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
