//! What DHCP servers may tell embassy-net, and how often it may ask them.
//!
//! smoltcp 0.13 believes a server that names no station as the gateway, such as 0.0.0.0, and panics at the first packet that
//! goes there. Such a gateway is struck out of the message. And it asks again at once where a server grants no time or
//! revokes what it has granted, as fast as the two can talk; what is asked too often is not sent here, and smoltcp repeats it
//! after seconds (RFC 2131 4.1 wants 4 at least).

use core::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};

use crate::datagram::{self, Datagram, UDP_HEADER};

const CHECKSUM: usize = 6;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Behind the fields of BOOTP and the number that says that options follow (RFC 2131 2, 3).
const OPTIONS: usize = 240;
const PAD: u8 = 0;
const ROUTER: u8 = 3;
const END: u8 = 255;
/// An option that nobody reads (RFC 2132 1: for the site's own use).
const NOTHING: u8 = 224;

/// Messages that may be sent one after the other: a lease takes two.
const BURST: u32 = 8;
/// And how long it takes until one more may be.
const EACH: Duration = Duration::from_secs(1);

/// Whether embassy-net may see `frame`. A gateway that is no station's address is struck out of an offer or a lease; one in
/// fragments, which no server sends, is refused.
pub(crate) fn admit(frame: &mut [u8]) -> bool {
    let Some(datagram) = datagram::ipv4(frame).filter(|datagram| datagram.ports.1 == CLIENT_PORT)
    else {
        return true;
    };
    let Datagram { start, end, .. } = datagram;
    if !datagram.is_whole {
        return false;
    }
    let mut at = start + UDP_HEADER + OPTIONS;
    while let Some(&[kind, len, ref rest @ ..]) = frame.get(at..end) {
        match kind {
            END => break,
            PAD => at += 1,
            _ => {
                let names_nobody = rest.first_chunk::<4>().is_some_and(|bytes| {
                    let router = Ipv4Addr::from(*bytes);
                    router.is_unspecified() || router.is_multicast() || router.is_broadcast()
                });
                if kind == ROUTER && names_nobody {
                    replace(&mut frame[start..end], at - start, NOTHING);
                }
                at += 2 + usize::from(len);
            }
        }
    }
    true
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
