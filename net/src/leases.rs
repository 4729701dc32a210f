//! What DHCP servers may tell embassy-net, and how often it may ask them.
//!
//! smoltcp 0.13 believes a server that names no station as the gateway, such as 0.0.0.0, and panics at the first packet that
//! goes there. Such a gateway is struck out of the message. It takes addresses that no host can have, such as 127.0.0.1, and
//! no gateway at all from a server that names two. And it asks again at once where a server grants no time or
//! revokes what it has granted, as fast as the two can talk; what is asked too often is not sent here, and smoltcp repeats it
//! after seconds (RFC 2131 4.1 wants 4 at least).

use core::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};

use crate::datagram::{self, Datagram, UDP_HEADER};

const CHECKSUM: usize = 6;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Where the address is that a server grants, and the options, behind the number that says that they follow (RFC 2131 2, 3).
const YOUR_ADDRESS: usize = 16;
const OPTIONS: usize = 240;
const ADDRESS: usize = 4;
const PAD: u8 = 0;
const MASK: u8 = 1;
const ROUTER: u8 = 3;
const END: u8 = 255;
/// An option that nobody reads (RFC 2132 1: for the site's own use).
const NOTHING: u8 = 224;

/// Messages that may be sent one after the other: a lease takes two.
const BURST: u32 = 8;
/// And how long it takes until one more may be.
const EACH: Duration = Duration::from_secs(1);

/// Whether embassy-net may see `frame`: not if it grants an address that no host can have, nor in fragments, which no server
/// sends. A gateway that is no station's address is struck out of an offer or a lease, and of several the first is left.
pub(crate) fn admit(frame: &mut [u8]) -> bool {
    let Some(datagram) = datagram::ipv4(frame).filter(|datagram| datagram.ports.1 == CLIENT_PORT)
    else {
        return true;
    };
    let Datagram { start, end, .. } = datagram;
    if !datagram.is_whole {
        return false;
    }
    let address = |frame: &[u8], at| frame.get(at..end)?.first_chunk().map(|b| Ipv4Addr::from(*b));
    let granted = address(frame, start + UDP_HEADER + YOUR_ADDRESS);
    let mut mask = None;
    let mut at = start + UDP_HEADER + OPTIONS;
    while let Some(&[kind, len, ..]) = frame.get(at..end) {
        let (data, len) = (at + 2, usize::from(len));
        let is_whole = data + len <= end;
        match kind {
            END => break,
            PAD => {
                at += 1;
                continue;
            }
            MASK if len == ADDRESS => mask = address(frame, data),
            ROUTER if is_whole => amend_router(&mut frame[start..end], at - start),
            _ => {}
        }
        at = data + len;
    }
    granted.is_none_or(|granted| is_hosts(granted, mask))
}

/// Whether a host can have this address, or it is none: it is not of the kinds that a host never has, and neither all zeros
/// nor all ones behind the mask (RFC 1122 3.2.1.3), unless the network has no more than two addresses (RFC 3021).
fn is_hosts(address: Ipv4Addr, mask: Option<Ipv4Addr>) -> bool {
    if address.is_unspecified() {
        return true; // A server that revokes grants none, and smoltcp takes none.
    }
    let behind = mask.map_or(0, |mask| !mask.to_bits());
    let host = address.to_bits() & behind;
    let is_kept = behind > 1 && (host == 0 || host == behind);
    let of_no_host = address.is_loopback() || address.is_multicast() || address.is_broadcast();
    address.octets()[0] != 0 && !of_no_host && !is_kept
}

/// Looks at the option at `at`, which names routers, the best one first (RFC 2132 3.5). smoltcp reads it only if it names one.
fn amend_router(datagram: &mut [u8], at: usize) {
    let (len, data) = (usize::from(datagram[at + 1]), at + 2);
    let Some(bytes) = datagram.get(data..data + len).and_then(|routers| routers.first_chunk())
    else {
        return;
    };
    let router = Ipv4Addr::from(*bytes);
    if router.is_unspecified() || router.is_multicast() || router.is_broadcast() {
        replace(datagram, at, NOTHING);
    } else if len > ADDRESS && len.is_multiple_of(ADDRESS) {
        replace(datagram, at + 1, ADDRESS as u8);
        (data + ADDRESS..data + len).for_each(|at| replace(datagram, at, PAD));
    }
}

/// Replaces a byte of a datagram. Its checksum stays as right or wrong as it was (RFC 1624).
fn replace(datagram: &mut [u8], at: usize, new: u8) {
    let old = core::mem::replace(&mut datagram[at], new);
    let Some(sum) = datagram.get_mut(CHECKSUM..UDP_HEADER).and_then(|sum| sum.first_chunk_mut())
    else {
        return;
    };
    let shift = if at.is_multiple_of(2) { 8 } else { 0 };
    let before = u16::from_be_bytes(*sum);
    if before == 0 {
        return; // There is none.
    }
    let mut after =
        u32::from(!before) + u32::from(!(u16::from(old) << shift)) + (u32::from(new) << shift);
    while after > 0xffff {
        after = (after & 0xffff) + (after >> 16);
    }
    let after = !after as u16; // folded
    *sum = if after == 0 { 0xffff } else { after }.to_be_bytes();
}

/// How much may be asked: so much now, and more with time.
pub(crate) struct Questions {
    left: u32,
    since: Instant,
}

impl Questions {
    pub(crate) const fn new(now: Instant) -> Questions {
        Questions { left: BURST, since: now }
    }

    /// Whether `frame`, which embassy-net sends, may leave: anything but one question too many.
    pub(crate) fn may_leave(&mut self, frame: &[u8], now: Instant) -> bool {
        let asks = datagram::ipv4(frame)
            .is_some_and(|datagram| datagram.ports == (CLIENT_PORT, SERVER_PORT));
        if !asks {
            return true;
        }
        if self.left < BURST && now >= self.since {
            let more = (now - self.since).total_millis() / EACH.total_millis();
            self.left = self.left.saturating_add(more.min(BURST.into()) as u32).min(BURST);
            self.since += EACH * more.min(u64::from(u32::MAX)) as u32;
        }
        if self.left == BURST {
            self.since = now;
        }
        let may_leave = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may_leave
    }
}
