//! The connections of all listeners: which of them a segment belongs to, and what each has to send.
//!
//! smoltcp looks at every socket of a set for every packet. Here each connection has a set of its own, which a table finds by
//! the segment's four numbers, and only connections with something to do are asked what they want to send: those that a
//! segment has reached, that a task has written to, or whose deadline has come. They stand in the list `dirty`, each once.
//! A segment so costs the same among one connection and among thousands.
//!
//! smoltcp's `Interface` is only the context here. It accepts any address (`any_ip`), since a tuple in the table has one of
//! ours; of its own it has none, sends nothing by itself, and looks up no neighbours.

mod transmit;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Waker;

use smoltcp::iface::{Config, Interface};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpEndpoint, IpListenEndpoint};

use crate::backlog::Backlog;
use crate::connection::{Connection, Phase};
use crate::device::{ETHERNET, Header, OnePacket, Outgoing};
use crate::error::{Error, ListenError};
use crate::options::Limits;
use crate::pool::{Key, OutOfMemory, Pool};
use crate::secret::Secret;
use crate::segment::{RST, Segment, Tuple};
use crate::statistics::Statistics;
use crate::table::{Found, Table};
use crate::time_wait::TimeWait;
use crate::timers::Timers;

/// The smallest segments that a peer may ask for. Each costs 54 bytes of headers, and as much work as a full one; the least
/// that IPv4 allows, 28 bytes (RFC 791: datagrams of 68), nobody has needed for decades. Linux draws the line at 48.
const SMALLEST_SEGMENT: u16 = 48;

pub(crate) struct Engine {
    interface: Interface,
    capabilities: DeviceCapabilities,
    own: EthernetAddress,
    /// Addresses of this machine, and IPv4 broadcast addresses of its networks.
    addresses: Vec<IpAddress>,
    broadcasts: Vec<IpAddress>,
    pub(crate) connections: Pool<Connection>,
    table: Table,
    /// Draws initial sequence numbers (RFC 6528).
    sequences: Secret,
    pub(crate) listeners: Pool<Backlog>,
    time_wait: TimeWait,
    pub(crate) timers: Timers,
    /// May have something to send.
    pub(crate) dirty: VecDeque<Key>,
    /// The runner, and whether it has been woken since its last round.
    pub(crate) runner: Option<Waker>,
    pub(crate) woken: bool,
    pub(crate) counts: Statistics,
}

impl Engine {
    pub(crate) fn new(
        capabilities: DeviceCapabilities,
        own: EthernetAddress,
        seed: u64,
        now: Instant,
    ) -> Engine {
        let interface = interface(&capabilities, Secret::new(seed, 0).number(&NOBODY, 0), now);
        Engine {
            interface,
            capabilities,
            own,
            addresses: Vec::new(),
            broadcasts: Vec::new(),
            connections: Pool::new(),
            table: Table::new(Secret::new(seed, 1)),
            sequences: Secret::new(seed, 2),
            listeners: Pool::new(),
            time_wait: TimeWait::new(),
            timers: Timers::new(),
            dirty: VecDeque::new(),
            runner: None,
            woken: false,
            counts: Statistics::default(),
        }
    }

    /// A seed for embassy-net.
    pub(crate) fn stack_seed(&self) -> u64 {
        self.sequences.number(&NOBODY, 0)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            connections: self.connections.len(),
            time_wait: self.time_wait.len(),
            ..self.counts
        }
    }

    /// The machine's addresses are these now. Connections of one that has gone end. Linear, and rare.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<IpAddress>, broadcasts: Vec<IpAddress>) {
        self.addresses = addresses;
        self.broadcasts = broadcasts;
        let keys: Vec<Key> = self.connections.keys().collect();
        for key in keys {
            if let Some(connection) = self.connections.get_mut(key)
                && connection.linked
                && !self.addresses.contains(&connection.tuple.local.addr)
            {
                // No reset: the address that it would come from is not ours.
                connection.abort(Error::AddressLost);
                self.end(key);
            }
        }
    }

    pub(crate) fn listen(
        &mut self,
        endpoint: IpListenEndpoint,
        limits: Limits,
    ) -> Result<Key, ListenError> {
        if endpoint.port == 0 {
            return Err(ListenError::PortZero);
        }
        if self
            .listeners
            .keys()
            .any(|key| self.listeners.get(key).is_some_and(|other| other.meets(&endpoint)))
        {
            return Err(ListenError::InUse);
        }
        let backlog =
            Backlog::new(endpoint, limits).map_err(|OutOfMemory| ListenError::OutOfMemory)?;
        self.listeners.insert(backlog).map_err(|OutOfMemory| ListenError::OutOfMemory)
    }

    /// The listener goes: what was not accepted is reset. Connections that were accepted stay. Linear, and rare.
    pub(crate) fn unlisten(&mut self, listener: Key) {
        let Some(mut backlog) = self.listeners.remove(listener) else { return };
        for key in backlog.drain() {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.phase = Phase::Orphan;
                connection.abort(Error::Closed);
                self.mark(key);
            }
        }
        while let Some(key) = backlog.oldest_half_open() {
            if self.is_half_open(key) {
                self.remove(key);
            }
        }
    }

    /// Takes in a segment, if it belongs to a connection or asks for one. `Err` gives the token back if it does neither.
    pub(crate) fn receive<T: embassy_net_driver::TxToken>(
        &mut self,
        frame: &[u8],
        segment: &Segment,
        token: T,
        now: Instant,
    ) -> Result<(), T> {
        match self.table.find(&segment.tuple) {
            Some(Found::Connection(key)) => self.segment(key, frame, segment, token, now),
            Some(Found::TimeWait(number)) => return self.late(number, frame, segment, token, now),
            None if segment.opens() => match self.listener(&segment.tuple.local) {
                Some(listener) => self.open(listener, frame, segment, token, now),
                None => return Err(token),
            },
            None => return Err(token),
        }
        self.counts.to_listeners += 1;
        Ok(())
    }

    fn listener(&self, local: &IpEndpoint) -> Option<Key> {
        if !self.addresses.contains(&local.addr) {
            return None;
        }
        self.listeners
            .keys()
            .find(|&key| self.listeners.get(key).is_some_and(|backlog| backlog.accepts(local)))
    }

    /// A segment of a connection.
    fn segment<T: embassy_net_driver::TxToken>(
        &mut self,
        key: Key,
        frame: &[u8],
        segment: &Segment,
        token: T,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.hear(now);
        if segment.from != connection.header.peer() && is_plausible(segment, connection) {
            connection.header.set_peer(segment.from);
        }
        let mut outgoing = Outgoing { sent: connection.sent, ..Outgoing::default() };
        let mut device = OnePacket {
            packet: &frame[segment.packet.clone()],
            token: Some(token),
            header: connection.header,
            outgoing: &mut outgoing,
            capabilities: &self.capabilities,
        };
        self.interface.poll_ingress_single(now, &mut device, &mut connection.sockets);
        connection.sent = outgoing.sent;
        let half_open = connection.phase == Phase::HalfOpen;
        let socket = connection.socket();
        let (state, over) = (socket.state(), socket.remote_endpoint().is_none());
        self.count(&outgoing);
        match (half_open, state) {
            (true, State::SynReceived) => {}
            (true, State::Established | State::CloseWait) => self.complete(key),
            // A reset, or numbers that were wrong.
            (true, _) => return self.remove(key),
            (false, _) if over => {
                // In LAST-ACK the end is the orderly one.
                if segment.has(RST) {
                    self.counts.resets_in += 1;
                    self.connections
                        .get_mut(key)
                        .map(|connection| connection.end.get_or_insert(Error::Reset));
                }
                return self.end(key);
            }
            (false, _) => {}
        }
        self.mark(key);
    }

    /// A SYN to a listener.
    fn open<T: embassy_net_driver::TxToken>(
        &mut self,
        listener: Key,
        frame: &[u8],
        segment: &Segment,
        token: T,
        now: Instant,
    ) {
        let remote = segment.tuple.remote.addr;
        if self.addresses.contains(&remote) || self.broadcasts.contains(&remote) {
            self.counts.forged += 1;
            return;
        }
        if segment.max_segment_size(frame).is_some_and(|size| size < SMALLEST_SEGMENT) {
            self.counts.tiny_segments += 1;
            return;
        }
        if !self.make_room(listener) {
            return;
        }
        match self.create(listener, frame, segment, token, now) {
            Ok(Some(key)) => self.mark(key),
            // No SYN that smoltcp takes: its checksum is wrong, for one.
            Ok(None) => self.counts.malformed += 1,
            Err(OutOfMemory) => self.counts.out_of_memory += 1,
        }
    }

    /// Whether the listener may have one more connection. If only half-open ones are in the way, the oldest goes.
    fn make_room(&mut self, listener: Key) -> bool {
        let Some(backlog) = self.listeners.get_mut(listener) else { return false };
        if backlog.is_full() {
            self.counts.backlog_full += 1;
            return false;
        }
        while self.listeners.get(listener).is_some_and(Backlog::is_crowded) {
            let Some(oldest) = self.listeners.get_mut(listener).and_then(Backlog::oldest_half_open)
            else {
                self.counts.too_many += 1;
                return false;
            };
            if self.is_half_open(oldest) {
                self.counts.half_open_evicted += 1;
                self.remove(oldest);
            }
        }
        true
    }

    fn create<T: embassy_net_driver::TxToken>(
        &mut self,
        listener: Key,
        frame: &[u8],
        segment: &Segment,
        token: T,
        now: Instant,
    ) -> Result<Option<Key>, OutOfMemory> {
        let Some(backlog) = self.listeners.get_mut(listener) else { return Ok(None) };
        let tuple = segment.tuple;
        let header = Header::new(self.own, segment.from, &tuple.remote.addr);
        let mut connection = Connection::new(tuple, header, (listener, &backlog.limits), now)?;
        // The interface draws the initial sequence number, from a generator whose numbers can be continued by who has seen a
        // few of them. So each SYN has an interface of its own, whose seed nobody else knows.
        let seed = self.sequences.number(&tuple, now.total_micros() as u64); // never negative
        let mut outgoing = Outgoing::default();
        let mut device = OnePacket {
            packet: &frame[segment.packet.clone()],
            token: Some(token),
            header,
            outgoing: &mut outgoing,
            capabilities: &self.capabilities,
        };
        interface(&self.capabilities, seed, now).poll_ingress_single(
            now,
            &mut device,
            &mut connection.sockets,
        );
        if connection.socket().state() != State::SynReceived {
            return Ok(None);
        }
        self.table.reserve()?;
        if self.dirty.len() > 2 * self.connections.len() + 64 {
            // Most are gone, and the driver has had no room all the time.
            self.dirty.retain(|&key| self.connections.get(key).is_some());
        }
        // So that marking a connection allocates nothing.
        self.dirty.try_reserve(self.connections.len() + 1).map_err(|_| OutOfMemory)?;
        self.timers.reserve(self.connections.end() + 1)?;
        let deadline = connection.deadline;
        let key = self.connections.insert(connection)?;
        if let Some(deadline) = deadline {
            self.timers.arm(key.index, deadline);
        }
        self.table.set(tuple, Found::Connection(key));
        backlog.begin(key, |key| {
            self.connections.get(key).is_some_and(|connection| connection.phase == Phase::HalfOpen)
        });
        self.counts.half_open += 1;
        Ok(Some(key))
    }

    /// The handshake of a half-open connection is complete.
    fn complete(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.phase = Phase::Queued;
        connection.deadline = None;
        self.counts.half_open -= 1;
        self.counts.established += 1;
        if let Some(backlog) = self.listeners.get_mut(connection.listener) {
            backlog.half_open_count -= 1;
            backlog.complete(key);
        }
    }

    /// A segment for a connection in TIME-WAIT.
    fn late<T: embassy_net_driver::TxToken>(
        &mut self,
        number: u64,
        frame: &[u8],
        segment: &Segment,
        token: T,
        now: Instant,
    ) -> Result<(), T> {
        let record = self.time_wait.get(number, now);
        if record.is_none_or(|record| record.allows(segment)) && segment.opens() {
            let Some(listener) = self.listener(&segment.tuple.local) else { return Err(token) };
            self.time_wait.replace(number);
            self.table.remove(&segment.tuple, Found::TimeWait(number));
            self.open(listener, frame, segment, token, now);
        } else if let Some(record) = record {
            if record.answers(segment) {
                let header = Header::new(self.own, record.peer, &record.tuple.remote.addr);
                let len = ETHERNET + record.answer_len();
                token.consume(len, |frame| {
                    header.write(frame);
                    record.write_answer(&mut frame[ETHERNET..], &self.capabilities.checksum);
                });
                self.counts.frames_out += 1;
                self.counts.time_wait_answers += 1;
            }
        } else {
            return Err(token);
        }
        self.counts.to_listeners += 1;
        Ok(())
    }

    pub(crate) fn is_half_open(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(|connection| connection.phase == Phase::HalfOpen)
    }

    /// The connection may have something to send. Wakes the runner, once until its next round.
    pub(crate) fn mark(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key).filter(|connection| connection.linked)
        else {
            return;
        };
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push_back(key);
        }
        if !self.woken {
            self.woken = true;
            if let Some(runner) = &self.runner {
                runner.wake_by_ref();
            }
        }
    }

    /// The connection has no more to do with its peer. It keeps its memory only while a stream holds it.
    pub(crate) fn end(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.phase {
            Phase::Held => self.unlink(key),
            Phase::Queued => {
                if let Some(backlog) = self.listeners.get_mut(connection.listener) {
                    backlog.withdraw(key);
                }
                self.remove(key);
            }
            Phase::HalfOpen | Phase::Orphan => self.remove(key),
        }
    }

    fn unlink(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.linked {
            connection.linked = false;
            self.table.remove(&connection.tuple, Found::Connection(key));
            self.timers.disarm(key.index);
        }
    }

    /// Frees the connection.
    pub(crate) fn remove(&mut self, key: Key) {
        self.unlink(key);
        let Some(connection) = self.connections.remove(key) else { return };
        let half_open = connection.phase == Phase::HalfOpen;
        self.counts.half_open -= usize::from(half_open);
        if let Some(backlog) = self.listeners.get_mut(connection.listener) {
            backlog.connections -= 1;
            backlog.half_open_count -= usize::from(half_open);
        }
    }

    fn count(&mut self, outgoing: &Outgoing) {
        self.counts.frames_out += u64::from(outgoing.frames);
        self.counts.resets_out += u64::from(outgoing.resets);
    }
}

/// Whether a segment from another station than before has numbers that only who sees the conversation would know.
fn is_plausible(segment: &Segment, connection: &Connection) -> bool {
    let near = |a: i32, b: i32| a.wrapping_sub(b).unsigned_abs() <= u32::from(u16::MAX);
    near(segment.seq.0, connection.sent.ack.0) && near(segment.ack.0, connection.sent.next_seq.0)
}

const NOBODY: Tuple = {
    const NOWHERE: IpEndpoint = IpEndpoint { addr: IpAddress::v4(0, 0, 0, 0), port: 0 };
    Tuple { local: NOWHERE, remote: NOWHERE }
};

fn interface(capabilities: &DeviceCapabilities, seed: u64, now: Instant) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut crate::device::Nothing(capabilities), now);
    interface.set_any_ip(true);
    interface
}
