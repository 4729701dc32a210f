//! Requests that the device has: each in a slot, which has three descriptors and a header of its own.
//!
//! ```text
//! descriptor   3n            3n + 1                3n + 2
//!              header, read  data, if there is some  status, written
//! ```
//!
//! Where the parts of a chain are never changes but for the data, so little is written for a request. When there are more
//! requests than slots, they wait, and get them in the order they came.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::task::Waker;

use super::Error;
use super::buffer::Kept;
use crate::interrupt::Messages;
use crate::memory::{Memory, Pages};
use crate::queue::{Lying, Queue, Segment};
use crate::transport::{self, Features, Transport, limited, reset, start};

/// Descriptors of a slot.
const CHAIN: u16 = 3;
/// The most slots.
const MOST: u16 = 64;
const DESCRIPTORS: usize = 256;

const _: () = assert!((CHAIN * MOST) as usize <= DESCRIPTORS);

type SlotQueue<P> = Queue<DESCRIPTORS, P>;

/// What the device reads and writes for each slot besides the data (5.2.6).
#[repr(C, align(32))]
struct Area {
    kind: AtomicU32,
    reserved: AtomicU32,
    sector: AtomicU64,
    status: AtomicU8,
}

const HEADER_BYTES: u32 = 16;
const STATUS_BYTES: u32 = 1;
const STATUS_AT: u64 = 16;

const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// None that a device gives.
const UNANSWERED: u8 = 0xff;

/// What the device is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Type of the request (5.2.6).
    pub kind: u32,
    pub sector: u64,
    /// Where the data is, as the device sees it.
    pub address: u64,
    /// And how much; 0 for none.
    pub len: u32,
    /// Whether the device writes it.
    pub is_written: bool,
}

enum Stage {
    Free,
    /// The device has it.
    Flying,
    /// The device has it, and nobody waits for it.
    Abandoned,
    Done(Result<(), Error>),
}

struct Slot {
    stage: Stage,
    waker: Option<Waker>,
    buffer: Kept,
    /// Whether the header's descriptor goes on to the data's.
    has_data: bool,
    /// How many bytes the device may say that it has written.
    writable: u32,
    /// The nap it was submitted in.
    since: u32,
}

/// What a request that the device is done with leaves.
pub(super) enum Ended {
    /// Who is to be woken.
    Awaited(u16, Option<Waker>),
    /// What may be dropped.
    Abandoned(Kept),
}

/// A device and its slots.
pub(super) struct Slots<T: Transport, M: Memory> {
    pub device: T,
    /// These two go when the device has been reset.
    queue: ManuallyDrop<SlotQueue<M::Pages>>,
    areas: ManuallyDrop<M::Pages>,
    slots: Box<[Slot]>,
    free: Vec<u16>,
    /// By their tickets, which are numbers that grow.
    waiting: BTreeMap<u64, Waker>,
    next_ticket: u64,
    /// How many that were waiting have been woken and not come yet: as many slots are free for them.
    expected: usize,
    /// The request that is woken by the interrupt itself.
    alone: Option<u16>,
    /// The most that were under way since none was.
    most: u16,
    /// Counts naps.
    naps: u32,
    requests: u64,
    is_stopped: bool,
    /// The device may write to what it has, for ever.
    is_held: bool,
}

impl<T: Transport, M: Memory> Slots<T, M> {
    /// Gives the device its queue, and starts it.
    pub fn new(
        device: T,
        features: &Features,
        messages: Messages,
    ) -> Result<Self, transport::Error> {
        let len = SlotQueue::<M::Pages>::len(&device, 0)?;
        let count = (len.min(DESCRIPTORS as u16) / CHAIN).min(MOST);
        if count == 0 {
            return Err(transport::Error::Refused);
        }
        let no_memory = transport::Error::NoMemory;
        let pages = M::zeroed(SlotQueue::<M::Pages>::bytes(len)).ok_or(no_memory)?;
        let areas = M::zeroed(usize::from(count) * size_of::<Area>()).ok_or(no_memory)?;
        let queue = SlotQueue::new(&device, 0, len, pages, features, messages.queues)?;
        if let Some(message) = messages.config {
            // Without it changes of the capacity go unseen.
            let _ = device.give_config_message(message);
        }
        let slot = |_| Slot {
            stage: Stage::Free,
            waker: None,
            buffer: Kept::none(),
            has_data: true,
            writable: 0,
            since: 0,
        };
        let slots = Slots {
            device,
            queue: ManuallyDrop::new(queue),
            areas: ManuallyDrop::new(areas),
            slots: (0..count).map(slot).collect(),
            free: (0..count).rev().collect(),
            waiting: BTreeMap::new(),
            next_ticket: 1,
            expected: 0,
            alone: None,
            most: 0,
            naps: 0,
            requests: 0,
            is_stopped: false,
            is_held: false,
        };
        for index in 0..count {
            let status = Segment {
                address: slots.area_address(index) + STATUS_AT,
                len: STATUS_BYTES,
                is_written: true,
            };
            slots.queue.describe(index * CHAIN + 2, status, None);
            slots.describe_header(index, true);
        }
        start(&slots.device, features);
        Ok(slots)
    }

    fn area_address(&self, index: u16) -> u64 {
        self.areas.address() + (usize::from(index) * size_of::<Area>()) as u64
    }

    fn area(&self, index: u16) -> &Area {
        let offset = usize::from(index) * size_of::<Area>();
        assert!(offset < self.slots.len() * size_of::<Area>(), "a slot has an area");
        // SAFETY: inside the pages, by their size; all in it are atomics, which the device may change.
        unsafe { self.areas.start().byte_add(offset).cast().as_ref() }
    }

    fn describe_header(&self, index: u16, has_data: bool) {
        let address = self.area_address(index);
        let header = Segment { address, len: HEADER_BYTES, is_written: false };
        let next = index * CHAIN + if has_data { 1 } else { 2 };
        self.queue.describe(index * CHAIN, header, Some(next));
    }

    /// A slot for a request that has this ticket, 0 if none. If there is none yet, it gets a ticket, and is woken when there
    /// is one.
    #[inline]
    pub fn slot_for(&mut self, ticket: &mut u64, waker: &Waker) -> Option<u16> {
        if *ticket != 0 && self.waiting.remove(ticket).is_none() {
            self.expected -= 1;
            *ticket = 0;
            return self.free.pop();
        }
        if self.free.len() > self.expected {
            *ticket = 0;
            return self.free.pop();
        }
        if *ticket == 0 {
            *ticket = self.next_ticket;
            self.next_ticket += 1;
        }
        self.waiting.insert(*ticket, waker.clone());
        None
    }

    /// A request that waits for a slot is dropped.
    pub fn stop_waiting(&mut self, ticket: u64) {
        if self.waiting.remove(&ticket).is_none() {
            self.expected = self.expected.saturating_sub(1);
        }
    }

    /// Who gets the next slot, if there is one.
    #[inline]
    pub fn next_waiting(&mut self) -> Option<Waker> {
        if self.waiting.is_empty() || (!self.is_stopped && self.free.len() <= self.expected) {
            return None;
        }
        self.expected += 1;
        self.waiting.pop_first().map(|(_, waker)| waker)
    }

    /// Offers the device a request. Whether it is alone, and seen by the device already.
    #[inline]
    pub fn submit(&mut self, index: u16, order: &Order, buffer: &mut Kept, waker: &Waker) -> bool {
        let has_data = order.len != 0;
        if self.slots[usize::from(index)].has_data != has_data {
            self.describe_header(index, has_data);
        }
        let area = self.area(index);
        area.kind.store(order.kind, Ordering::Relaxed);
        area.sector.store(order.sector, Ordering::Relaxed);
        area.status.store(UNANSWERED, Ordering::Relaxed);
        if has_data {
            let &Order { address, len, is_written, .. } = order;
            let data = Segment { address, len, is_written };
            self.queue.describe(index * CHAIN + 1, data, Some(index * CHAIN + 2));
        }
        let slot = &mut self.slots[usize::from(index)];
        slot.stage = Stage::Flying;
        slot.waker = Some(waker.clone());
        core::mem::swap(&mut slot.buffer, buffer);
        slot.has_data = has_data;
        slot.writable = STATUS_BYTES + if order.is_written { order.len } else { 0 };
        slot.since = self.naps;
        self.queue.offer(index * CHAIN);
        self.requests += 1;
        let flying = self.queue.flying();
        // Who was alone all the time is alone again, most likely.
        let is_alone = flying == 1 && self.most <= 1;
        self.most = if flying == 1 { 1 } else { self.most.max(flying) };
        if is_alone {
            self.alone = Some(index);
            self.queue.tell();
        }
        is_alone
    }

    /// The next request that the device is done with.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Ended>, Lying> {
        let Some((head, len)) = self.queue.take()? else { return Ok(None) };
        let index = head / CHAIN;
        let result = match self.area(index).status.load(Ordering::Relaxed) {
            OK => Ok(()),
            IO_ERROR => Err(Error::Io),
            UNSUPPORTED => Err(Error::Unsupported),
            _ => return Err(Lying),
        };
        let slot = &mut self.slots[usize::from(index)];
        if len > slot.writable {
            return Err(Lying);
        }
        if self.alone == Some(index) {
            self.alone = None;
        }
        if matches!(slot.stage, Stage::Abandoned) {
            return Ok(Some(Ended::Abandoned(self.free(index))));
        }
        slot.stage = Stage::Done(result);
        Ok(Some(Ended::Awaited(index, slot.waker.take())))
    }

    fn free(&mut self, index: u16) -> Kept {
        let slot = &mut self.slots[usize::from(index)];
        slot.stage = Stage::Free;
        self.free.push(index);
        core::mem::replace(&mut slot.buffer, Kept::none())
    }

    /// The result of a request that has ended, and its buffer: the slot is free then.
    #[inline]
    pub fn finish(&mut self, index: u16) -> Option<(Result<(), Error>, Kept)> {
        let Stage::Done(result) = self.slots[usize::from(index)].stage else { return None };
        Some((result, self.free(index)))
    }

    /// Has another task be woken. Gives what is to be dropped.
    #[inline]
    pub fn set_waker(&mut self, index: u16, waker: &Waker) -> Option<Waker> {
        let slot = &mut self.slots[usize::from(index)];
        if slot.waker.as_ref().is_some_and(|current| current.will_wake(waker)) {
            return None;
        }
        slot.waker.replace(waker.clone())
    }

    /// Whether it is the one that the interrupt wakes.
    #[inline]
    pub fn is_alone(&self, index: u16) -> bool {
        self.alone == Some(index)
    }

    /// A request is dropped. Gives what is to be dropped now.
    pub fn abandon(&mut self, index: u16) -> (Option<Kept>, Option<Waker>) {
        let slot = &mut self.slots[usize::from(index)];
        let waker = slot.waker.take();
        if self.alone == Some(index) {
            self.alone = None;
        }
        if matches!(slot.stage, Stage::Flying) {
            slot.stage = Stage::Abandoned;
            return (None, waker);
        }
        (Some(self.free(index)), waker)
    }

    /// Rings for what was submitted. Whether the runner has something to wait for: there are requests, and not only one
    /// that its own task waits for.
    #[inline]
    pub fn take_over(&mut self) -> bool {
        self.queue.tell();
        let flying = self.queue.flying();
        if flying == 1 && self.alone.is_some() {
            return false;
        }
        self.alone = None;
        flying != 0
    }

    /// Asks for an interrupt. Whether there is something already.
    #[inline]
    pub fn ask(&mut self) -> bool {
        self.queue.ask(1)
    }

    pub fn hush(&mut self) {
        self.queue.hush();
    }

    /// How many requests the device has.
    pub fn flying(&self) -> u16 {
        self.queue.flying()
    }

    /// Another nap is over. Whether the device has had a request for `most` whole ones.
    pub fn count_nap(&mut self, most: u32) -> bool {
        self.naps = self.naps.wrapping_add(1);
        let is_late = |slot: &Slot| {
            matches!(slot.stage, Stage::Flying | Stage::Abandoned)
                && self.naps.wrapping_sub(slot.since) > most
        };
        self.slots.iter().any(is_late)
    }

    pub fn statistics(&self) -> super::Statistics {
        super::Statistics { requests: self.requests, notifications: self.queue.rings() }
    }

    /// Resets the device, which is used no more, and ends all requests.
    #[cold]
    pub fn stop(&mut self, error: Error) {
        self.is_held = reset(&self.device, limited()).is_err();
        self.is_stopped = true;
        self.alone = None;
        for slot in &mut self.slots {
            if matches!(slot.stage, Stage::Flying | Stage::Abandoned) {
                if self.is_held {
                    slot.buffer.forget();
                }
                // Nobody needs the slots any more, so those that nobody waits for stay as they are.
                slot.stage = Stage::Done(Err(error));
            }
        }
    }

    /// Of all requests that have ended, one that is to be woken.
    pub fn next_ended(&mut self) -> Option<Waker> {
        let is_done =
            |slot: &&mut Slot| matches!(slot.stage, Stage::Done(_)) && slot.waker.is_some();
        self.slots.iter_mut().find(is_done)?.waker.take()
    }
}

impl<T: Transport, M: Memory> Drop for Slots<T, M> {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.stop(Error::Stopped);
        }
        if !self.is_held {
            // SAFETY: they are used no more, and the device has been reset.
            unsafe {
                ManuallyDrop::drop(&mut self.queue);
                ManuallyDrop::drop(&mut self.areas);
            }
        }
    }
}
