//! The task that moves frames: one loop over the driver, our connections and embassy-net.
//!
//! A round reads the time once, takes in what has arrived, sends for connections that had something to send when the round
//! began, lets embassy-net work if there is work for it, and at last asks the driver for the state of its link. A driver that
//! rings its doorbell there rings it once for all frames of the round. Connections that a segment has reached in this round
//! have their turn in the next: in between, the tasks that it has woken write their answers, and the acknowledgement travels
//! with them. The work of a round is bounded; if there is more, the runner wakes itself and yields.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};

use embassy_net_driver::{Driver, LinkState, RxToken, TxToken};
use embassy_time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv6Cidr};

use crate::announce;
use crate::engine::Engine;
use crate::icmpv6::Routers;
use crate::leases::{self, Questions};
use crate::names::Names;
use crate::segment::{Class, Refusal, classify};
use crate::shared::{Flag, Shared};
use crate::stash::Stash;

/// Frames, and deadlines, that a round handles.
const ROUND: usize = 64;

/// How soon after its last work embassy-net is woken if it has asked for a time that has passed.
const AT_ONCE: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(1);
/// How often in a row it may be polled in vain before something seems wrong, and is; and how long it waits then.
const SUSPICION: u32 = 4;
const PATIENCE: u32 = 64;
const PAUSE: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(10);

/// What must be polled for the network to work, in a task of its own.
pub struct Runner<D> {
    driver: D,
    net: &'static Shared,
    own: EthernetAddress,
    stack: Pin<Box<dyn Future<Output = Infallible>>>,
    /// Who polls the runner.
    waker: Option<Waker>,
    /// When the alarm rings, which says so by its flag. A time that has passed says nothing: a clock keeps the earlier of
    /// two times for a waker, so that a new one is lost while the one before has not rung yet.
    scheduled: Option<Instant>,
    alarm: Arc<Flag>,
    alarm_waker: Waker,
    /// Our addresses. Each is announced when it is new.
    addresses: Vec<IpAddress>,
    /// Which addresses to announce now, as a bit each, and a second time later.
    announce_now: u32,
    announce_again: Option<(smoltcp::time::Instant, u32)>,
    /// How often in a row embassy-net was polled in vain, and when it is polled again if that was too often.
    vain: u32,
    polled: Option<smoltcp::time::Instant>,
    stack_at: Option<smoltcp::time::Instant>,
    routers: Routers,
    questions: Questions,
    names: Names,
}

impl<D: Driver> Runner<D> {
    pub(crate) fn new(
        driver: D,
        net: &'static Shared,
        own: EthernetAddress,
        stack: Pin<Box<dyn Future<Output = Infallible>>>,
    ) -> Runner<D> {
        let alarm = Arc::new(Flag::new());
        let alarm_waker = Waker::from(alarm.clone());
        let runner = Runner {
            driver,
            net,
            own,
            stack,
            waker: None,
            scheduled: None,
            alarm,
            alarm_waker,
            addresses: Vec::new(),
            announce_now: 0,
            announce_again: None,
            vain: 0,
            polled: None,
            stack_at: None,
            routers: Routers::default(),
            questions: Questions::new(smoltcp::time::Instant::ZERO),
            names: Names::default(),
        };
        runner.say_no_router();
        runner
    }

    /// Tells embassy-net that there is no router, until one says otherwise.
    fn say_no_router(&self) {
        let mut frame = [0; announce::NO_ROUTER_LEN];
        announce::write_no_router(&mut frame, self.own);
        self.net.stash.borrow_mut().put(&frame);
    }

    /// The driver: what it says of its device, between two rounds.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Runs the network for ever.
    pub async fn run(mut self) -> ! {
        match poll_fn(|context| {
            self.poll(context);
            Poll::<Infallible>::Pending
        })
        .await {}
    }

    /// One round, for who has no executor. `context` is woken when there is work for another.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        let time = Instant::now();
        let now = smoltcp::time::Instant::from_micros(time.as_micros() as i64); // 290,000 years
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
            self.alarm.runner.register(context.waker());
            self.net.engine.borrow_mut().runner = self.waker.clone();
        }
        self.net.flag.runner.register(context.waker());

        let (mut again, room) = self.serve(now, context);
        again |= self.poll_stack(now);
        again |= self.forward(now, context) && room;
        if self.announce_now != 0 || self.announce_again.is_some_and(|(at, _)| at <= now) {
            self.announce(now, context);
        }
        let link = self.driver.link_state(context);
        again |= self.link_changed(link);

        let mut engine = self.net.engine.borrow_mut();
        engine.woken = false;
        again |= room && !engine.dirty.is_empty();
        if again {
            engine.woken = true;
            context.waker().wake_by_ref();
        }
        let others = self.announce_again.map(|(at, _)| at).into_iter().chain(self.stack_at);
        let deadline = engine.timers.earliest().into_iter().chain(others).min();
        drop(engine);
        if let Some(deadline) = deadline {
            self.schedule(Instant::from_micros(deadline.total_micros() as u64), context);
        }
    }

    /// Takes in frames and sends for connections. Returns whether there is more to take in, and whether the driver had room.
    fn serve(&mut self, now: smoltcp::time::Instant, context: &mut Context<'_>) -> (bool, bool) {
        let mut engine = self.net.engine.borrow_mut();
        engine.woken = true; // by this round
        let mut expired = 0;
        while expired < ROUND
            && let Some(index) = engine.timers.expired(now)
        {
            engine.expire(index, now);
            expired += 1;
        }
        let due = engine.dirty.len();
        let mut received = 0;
        while received < ROUND
            && let Some((rx, tx)) = self.driver.receive(context)
        {
            let known = (&mut self.routers, &self.names);
            let stash = self.net.stash;
            rx.consume(|frame| take_in(&mut engine, stash, known, frame, self.own, tx, now));
            received += 1;
        }
        let room = engine.flush(due, &mut self.driver, context, now);
        (received == ROUND || expired == ROUND, room)
    }

    /// Lets embassy-net work, if a frame waits for it or something has woken it. Returns whether it has more to do.
    fn poll_stack(&mut self, now: smoltcp::time::Instant) -> bool {
        let has_work = self.net.stash.borrow().has_work();
        if !has_work && self.stack_at.is_some_and(|at| now < at) {
            return false;
        }
        self.stack_at = None;
        let woken = self.net.flag.set.swap(false, Ordering::Acquire);
        if !woken && !has_work {
            return false;
        }
        let moved = self.net.stash.borrow().moved();
        match self.stack.as_mut().poll(&mut Context::from_waker(&self.net.stack_waker)) {
            Poll::Ready(never) => match never {},
            Poll::Pending => {}
        }
        if !self.net.stash.borrow().has_work() && self.routers.take_heard() {
            // smoltcp makes addresses of an advertisement when it is next polled, and asks nobody to do that.
            self.net.flag.set.store(true, Ordering::Relaxed);
            return true;
        }
        self.look_at_addresses(now);
        let in_vain = woken && moved == self.net.stash.borrow().moved();
        if in_vain && self.polled.is_some_and(|polled| now < polled + AT_ONCE) {
            self.calm(now);
        } else {
            self.vain = 0;
        }
        self.polled = Some(now);
        self.net.stash.borrow().has_work()
    }

    /// embassy-net was woken at once after it had worked, and has moved no frame. That happens a few times in a row: a task
    /// closes a socket, or reads what has arrived.
    ///
    /// smoltcp 0.13 does so for ever after three Router Solicitations without an answer: its deadline stays in the past. An
    /// advertisement of no router ends its search; a real one is taken at any later time. Should there be another such case,
    /// it costs a hundred rounds a second instead of the processor.
    fn calm(&mut self, now: smoltcp::time::Instant) {
        self.vain += 1;
        if self.vain == SUSPICION {
            self.say_no_router();
        }
        if self.vain >= PATIENCE {
            self.stack_at = Some(now + PAUSE);
        }
    }

    /// Gives the driver what embassy-net has sent. Returns whether embassy-net has work that waited for room.
    fn forward(&mut self, now: smoltcp::time::Instant, context: &mut Context<'_>) -> bool {
        let mut stash = self.net.stash.borrow_mut();
        let mut sent = 0;
        while let Some(frame) = stash.sent() {
            if !self.questions.may_leave(&frame, now) {
                self.net.engine.borrow_mut().counts.dhcp_refused += 1;
                stash.reuse(frame);
                continue;
            }
            let Some(token) = self.driver.transmit(context) else {
                stash.unsend(frame);
                break;
            };
            self.names.note(&frame);
            token.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
            stash.reuse(frame);
            sent += 1;
        }
        if sent > 0 {
            self.net.engine.borrow_mut().counts.frames_out += sent;
        }
        sent > 0 && stash.has_work()
    }

    fn link_changed(&mut self, link: LinkState) -> bool {
        let mut stash = self.net.stash.borrow_mut();
        if stash.link == link {
            return false;
        }
        stash.link = link;
        self.net.flag.set.store(true, Ordering::Relaxed);
        if link == LinkState::Up {
            // The neighbours may be others now.
            self.announce_now = all(&self.addresses);
        }
        drop(stash);
        self.net.changed();
        true
    }

    /// embassy-net has worked, and may have other addresses since.
    fn look_at_addresses(&mut self, now: smoltcp::time::Instant) {
        let stack = self.net.stack;
        let v4 = stack.config_v4().map(|config| IpCidr::Ipv4(config.address));
        let v6 = stack.config_v6().map(|config| IpCidr::Ipv6(config.address));
        // smoltcp's prefix is that of all link-local addresses, 10 bits; a machine's own have 54 zeros after it.
        let prefix = Ipv6Cidr::new(Ipv6Cidr::LINK_LOCAL_PREFIX.address(), 64);
        let link_local = Ipv6Cidr::from_link_prefix(&prefix, stack.hardware_address());
        let cidrs = [v4, v6, link_local.map(IpCidr::Ipv6)];
        let addresses = cidrs.iter().flatten().map(IpCidr::address);
        if addresses.clone().eq(self.addresses.iter().copied()) {
            return;
        }
        let addresses: Vec<IpAddress> = addresses.collect();
        let broadcasts = cidrs.iter().flatten().filter_map(|cidr| match cidr {
            IpCidr::Ipv4(cidr) => Some(cidr.broadcast()?.into()),
            IpCidr::Ipv6(_) => None,
        });
        self.net.engine.borrow_mut().set_addresses(addresses.clone(), broadcasts.collect());
        let new = |address: &IpAddress| !self.addresses.contains(address);
        let announce = addresses.iter().enumerate().filter(|(_, address)| new(address));
        self.announce_now = announce.fold(0, |bits, (place, _)| bits | 1 << place);
        self.announce_again = self.announce_again.map(|_| (now, all(&addresses)));
        self.addresses = addresses;
        self.net.changed();
    }

    fn announce(&mut self, now: smoltcp::time::Instant, context: &mut Context<'_>) {
        if self.net.stash.borrow().link == LinkState::Down {
            // They are announced when it comes up.
            (self.announce_now, self.announce_again) = (0, None);
            return;
        }
        let second = self.announce_again.take_if(|(at, _)| *at <= now).map_or(0, |(_, bits)| bits);
        for (place, address) in self.addresses.iter().enumerate() {
            if (self.announce_now | second) & 1 << place == 0 {
                continue;
            }
            // One that finds no room is lost; the second follows.
            let Some(token) = self.driver.transmit(context) else { break };
            token.consume(announce::len(self.own, address), |frame| {
                announce::write(frame, self.own, address)
            });
            self.net.engine.borrow_mut().counts.frames_out += 1;
        }
        if self.announce_now != 0 {
            self.announce_again = Some((now + announce::AGAIN, self.announce_now));
            self.announce_now = 0;
        }
    }

    /// Asks to be woken at `at`, unless that is sure to happen.
    fn schedule(&mut self, at: Instant, context: &Context<'_>) {
        if self.alarm.set.load(Ordering::Relaxed) && self.alarm.set.swap(false, Ordering::Acquire) {
            self.scheduled = None;
        }
        if self.scheduled.is_none_or(|scheduled| at < scheduled) {
            self.scheduled = Some(at);
            self.alarm.runner.register(context.waker());
            embassy_time_driver::schedule_wake(at.as_ticks(), &self.alarm_waker);
        }
    }
}

/// A bit for each address.
fn all(addresses: &[IpAddress]) -> u32 {
    (1 << addresses.len()) - 1
}

/// Takes in one frame.
fn take_in(
    engine: &mut Engine,
    stash: &core::cell::RefCell<Stash>,
    (routers, names): (&mut Routers, &Names),
    frame: &mut [u8],
    own: EthernetAddress,
    token: impl TxToken,
    now: smoltcp::time::Instant,
) {
    engine.counts.frames_in += 1;
    match classify(frame, own) {
        Class::Tcp(segment) if engine.receive(frame, &segment, token, now).is_ok() => {}
        Class::Other if !routers.admit(frame, now) => engine.counts.icmpv6_refused += 1,
        Class::Other if !leases::admit(frame) => engine.counts.dhcp_refused += 1,
        Class::Other if !names.admit(frame) => engine.counts.dns_refused += 1,
        Class::Tcp(_) | Class::Other => {
            if stash.borrow_mut().put(frame) {
                engine.counts.to_stack += 1;
            } else {
                engine.counts.stash_full += 1;
            }
        }
        Class::Refused(Refusal::Malformed) => engine.counts.malformed += 1,
        Class::Refused(Refusal::NotOurs) => engine.counts.not_ours += 1,
        Class::Refused(Refusal::Forged) => engine.counts.forged += 1,
    }
}
