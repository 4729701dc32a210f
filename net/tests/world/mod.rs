//! A world for networks: a clock that jumps from deadline to deadline, an executor, and an Ethernet in memory.
//!
//! Each thread, and so each test, has a world of its own. Nothing in it is random but by a seed, so each run is the same.

#![allow(dead_code)] // each test file uses a part of it

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use freestone_net::embassy_net::{ConfigV4, ConfigV6, Ipv4Address, Ipv4Cidr, StaticConfigV4};
use freestone_net::{Config, Net};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000) };
    static ALARMS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct Clock;

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        ALARMS.with_borrow_mut(|alarms| {
            match alarms.iter_mut().find(|alarm| alarm.1.will_wake(waker)) {
                Some(alarm) => alarm.0 = alarm.0.min(at),
                None => alarms.push((at, waker.clone())),
            }
        });
    }
}

/// Microseconds since the world began.
pub fn now() -> u64 {
    NOW.get()
}

/// Lets time pass while everybody is busy: alarms ring later.
pub fn be_late(micros: u64) {
    NOW.set(NOW.get() + micros);
}

/// Goes to the next alarm, if it comes by `limit`. Wakes who has set it.
fn jump(limit: u64) -> bool {
    let due = ALARMS.with_borrow_mut(|alarms| {
        let Some(at) = alarms.iter().map(|alarm| alarm.0).min().filter(|&at| at <= limit) else {
            return Vec::new();
        };
        NOW.set(at.max(NOW.get()));
        alarms.extract_if(.., |alarm| alarm.0 <= NOW.get()).collect()
    });
    for (_, waker) in &due {
        waker.wake_by_ref();
    }
    !due.is_empty()
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct TaskWaker {
    index: usize,
    queued: AtomicBool,
    ready: Arc<Mutex<VecDeque<Arc<TaskWaker>>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap().push_back(self.clone());
        }
    }
}

/// Tasks, polled in the order in which they were woken.
pub struct World {
    tasks: Vec<Option<Task>>,
    ready: Arc<Mutex<VecDeque<Arc<TaskWaker>>>>,
    pub polls: u64,
}

impl World {
    pub fn new() -> World {
        World { tasks: Vec::new(), ready: Arc::default(), polls: 0 }
    }

    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        let task: Option<Task> = Some(Box::pin(task));
        let index = match self.tasks.iter().position(Option::is_none) {
            Some(free) => {
                self.tasks[free] = task;
                free
            }
            None => {
                self.tasks.push(task);
                self.tasks.len() - 1
            }
        };
        let waker = TaskWaker { index, queued: AtomicBool::new(false), ready: self.ready.clone() };
        Arc::new(waker).wake();
    }

    /// Polls whoever is ready, until nobody is.
    pub fn settle(&mut self) {
        let mut polls = 0;
        loop {
            let Some(waker) = self.ready.lock().unwrap().pop_front() else { return };
            waker.queued.store(false, Ordering::Relaxed);
            if let Some(task) = &mut self.tasks[waker.index] {
                polls += 1;
                self.polls += 1;
                assert!(polls < 400_000, "the world does not come to rest");
                let done = task
                    .as_mut()
                    .poll(&mut Context::from_waker(&Waker::from(waker.clone())))
                    .is_ready();
                if done {
                    self.tasks[waker.index] = None;
                }
            }
        }
    }

    /// Lets so many microseconds pass.
    pub fn pass(&mut self, micros: u64) {
        let end = NOW.get() + micros;
        self.settle();
        while jump(end) {
            self.settle();
        }
        NOW.set(end);
    }

    /// Runs until `goal` is done, an hour of the world's time at most.
    pub fn run<R: 'static>(&mut self, goal: impl Future<Output = R> + 'static) -> R {
        let result = Rc::new(RefCell::new(None));
        let place = result.clone();
        self.spawn(async move {
            let value = goal.await;
            *place.borrow_mut() = Some(value);
        });
        let limit = NOW.get() + 3_600_000_000;
        loop {
            self.settle();
            if let Some(result) = result.borrow_mut().take() {
                return result;
            }
            assert!(jump(limit), "nobody will do anything more, and the goal is not reached");
        }
    }
}

/// An Ethernet: frames go to all other ports whose station they name, or to all.
#[derive(Clone)]
pub struct Ether(Rc<RefCell<Inner>>);

struct Inner {
    ports: Vec<PortState>,
    faults: Faults,
    random: u64,
}

struct PortState {
    address: [u8; 6],
    inbox: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
    up: bool,
    /// Frames that the port takes until it is given more, if that is limited.
    room: Option<usize>,
    /// All that it was asked to send, for who wants to look.
    log: Option<Vec<Vec<u8>>>,
}

/// What happens to frames on the way, in percent.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub late: u64,
}

impl Ether {
    pub fn new(seed: u64) -> Ether {
        Ether(Rc::new(RefCell::new(Inner {
            ports: Vec::new(),
            faults: Faults::default(),
            random: seed | 1,
        })))
    }

    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub fn port(&self, number: u8) -> Port {
        let address = station(number);
        let mut inner = self.0.borrow_mut();
        inner.ports.push(PortState {
            address,
            inbox: VecDeque::new(),
            waker: None,
            up: true,
            room: None,
            log: None,
        });
        Port { ether: self.clone(), index: inner.ports.len() - 1, address }
    }
}

impl Inner {
    fn chance(&mut self, percent: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        percent > 0 && self.random >> 20 & 0xffff < 0x10000 * percent / 100
    }

    fn send(&mut self, from: usize, frame: Vec<u8>) {
        if let Some(log) = &mut self.ports[from].log {
            log.push(frame.clone());
        }
        let faults = self.faults;
        if self.chance(faults.lost) {
            return;
        }
        let copies = 1 + usize::from(self.chance(faults.doubled));
        let late = self.chance(faults.late);
        for (index, port) in self.ports.iter_mut().enumerate() {
            let broadcast = frame.first().is_some_and(|first| first & 1 == 1);
            if index != from
                && (broadcast || frame.starts_with(&port.address))
                && port.inbox.len() < 8192
            {
                for _ in 0..copies {
                    // A late one overtakes nobody: those before it stay, it comes before the last two.
                    let place =
                        if late { port.inbox.len().saturating_sub(2) } else { port.inbox.len() };
                    port.inbox.insert(place, frame.clone());
                }
                if let Some(waker) = port.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}

/// The address of station number so and so.
pub fn station(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

/// A plug of the Ethernet: a driver, or something to throw frames in by hand.
#[derive(Clone)]
pub struct Port {
    ether: Ether,
    index: usize,
    pub address: [u8; 6],
}

impl Port {
    fn with<R>(&self, f: impl FnOnce(&mut PortState) -> R) -> R {
        f(&mut self.ether.0.borrow_mut().ports[self.index])
    }

    pub fn send(&self, frame: Vec<u8>) {
        self.ether.0.borrow_mut().send(self.index, frame);
    }

    pub fn take(&self) -> Option<Vec<u8>> {
        self.with(|port| port.inbox.pop_front())
    }

    /// Puts the frame into this port's own inbox, whoever it names.
    pub fn inject(&self, frame: Vec<u8>) {
        self.with(|port| {
            port.inbox.push_back(frame);
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        });
    }

    pub fn set_up(&self, up: bool) {
        self.with(|port| {
            port.up = up;
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        });
    }

    /// The driver takes `room` frames from now on, and then none.
    pub fn set_room(&self, room: Option<usize>) {
        self.with(|port| {
            port.room = room;
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        });
    }

    pub fn log(&self) {
        self.with(|port| port.log = Some(Vec::new()));
    }

    pub fn logged(&self) -> Vec<Vec<u8>> {
        self.with(|port| port.log.replace(Vec::new()).unwrap_or_default())
    }
}

pub struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

pub struct Room(Port);

impl TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        assert!(len <= MTU, "{len} bytes are too long for a frame");
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.with(|port| port.room = port.room.map(|room| room.saturating_sub(1)));
        self.0.send(frame);
        result
    }
}

pub const MTU: usize = 1514;

impl Driver for Port {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Room;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Frame, Room)> {
        self.with(|port| {
            // As a driver whose rings are coupled: without room for an answer, nothing is received.
            let frame = if port.room == Some(0) { None } else { port.inbox.pop_front() };
            if frame.is_none() {
                port.waker = Some(context.waker().clone());
            }
            frame
        })
        .map(|frame| (Frame(frame), Room(self.clone())))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Room> {
        if self.with(|port| port.room == Some(0)) {
            self.with(|port| port.waker = Some(context.waker().clone()));
            return None;
        }
        Some(Room(self.clone()))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        if self.with(|port| port.up) { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A static address, 10.0.0.`host` in a network of 65,534 hosts.
pub fn static_config(host: u8) -> Config {
    let mut config = Config::default();
    config.ipv4 = ConfigV4::Static(StaticConfigV4 {
        address: Ipv4Cidr::new(ip(host), 16),
        gateway: None,
        dns_servers: Default::default(),
    });
    config.ipv6 = ConfigV6::None;
    config
}

pub const fn ip(host: u8) -> Ipv4Address {
    Ipv4Address::new(10, 0, 0, host)
}

/// A network on a port of its own, with room for `SOCKETS` sockets of embassy-net.
pub fn network<const SOCKETS: usize>(world: &mut World, ether: &Ether, number: u8) -> (Net, Port) {
    let port = ether.port(number);
    let (net, runner) = freestone_net::with_sockets::<_, SOCKETS>(
        port.clone(),
        static_config(number),
        0x5eed + u64::from(number),
    );
    world.spawn(async move { runner.run().await });
    (net, port)
}

/// Runs futures side by side.
pub async fn join_all<R>(futures: Vec<Pin<Box<dyn Future<Output = R>>>>) -> Vec<R> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, result) in &mut futures {
            if let Some(Poll::Ready(value)) =
                future.as_mut().map(|future| future.as_mut().poll(context))
            {
                (*future, *result) = (None, Some(value));
            }
        }
        if futures.iter().all(|entry| entry.0.is_none()) {
            Poll::Ready(futures.iter_mut().filter_map(|entry| entry.1.take()).collect())
        } else {
            Poll::Pending
        }
    })
    .await
}
