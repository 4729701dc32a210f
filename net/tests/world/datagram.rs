//! UDP by hand: datagrams in frames, in fragments where they are long, and read again. And ARP, without which none comes.

#![allow(dead_code)] // each test file uses a part of it

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::world::station;

/// The header of Ethernet, and what a fragment carries at most, a multiple of 8 (RFC 791 3.1).
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const PIECE: usize = 1480;

/// The frames of one datagram between two stations.
pub fn frames(
    (from_station, to_station): ([u8; 6], [u8; 6]),
    (from, to): (SocketAddrV4, SocketAddrV4),
    payload: &[u8],
) -> Vec<Vec<u8>> {
    let checksums = ChecksumCapabilities::default();
    let mut datagram = vec![0; UDP + payload.len()];
    UdpRepr { src_port: from.port(), dst_port: to.port() }.emit(
        &mut UdpPacket::new_unchecked(&mut datagram[..]),
        &(*from.ip()).into(),
        &(*to.ip()).into(),
        payload.len(),
        |bytes| bytes.copy_from_slice(payload),
        &checksums,
    );
    let pieces = datagram.chunks(PIECE).enumerate();
    let frame = |(number, piece): (usize, &[u8])| {
        let mut frame = vec![0; ETHERNET + IPV4 + piece.len()];
        EthernetRepr {
            src_addr: EthernetAddress(from_station),
            dst_addr: EthernetAddress(to_station),
            ethertype: EthernetProtocol::Ipv4,
        }
        .emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
        Ipv4Repr {
            src_addr: *from.ip(),
            dst_addr: *to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: piece.len(),
            hop_limit: 64,
        }
        .emit(&mut packet, &checksums);
        if datagram.len() > PIECE {
            packet.set_ident(from.port());
            packet.set_dont_frag(false);
            packet.set_more_frags((number + 1) * PIECE < datagram.len());
            packet.set_frag_offset((number * PIECE) as u16);
            packet.fill_checksum();
        }
        packet.payload_mut().copy_from_slice(piece);
        frame
    };
    pieces.map(frame).collect()
}

/// The ends and the payload of a whole datagram.
pub fn read(frame: &[u8]) -> Option<((SocketAddrV4, SocketAddrV4), Vec<u8>)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let ip = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let is_udp = frame.ethertype() == EthernetProtocol::Ipv4 && ip.next_header() == IpProtocol::Udp;
    let udp = UdpPacket::new_checked(ip.payload()).ok().filter(|_| is_udp)?;
    let end = |address: Ipv4Addr, port| SocketAddrV4::new(address, port);
    let ends = (end(ip.src_addr(), udp.src_port()), end(ip.dst_addr(), udp.dst_port()));
    Some((ends, udp.payload().to_vec()))
}

/// The answer to who asks for a station: all are number 2.
pub fn arp(frame: &[u8]) -> Option<Vec<u8>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = ArpPacket::new_checked(frame.payload()).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    let here = EthernetAddress(station(2));
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: here,
        source_protocol_addr: target_protocol_addr,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let mut reply = vec![0; 14 + answer.buffer_len()];
    EthernetRepr {
        src_addr: here,
        dst_addr: source_hardware_addr,
        ethertype: EthernetProtocol::Arp,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut reply[..]));
    answer.emit(&mut ArpPacket::new_unchecked(&mut reply[14..]));
    (target_protocol_addr != source_protocol_addr).then_some(reply)
}
