//! What smoltcp sees in place of a device: the one packet that it is to read, or room for those that it is to send.
//!
//! smoltcp handles IP packets here (`Medium::Ip`). The Ethernet header in front of each is written by this file, with the
//! address of the station from which the connection's last segment came: no neighbour has to be looked up, nor waited for.

use core::task::Context;

use embassy_net_driver::{Capabilities, Checksum, Driver};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress};

use crate::segment::{ETHERNET_HEADER, RST, Sent, TYPE_IPV4, TYPE_IPV6, sent};

pub(crate) use crate::segment::ETHERNET_HEADER as ETHERNET;

/// What the driver can do, in smoltcp's words, for IP packets.
pub(crate) fn capabilities(driver: &Capabilities) -> DeviceCapabilities {
    let checksum = |checksum| match checksum {
        Checksum::Both => phy::Checksum::Both,
        Checksum::Tx => phy::Checksum::Tx,
        Checksum::Rx => phy::Checksum::Rx,
        Checksum::None => phy::Checksum::None,
    };
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = driver.max_transmission_unit - ETHERNET_HEADER;
    capabilities.max_burst_size = driver.max_burst_size;
    capabilities.checksum.ipv4 = checksum(driver.checksum.ipv4);
    capabilities.checksum.udp = checksum(driver.checksum.udp);
    capabilities.checksum.tcp = checksum(driver.checksum.tcp);
    capabilities.checksum.icmpv4 = checksum(driver.checksum.icmpv4);
    capabilities.checksum.icmpv6 = checksum(driver.checksum.icmpv6);
    capabilities
}

/// The Ethernet header of frames to one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header([u8; ETHERNET_HEADER]);

impl Header {
    pub(crate) fn new(own: EthernetAddress, peer: EthernetAddress, address: &IpAddress) -> Header {
        let kind = match address {
            IpAddress::Ipv4(_) => TYPE_IPV4,
            IpAddress::Ipv6(_) => TYPE_IPV6,
        };
        let mut header = [0; ETHERNET_HEADER];
        header[..6].copy_from_slice(&peer.0);
        header[6..12].copy_from_slice(&own.0);
        header[12..].copy_from_slice(&kind.to_be_bytes());
        Header(header)
    }

    /// Writes it to the beginning of `frame`.
    pub(crate) fn write(&self, frame: &mut [u8]) {
        frame[..ETHERNET_HEADER].copy_from_slice(&self.0);
    }

    pub(crate) fn peer(&self) -> EthernetAddress {
        EthernetAddress::from_bytes(&self.0[..6])
    }

    pub(crate) fn set_peer(&mut self, peer: EthernetAddress) {
        self.0[..6].copy_from_slice(&peer.0);
    }
}

/// What is known of the segments that left through a device.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outgoing {
    /// The last segment that takes part in the conversation: no reset.
    pub(crate) sent: Sent,
    /// How many bytes of data it had.
    pub(crate) payload: usize,
    /// How many frames.
    pub(crate) frames: u32,
    /// How many of them were resets.
    pub(crate) resets: u32,
    /// The driver had no room.
    pub(crate) exhausted: bool,
}

/// Room for one frame.
pub(crate) struct Tx<'a, T> {
    token: T,
    header: Header,
    outgoing: &'a mut Outgoing,
}

impl<T: embassy_net_driver::TxToken> phy::TxToken for Tx<'_, T> {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        self.token.consume(ETHERNET_HEADER + len, |frame| {
            self.header.write(frame);
            let packet = &mut frame[ETHERNET_HEADER..];
            let result = f(packet);
            self.outgoing.frames += 1;
            if let Some((sent, flags, payload)) = sent(packet) {
                if flags & RST == 0 {
                    (self.outgoing.sent, self.outgoing.payload) = (sent, payload);
                } else {
                    self.outgoing.resets += 1;
                }
            }
            result
        })
    }
}

/// A packet that has arrived.
pub(crate) struct Rx<'a>(&'a [u8]);

impl phy::RxToken for Rx<'_> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&[u8]) -> R,
    {
        f(self.0)
    }
}

/// A device with one packet, and room for one answer.
pub(crate) struct OnePacket<'p, 'o, T> {
    pub(crate) packet: &'p [u8],
    /// Taken when smoltcp receives the packet.
    pub(crate) token: Option<T>,
    pub(crate) header: Header,
    pub(crate) outgoing: &'o mut Outgoing,
    pub(crate) capabilities: &'p DeviceCapabilities,
}

impl<T: embassy_net_driver::TxToken> phy::Device for OnePacket<'_, '_, T> {
    type RxToken<'a>
        = Rx<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a, T>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_, T>)> {
        let token = self.token.take()?;
        Some((Rx(self.packet), Tx { token, header: self.header, outgoing: self.outgoing }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_, T>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

/// A device that only sends, through the driver.
pub(crate) struct Sender<'d, 'c, 'w, D> {
    pub(crate) driver: &'d mut D,
    pub(crate) context: &'c mut Context<'w>,
    pub(crate) header: Header,
    pub(crate) outgoing: &'d mut Outgoing,
    pub(crate) capabilities: &'d DeviceCapabilities,
}

impl<D: Driver> phy::Device for Sender<'_, '_, '_, D> {
    type RxToken<'a>
        = Rx<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Self::TxToken<'_>)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        match self.driver.transmit(self.context) {
            Some(token) => Some(Tx { token, header: self.header, outgoing: self.outgoing }),
            None => {
                self.outgoing.exhausted = true;
                None
            }
        }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

/// A device that only says what it could do.
pub(crate) struct Nothing<'a>(pub(crate) &'a DeviceCapabilities);

/// Its token, of which there is none.
pub(crate) enum Never {}

impl phy::TxToken for Never {
    fn consume<R, F>(self, _: usize, _: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        match self {}
    }
}

impl phy::Device for Nothing<'_> {
    type RxToken<'a>
        = Rx<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Never
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Never)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Never> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}
