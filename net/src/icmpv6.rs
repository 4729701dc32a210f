//! Which messages of ICMPv6 embassy-net gets to see: what routers say of themselves, and what they ask.
//!
//! smoltcp 0.13 takes a route from each router that advertises itself, and embassy-net 0.9 panics where a default route of its
//! own finds the table full: eight stations that claim to be routers, or one that claims it eight times, would end the
//! kernel at the next lease. It panics too where a prefix makes an address that is not unicast. So routers are counted here,
//! and prefixes read, before embassy-net does.
//!
//! What is counted is what was claimed, not what smoltcp has taken: a router is forgotten when the longest time has passed
//! that it has asked for, so that no frame which smoltcp refuses makes room here that is not there.
//!
//! A query for the members of a group (RFC 3810 5.1) that is no group would end the kernel too, in smoltcp's answer.

use core::net::Ipv6Addr;

use smoltcp::time::{Duration, Instant};

use crate::segment::{ETHERNET_HEADER, TYPE_IPV6};

/// How many routers. The table of routes has eight places, of which IPv4 and a configured router of IPv6 take one each; those
/// that have expired may still be there while as many others come.
const MOST: usize = 3;

const IPV6_HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;
/// RFC 4861 4.2: a type, and how long the message is without options.
const ADVERTISEMENT: u8 = 134;
const ADVERTISEMENT_LEN: usize = 16;
/// RFC 4861 4.6.2: a type and a length; and the flag that lets a host make an address of the prefix.
const PREFIX: u8 = 3;
const PREFIX_LEN: usize = 32;
const AUTONOMOUS: u8 = 0x40;
/// RFC 3810 5.1: a type, and where the group is.
const QUERY: u8 = 130;
const GROUP: usize = 8;

/// The routers that embassy-net may know of.
#[derive(Default)]
pub(crate) struct Routers {
    /// Each until when.
    known: [Option<(Ipv6Addr, Instant)>; MOST],
    /// embassy-net gets an advertisement that it has not seen yet.
    heard: bool,
}

impl Routers {
    /// Whether embassy-net may see `frame`: anything but an advertisement of too many routers, or of a prefix that no address
    /// can be made of, or a query for a group that is none.
    pub(crate) fn admit(&mut self, frame: &[u8], now: Instant) -> bool {
        match look(frame) {
            Found::Other => true,
            Found::Refused => false,
            Found::Advertisement(_, message) if !has_good_prefixes(message) => false,
            Found::Advertisement(router, message) => {
                let seconds = u16::from_be_bytes([message[6], message[7]]);
                let until = now + Duration::from_secs(seconds.into());
                let admitted = seconds == 0 || self.note(router, now, until);
                self.heard |= admitted;
                admitted
            }
        }
    }

    /// Whether there was an advertisement since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        core::mem::take(&mut self.heard)
    }

    /// Notes a router until then. `false`: there are too many.
    fn note(&mut self, router: Ipv6Addr, now: Instant, until: Instant) -> bool {
        let known =
            |entry: &&mut Option<(Ipv6Addr, Instant)>| entry.is_some_and(|known| known.0 == router);
        if let Some(entry) = self.known.iter_mut().find(known) {
            *entry = entry.map(|(router, before)| (router, before.max(until)));
            return true;
        }
        let free = self.known.iter_mut().find(|entry| entry.is_none_or(|(_, until)| until < now));
        free.map(|entry| *entry = Some((router, until))).is_some()
    }
}

enum Found<'a> {
    Other,
    Advertisement(Ipv6Addr, &'a [u8]),
    /// It hides what it is, or asks for what cannot be, as no router does.
    Refused,
}

/// What is in a frame whose IPv6 header is known to be whole.
fn look(frame: &[u8]) -> Found<'_> {
    if frame.get(12..ETHERNET_HEADER) != Some(&TYPE_IPV6.to_be_bytes()) {
        return Found::Other;
    }
    let Some((header, rest)) = frame[ETHERNET_HEADER..].split_first_chunk::<IPV6_HEADER>() else {
        return Found::Refused;
    };
    let rest = &rest[..rest.len().min(usize::from(u16::from_be_bytes([header[4], header[5]])))];
    // The only extension header that smoltcp looks behind, for MLD's sake (RFC 8200 4.3: its length counts 8 bytes).
    let (is_first, message) = match (header[6], rest) {
        (ICMPV6, rest) => (true, rest),
        (HOP_BY_HOP, [ICMPV6, len, ..]) => {
            (false, rest.get((usize::from(*len) + 1) * 8..).unwrap_or_default())
        }
        _ => return Found::Other,
    };
    match message.first() {
        Some(&ADVERTISEMENT) if is_first && message.len() >= ADVERTISEMENT_LEN => {
            let source: [u8; 16] = core::array::from_fn(|at| header[8 + at]);
            Found::Advertisement(source.into(), message)
        }
        Some(&ADVERTISEMENT) => Found::Refused,
        Some(&QUERY) if !asks_for_a_group(message) => Found::Refused,
        _ => Found::Other,
    }
}

/// Whether a query is for all groups or for one.
fn asks_for_a_group(message: &[u8]) -> bool {
    let group = message.get(GROUP..).and_then(|group| group.first_chunk::<16>());
    group.is_some_and(|group| {
        let group = Ipv6Addr::from(*group);
        group.is_unspecified() || group.is_multicast()
    })
}

/// Whether a host can make an address of each prefix that says so: 64 bits long (RFC 4862 5.5.3 d, RFC 2464 4), unicast.
fn has_good_prefixes(message: &[u8]) -> bool {
    let mut options = &message[ADVERTISEMENT_LEN..];
    while let [kind, len, ..] = *options {
        let Some((option, rest)) = options.split_at_checked(usize::from(len) * 8) else {
            return false;
        };
        if option.is_empty() {
            return false;
        }
        if kind == PREFIX {
            let Some((&[.., bits, flags], prefix)) = option.split_first_chunk::<4>() else {
                return false;
            };
            let Some(prefix) = prefix.get(12..PREFIX_LEN - 4).and_then(|rest| rest.first_chunk())
            else {
                return false;
            };
            let prefix = Ipv6Addr::from(*prefix);
            let is_good = bits == 64
                && !prefix.is_multicast()
                && prefix.segments()[..4].iter().any(|&part| part != 0);
            if flags & AUTONOMOUS != 0 && !is_good {
                return false;
            }
        }
        options = rest;
    }
    options.is_empty()
}
