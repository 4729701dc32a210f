//! A client of TCP that does one thing after the other, as a peer without guile does: it repeats a SYN that gets no answer,
//! acknowledges what it gets, and ends in order.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::frames::{self, ACK, FIN, Numbers, PSH, RST, SYN, Seen};
use crate::wire::{KERNEL, KERNEL_IP, OUR_IP, OURS, Wire};

/// One end of a connection.
pub struct Client {
    pub ends: (IpAddr, IpAddr),
    pub ports: (u16, u16),
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
}

/// How long any answer may take. Five workers may share the machine, and emulation is slow.
const PATIENCE: Duration = Duration::from_secs(5);

impl Client {
    pub fn new(port: u16, own_port: u16) -> Client {
        Client::between((OUR_IP.into(), KERNEL_IP.into()), port, own_port)
    }

    pub fn between(ends: (IpAddr, IpAddr), port: u16, own_port: u16) -> Client {
        let seq = u32::from(own_port).wrapping_mul(0x9e37_79b1);
        Client { ends, ports: (own_port, port), seq, ack: 0, window: 60_000 }
    }

    /// A segment, in its frame, with the next numbers.
    pub fn frame(&self, flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
        let Client { ports, seq, ack, window, .. } = *self;
        let numbers = Numbers { ports, seq, ack, flags, window, urgent: 0 };
        self.framed(&numbers, options, data)
    }

    /// A segment, in its frame, with these numbers.
    pub fn framed(&self, numbers: &Numbers, options: &[u8], data: &[u8]) -> Vec<u8> {
        let segment = frames::tcp(self.ends, numbers, options, data);
        let (kind, packet) = match self.ends {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                (frames::IPV4, frames::ipv4((from, to), frames::TCP, (0, 0x4000), &segment))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                (frames::IPV6, frames::ipv6((from, to), frames::TCP, 64, &segment))
            }
            _ => panic!("two addresses of one kind"),
        };
        frames::ethernet(KERNEL, OURS, kind, &packet)
    }

    /// Sends a segment, and counts it.
    pub fn say(&mut self, wire: &mut Wire, flags: u8, data: &[u8]) {
        wire.send(&self.frame(flags, &[], data));
        self.seq = self.seq.wrapping_add(data.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
    }

    /// The next segment for this client.
    pub fn hear(&mut self, wire: &mut Wire, patience: Duration) -> Option<Seen> {
        let limit = Instant::now() + patience;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            let Some(seen) = frames::seen(&wire.receive(left)?) else { continue };
            if seen.numbers.ports == (self.ports.1, self.ports.0)
                && seen.ends == (self.ends.1, self.ends.0)
            {
                return Some(seen);
            }
        }
    }

    /// Shakes hands, with a SYN every 200 ms.
    pub fn open(&mut self, wire: &mut Wire) -> bool {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            wire.send(&self.frame(SYN, &[2, 4, 5, 180], &[]));
            if let Some(seen) = self.hear(wire, Duration::from_millis(200))
                && seen.numbers.flags & (SYN | ACK | RST) == SYN | ACK
                && seen.numbers.ack == self.seq.wrapping_add(1)
            {
                self.seq = self.seq.wrapping_add(1);
                self.ack = seen.numbers.seq.wrapping_add(1);
                self.say(wire, ACK, &[]);
                return true;
            }
        }
        false
    }

    /// Reads until `is_enough` says so of all that was read. `None`: it has not come.
    pub fn read(&mut self, wire: &mut Wire, is_enough: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while !is_enough(&bytes) {
            let seen = self.hear(wire, PATIENCE)?;
            if seen.numbers.flags & RST != 0 {
                return None;
            }
            if seen.numbers.seq == self.ack {
                let len = seen.data.len() as u32 + u32::from(seen.numbers.flags & FIN != 0);
                self.ack = self.ack.wrapping_add(len);
                bytes.extend(seen.data);
            }
            self.say(wire, ACK, &[]);
        }
        Some(bytes)
    }

    /// Says something on a new connection, and returns the answer up to `end`. The client closes first, so that the kernel
    /// keeps no record of it.
    pub fn ask(&mut self, wire: &mut Wire, question: &[u8], end: &[u8]) -> Option<Vec<u8>> {
        if !self.open(wire) {
            return None;
        }
        self.say(wire, ACK | PSH, question);
        let answer = self.read(wire, |bytes| bytes.ends_with(end))?;
        self.say(wire, ACK | FIN, &[]);
        while let Some(seen) = self.hear(wire, PATIENCE) {
            if seen.numbers.flags & FIN != 0 {
                self.ack = seen.numbers.seq.wrapping_add(1);
                self.say(wire, ACK, &[]);
                return Some(answer);
            }
        }
        None
    }
}
