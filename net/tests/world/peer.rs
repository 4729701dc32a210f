//! A peer without a stack: it says in TCP what a test wants it to say.

#![allow(dead_code)] // each test file uses a part of it

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr, Ipv4Packet,
    TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use crate::world::{Port, World, ip, station};

/// One end of a connection.
pub struct Peer {
    port: Port,
    pub to_station: u8,
    pub from_station: [u8; 6],
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub source_port: u16,
    pub destination_port: u16,
    /// What the next segment begins with, and what has been received.
    pub seq: TcpSeqNumber,
    pub ack: TcpSeqNumber,
    pub window: u16,
}

/// A segment, as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub to: u16,
    pub control: TcpControl,
    pub seq: TcpSeqNumber,
    pub ack: Option<TcpSeqNumber>,
    pub payload: Vec<u8>,
}

impl Peer {
    pub fn new(
        port: &Port,
        server: u8,
        client: u8,
        destination_port: u16,
        source_port: u16,
    ) -> Peer {
        Peer {
            port: port.clone(),
            to_station: server,
            from_station: port.address,
            source: ip(client),
            destination: ip(server),
            source_port,
            destination_port,
            seq: TcpSeqNumber(i32::from(source_port).wrapping_mul(100_003)),
            ack: TcpSeqNumber(0),
            window: 60_000,
        }
    }

    pub fn repr<'a>(&self, control: TcpControl, payload: &'a [u8]) -> TcpRepr<'a> {
        TcpRepr {
            src_port: self.source_port,
            dst_port: self.destination_port,
            control,
            seq_number: self.seq,
            ack_number: (control != TcpControl::Syn).then_some(self.ack),
            window_len: self.window,
            window_scale: None,
            max_seg_size: (control == TcpControl::Syn).then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        }
    }

    pub fn frame(&self, repr: &TcpRepr<'_>) -> Vec<u8> {
        let (source, destination) = (self.source.into(), self.destination.into());
        let ip = IpRepr::new(source, destination, IpProtocol::Tcp, repr.buffer_len(), 64);
        let mut frame = vec![0; 14 + ip.buffer_len()];
        let header = EthernetRepr {
            src_addr: EthernetAddress(self.from_station),
            dst_addr: EthernetAddress(station(self.to_station)),
            ethertype: EthernetProtocol::Ipv4,
        };
        header.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut frame[14..], &checksums);
        repr.emit(
            &mut TcpPacket::new_unchecked(&mut frame[34..]),
            &source,
            &destination,
            &checksums,
        );
        frame
    }

    /// Sends a segment; its length counts.
    pub fn say(&mut self, control: TcpControl, payload: &[u8]) {
        let repr = self.repr(control, payload);
        self.port.send(self.frame(&repr));
        self.seq += repr.segment_len();
    }

    /// Sends a segment as it is.
    pub fn say_raw(&self, repr: &TcpRepr<'_>) {
        self.port.send(self.frame(repr));
    }

    pub fn syn(&mut self) {
        self.say(TcpControl::Syn, &[]);
    }

    pub fn ack(&mut self) {
        self.say(TcpControl::None, &[]);
    }

    pub fn data(&mut self, payload: &[u8]) {
        self.say(TcpControl::Psh, payload);
    }

    pub fn fin(&mut self) {
        self.say(TcpControl::Fin, &[]);
    }

    pub fn reset(&mut self) {
        self.say(TcpControl::Rst, &[]);
    }

    /// Shakes hands.
    pub fn open(&mut self, world: &mut World) {
        self.syn();
        world.settle();
        let answer = self.hear().expect("an answer to the SYN");
        assert_eq!((answer.control, answer.ack), (TcpControl::Syn, Some(self.seq)));
        self.ack();
        world.settle();
    }

    /// The next segment to this peer; what is for others is lost. Acknowledged with the next that this peer says.
    pub fn hear(&mut self) -> Option<Seen> {
        while let Some(frame) = self.port.take() {
            let Some(seen) = see(&frame).filter(|seen| seen.to == self.source_port) else {
                continue;
            };
            self.notice(&seen);
            return Some(seen);
        }
        None
    }

    /// Takes in a frame that is known to be a segment to this peer. Returns the length of its data.
    pub fn take_in(&mut self, frame: &[u8]) -> usize {
        let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let len = frame.len() - 34 - usize::from(frame[46] >> 4) * 4;
        self.ack = TcpSeqNumber(number(38)) + len;
        len
    }

    pub fn notice(&mut self, seen: &Seen) {
        let takes = matches!(seen.control, TcpControl::Syn | TcpControl::Fin);
        if seen.control != TcpControl::Rst {
            self.ack = seen.seq + seen.payload.len() + usize::from(takes);
        }
    }

    /// All that has come.
    pub fn hear_all(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.hear()).collect()
    }
}

/// Reads a segment of IPv4, whose checksums must be right.
pub fn see(frame: &[u8]) -> Option<Seen> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let ip = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if ip.next_header() != IpProtocol::Tcp {
        return None;
    }
    assert!(ip.verify_checksum(), "the IPv4 checksum is wrong");
    let packet = TcpPacket::new_checked(ip.payload()).ok()?;
    let (source, destination) = (ip.src_addr().into(), ip.dst_addr().into());
    let repr = TcpRepr::parse(&packet, &source, &destination, &ChecksumCapabilities::default())
        .expect("a valid segment");
    Some(Seen {
        to: repr.dst_port,
        control: repr.control,
        seq: repr.seq_number,
        ack: repr.ack_number,
        payload: repr.payload.to_vec(),
    })
}
