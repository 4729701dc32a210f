//! A DHCP server that says what a test wants it to say (RFC 2131 2: the message; RFC 2132: its options).

#![allow(dead_code)] // each test file uses a part of it

use std::net::{Ipv4Addr, SocketAddrV4};

use freestone_net::{Config, Net};

use crate::datagram;
use crate::world::{Ether, Port, World, ip, station};

pub const MASK: u8 = 1;
pub const ROUTER: u8 = 3;
pub const NAMES: u8 = 6;
pub const SECONDS: u8 = 51;
pub const KIND: u8 = 53;
pub const SERVER: u8 = 54;
pub const RENEW: u8 = 58;
pub const REBIND: u8 = 59;
const REQUESTED: u8 = 50;
const END: u8 = 255;

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;

/// Where the options are, behind the fields of BOOTP and the cookie.
const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// A network that asks for its addresses, and a port for who answers.
pub fn scene() -> (World, Net, Port) {
    let (world, net, [_, port]) = scene_with_ports();
    (world, net, port)
}

/// The same with the network's own port.
pub fn scene_with_ports() -> (World, Net, [Port; 2]) {
    let mut world = World::new();
    let ether = Ether::new(1);
    let ports = [ether.port(1), ether.port(2)];
    let (net, runner) =
        freestone_net::with_sockets::<_, 4>(ports[0].clone(), Config::default(), 0x5eed);
    world.spawn(async move { runner.run().await });
    world.settle();
    (world, net, ports)
}

/// What the network asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub kind: u8,
    pub number: u32,
    /// To the server alone, not to all.
    pub is_alone: bool,
    pub wants: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
}

impl Asked {
    pub fn read(frame: &[u8]) -> Option<Asked> {
        let ((_, to), message) = datagram::read(frame).filter(|((_, to), _)| to.port() == 67)?;
        let number = u32::from_be_bytes(*message[4..].first_chunk()?);
        let mut asked =
            Asked { kind: 0, number, is_alone: !to.ip().is_broadcast(), wants: None, server: None };
        let mut options = &message[OPTIONS..];
        while let &[option, len, ref rest @ ..] = options {
            let data = &rest[..len.into()];
            let address = || data.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes));
            match option {
                END => break,
                KIND => asked.kind = data[0],
                REQUESTED => asked.wants = address(),
                SERVER => asked.server = address(),
                _ => {}
            }
            options = &rest[len.into()..];
        }
        Some(asked)
    }
}

/// What a server says.
#[derive(Clone, Debug)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub server: Ipv4Addr,
    /// All but the kind of the message, each with what it says.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Lease {
    /// A lease as most servers give it.
    pub fn honest() -> Lease {
        let options = vec![
            (SERVER, ip(2).octets().to_vec()),
            (MASK, vec![255, 255, 0, 0]),
            (ROUTER, ip(2).octets().to_vec()),
            (SECONDS, 3600_u32.to_be_bytes().to_vec()),
        ];
        Lease { address: ip(9), server: ip(2), options }
    }

    pub fn address(self, address: impl Into<Ipv4Addr>) -> Lease {
        Lease { address: address.into(), ..self }
    }

    /// With this option instead of any like it.
    pub fn with(self, option: u8, data: &[u8]) -> Lease {
        let mut lease = self.without(option);
        lease.options.push((option, data.to_vec()));
        lease
    }

    pub fn without(mut self, option: u8) -> Lease {
        self.options.retain(|(kind, _)| *kind != option);
        self
    }

    pub fn seconds(self, option: u8, seconds: u32) -> Lease {
        self.with(option, &seconds.to_be_bytes())
    }

    /// The options as they are sent, in a message of this kind.
    pub fn raw(&self, kind: u8) -> Vec<u8> {
        let mut raw = vec![KIND, 1, kind];
        for (option, data) in &self.options {
            raw.extend([*option, data.len() as u8]);
            raw.extend(data);
        }
        raw.push(END);
        raw
    }

    /// The answer to who has asked.
    pub fn frame(&self, kind: u8, number: u32) -> Vec<u8> {
        message(self.address, self.server, number, &self.raw(kind))
    }
}

/// A message with these options, from a server to all.
pub fn message(address: Ipv4Addr, server: Ipv4Addr, number: u32, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; OPTIONS];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[4..8].copy_from_slice(&number.to_be_bytes());
    message[16..20].copy_from_slice(&address.octets());
    message[20..24].copy_from_slice(&server.octets());
    message[28..34].copy_from_slice(&station(1));
    message[OPTIONS - 4..].copy_from_slice(&COOKIE);
    message.extend(options);
    let ends = (SocketAddrV4::new(server, 67), SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
    datagram::frames((station(2), station(1)), ends, &message).remove(0)
}

/// How long an answer takes at most, and where an hour is to pass.
const STEP_MILLIS: u64 = 10;
const LONG_STEP_MILLIS: u64 = 200;

/// Answers for so many milliseconds, and to who asks for a station. Returns what was asked.
pub fn serve(
    world: &mut World,
    port: &Port,
    millis: u64,
    mut reply: impl FnMut(&Asked) -> Vec<Vec<u8>>,
) -> Vec<Asked> {
    let mut all = Vec::new();
    let step = if millis > 600_000 { LONG_STEP_MILLIS } else { STEP_MILLIS };
    for _ in 0..millis / step {
        while let Some(frame) = port.take() {
            datagram::arp(&frame).into_iter().for_each(|frame| port.send(frame));
            let Some(asked) = Asked::read(&frame) else { continue };
            reply(&asked).into_iter().for_each(|frame| port.send(frame));
            all.push(asked);
        }
        world.pass(1000 * step);
    }
    all
}

/// What a server says that means `lease`.
pub fn granting(lease: Lease) -> impl Fn(&Asked) -> Vec<Vec<u8>> {
    move |asked| match asked.kind {
        DISCOVER => vec![lease.frame(OFFER, asked.number)],
        REQUEST => vec![lease.frame(ACK, asked.number)],
        _ => Vec::new(),
    }
}
