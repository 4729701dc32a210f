//! The network device, as a driver of [`embassy_net_driver`]: what embassy-net and its like take.
//!
//! Frames are received into the driver's buffers and read there. What is sent is written where the device reads it. The
//! device is told of what was sent, and of the buffers that it has back, when the stack asks for the
//! [state of the link](Driver::link_state): the last thing that embassy-net and freestone-net do in a round, so all frames of
//! a round go out with one notification. Where frames have been sent, no interrupt comes until room for more is short.
//!
//! Where the device offers it, it fills in the checksums of TCP, and frames that it vouches for are not summed again:
//! those that it does not are, here.
//!
//! Several pairs of queues are not used yet: one core has one.
//!
//! Source: VIRTIO 1.2, 5.1.

use core::mem::ManuallyDrop;
use core::task::Context;

use embassy_net_driver::{
    Capabilities, Checksum, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};

use crate::interrupt::{Attention, Messages};
use crate::memory::{Memory, Pages};
use crate::queue::{Lying, Queue, Segment};
use crate::transport::{
    EVENT_INDEX, Error, Features, Transport, consistent, is_lost, limited, negotiate, reset, start,
};

mod checksum;
mod header;

use header::Header;

/// The network device's number (5.1.1).
pub const KIND: u32 = 1;

/// The device completes checksums.
const CSUM: u64 = 1 << 0;
/// The driver takes frames whose checksums are not complete.
const GUEST_CSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const STATUS: u64 = 1 << 16;

/// In the configuration.
const MAC_AT: u16 = 0;
const STATUS_AT: u16 = 6;
const MTU_AT: u16 = 10;
const LINK_IS_UP: u16 = 1;

/// One frame's room, header included.
const BUFFER_BYTES: usize = 2048;
const ETHERNET_BYTES: usize = 14;
/// The largest payload of a frame (IEEE 802.3), and the smallest that an IPv4 host must take (RFC 791).
const LARGEST: u16 = 1500;
const SMALLEST: u16 = 576;

/// The most buffers in each direction.
pub const MOST_BUFFERS: usize = 256;

type FrameQueue<P> = Queue<MOST_BUFFERS, P>;

/// What a driver has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames handed to the stack.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
    /// Received frames that were too short, too long or whose checksum was wrong.
    pub dropped: u64,
    /// How many times the device was told to look, for both queues.
    pub notifications: u64,
}

/// A network device in use.
pub struct Net<T: Transport, M: Memory> {
    device: T,
    attention: &'static Attention,
    /// These two go when the device has been reset.
    receiver: ManuallyDrop<Receiver<M::Pages>>,
    sender: ManuallyDrop<Sender<M::Pages>>,
    mac: [u8; 6],
    mtu: u16,
    is_up: bool,
    has_status: bool,
    error: Option<Error>,
}

/// Buffers of one direction, beside their queue.
struct Buffers<P> {
    queue: FrameQueue<P>,
    pages: P,
    header_len: usize,
}

impl<P: Pages> Buffers<P> {
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
struct Receiver<P> {
    buffers: Buffers<P>,
    has_partial_checksums: bool,
    received: u64,
    dropped: u64,
}

/// What the device sends.
struct Sender<P> {
    buffers: Buffers<P>,
    /// Descriptors that are nobody's: the first `free_count`.
    free: [u8; MOST_BUFFERS],
    free_count: usize,
    completes_checksums: bool,
    sent: u64,
}

const _: () = assert!(MOST_BUFFERS <= 1 << u8::BITS);

impl<T: Transport, M: Memory> Net<T, M> {
    /// Brings a network device up, with up to `buffers` of 2 KiB in each direction, [`MOST_BUFFERS`] at most. `mac` is the
    /// address of one that has none itself. `is_over` ends the wait for the device.
    ///
    /// # Errors
    ///
    /// It is no network device, refuses what it must take, does not answer, or there is no memory.
    pub fn new(
        device: T,
        attention: &'static Attention,
        messages: Messages,
        buffers: u16,
        mac: [u8; 6],
        is_over: impl FnMut() -> bool,
    ) -> Result<Net<T, M>, Error> {
        let wanted = CSUM | GUEST_CSUM | MTU | MAC | STATUS | EVENT_INDEX;
        let features = negotiate(&device, KIND, wanted, is_over)?;
        if !features.has_any_layout() {
            return Err(Error::Refused);
        }
        let header_len = Header::len(&features);
        let side = |index| -> Result<Buffers<M::Pages>, Error> {
            let len = FrameQueue::<M::Pages>::len(&device, index)?;
            let pages = M::zeroed(FrameQueue::<M::Pages>::bytes(len)).ok_or(Error::NoMemory)?;
            let count = usize::from(buffers.clamp(1, len));
            let bytes = count.min(MOST_BUFFERS) * BUFFER_BYTES;
            let data = M::zeroed(bytes).ok_or(Error::NoMemory)?;
            let queue = FrameQueue::new(&device, index, len, pages, &features, messages.queues)?;
            Ok(Buffers { queue, pages: data, header_len })
        };
        // Until it is started, the device may use neither, so their memory may go.
        let (receiver, sender) = (side(0)?, side(1)?);
        if let Some(message) = messages.config {
            // Without it changes of the link go unseen.
            let _ = device.give_config_message(message);
        }
        let (mac, mtu) = addresses(&device, &features, mac);
        let mut net = Net {
            attention,
            receiver: ManuallyDrop::new(Receiver::new(receiver, &features)),
            sender: ManuallyDrop::new(Sender::new(sender, &features)),
            mac,
            mtu,
            is_up: true,
            has_status: features.has(STATUS),
            error: None,
            device,
        };
        start(&net.device, &features);
        net.receiver.buffers.queue.tell();
        net.read_link();
        Ok(net)
    }

    /// What it has seen.
    pub fn statistics(&self) -> Statistics {
        let (receiver, sender) = (&self.receiver, &self.sender);
        Statistics {
            received: receiver.received,
            sent: sender.sent,
            dropped: receiver.dropped,
            notifications: receiver.buffers.queue.rings() + sender.buffers.queue.rings(),
        }
    }

    /// Why the device is not used any more, if it is not. Its link is down from then on.
    pub fn error(&self) -> Option<Error> {
        self.error
    }

    fn read_link(&mut self) {
        if is_lost(&self.device) {
            self.give_up();
        } else if self.has_status {
            self.is_up = self.device.config_half(STATUS_AT) & LINK_IS_UP != 0;
        }
    }

    /// The device has lied, or asks for it.
    #[cold]
    fn give_up(&mut self) {
        self.error = Some(Error::Lying);
        self.is_up = false;
        let _ = reset(&self.device, limited());
    }

    /// The next frame that the device has filled.
    #[inline]
    fn next(&mut self) -> Option<(u16, usize)> {
        if self.error.is_some() {
            return None;
        }
        self.receiver.next().unwrap_or_else(|Lying| {
            self.give_up();
            None
        })
    }

    /// Whether a frame may be sent. If not, the task is woken when one may.
    #[inline]
    fn has_room(&mut self, context: &Context) -> bool {
        if self.sender.free_count != 0 {
            return true;
        }
        if self.error.is_some() {
            return false;
        }
        let has_room = self.sender.make_room(|| self.attention.register(context.waker()));
        has_room.unwrap_or_else(|Lying| {
            self.give_up();
            false
        })
    }
}

/// Its address, and the largest payload of its frames.
fn addresses(device: &impl Transport, features: &Features, other: [u8; 6]) -> ([u8; 6], u16) {
    let read = || {
        let byte = |at: u16| device.config_byte(MAC_AT + at);
        ([0, 1, 2, 3, 4, 5].map(byte), device.config_half(MTU_AT))
    };
    let (mac, mtu) = consistent(device, read).unwrap_or_default();
    let is_one = features.has(MAC) && mac != [0; 6] && mac[0] & 1 == 0;
    let mtu = if features.has(MTU) && mtu >= SMALLEST { mtu.min(LARGEST) } else { LARGEST };
    (if is_one { mac } else { other }, mtu)
}

impl<P: Pages> Receiver<P> {
    fn new(mut buffers: Buffers<P>, features: &Features) -> Receiver<P> {
        let count = buffers.pages.len() / BUFFER_BYTES;
        for id in (0..buffers.queue.count()).take(count) {
            let address = buffers.address(id);
            let segment = Segment { address, len: BUFFER_BYTES as u32, is_written: true };
            buffers.queue.describe(id, segment, None);
            buffers.queue.offer(id);
        }
        let has_partial_checksums = features.has(GUEST_CSUM);
        Receiver { buffers, has_partial_checksums, received: 0, dropped: 0 }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<(u16, usize)>, Lying> {
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
    fn new(buffers: Buffers<P>, features: &Features) -> Sender<P> {
        let count = (buffers.pages.len() / BUFFER_BYTES).min(usize::from(buffers.queue.count()));
        let mut free = [0; MOST_BUFFERS];
        for (id, entry) in (0..).zip(&mut free[..count]) {
            *entry = id;
        }
        let completes_checksums = features.has(CSUM);
        Sender { buffers, free, free_count: count, completes_checksums, sent: 0 }
    }

    /// Takes back what has been sent. If there is nothing, the device is told of what was not sent yet, and `register` is
    /// called before an interrupt is asked for.
    #[cold]
    fn make_room(&mut self, register: impl FnOnce()) -> Result<bool, Lying> {
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

impl<T: Transport, M: Memory> Drop for Net<T, M> {
    fn drop(&mut self) {
        if reset(&self.device, limited()).is_ok() {
            // SAFETY: they are used no more. A device that does not stop keeps its memory.
            unsafe {
                ManuallyDrop::drop(&mut self.receiver);
                ManuallyDrop::drop(&mut self.sender);
            }
        }
    }
}

/// A frame that was received.
pub struct Received<'a, P: Pages> {
    receiver: &'a mut Receiver<P>,
    id: u16,
    len: usize,
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
pub struct Room<'a, P: Pages>(&'a mut Sender<P>);

impl<P: Pages> TxToken for Room<'_, P> {
    #[inline]
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.send(len, write)
    }
}

impl<T: Transport, M: Memory> Driver for Net<T, M> {
    type RxToken<'a>
        = Received<'a, M::Pages>
    where
        Self: 'a;
    type TxToken<'a>
        = Room<'a, M::Pages>
    where
        Self: 'a;

    #[inline]
    fn receive(
        &mut self,
        context: &mut Context,
    ) -> Option<(Received<'_, M::Pages>, Room<'_, M::Pages>)> {
        if !self.has_room(context) {
            return None;
        }
        let next = match self.next() {
            Some(next) => next,
            None => {
                self.attention.register(context.waker());
                if !self.receiver.buffers.queue.ask(1) {
                    return None;
                }
                self.next()?
            }
        };
        let (id, len) = next;
        Some((Received { receiver: &mut self.receiver, id, len }, Room(&mut self.sender)))
    }

    #[inline]
    fn transmit(&mut self, context: &mut Context) -> Option<Room<'_, M::Pages>> {
        self.has_room(context).then_some(Room(&mut self.sender))
    }

    fn link_state(&mut self, context: &mut Context) -> LinkState {
        if self.error.is_none() {
            self.sender.buffers.queue.tell();
            self.receiver.buffers.queue.tell();
            if self.attention.take_news() {
                self.read_link();
                self.attention.register(context.waker());
            }
        }
        if self.is_up { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = usize::from(self.mtu) + ETHERNET_BYTES;
        let receives = !self.receiver.has_partial_checksums;
        let kind = |sends, receives| match (sends, receives) {
            (true, true) => Checksum::Both,
            (true, false) => Checksum::Tx,
            (false, true) => Checksum::Rx,
            (false, false) => Checksum::None,
        };
        capabilities.checksum.tcp = kind(!self.sender.completes_checksums, receives);
        // Fragments of a datagram cannot be completed by the device.
        capabilities.checksum.udp = kind(true, receives);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

#[cfg(test)]
mod tests;
