//! Frames as any station of the network might send them, honest or not: nothing here checks what it is told to write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub type Station = [u8; 6];

pub const BROADCAST: Station = [0xff; 6];
pub const ARP: u16 = 0x0806;
pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;

/// The sum of RFC 1071 over all pieces, each of which but the last has an even length.
fn checksum(pieces: &[&[u8]]) -> [u8; 2] {
    let halves = pieces.iter().flat_map(|piece| piece.chunks(2));
    let half = |pair: &[u8]| u32::from_be_bytes([0, 0, pair[0], *pair.get(1).unwrap_or(&0)]);
    let mut sum: u32 = halves.map(half).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

pub fn ethernet(to: Station, from: Station, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// An IPv4 packet. `fragment` is the field of that name, flags included (RFC 791 3.1).
pub fn ipv4(
    (from, to): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    fragment: (u16, u16),
    data: &[u8],
) -> Vec<u8> {
    let (number, field) = fragment;
    let mut header = vec![0x45, 0];
    header.extend((20 + data.len() as u16).to_be_bytes());
    header.extend(number.to_be_bytes());
    header.extend(field.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    [&header, data].concat()
}

pub fn ipv6((from, to): (Ipv6Addr, Ipv6Addr), next: u8, hops: u8, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((data.len() as u16).to_be_bytes());
    header.extend([next, hops]);
    header.extend(from.octets());
    header.extend(to.octets());
    [&header, data].concat()
}

/// What TCP, UDP and ICMPv6 sum together with their data.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// Writes the checksum of `data`, which lies at `at` in it.
fn summed(mut data: Vec<u8>, at: usize, ends: (IpAddr, IpAddr), protocol: u8) -> Vec<u8> {
    let sum = checksum(&[&pseudo(ends.0, ends.1, protocol, data.len()), &data]);
    data[at..at + 2].copy_from_slice(&sum);
    data
}

/// A TCP segment's numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    pub ports: (u16, u16),
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
}

/// A segment. Options are a multiple of four bytes.
pub fn tcp(ends: (IpAddr, IpAddr), numbers: &Numbers, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(numbers.ports.0.to_be_bytes());
    segment.extend(numbers.ports.1.to_be_bytes());
    segment.extend(numbers.seq.to_be_bytes());
    segment.extend(numbers.ack.to_be_bytes());
    segment.extend([((20 + options.len()) / 4) as u8 * 16, numbers.flags]);
    segment.extend(numbers.window.to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(numbers.urgent.to_be_bytes());
    segment.extend(options);
    segment.extend(data);
    summed(segment, 16, ends, TCP)
}

pub fn udp(ends: (IpAddr, IpAddr), ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len() as u16).to_be_bytes();
    let header = [ports.0.to_be_bytes(), ports.1.to_be_bytes(), len, [0, 0]].concat();
    summed([&header, data].concat(), 6, ends, UDP)
}

pub fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], rest].concat();
    let sum = checksum(&[&message]);
    message[2..4].copy_from_slice(&sum);
    message
}

pub fn icmpv6((from, to): (Ipv6Addr, Ipv6Addr), kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0], rest].concat();
    summed(message, 2, (from.into(), to.into()), ICMPV6)
}

/// An ARP message for IPv4 over Ethernet (RFC 826).
pub fn arp(operation: u16, sender: (Station, Ipv4Addr), target: (Station, Ipv4Addr)) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4];
    message.extend(operation.to_be_bytes());
    for (station, address) in [sender, target] {
        message.extend(station);
        message.extend(address.octets());
    }
    message
}

/// A Router Advertisement (RFC 4861 4.2) with these options.
pub fn advertisement(from: Ipv6Addr, lifetime: u16, options: &[u8]) -> Vec<u8> {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut rest = vec![64, 0];
    rest.extend(lifetime.to_be_bytes());
    rest.extend([0; 8]);
    rest.extend(options);
    ipv6((from, to), ICMPV6, 255, &icmpv6((from, to), 134, 0, &rest))
}

/// The option that lets a host make addresses of a prefix (RFC 4861 4.6.2).
pub fn prefix(prefix: Ipv6Addr, len: u8, seconds: u32) -> Vec<u8> {
    let mut option = vec![3, 4, len, 0xc0];
    option.extend(seconds.to_be_bytes());
    option.extend(seconds.to_be_bytes());
    option.extend([0; 4]);
    option.extend(prefix.octets());
    option
}

/// What a segment from the kernel says.
#[derive(Clone, Debug)]
pub struct Seen {
    pub ends: (IpAddr, IpAddr),
    pub numbers: Numbers,
    pub data: Vec<u8>,
}

/// Reads a TCP segment, if the frame has one.
pub fn seen(frame: &[u8]) -> Option<Seen> {
    let half = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let v4 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<4>()?));
    let v6 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<16>()?));
    let (ends, at, end) = match half(12)? {
        IPV4 if *frame.get(23)? == TCP => ((v4(26)?, v4(30)?), 34, 14 + usize::from(half(16)?)),
        IPV6 if *frame.get(20)? == TCP => ((v6(22)?, v6(38)?), 54, 54 + usize::from(half(18)?)),
        _ => return None,
    };
    let header = usize::from(frame.get(at + 12)? >> 4) * 4;
    let numbers = Numbers {
        ports: (half(at)?, half(at + 2)?),
        seq: word(at + 4)?,
        ack: word(at + 8)?,
        flags: *frame.get(at + 13)?,
        window: half(at + 14)?,
        urgent: half(at + 18)?,
    };
    Some(Seen { ends, numbers, data: frame.get(at + header..end)?.to_vec() })
}
