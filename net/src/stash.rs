//! The way between the runner and embassy-net: frames in both directions, in buffers that are used again.
//!
//! embassy-net takes a driver for itself. It gets [`Shim`], which has no device behind it: frames that are not for our
//! connections are copied into the stash, and what embassy-net sends waits there for the runner. A copy each way is the
//! price for a device with one owner, who also rings its doorbell once for all. The stash is bounded, in frames and in bytes,
//! for a device may hand over segments of 64 KiB: frames that find it full are dropped and counted, as a device does whose
//! ring is full.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

/// Frames that wait in each direction at most.
const FRAMES: usize = 64;

/// Bytes that wait to be read at most: as many frames of Ethernet.
const BYTES: usize = FRAMES * 1514;

/// Empty buffers kept for the next frames, and how long each may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 2048;

/// Frames in both directions.
pub(crate) struct Stash {
    incoming: VecDeque<Vec<u8>>,
    /// How many bytes are in them.
    incoming_bytes: usize,
    outgoing: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    /// What embassy-net is told of the link.
    pub(crate) link: LinkState,
    moved: u64,
}

impl Stash {
    pub(crate) const fn new() -> Stash {
        Stash {
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            outgoing: VecDeque::new(),
            spare: Vec::new(),
            link: LinkState::Down,
            moved: 0,
        }
    }

    /// Whether embassy-net has frames to read, and room for answers.
    pub(crate) fn has_work(&self) -> bool {
        !self.incoming.is_empty() && self.outgoing.len() < FRAMES
    }

    /// How many frames embassy-net has read or sent so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Copies a frame for embassy-net. `false`: dropped, there are too many, or no memory.
    pub(crate) fn put(&mut self, frame: &[u8]) -> bool {
        let is_full = self.incoming.len() >= FRAMES || frame.len() > BYTES - self.incoming_bytes;
        if is_full || self.incoming.try_reserve(1).is_err() {
            return false;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        if buffer.try_reserve(frame.len()).is_err() {
            return false;
        }
        buffer.extend_from_slice(frame);
        self.incoming.push_back(buffer);
        self.incoming_bytes += frame.len();
        true
    }

    /// The next frame that embassy-net has sent.
    pub(crate) fn sent(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// Puts a frame back that could not be sent yet.
    pub(crate) fn unsend(&mut self, frame: Vec<u8>) {
        self.outgoing.push_front(frame);
    }

    /// Takes a buffer that is not needed any more.
    pub(crate) fn reuse(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE && buffer.capacity() <= SPARE_BYTES {
            self.spare.push(buffer);
        }
    }
}

/// The driver that embassy-net has.
pub(crate) struct Shim {
    pub(crate) stash: &'static RefCell<Stash>,
    pub(crate) capabilities: Capabilities,
    pub(crate) address: [u8; 6],
}

pub(crate) struct Received {
    stash: &'static RefCell<Stash>,
    frame: Vec<u8>,
}

impl RxToken for Received {
    fn consume<R, F>(mut self, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let result = f(&mut self.frame);
        self.stash.borrow_mut().reuse(self.frame);
        result
    }
}

pub(crate) struct Room {
    stash: &'static RefCell<Stash>,
}

impl TxToken for Room {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let mut frame = self.stash.borrow_mut().spare.pop().unwrap_or_default();
        frame.clear();
        frame.resize(len, 0);
        let result = f(&mut frame);
        let mut stash = self.stash.borrow_mut();
        stash.outgoing.push_back(frame);
        stash.moved += 1;
        result
    }
}

impl Driver for Shim {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Received, Room)> {
        let mut stash = self.stash.borrow_mut();
        if !stash.has_work() {
            return None;
        }
        let frame = stash.incoming.pop_front()?;
        stash.incoming_bytes -= frame.len();
        stash.moved += 1;
        Some((Received { stash: self.stash, frame }, Room { stash: self.stash }))
    }

    // No waker is kept: the runner polls embassy-net when a frame has come, and after it has made room.
    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room> {
        (self.stash.borrow().outgoing.len() < FRAMES).then_some(Room { stash: self.stash })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        self.stash.borrow().link
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_and_what_is_kept_has_a_bound_in_bytes() {
        let stash: &'static RefCell<Stash> =
            alloc::boxed::Box::leak(alloc::boxed::Box::new(RefCell::new(Stash::new())));
        let mut shim = Shim { stash, capabilities: Capabilities::default(), address: [0; 6] };
        let context = &mut Context::from_waker(core::task::Waker::noop());
        for round in 0..40 {
            assert!(stash.borrow_mut().put(&[7; 65_549]), "{round}");
            assert!(!stash.borrow_mut().put(&[7; 65_549]));
            let ordinary = (0..FRAMES).filter(|_| stash.borrow_mut().put(&[7; 1514])).count();
            assert_eq!(ordinary, (BYTES - 65_549) / 1514);
            while let Some((frame, _)) = shim.receive(context) {
                frame.consume(|bytes| assert!(bytes.iter().all(|byte| *byte == 7)));
            }
            assert_eq!(stash.borrow().incoming_bytes, 0);
        }
        let kept = stash.borrow().spare.iter().map(Vec::capacity).sum::<usize>();
        assert!(kept <= SPARE * SPARE_BYTES, "{kept}");
    }
}
