//! What the handles, the requests and the runner of a disk share.
//!
//! No waker is called, and no buffer dropped, while the slots are borrowed: either may run code that comes back here.

use core::cell::{Cell, RefCell};
use core::task::{Poll, Waker};

use super::buffer::Kept;
use super::config::{self, Properties, SECTOR_BYTES};
use super::slots::{Ended, Order, Slots};
use super::{Error, KIND, Statistics};
use crate::interrupt::{Attention, Messages};
use crate::memory::Memory;
use crate::queue::Lying;
use crate::transport::{self, Transport, is_lost, negotiate};

pub(super) struct Shared<T: Transport, M: Memory> {
    attention: &'static Attention,
    properties: Properties,
    sectors: Cell<u64>,
    error: Cell<Option<Error>>,
    slots: RefCell<Slots<T, M>>,
    runner: Cell<Option<Waker>>,
    is_runner_called: Cell<bool>,
    /// Whether the runner takes naps: it sees then what is not answered.
    is_watched: Cell<bool>,
}

/// How a request begins.
pub(super) enum Begun {
    /// The device has it, in this slot.
    Flying(u16),
    /// There is no slot yet.
    Waiting,
}

impl<T: Transport, M: Memory> Shared<T, M> {
    pub fn new(
        device: T,
        attention: &'static Attention,
        messages: Messages,
        is_over: impl FnMut() -> bool,
    ) -> Result<Self, transport::Error> {
        let features = negotiate(&device, KIND, config::WANTED, is_over)?;
        let properties = config::properties(&device, &features)?;
        let sectors = config::capacity(&device)?;
        let slots = Slots::new(device, &features, messages)?;
        Ok(Shared {
            attention,
            properties,
            sectors: Cell::new(sectors),
            error: Cell::new(None),
            slots: RefCell::new(slots),
            runner: Cell::new(None),
            is_runner_called: Cell::new(false),
            is_watched: Cell::new(false),
        })
    }

    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    pub fn sectors(&self) -> u64 {
        self.look_at_news();
        self.sectors.get()
    }

    pub fn error(&self) -> Option<Error> {
        self.error.get()
    }

    pub fn statistics(&self) -> Statistics {
        self.slots.borrow().statistics()
    }

    pub fn check_writable(&self) -> Result<(), Error> {
        if self.properties.is_read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Whether there are these sectors, and they are whole blocks.
    pub fn check_range(&self, sector: u64, count: u64) -> Result<(), Error> {
        let block = u64::from(self.properties.block_bytes) / SECTOR_BYTES as u64;
        if count == 0 || !sector.is_multiple_of(block) || !count.is_multiple_of(block) {
            return Err(Error::Uneven);
        }
        let end = sector.checked_add(count).ok_or(Error::OutOfRange)?;
        if end > self.sectors() { Err(Error::OutOfRange) } else { Ok(()) }
    }

    /// Has the runner be polled.
    #[inline]
    pub fn call_runner(&self) {
        if self.is_runner_called.replace(true) {
            return;
        }
        if let Some(runner) = self.runner.take() {
            runner.wake_by_ref();
            // Waking it may have polled it.
            let newer = self.runner.take();
            self.runner.set(newer.or(Some(runner)));
        }
    }

    /// The runner is polled, and is called by that waker from now on.
    pub fn on_runner(&self, waker: &Waker) {
        self.is_runner_called.set(false);
        let runner = self.runner.take();
        let runner = runner.filter(|runner| runner.will_wake(waker));
        self.runner.set(Some(runner.unwrap_or_else(|| waker.clone())));
    }

    /// Whether the runner watches requests from now on.
    pub fn set_watched(&self, is_watched: bool) {
        self.is_watched.set(is_watched);
    }

    #[inline]
    pub fn begin(
        &self,
        order: &Order,
        buffer: &mut Kept,
        ticket: &mut u64,
        waker: &Waker,
    ) -> Result<Begun, Error> {
        self.look_at_news();
        if let Some(error) = self.error.get() {
            return Err(error);
        }
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.slot_for(ticket, waker) else { return Ok(Begun::Waiting) };
        let is_alone = slots.submit(slot, order, buffer, waker);
        drop(slots);
        if !is_alone || !self.is_watched.get() {
            self.call_runner();
        }
        Ok(Begun::Flying(slot))
    }

    /// Waits for a request that the device has.
    #[inline]
    pub fn poll(&self, slot: u16, waker: &Waker) -> Poll<(Result<(), Error>, Kept)> {
        // What the device does between two looks is seen by the second.
        for is_registered in [false, true] {
            if self.slots.borrow().is_alone(slot) {
                self.take_all(Some(slot));
            }
            let mut slots = self.slots.borrow_mut();
            if let Some(done) = slots.finish(slot) {
                drop(slots);
                self.wake_waiting();
                return Poll::Ready(done);
            }
            let old = slots.set_waker(slot, waker);
            let is_alone = slots.is_alone(slot);
            drop(slots);
            drop(old);
            if !is_alone {
                return Poll::Pending;
            }
            if is_registered {
                // It says that there is something, and there is nothing.
                waker.wake_by_ref();
                return Poll::Pending;
            }
            self.attention.register(waker);
            if !self.slots.borrow_mut().ask() {
                return Poll::Pending;
            }
        }
        Poll::Pending
    }

    /// A request that the device has is dropped.
    pub fn abandon(&self, slot: u16) {
        let mut slots = self.slots.borrow_mut();
        let was_alone = slots.is_alone(slot);
        let dropped = slots.abandon(slot);
        drop(slots);
        if was_alone {
            // Nobody else would see that the device is done with it.
            self.call_runner();
        }
        drop(dropped);
        self.wake_waiting();
    }

    /// A request that waits for a slot is dropped.
    pub fn stop_waiting(&self, ticket: u64) {
        self.slots.borrow_mut().stop_waiting(ticket);
        self.wake_waiting();
    }

    /// Wakes those that have got a slot.
    #[inline]
    fn wake_waiting(&self) {
        loop {
            let next = self.slots.borrow_mut().next_waiting();
            let Some(waker) = next else { return };
            waker.wake();
        }
    }

    /// Takes what the device is done with, and wakes who waits for it, but not for `own`. How much that was.
    #[inline]
    fn take_all(&self, own: Option<u16>) -> usize {
        let mut count = 0;
        while self.error.get().is_none() {
            let next = self.slots.borrow_mut().take();
            match next {
                Ok(None) => break,
                Ok(Some(Ended::Awaited(slot, waker))) => {
                    if let Some(waker) = waker.filter(|_| Some(slot) != own) {
                        waker.wake();
                    }
                }
                Ok(Some(Ended::Abandoned(buffer))) => {
                    drop(buffer);
                    self.wake_waiting();
                }
                Err(Lying) => self.fail(Error::Lying),
            }
            count += 1;
        }
        count
    }

    /// The runner's round: takes and rings; then interrupts wake `waker`, if there is something to wait for.
    pub fn round(&self, waker: &Waker) {
        self.look_at_news();
        let taken = self.take_all(None);
        if self.error.get().is_some() {
            return;
        }
        let mut slots = self.slots.borrow_mut();
        let is_waiting = slots.take_over();
        let is_idle = slots.flying() == 0;
        if is_waiting && taken != 0 {
            // Those that were woken have their turn first: they may submit more, and the device may do more.
            slots.hush();
            drop(slots);
            return self.call_again(waker);
        }
        drop(slots);
        if is_waiting || is_idle {
            self.attention.register(waker);
        }
        if is_waiting && self.slots.borrow_mut().ask() {
            self.call_again(waker);
        }
    }

    fn call_again(&self, waker: &Waker) {
        if !self.is_runner_called.replace(true) {
            waker.wake_by_ref();
        }
    }

    /// How many requests the device has.
    pub fn flying(&self) -> u16 {
        self.slots.borrow().flying()
    }

    /// The runner's nap is over: a request that was not answered in `most` of them is the end of the device, and so is that
    /// it is gone.
    pub fn after_nap(&self, most: u32) {
        self.take_all(None);
        self.look_at_device();
        if self.error.get().is_none() && self.slots.borrow_mut().count_nap(most) {
            self.fail(Error::TimedOut);
        }
    }

    #[inline]
    fn look_at_news(&self) {
        if self.attention.take_news() && self.error.get().is_none() {
            self.look_at_device();
            if self.error.get().is_some() {
                return;
            }
            let sectors = config::capacity(&self.slots.borrow().device);
            match sectors {
                Ok(sectors) => self.sectors.set(sectors),
                Err(_) => self.fail(Error::Lying),
            }
        }
    }

    fn look_at_device(&self) {
        let slots = self.slots.borrow();
        let (is_lost, status) = (is_lost(&slots.device), slots.device.status());
        drop(slots);
        if is_lost && self.error.get().is_none() {
            // Nothing answers: all bits are ones, or zeros.
            let is_gone = status == 0xff || status == 0;
            self.fail(if is_gone { Error::Unplugged } else { Error::Lying });
        }
    }

    /// The device is used no more.
    #[cold]
    pub fn fail(&self, error: Error) {
        if self.error.get().is_some() {
            return;
        }
        self.error.set(Some(error));
        self.slots.borrow_mut().stop(error);
        loop {
            let next = self.slots.borrow_mut().next_ended();
            let Some(waker) = next else { break };
            waker.wake();
        }
        self.wake_waiting();
        self.call_runner();
    }
}
