//! Routers and DHCP servers that lie: what they say costs addresses at most, never the network.

mod world;

use std::net::{Ipv4Addr, Ipv6Addr};

use freestone_net::{Config, Net};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet,
    Ipv4Repr, Ipv6Packet, Ipv6Repr, MldRepr, NdiscPrefixInfoFlags, NdiscPrefixInformation,
    NdiscRepr, NdiscRouterFlags, UdpPacket, UdpRepr,
};
use world::{Ether, Port, World, ip, station};

/// A network that asks for its addresses, and a port for who answers.
fn scene() -> (World, Net, Port) {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, runner) =
        freestone_net::with_sockets::<_, 4>(ether.port(1), Config::default(), 0x5eed);
    world.spawn(async move { runner.run().await });
    let port = ether.port(2);
    world.settle();
    (world, net, port)
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn router(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number)
}

/// An advertisement of a router, and of a prefix for so long.
fn advertisement(from: Ipv6Addr, lifetime: u64, prefix: &str, bits: u8) -> Vec<u8> {
    let seconds = Duration::from_secs(1800);
    let message = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: Duration::from_secs(lifetime),
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: None,
        mtu: None,
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: bits,
            flags: NdiscPrefixInfoFlags::ADDRCONF | NdiscPrefixInfoFlags::ON_LINK,
            valid_lifetime: seconds,
            preferred_lifetime: seconds,
            prefix: prefix.parse().unwrap(),
        }),
    });
    icmpv6((from, ALL_NODES), 255, &message)
}

fn icmpv6((from, to): (Ipv6Addr, Ipv6Addr), hop_limit: u8, message: &Icmpv6Repr<'_>) -> Vec<u8> {
    let ip = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit,
    };
    let mut frame = ethernet(EthernetProtocol::Ipv6, ip.buffer_len() + message.buffer_len());
    let mut packet = Ipv6Packet::new_unchecked(&mut frame[14..]);
    ip.emit(&mut packet);
    let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
    message.emit(&from, &to, &mut icmp, &ChecksumCapabilities::default());
    frame
}

fn ethernet(ethertype: EthernetProtocol, len: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + len];
    let (src_addr, dst_addr) = (EthernetAddress(station(2)), EthernetAddress(station(1)));
    EthernetRepr { src_addr, dst_addr, ethertype }
        .emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
    frame
}

fn ping(src_addr: Ipv4Addr, dst_addr: Ipv4Addr) -> Vec<u8> {
    let message = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 1, data: b"hello" };
    let ip = Ipv4Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = ethernet(EthernetProtocol::Ipv4, ip.buffer_len() + ip.payload_len);
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
    message.emit(&mut Icmpv4Packet::new_unchecked(&mut frame[34..]), &checksums);
    frame
}

/// The message of DHCP in a frame from the network.
fn dhcp(frame: &[u8]) -> Option<(DhcpMessageType, u32)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let ip = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    let packet = DhcpPacket::new_checked(udp.payload()).ok().filter(|_| udp.dst_port() == 67)?;
    let repr = DhcpRepr::parse(&packet).ok()?;
    Some((repr.message_type, repr.transaction_id))
}

/// What a server answers with.
#[derive(Clone, Copy, Debug)]
struct Lease {
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    seconds: u32,
}

const HONEST: Lease = Lease { address: ip(9), gateway: ip(2), seconds: 3600 };

fn answer(kind: DhcpMessageType, number: u32, lease: &Lease) -> Vec<u8> {
    let repr = DhcpRepr {
        message_type: kind,
        transaction_id: number,
        secs: 0,
        client_hardware_address: EthernetAddress(station(1)),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: lease.address,
        server_ip: ip(2),
        router: Some(lease.gateway),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 0, 0)),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(ip(2)),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: Some(lease.seconds),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let udp = UdpRepr { src_port: 67, dst_port: 68 };
    let ip = Ipv4Repr {
        src_addr: ip(2),
        dst_addr: Ipv4Addr::BROADCAST,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + repr.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = ethernet(EthernetProtocol::Ipv4, ip.buffer_len() + ip.payload_len);
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut frame[34..]),
        &ip.src_addr.into(),
        &ip.dst_addr.into(),
        repr.buffer_len(),
        |payload| repr.emit(&mut DhcpPacket::new_unchecked(payload)).unwrap(),
        &checksums,
    );
    frame
}

/// Answers by DHCP for so many milliseconds. Returns how many messages came.
fn serve(
    world: &mut World,
    port: &Port,
    millis: u64,
    reply: impl Fn(DhcpMessageType) -> Option<(DhcpMessageType, Lease)>,
) -> usize {
    let mut count = 0;
    for _ in 0..millis {
        while let Some(frame) = port.take() {
            let Some((kind, number)) = dhcp(&frame) else { continue };
            count += 1;
            if let Some((kind, lease)) = reply(kind) {
                port.send(answer(kind, number, &lease));
            }
        }
        world.pass(1000);
    }
    count
}

/// What a server says that means `lease`.
fn grants(lease: Lease) -> impl Fn(DhcpMessageType) -> Option<(DhcpMessageType, Lease)> {
    move |kind| match kind {
        DhcpMessageType::Discover => Some((DhcpMessageType::Offer, lease)),
        DhcpMessageType::Request => Some((DhcpMessageType::Ack, lease)),
        _ => None,
    }
}

#[test]
fn routers_without_number_leave_room_for_the_one_that_dhcp_names() {
    let (mut world, net, port) = scene();
    for number in 1..100 {
        port.send(advertisement(router(number), 9000, "2001:db8::", 64));
    }
    world.settle();
    assert_eq!(net.statistics().icmpv6_refused, 96);
    serve(&mut world, &port, 20_000, grants(HONEST));
    assert_eq!(net.stack().config_v4().and_then(|config| config.gateway), Some(ip(2)));
    assert!(net.stack().config_v6().is_some());
    // Their time is over, and others take their places, again and again.
    for round in 0..5 {
        world.pass(9_001_000_000);
        for number in 1..100 {
            port.send(advertisement(router(1000 * round + number), 9000, "2001:db8::", 64));
            // Taken back: it is not forgotten sooner for that.
            port.send(advertisement(router(1000 * round + number), 0, "2001:db8::", 64));
        }
        world.settle();
        serve(&mut world, &port, 20_000, grants(HONEST));
        assert_eq!(net.stack().config_v4().and_then(|config| config.gateway), Some(ip(2)));
    }
}

#[test]
fn a_prefix_of_which_no_address_can_be_made_is_refused() {
    let (mut world, net, port) = scene();
    for (prefix, bits) in
        [("ff02::", 64), ("ffff::", 64), ("::", 64), ("2001:db8::", 65), ("2001:db8::", 0)]
    {
        port.send(advertisement(router(1), 1800, prefix, bits));
        world.pass(10_000);
        assert_eq!(net.stack().config_v6(), None, "{prefix}/{bits}");
    }
    assert_eq!(net.statistics().icmpv6_refused, 5);
    // In a header that smoltcp looks behind.
    let mut frame = advertisement(router(1), 1800, "ff02::", 64);
    frame[20] = 0;
    frame.splice(54..54, [58, 0, 1, 4, 0, 0, 0, 0]);
    frame[19] += 8;
    port.send(frame);
    // Cut off, in the middle and at each option.
    let whole = advertisement(router(1), 1800, "2001:db8::", 64);
    for len in 54..whole.len() {
        let mut frame = whole[..len].to_vec();
        frame[19] = (len - 54) as u8;
        port.send(frame);
    }
    world.pass(10_000);
    assert_eq!(net.stack().config_v6(), None);
    port.send(whole);
    world.pass(10_000);
    assert!(net.stack().config_v6().is_some());
}

/// Messages that a network may send a server in a minute that makes it ask again each time.
const MOST_ASKED: usize = 90;

#[test]
fn a_dhcp_server_that_lies_is_asked_again_but_not_without_end() {
    let gateways = [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1], [127, 0, 0, 1]];
    let addresses = [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1], [10, 0, 255, 255]];
    let lies = gateways
        .map(|gateway| Lease { gateway: gateway.into(), ..HONEST })
        .into_iter()
        .chain(addresses.map(|address| Lease { address: address.into(), ..HONEST }))
        .chain([0, 1, 2].map(|seconds| Lease { seconds, ..HONEST }));
    for lease in lies {
        let (mut world, net, port) = scene();
        let polls = world.polls;
        let count = serve(&mut world, &port, 60_000, grants(lease));
        assert!(count <= MOST_ASKED, "{count} messages, {lease:?}");
        assert!(world.polls - polls < 4 * MOST_ASKED as u64, "{lease:?}");
        // An answer to somebody elsewhere goes by the gateway.
        port.send(ping(Ipv4Addr::new(192, 0, 2, 1), lease.address));
        world.pass(10_000);
        // The liar goes, and another comes.
        serve(&mut world, &port, 3_700_000, grants(HONEST));
        let config = net.stack().config_v4().expect("an address");
        assert_eq!((config.address.address(), config.gateway), (ip(9), Some(ip(2))));
    }
    let (mut world, net, port) = scene();
    let polls = world.polls;
    let count = serve(&mut world, &port, 60_000, |kind| match kind {
        DhcpMessageType::Discover => Some((DhcpMessageType::Offer, HONEST)),
        _ => Some((DhcpMessageType::Nak, HONEST)),
    });
    assert!(count <= MOST_ASKED, "{count} messages");
    assert!(world.polls - polls < 4 * MOST_ASKED as u64);
    serve(&mut world, &port, 60_000, grants(HONEST));
    assert_eq!(net.stack().config_v4().map(|config| config.address.address()), Some(ip(9)));
}

#[test]
fn without_a_router_dhcp_asks_again_and_renews() {
    let (mut world, net, port) = scene();
    let count = serve(&mut world, &port, 100_000, |_| None);
    assert!((9..12).contains(&count), "{count} questions in 100 s");
    serve(&mut world, &port, 20_000, grants(HONEST));
    assert!(net.stack().config_v4().is_some());
    // Seven eighths of the lease: everybody is asked, since no station is known for the server's address.
    assert_eq!(serve(&mut world, &port, 3_300_000, grants(HONEST)), 1);
    serve(&mut world, &port, 3_700_000, |_| None);
    assert_eq!(net.stack().config_v4(), None);
}

#[test]
fn a_query_for_a_group_that_is_none_is_refused() {
    let (mut world, net, port) = scene();
    // The second is the network's own, which smoltcp takes for the group of those with this address.
    for group in ["2001:db8::1", "fe80::ff:fe00:1", "::", "ff02::1"] {
        let group: Ipv6Addr = group.parse().unwrap();
        let message = Icmpv6Repr::Mld(MldRepr::Query {
            max_resp_code: 1,
            mcast_addr: group,
            s_flag: false,
            qrv: 2,
            qqic: 60,
            num_srcs: 0,
            data: &[],
        });
        for is_hidden in [false, true] {
            let mut frame = icmpv6((router(1), group), 1, &message);
            if is_hidden {
                frame[20] = 0;
                frame.splice(54..54, [58, 0, 5, 2, 0, 0, 1, 0]);
                frame[19] += 8;
            }
            port.send(frame);
            world.pass(1_000_000);
        }
    }
    assert_eq!(net.statistics().icmpv6_refused, 4);
}
