//! Tells the neighbours which addresses this machine has, so that none of them sends to who had one before.
//!
//! For IPv4 an ARP announcement, in the form of a request (RFC 5227 2.3); for IPv6 a Neighbour Advertisement that nobody has
//! asked for (RFC 4861 7.2.6, RFC 9131). Each is sent at once and a second time a second later.

use core::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
};

use crate::segment::ETHERNET_HEADER;

/// How long the second time comes after the first (RFC 5227: ANNOUNCE_INTERVAL is 2 s at most for hosts that probe; RFC 4861:
/// RETRANS_TIMER, 1 s).
pub(crate) const AGAIN: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(1);

/// Where all IPv6 nodes of a link listen (RFC 4291 2.7.1), and their station address (RFC 2464 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_STATION: EthernetAddress = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);

/// RFC 4861 7.1.2: a router would not have forwarded it.
const HOP_LIMIT: u8 = 255;

/// How long the frame is that announces `address`.
pub(crate) fn len(own: EthernetAddress, address: &IpAddress) -> usize {
    match address {
        IpAddress::Ipv4(address) => ETHERNET_HEADER + arp(own, *address).buffer_len(),
        IpAddress::Ipv6(address) => {
            ETHERNET_HEADER
                + smoltcp::wire::IPV6_HEADER_LEN
                + advertisement(own, *address).buffer_len()
        }
    }
}

/// Writes it.
pub(crate) fn write(frame: &mut [u8], own: EthernetAddress, address: &IpAddress) {
    let (dst_addr, ethertype) = match address {
        IpAddress::Ipv4(_) => (EthernetAddress::BROADCAST, EthernetProtocol::Arp),
        IpAddress::Ipv6(_) => (ALL_NODES_STATION, EthernetProtocol::Ipv6),
    };
    let mut frame = EthernetFrame::new_unchecked(frame);
    EthernetRepr { src_addr: own, dst_addr, ethertype }.emit(&mut frame);
    match address {
        IpAddress::Ipv4(address) => {
            arp(own, *address).emit(&mut ArpPacket::new_unchecked(frame.payload_mut()))
        }
        IpAddress::Ipv6(address) => {
            let message = advertisement(own, *address);
            let ip = Ipv6Repr {
                src_addr: *address,
                dst_addr: ALL_NODES,
                next_header: IpProtocol::Icmpv6,
                payload_len: message.buffer_len(),
                hop_limit: HOP_LIMIT,
            };
            let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
            ip.emit(&mut packet);
            // Computed even if the device would: it is not sure to do so for ICMPv6.
            message.emit(
                address,
                &ALL_NODES,
                &mut Icmpv6Packet::new_unchecked(packet.payload_mut()),
                &ChecksumCapabilities::default(),
            );
        }
    }
}

/// How long the frame of [`write_no_router`] is: Ethernet, IPv6, and a Router Advertisement with a prefix (RFC 4861 4.2,
/// 4.6.2).
pub(crate) const NO_ROUTER_LEN: usize = ETHERNET_HEADER + smoltcp::wire::IPV6_HEADER_LEN + 16 + 32;

/// Writes an advertisement to this machine itself: that there is no router (a lifetime of 0), and a prefix for ever of which
/// nobody makes an address, since it is too long. It never leaves the machine.
///
/// The prefix is there because it does not end. While smoltcp 0.13 waits for the end of nothing, `Interface::poll_at` is the
/// lesser of its sockets' deadline and of none, which is none: DHCP would neither ask again nor renew, and no socket of
/// embassy-net would repeat anything.
pub(crate) fn write_no_router(frame: &mut [u8; NO_ROUTER_LEN], own: EthernetAddress) {
    /// A link-local address that nobody derives from a station's.
    const NOBODY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    /// For discarding (RFC 6666), and not 64 bits long.
    const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0);
    const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
    let message = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: 0,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: Duration::ZERO,
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: None,
        mtu: None,
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: 128,
            flags: NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: FOR_EVER,
            preferred_lifetime: FOR_EVER,
            prefix: NOWHERE,
        }),
    });
    let mut frame = EthernetFrame::new_unchecked(&mut frame[..]);
    EthernetRepr { src_addr: own, dst_addr: ALL_NODES_STATION, ethertype: EthernetProtocol::Ipv6 }
        .emit(&mut frame);
    let ip = Ipv6Repr {
        src_addr: NOBODY,
        dst_addr: ALL_NODES,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet);
    let checksums = ChecksumCapabilities::default();
    message.emit(
        &NOBODY,
        &ALL_NODES,
        &mut Icmpv6Packet::new_unchecked(packet.payload_mut()),
        &checksums,
    );
}

fn arp(own: EthernetAddress, address: Ipv4Addr) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: own,
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    }
}

fn advertisement(own: EthernetAddress, address: Ipv6Addr) -> Icmpv6Repr<'static> {
    Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(own.into()),
    })
}
