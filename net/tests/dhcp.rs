//! DHCP servers that lie, disagree, change their minds or are not there: that costs the address at most, never the network.

#[path = "world/datagram.rs"]
mod datagram;
#[path = "world/dhcp.rs"]
mod dhcp;
#[path = "world/peer.rs"]
mod peer;
mod world;

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use dhcp::*;
use embedded_io_async::Read;
use freestone_net::embassy_net::Ipv4Cidr;
use freestone_net::{Error, Net, NotUp, Options};
use peer::Peer;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv4Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr,
};
use world::{Port, World, ip, now, station};

/// Messages that a network may send a server in a minute that makes it ask again each time.
const MOST_ASKED: usize = 90;

const HOUR_MILLIS: u64 = 3_600_000;

/// An echo request from an address elsewhere: its answer goes by the gateway.
fn ping(dst_addr: Ipv4Addr) -> Vec<u8> {
    let message = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 1, data: b"hello" };
    let ip = Ipv4Repr {
        src_addr: Ipv4Addr::new(192, 0, 2, 1),
        dst_addr,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = vec![0; 14 + ip.buffer_len() + ip.payload_len];
    EthernetRepr {
        src_addr: EthernetAddress(station(2)),
        dst_addr: EthernetAddress(station(1)),
        ethertype: EthernetProtocol::Ipv4,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
    message.emit(&mut Icmpv4Packet::new_unchecked(&mut frame[34..]), &checksums);
    frame
}

fn address(net: &Net) -> Option<Ipv4Addr> {
    net.stack().config_v4().map(|config| config.address.address())
}

/// A minute of a server that says this costs little, and then an honest one, or the end of the lease, is all that is needed.
/// Returns the address that the lie gave.
#[track_caller]
fn is_survived(what: &str, reply: impl FnMut(&Asked) -> Vec<Vec<u8>>) -> Option<Ipv4Addr> {
    let (mut world, net, port) = scene();
    let polls = world.polls;
    let count = serve(&mut world, &port, 60_000, reply).len();
    assert!(count <= MOST_ASKED, "{what}: {count} messages");
    let polls = world.polls - polls;
    assert!(polls < 4 * MOST_ASKED as u64, "{what}: {polls} rounds");
    let lied = address(&net);
    port.send(ping(lied.unwrap_or(ip(9))));
    world.pass(10_000);
    // No answer to this is an address for ever but one.
    serve(&mut world, &port, HOUR_MILLIS + 100_000, granting(Lease::honest()));
    let config = net.stack().config_v4().expect("an address");
    assert_eq!((config.address.address(), config.gateway), (ip(9), Some(ip(2))), "{what}");
    lied
}

#[test]
fn an_address_that_no_host_can_have_is_refused() {
    for bytes in [
        [0, 0, 0, 0],
        [0, 0, 0, 7],
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [127, 0, 0, 1],
        [127, 255, 0, 9],
        // All of the host's bits in the network's mask.
        [10, 0, 255, 255],
        [10, 0, 0, 0],
    ] {
        let lied = is_survived(&format!("{bytes:?}"), granting(Lease::honest().address(bytes)));
        assert_eq!(lied, None, "{bytes:?}");
    }
    // A network of two, or of one, has no such addresses (RFC 3021).
    for (mask, host) in [(254, 8), (254, 9), (255, 9)] {
        let (mut world, net, port) = scene();
        let lease = Lease::honest().with(MASK, &[255, 255, 255, mask]).address(ip(host));
        serve(&mut world, &port, 10_000, granting(lease));
        assert_eq!(address(&net), Some(ip(host)), "{mask}");
    }
}

#[test]
fn gateways_masks_and_times_of_all_kinds_cost_nothing() {
    for gateway in [
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [127, 0, 0, 1],
        // Outside of the net, its broadcast address, and the host itself.
        [198, 51, 100, 1],
        [10, 0, 255, 255],
        [10, 0, 0, 9],
    ] {
        let lease = Lease::honest().with(ROUTER, &gateway);
        assert_eq!(is_survived(&format!("{gateway:?}"), granting(lease)), Some(ip(9)));
    }
    for mask in [[0, 0, 0, 0], [255, 255, 255, 255], [128, 0, 0, 0]] {
        let lease = Lease::honest().with(MASK, &mask);
        assert_eq!(is_survived(&format!("{mask:?}"), granting(lease)), Some(ip(9)));
    }
    // With a hole, or none at all.
    for lease in [Lease::honest().with(MASK, &[255, 0, 255, 0]), Lease::honest().without(MASK)] {
        assert_eq!(is_survived("no mask", granting(lease)), None);
    }
    for seconds in [0, 1, 2, 3, 59, 60] {
        let lease = Lease::honest().seconds(SECONDS, seconds);
        is_survived(&format!("{seconds} s"), granting(lease));
    }
    // When to renew: at once, after the end, the wrong way round.
    for (seconds, renew, rebind) in [
        (3600, 0, 0),
        (3600, 0, 1),
        (3600, 0, 3599),
        (3600, 3599, 1),
        (3600, u32::MAX, u32::MAX),
        (2, 0, 1),
        (0, 0, 0),
    ] {
        let lease = Lease::honest().seconds(SECONDS, seconds);
        let lease = lease.seconds(RENEW, renew).seconds(REBIND, rebind);
        is_survived(&format!("{seconds}, {renew}, {rebind} s"), granting(lease.clone()));
        is_survived("renew only", granting(lease.clone().without(REBIND)));
        is_survived("rebind only", granting(lease.without(RENEW)));
    }
}

#[test]
fn a_lease_for_ever_is_one_and_needs_nobody() {
    let (mut world, net, port) = scene();
    let lease = Lease::honest().seconds(SECONDS, u32::MAX);
    serve(&mut world, &port, 10_000, granting(lease));
    let polls = world.polls;
    // A year.
    world.pass(365 * 24 * 3_600_000_000);
    assert_eq!(address(&net), Some(ip(9)));
    assert!(world.polls - polls < 20, "{} rounds", world.polls - polls);
    let asked = std::iter::from_fn(|| port.take()).filter_map(|frame| Asked::read(&frame));
    assert_eq!(asked.count(), 0);
}

#[test]
fn options_that_run_over_or_say_nothing_are_no_options() {
    let raw = |number, options: &[u8]| vec![message(ip(9), ip(2), number, options)];
    let kind = |asked: &Asked| if asked.kind == DISCOVER { OFFER } else { ACK };
    let honest = Lease::honest();
    // Each option of no bytes, of one too few and one too many, and of as many as there can be.
    for option in [MASK, ROUTER, NAMES, SECONDS, KIND, SERVER, RENEW, REBIND, 12, 15, 52, 119] {
        for len in [0, 1, 3, 5, 8, 255] {
            let lease = honest.clone().with(option, &vec![0xff; len]);
            let lied = is_survived(&format!("{option} of {len}"), granting(lease.clone()));
            // Without these two it is no lease.
            let is_needed = [MASK, SERVER].contains(&option);
            assert_eq!(lied.is_none(), is_needed, "{option} of {len}");
        }
        // It begins, and is over.
        for len in [1, 4, 254, 255] {
            is_survived(&format!("{option} runs over"), |asked| {
                let mut options = honest.clone().without(option).raw(kind(asked));
                options.pop();
                options.extend([option, len]);
                raw(asked.number, &options)
            });
        }
        is_survived(&format!("{option} without a length"), |asked| {
            let mut options = honest.clone().without(option).raw(kind(asked));
            options.pop();
            options.push(option);
            raw(asked.number, &options)
        });
    }
    // A name of the host that is as long as a frame is: five times 255.
    let name = [&[12, 255][..], &[b'x'; 255]].concat().repeat(4);
    let lied = is_survived("a name of the host", |asked| {
        raw(asked.number, &[name.clone(), honest.raw(kind(asked))].concat())
    });
    assert_eq!(lied, Some(ip(9)));
    // No end, nothing, padding, and the end first.
    let without_end = is_survived("no end", |asked| {
        let mut options = honest.raw(kind(asked));
        options.pop();
        raw(asked.number, &options)
    });
    assert_eq!(without_end, Some(ip(9)));
    for options in [vec![], vec![255], vec![0; 1000], vec![255; 1000], vec![1; 1000], vec![53]] {
        assert_eq!(is_survived("nothing", |asked| raw(asked.number, &options)), None);
    }
}

#[test]
fn a_message_cut_off_anywhere_is_none() {
    let lied = is_survived("cut off", |asked| {
        let kind = if asked.kind == DISCOVER { OFFER } else { ACK };
        let raw = Lease::honest().raw(kind);
        // Up to the kind, mask or server, which it cannot be without.
        (0..9).map(|len| message(ip(9), ip(2), asked.number, &raw[..len])).collect()
    });
    assert_eq!(lied, None);
    // In the fields in front of the options: without a cookie, too.
    let lied = is_survived("short", |asked| {
        let whole = Lease::honest().frame(OFFER, asked.number);
        let bytes = datagram::read(&whole).expect("a datagram");
        let short = (0..240).map(|len| {
            datagram::frames((station(2), station(1)), bytes.0, &bytes.1[..len]).remove(0)
        });
        short.collect()
    });
    assert_eq!(lied, None);
}

#[test]
fn of_two_routers_the_first_is_the_gateway() {
    for routers in [2, 3, 63] {
        let (mut world, net, port) = scene();
        let all: Vec<u8> = (0..routers).flat_map(|number| ip(2 + number).octets()).collect();
        // What follows is still read.
        let lease = Lease::honest().with(ROUTER, &all).with(NAMES, &ip(5).octets());
        serve(&mut world, &port, 10_000, granting(lease));
        let config = net.stack().config_v4().expect("an address");
        assert_eq!((config.gateway, &config.dns_servers[..]), (Some(ip(2)), &[ip(5)][..]));
    }
}

#[test]
fn of_two_offers_the_first_is_taken_and_the_other_server_told() {
    let (mut world, net, port) = scene();
    let other = Lease { server: ip(3), ..Lease::honest() }.address(ip(10));
    let other = other.with(SERVER, &ip(3).octets());
    let asked = serve(&mut world, &port, 10_000, |asked| match asked.kind {
        DISCOVER => vec![
            Lease::honest().frame(OFFER, asked.number),
            other.frame(OFFER, asked.number),
            // And one that does not know what was asked.
            other.frame(OFFER, asked.number ^ 1),
        ],
        // The other one is offended.
        _ => vec![
            Lease::honest().frame(ACK, asked.number),
            other.frame(OFFER, asked.number),
            other.frame(NAK, asked.number ^ 1),
        ],
    });
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!((asked[1].wants, asked[1].server), (Some(ip(9)), Some(ip(2))));
    assert_eq!(address(&net), Some(ip(9)));
}

/// A connection that was accepted, and what it ended with.
fn connect(world: &mut World, net: Net, port: &Port, host: u8) -> Rc<RefCell<Option<Error>>> {
    let ended = Rc::new(RefCell::new(None));
    let place = ended.clone();
    let listener = net.listen(80, &Options::default()).expect("a free port");
    world.spawn(async move {
        let mut stream = listener.accept().await;
        *place.borrow_mut() = stream.read(&mut [0; 10]).await.err();
    });
    let mut peer = Peer::new(port, 1, 2, 80, 4000);
    peer.destination = ip(host);
    peer.open(world);
    world.settle();
    assert_eq!((net.statistics().connections, *ended.borrow()), (1, None));
    ended
}

#[test]
fn what_a_renewal_changes_is_so_from_then_on() {
    let new_router = Lease::honest().with(ROUTER, &ip(3).octets());
    let new_mask = Lease::honest().with(MASK, &[255, 255, 255, 0]);
    let without_router = Lease::honest().without(ROUTER);
    let new_address = Lease::honest().address(ip(10));
    for (lease, host, bits, router, lost) in [
        (new_router, 9, 16, Some(ip(3)), false),
        (new_mask, 9, 24, Some(ip(2)), false),
        (without_router, 9, 16, None, false),
        (new_address, 10, 16, Some(ip(2)), true),
    ] {
        let (mut world, net, port) = scene();
        serve(&mut world, &port, 10_000, granting(Lease::honest()));
        let ended = connect(&mut world, net, &port, 9);
        // Half of the hour has gone.
        let asked = serve(&mut world, &port, HOUR_MILLIS / 2 + 10_000, granting(lease));
        assert!(asked.len() == 1 && asked[0].is_alone, "{asked:?}");
        let config = net.stack().config_v4().expect("an address");
        assert_eq!((config.address, config.gateway), (Ipv4Cidr::new(ip(host), bits), router));
        assert_eq!(*ended.borrow(), lost.then_some(Error::AddressLost));
        assert_eq!(net.statistics().connections, usize::from(!lost));
    }
}

#[test]
fn a_renewal_to_an_address_that_no_host_can_have_leaves_the_old_one() {
    for bytes in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [10, 0, 255, 255]] {
        let (mut world, net, port) = scene();
        serve(&mut world, &port, 10_000, granting(Lease::honest()));
        let lease = Lease::honest().address(bytes);
        let asked = serve(&mut world, &port, HOUR_MILLIS * 3 / 4, granting(lease));
        assert_eq!((address(&net), asked.is_empty()), (Some(ip(9)), false), "{bytes:?}");
        serve(&mut world, &port, HOUR_MILLIS, granting(Lease::honest()));
        assert_eq!(address(&net), Some(ip(9)));
    }
}

#[test]
fn a_lease_that_is_revoked_or_not_renewed_ends_and_another_comes() {
    for revoked in [true, false] {
        let (mut world, net, port) = scene();
        serve(&mut world, &port, 10_000, granting(Lease::honest()));
        let ended = connect(&mut world, net, &port, 9);
        serve(&mut world, &port, HOUR_MILLIS + 10_000, |asked| match asked.kind {
            REQUEST if revoked => vec![Lease::honest().frame(NAK, asked.number)],
            _ => Vec::new(),
        });
        assert_eq!((address(&net), net.is_up()), (None, false));
        assert_eq!(*ended.borrow(), Some(Error::AddressLost));
        assert_eq!(net.statistics().connections, 0);
        serve(&mut world, &port, 20_000, granting(Lease::honest().address(ip(11))));
        assert_eq!((address(&net), net.is_up()), (Some(ip(11)), true));
    }
    // Revoked each time before it is granted.
    let nak = |asked: &Asked| {
        let kind = if asked.kind == DISCOVER { OFFER } else { NAK };
        vec![Lease::honest().frame(kind, asked.number)]
    };
    assert_eq!(is_survived("no, and no again", nak), None);
}

#[test]
fn without_a_server_it_is_asked_for_again_and_who_waits_is_told() {
    let (mut world, net, [own, port]) = scene_with_ports();
    let waits = |world: &mut World| {
        let began = now();
        let limit = embassy_time::Duration::from_secs(30);
        let result = world.run(async move { net.wait_up_within(limit).await });
        (result, now() - began)
    };
    assert_eq!(waits(&mut world), (Err(NotUp::NoAddress), 30_000_000));
    own.set_up(false);
    assert_eq!(waits(&mut world), (Err(NotUp::NoLink), 30_000_000));
    own.set_up(true);
    while port.take().is_some() {}
    let count = serve(&mut world, &port, 100_000, |_| Vec::new()).len();
    assert!((9..12).contains(&count), "{count} questions in 100 s");
    serve(&mut world, &port, 20_000, granting(Lease::honest()));
    assert!(net.stack().config_v4().is_some());
    assert_eq!(waits(&mut world), (Ok(()), 0));
    serve(&mut world, &port, HOUR_MILLIS + 100_000, |_| Vec::new());
    assert_eq!((address(&net), waits(&mut world).0), (None, Err(NotUp::NoAddress)));
}
