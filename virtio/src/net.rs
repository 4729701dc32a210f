//! The network device, as a driver of [`embassy_net_driver`]: what embassy-net and its like take.
//!
//! Frames are received into the driver's buffers and read there. What is sent is written where the device reads it. The
//! device is told of what was sent, and of the buffers that it has back, when the stack asks for the
//! [state of the link](Driver::link_state): the last thing that embassy-net and freestone-net do in a round, so all frames of
//! a round go out with one notification. Where frames have been sent, no interrupt comes until room for more is short.
//!
//! Where the device offers it, it fills in the checksums of TCP, and frames that it vouches for are not summed again:
//! those that it does not are, here. It cuts runs of segments, and hands over large ones, which are longer
//! than [`Capabilities`] says that frames are.
//!
//! A device that is taken out says nothing. After a few rounds with frames of which it has sent none, it is asked whether it is
//! there.
//!
//! Several pairs of queues are not used yet: one core has one.
//!
//! Source: VIRTIO 1.2, 5.1.

use core::mem::ManuallyDrop;
use core::task::Context;

use embassy_net_driver::{Capabilities, Checksum, Driver, HardwareAddress, LinkState};

use crate::interrupt::{Attention, Messages};
use crate::memory::Memory;
use crate::queue::Lying;
use crate::transport::{
    EVENT_INDEX, Error, Features, Transport, consistent, limited, loss, negotiate_by, reset, start,
};

mod checksum;
mod directions;
mod header;
mod merged;
mod run;

use directions::{Buffers, FrameQueue, Place, Receiver, Sender};
pub use directions::{Received, Room};
use merged::Merged;

/// The network device's number (5.1.1).
pub const KIND: u32 = 1;

/// The device completes checksums.
const CSUM: u64 = 1 << 0;
/// The driver takes frames whose checksums are not complete.
const GUEST_CSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
/// The driver takes TCP segments that are larger than frames.
const GUEST_TSO4: u64 = 1 << 7;
const GUEST_TSO6: u64 = 1 << 8;
/// The device cuts TCP segments that are larger than frames.
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
/// Received frames may take several buffers.
const MERGED_BUFFERS: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;

/// What makes received frames large.
const LARGE_FRAMES: u64 = GUEST_TSO4 | GUEST_TSO6 | MERGED_BUFFERS;

/// In the configuration.
const MAC_AT: u16 = 0;
const STATUS_AT: u16 = 6;
const MTU_AT: u16 = 10;
const LINK_IS_UP: u16 = 1;

const ETHERNET_BYTES: usize = 14;
/// The largest payload of a frame (IEEE 802.3), and the smallest that an IPv4 host must take (RFC 791).
const LARGEST: u16 = 1500;
const SMALLEST: u16 = 576;

/// One buffer: a frame of that size with its header, or part of a larger one.
const BUFFER_BYTES: usize = 2048;

/// The most buffers in each direction.
pub const MOST_BUFFERS: usize = 256;

/// Rounds in a row in which frames wait and the device sends none, before it is asked whether it is there. With the one
/// before, which it may have been gone for, TCP takes 7 seconds to repeat itself so often. The question leaves the guest, so a
/// device that is there and only busy is asked half as often each time, until it has sent everything.
const VAIN_ROUNDS: u8 = 2;
const MOST_VAIN_ROUNDS: u8 = 16;

/// What a driver has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames handed to the stack.
    pub received: u64,
    /// How many of them came in several buffers.
    pub large: u64,
    /// Frames sent.
    pub sent: u64,
    /// How many of them the device was given as part of a larger one.
    pub joined: u64,
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
    /// How far the device had sent in the last round, how many rounds in a row it has sent none, and how many may be.
    sent_by_then: u16,
    vain: u8,
    patience: u8,
    error: Option<Error>,
}

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
        mut is_over: impl FnMut() -> bool,
    ) -> Result<Net<T, M>, Error> {
        let mut features = negotiate_by(&device, KIND, with_large_frames, &mut is_over)?;
        let mut merged = None;
        if features.has(LARGE_FRAMES) {
            let count = FrameQueue::<M::Pages>::len(&device, 0)?.min(buffers);
            if usize::from(count) >= merged::MOST_BUFFERS {
                merged = M::zeroed(merged::BYTES).and_then(Merged::new);
            }
            if merged.is_none() {
                // A frame for which there are never buffers enough would be the last.
                features = negotiate_by(&device, KIND, without_large_frames, is_over)?;
            }
        }
        if !features.has_any_layout() {
            return Err(Error::Refused);
        }
        let direction =
            |index| Buffers::new::<M>(&device, index, buffers, &features, messages.queues);
        // Until it is started, the device may use neither, so their memory may go.
        let (receiver, sender) = (direction(0)?, direction(1)?);
        if let Some(message) = messages.config {
            // Without it changes of the link go unseen.
            let _ = device.give_config_message(message);
        }
        let (mac, mtu) = addresses(&device, &features, mac);
        let mut net = Net {
            attention,
            receiver: ManuallyDrop::new(Receiver::new(receiver, merged, features.has(GUEST_CSUM))),
            sender: ManuallyDrop::new(Sender::new(
                sender,
                features.has(CSUM),
                [features.has(HOST_TSO4), features.has(HOST_TSO6)],
            )),
            mac,
            mtu,
            is_up: true,
            has_status: features.has(STATUS),
            sent_by_then: 0,
            vain: 0,
            patience: VAIN_ROUNDS,
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
            large: receiver.large,
            sent: sender.sent,
            joined: sender.joined,
            dropped: receiver.dropped,
            notifications: receiver.buffers.queue.rings() + sender.buffers.queue.rings(),
        }
    }

    /// Why the device is not used any more, if it is not. Its link is down from then on.
    pub fn error(&self) -> Option<Error> {
        self.error
    }

    fn read_link(&mut self) {
        if let Some(error) = loss(&self.device) {
            self.give_up(error);
        } else if self.has_status {
            self.is_up = self.device.config_half(STATUS_AT) & LINK_IS_UP != 0;
        }
    }

    /// Tells the device of frames that are to be sent.
    #[inline]
    fn tell_sender(&mut self) {
        self.sender.close();
        if self.sender.buffers.queue.has_news() {
            self.look_for_life();
            self.sender.buffers.queue.tell();
        }
    }

    /// Asks the device whether it is there, if it has sent nothing for too long.
    #[inline]
    fn look_for_life(&mut self) {
        let (waiting, sent) = self.sender.buffers.queue.progress();
        if waiting == 0 {
            self.patience = VAIN_ROUNDS;
        }
        let has_sent = waiting == 0 || sent != self.sent_by_then;
        self.sent_by_then = sent;
        self.vain = if has_sent { 0 } else { self.vain + 1 };
        if self.vain >= self.patience {
            self.vain = 0;
            self.patience = (2 * self.patience).min(MOST_VAIN_ROUNDS);
            if let Some(error) = loss(&self.device) {
                self.give_up(error);
            }
        }
    }

    /// The device has lied, asks for it, or is gone.
    #[cold]
    fn give_up(&mut self, error: Error) {
        self.error = Some(error);
        self.is_up = false;
        let _ = reset(&self.device, limited());
    }

    /// The next frame that the device has filled.
    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.error.is_some() {
            return None;
        }
        self.receiver.next().unwrap_or_else(|Lying| {
            self.give_up(Error::Lying);
            None
        })
    }

    /// What had come when an interrupt was asked for is no frame, and there is none any more for what comes next.
    #[cold]
    fn look_again(&self, context: &Context) {
        if self.error.is_none() {
            context.waker().wake_by_ref();
        }
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
        let has_room = has_room.unwrap_or_else(|Lying| {
            self.give_up(Error::Lying);
            false
        });
        if !has_room && self.error.is_none() {
            self.look_for_life();
        }
        has_room
    }
}

/// What of the features that are offered is taken.
fn with_large_frames(offered: u64) -> u64 {
    let has = |feature| offered & feature != 0;
    let mut wanted = CSUM | GUEST_CSUM | MTU | MAC | STATUS | EVENT_INDEX;
    if has(CSUM) {
        wanted |= HOST_TSO4 | HOST_TSO6;
    }
    // Frames of one buffer need no merging, and without it large ones would need buffers of 64 KiB.
    if has(GUEST_CSUM) && has(MERGED_BUFFERS) && has(GUEST_TSO4 | GUEST_TSO6) {
        wanted |= LARGE_FRAMES;
    }
    wanted
}

fn without_large_frames(offered: u64) -> u64 {
    with_large_frames(offered) & !LARGE_FRAMES
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
        let place = match self.next() {
            Some(place) => place,
            None => {
                self.attention.register(context.waker());
                if !self.receiver.buffers.queue.ask(1) {
                    return None;
                }
                let Some(place) = self.next() else {
                    self.look_again(context);
                    return None;
                };
                place
            }
        };
        Some((Received { receiver: &mut self.receiver, place }, Room(&mut self.sender)))
    }

    #[inline]
    fn transmit(&mut self, context: &mut Context) -> Option<Room<'_, M::Pages>> {
        self.has_room(context).then_some(Room(&mut self.sender))
    }

    fn link_state(&mut self, context: &mut Context) -> LinkState {
        if self.error.is_none() {
            self.tell_sender();
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
mod large_tests;
#[cfg(test)]
mod tests;
