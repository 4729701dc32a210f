//! Routers that lie: what they say costs addresses at most, never the network.

#[path = "world/datagram.rs"]
mod datagram;
#[path = "world/dhcp.rs"]
mod dhcp;
mod world;

use std::net::Ipv6Addr;

use dhcp::{Lease, granting, scene, serve};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv6Packet, Ipv6Repr, MldRepr, NdiscPrefixInfoFlags, NdiscPrefixInformation,
    NdiscRepr, NdiscRouterFlags,
};
use world::{ip, station};

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

#[test]
fn routers_without_number_leave_room_for_the_one_that_dhcp_names() {
    let (mut world, net, port) = scene();
    for number in 1..100 {
        port.send(advertisement(router(number), 9000, "2001:db8::", 64));
    }
    world.settle();
    assert_eq!(net.statistics().icmpv6_refused, 96);
    serve(&mut world, &port, 20_000, granting(Lease::honest()));
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
        serve(&mut world, &port, 20_000, granting(Lease::honest()));
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
