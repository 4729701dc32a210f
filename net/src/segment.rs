//! Reads the headers of a frame, as far as is needed to decide whose it is.
//!
//! A TCP segment in one piece gets its endpoints, flags and numbers read out. Every length is compared with the one outside
//! of it, so that nothing after this file can be led beyond the packet. Checksums are not looked at: the stack that gets the
//! frame verifies them, unless the device has. Frames that no honest peer sends are refused here, for both stacks (RFC 1122
//! 3.2.1.3: which addresses may be a source).

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use smoltcp::wire::{EthernetAddress, IpAddress, IpEndpoint, TcpSeqNumber};

/// Destination, source, type (IEEE 802.3).
pub(crate) const ETHERNET_HEADER: usize = 14;
pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const PROTOCOL_TCP: u8 = 6;

/// The longest datagram that is put together of fragments, without its header. Nobody may send more than 576 bytes to a host
/// of which they do not know that it takes them (RFC 791 3.1).
const LARGEST_DATAGRAM: usize = smoltcp::config::REASSEMBLY_BUFFER_SIZE;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// The four numbers that name a connection (RFC 9293 3.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) local: IpEndpoint,
    pub(crate) remote: IpEndpoint,
}

/// What a frame with a TCP segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) tuple: Tuple,
    /// The station that sent it.
    pub(crate) from: EthernetAddress,
    pub(crate) flags: u8,
    pub(crate) seq: TcpSeqNumber,
    pub(crate) ack: TcpSeqNumber,
    pub(crate) payload_len: usize,
    /// Where the IP packet is in the frame, without padding.
    pub(crate) packet: Range<usize>,
    /// Where the options of TCP are in the frame.
    options: Range<usize>,
}

/// Why a frame is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    NotOurs,
    Forged,
}

/// Whose a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    /// A TCP segment, whole and sent to this station alone.
    Tcp(Segment),
    /// Anything else that this station should see.
    Other,
    Refused(Refusal),
}

/// Says whose `frame` is, which arrived at the station `own`.
pub(crate) fn classify(frame: &[u8], own: EthernetAddress) -> Class {
    let Some((header, packet)) = frame.split_at_checked(ETHERNET_HEADER) else {
        return Class::Refused(Refusal::Malformed);
    };
    let to = EthernetAddress::from_bytes(&header[..6]);
    let from = EthernetAddress::from_bytes(&header[6..12]);
    let to_us = to == own;
    if !to_us && to.is_unicast() {
        return Class::Refused(Refusal::NotOurs);
    }
    if !from.is_unicast() {
        return Class::Refused(Refusal::Forged);
    }
    let ip = match word(header, 12) {
        TYPE_IPV4 => ipv4(packet),
        TYPE_IPV6 => ipv6(packet),
        _ => return Class::Other,
    };
    match ip {
        Ok(Some(ip)) if to_us => match tcp(frame, from, ip) {
            Ok(segment) => Class::Tcp(segment),
            Err(refusal) => Class::Refused(refusal),
        },
        // TCP has no broadcasts (RFC 1122 4.2.3.10).
        Ok(Some(_)) => Class::Refused(Refusal::Forged),
        Ok(None) => Class::Other,
        Err(refusal) => Class::Refused(refusal),
    }
}

/// An IP packet with a whole TCP segment; offsets from its beginning.
struct Ip {
    source: IpAddress,
    destination: IpAddress,
    segment: Range<usize>,
}

fn ipv4(packet: &[u8]) -> Result<Option<Ip>, Refusal> {
    let header: &[u8; IPV4_HEADER] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = usize::from(word(header, 2));
    if header[0] >> 4 != 4
        || header_len < IPV4_HEADER
        || total_len < header_len
        || total_len > packet.len()
    {
        return Err(Refusal::Malformed);
    }
    let [.., a, b, c, d, e, f, g, h] = *header;
    let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    // A fragment has an offset, or more to follow; the flag in between forbids fragments. smoltcp's buffers grow to what it
    // asks for, up to 64 KiB each, and keep that.
    let fragment = word(header, 6) & 0xbfff != 0;
    let end = usize::from(word(header, 6) & 0x1fff) * 8 + total_len - header_len;
    if fragment && end > LARGEST_DATAGRAM {
        return Err(Refusal::Malformed);
    }
    if source.is_multicast()
        || source.is_broadcast()
        || source.is_loopback()
        || destination.is_loopback()
    {
        return Err(Refusal::Forged);
    }
    if header[9] != PROTOCOL_TCP {
        // A client that asks for its address by DHCP has none yet; it does not ask us.
        return if source.is_unspecified() { Err(Refusal::Forged) } else { Ok(None) };
    }
    if source.is_unspecified() || destination.is_multicast() || destination.is_unspecified() {
        return Err(Refusal::Forged);
    }
    if fragment {
        return Ok(None);
    }
    Ok(Some(Ip {
        source: source.into(),
        destination: destination.into(),
        segment: header_len..total_len,
    }))
}

fn ipv6(packet: &[u8]) -> Result<Option<Ip>, Refusal> {
    let header: &[u8; IPV6_HEADER] = packet.first_chunk().ok_or(Refusal::Malformed)?;
    let end = IPV6_HEADER + usize::from(word(header, 4));
    if header[0] >> 4 != 6 || end > packet.len() {
        return Err(Refusal::Malformed);
    }
    let address = |at: usize| Ipv6Addr::from(core::array::from_fn::<u8, 16, _>(|i| header[at + i]));
    let (source, destination) = (address(8), address(24));
    if source.is_multicast() || source.is_loopback() || destination.is_loopback() {
        return Err(Refusal::Forged);
    }
    if header[6] != PROTOCOL_TCP {
        return Ok(None);
    }
    if source.is_unspecified() || destination.is_multicast() || destination.is_unspecified() {
        return Err(Refusal::Forged);
    }
    Ok(Some(Ip {
        source: source.into(),
        destination: destination.into(),
        segment: IPV6_HEADER..end,
    }))
}

fn tcp(frame: &[u8], from: EthernetAddress, ip: Ip) -> Result<Segment, Refusal> {
    let begin = ETHERNET_HEADER + ip.segment.start;
    let end = ETHERNET_HEADER + ip.segment.end;
    let segment = &frame[begin..end];
    let header: &[u8; TCP_HEADER] = segment.first_chunk().ok_or(Refusal::Malformed)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < TCP_HEADER || header_len > segment.len() {
        return Err(Refusal::Malformed);
    }
    let (source, destination) = (word(header, 0), word(header, 2));
    // Equal addresses: a segment that says it comes from ourselves (LAND).
    if source == 0 || destination == 0 || ip.source == ip.destination {
        return Err(Refusal::Forged);
    }
    Ok(Segment {
        tuple: Tuple {
            local: IpEndpoint::new(ip.destination, destination),
            remote: IpEndpoint::new(ip.source, source),
        },
        from,
        flags: header[13],
        seq: number(header, 4),
        ack: number(header, 8),
        payload_len: segment.len() - header_len,
        packet: ETHERNET_HEADER..end,
        options: begin + TCP_HEADER..begin + header_len,
    })
}

impl Segment {
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Whether it asks for a new connection.
    pub(crate) fn opens(&self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == SYN
    }

    /// The largest segment that the peer takes, if it says so (RFC 9293 3.7.1). `frame` is the one that was read.
    pub(crate) fn max_segment_size(&self, frame: &[u8]) -> Option<u16> {
        let mut options = frame.get(self.options.clone())?;
        loop {
            match *options {
                [2, 4, high, low, ..] => return Some(u16::from_be_bytes([high, low])),
                [1, ref rest @ ..] => options = rest,
                [kind, len, ..] if kind != 0 && len >= 2 => {
                    options = options.get(usize::from(len)..)?
                }
                _ => return None,
            }
        }
    }
}

/// The numbers of a segment that this side sends, read as it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// What the next segment will begin with.
    pub(crate) next_seq: TcpSeqNumber,
    /// What has been acknowledged to the peer.
    pub(crate) ack: TcpSeqNumber,
    /// The window that it was granted, not scaled.
    pub(crate) window: u16,
}

/// Reads the IP packet that smoltcp has made: its numbers, its flags, and how many bytes of data it has. `None` if it is no
/// TCP segment.
pub(crate) fn sent(packet: &[u8]) -> Option<(Sent, u8, usize)> {
    let segment = match packet.first()? >> 4 {
        4 if *packet.get(9)? == PROTOCOL_TCP => packet.get(IPV4_HEADER..)?,
        6 if *packet.get(6)? == PROTOCOL_TCP => packet.get(IPV6_HEADER..)?,
        _ => return None,
    };
    let header: &[u8; TCP_HEADER] = segment.first_chunk()?;
    let flags = header[13];
    let payload = segment.len().checked_sub(usize::from(header[12] >> 4) * 4)?;
    let len = payload + usize::from(flags & SYN != 0) + usize::from(flags & FIN != 0);
    Some((
        Sent {
            next_seq: number(header, 4) + len,
            ack: number(header, 8),
            window: word(header, 14),
        },
        flags,
        payload,
    ))
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn number(header: &[u8; TCP_HEADER], at: usize) -> TcpSeqNumber {
    TcpSeqNumber(i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
}
