//! Reads where a UDP datagram is in a frame, and its ports: for what is looked at before embassy-net sees it, or after it has
//! sent it.

use crate::segment::{ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6};

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const UDP: u8 = 17;
pub(crate) const UDP_HEADER: usize = 8;

/// A UDP datagram, or its first fragment.
pub(crate) struct Datagram {
    /// Where it is in the frame.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// From, and to.
    pub(crate) ports: (u16, u16),
    pub(crate) is_whole: bool,
}

/// The datagram of IPv4 in a frame.
pub(crate) fn ipv4(frame: &[u8]) -> Option<Datagram> {
    const IP: usize = ETHERNET_HEADER;
    if half(frame, 12)? != TYPE_IPV4 || *frame.get(IP + 9)? != UDP {
        return None;
    }
    let fragment = half(frame, IP + 6)?;
    let header = usize::from(frame[IP] & 0x0f) * 4;
    if fragment & 0x1fff != 0 || header < IPV4_HEADER {
        return None;
    }
    let end = IP + usize::from(half(frame, IP + 2)?);
    at(frame, IP + header, end, fragment & 0x2000 == 0)
}

/// The datagram in a frame, of whichever IP.
pub(crate) fn any(frame: &[u8]) -> Option<Datagram> {
    const IP: usize = ETHERNET_HEADER;
    if half(frame, 12)? != TYPE_IPV6 {
        return ipv4(frame);
    }
    let end = IP + IPV6_HEADER + usize::from(half(frame, IP + 4)?);
    let rest = IP + IPV6_HEADER;
    match *frame.get(IP + 6)? {
        UDP => at(frame, rest, end, true),
        // The only extension header that smoltcp looks behind (RFC 8200 4.3: its length counts 8 bytes).
        HOP_BY_HOP if *frame.get(rest)? == UDP => {
            at(frame, rest + (usize::from(*frame.get(rest + 1)?) + 1) * 8, end, true)
        }
        _ => None,
    }
}

fn at(frame: &[u8], start: usize, end: usize, is_whole: bool) -> Option<Datagram> {
    let ports = (half(frame, start)?, half(frame, start + 2)?);
    Some(Datagram { start, end: end.min(frame.len()), ports, is_whole })
}

fn half(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}
