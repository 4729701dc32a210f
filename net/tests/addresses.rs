//! Addresses: announced when they come, by DHCP, by IPv6, and many connections at them.

#[path = "world/peer.rs"]
mod peer;
mod world;

use embedded_io_async::{Read, Write};
use freestone_net::embassy_net::tcp::TcpSocket;
use freestone_net::embassy_net::{
    ConfigV4, ConfigV6, IpAddress, Ipv6Address, Ipv6Cidr, StaticConfigV6,
};
use freestone_net::{Config, Net, Options};
use peer::Peer;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv6Packet, Icmpv6Repr, Ipv6Packet, NdiscRepr,
};
use world::{Ether, Port, World, ip, network};

/// The address that an ARP announcement or an unsolicited Neighbour Advertisement announces.
fn announced(frame: &[u8]) -> Option<IpAddress> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    match frame.ethertype() {
        EthernetProtocol::Arp => {
            let ArpRepr::EthernetIpv4 {
                operation,
                source_hardware_addr,
                source_protocol_addr,
                target_protocol_addr,
                ..
            } = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap()
            else {
                return None;
            };
            let announces = operation == ArpOperation::Request
                && source_protocol_addr == target_protocol_addr
                && source_hardware_addr == frame.src_addr()
                && frame.dst_addr() == EthernetAddress::BROADCAST;
            announces.then_some(source_protocol_addr.into())
        }
        EthernetProtocol::Ipv6 => {
            let ip = Ipv6Packet::new_checked(frame.payload()).unwrap();
            let message = Icmpv6Packet::new_checked(ip.payload()).ok()?;
            let (source, destination) = (ip.src_addr(), ip.dst_addr());
            match Icmpv6Repr::parse(&source, &destination, &message, &Default::default()).unwrap() {
                Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, lladdr, .. }) => {
                    assert_eq!((ip.hop_limit(), source), (255, target_addr));
                    assert_eq!(lladdr, Some(frame.src_addr().into()));
                    assert_eq!(frame.dst_addr(), EthernetAddress([0x33, 0x33, 0, 0, 0, 1]));
                    Some(target_addr.into())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn all_announced(port: &Port) -> Vec<IpAddress> {
    port.logged().iter().filter_map(|frame| announced(frame)).collect()
}

const LINK_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

#[test]
fn addresses_are_announced_twice_and_again_when_they_change() {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, port) = network::<4>(&mut world, &ether, 1);
    port.log();
    world.settle();
    let both = [IpAddress::from(ip(1)), LINK_LOCAL.into()];
    assert_eq!(all_announced(&port), both);
    world.pass(999_000);
    assert_eq!(all_announced(&port), []);
    world.pass(2_000);
    assert_eq!(all_announced(&port), both);
    net.set_ipv4(world::static_config(9).ipv4);
    world.settle();
    assert_eq!(all_announced(&port), [IpAddress::from(ip(9))]);
    let polls = world.polls;
    world.pass(10_000_000);
    assert_eq!(all_announced(&port), [IpAddress::from(ip(9))]);
    assert!(world.polls <= polls + 12, "{} rounds", world.polls - polls);
    // Another plug: everyone is new there.
    port.set_up(false);
    world.settle();
    port.set_up(true);
    world.settle();
    assert_eq!(all_announced(&port), [IpAddress::from(ip(9)), LINK_LOCAL.into()]);
}

#[test]
fn without_a_router_or_a_dhcp_server_hardly_anybody_is_woken() {
    let mut world = World::new();
    let port = Ether::new(1).port(1);
    let mut config = Config::default();
    config.ipv4 = ConfigV4::None;
    let (_, runner) = freestone_net::new(port.clone(), config, 1);
    world.spawn(async move { runner.run().await });
    world.pass(30_000_000);
    let polls = world.polls;
    world.pass(3_600_000_000);
    assert_eq!(world.polls, polls);

    let mut world = World::new();
    let (_, runner) = freestone_net::new(Ether::new(1).port(1), Config::default(), 1);
    world.spawn(async move { runner.run().await });
    world.pass(30_000_000);
    let polls = world.polls;
    world.pass(100_000_000);
    // DHCP asks again every ten seconds.
    assert!(world.polls - polls < 40, "{} rounds", world.polls - polls);
}

fn ipv6(host: u16) -> Ipv6Address {
    Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)
}

fn ipv6_network(world: &mut World, ether: &Ether, number: u8) -> Net {
    let mut config = Config::default();
    config.ipv4 = ConfigV4::None;
    config.ipv6 = ConfigV6::Static(StaticConfigV6 {
        address: Ipv6Cidr::new(ipv6(number.into()), 64),
        gateway: None,
        dns_servers: Default::default(),
    });
    let (net, runner) = freestone_net::new(ether.port(number), config, number.into());
    world.spawn(async move { runner.run().await });
    net
}

#[test]
fn ipv6_works_as_ipv4_does() {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (server, client) =
        (ipv6_network(&mut world, &ether, 1), ipv6_network(&mut world, &ether, 2));
    let listener = server.listen(80, &Options::default()).unwrap();
    world.spawn(async move {
        loop {
            let mut stream = listener.accept().await;
            let mut bytes = [0; 100];
            while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..len]).await.unwrap();
            }
        }
    });
    for address in [ipv6(1), LINK_LOCAL] {
        let heard = world.run(async move {
            client.wait_up().await;
            let mut socket = TcpSocket::new(
                client.stack(),
                Box::leak(Box::new([0; 512])),
                Box::leak(Box::new([0; 512])),
            );
            socket.connect((address, 80)).await.unwrap();
            socket.write_all(b"over IPv6").await.unwrap();
            let mut bytes = [0; 9];
            socket.read_exact(&mut bytes).await.unwrap();
            socket.close();
            socket.flush().await.unwrap();
            bytes
        });
        assert_eq!(&heard, b"over IPv6");
    }
    let counts = server.statistics();
    assert_eq!((counts.established, counts.connections), (2, 0), "{counts:?}");
}

#[test]
fn four_thousand_idle_connections_all_answer_when_spoken_to() {
    const MANY: usize = 4096;
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, _) = network::<4>(&mut world, &ether, 1);
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    let mut options = Options::default();
    (options.receive_buffer, options.send_buffer) = (536, 536);
    let listener: &'static _ = Box::leak(Box::new(net.listen(80, &options).unwrap()));
    for _ in 0..MANY {
        world.spawn(async move {
            loop {
                let mut stream = listener.accept().await;
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..len]).await.unwrap();
                }
            }
        });
    }
    world.settle();
    let mut peers: Vec<_> =
        (0..MANY as u16).map(|n| Peer::new(&port, 1, 2, 80, 1024 + n)).collect();
    peers.iter_mut().for_each(|peer| peer.open(&mut world));
    assert_eq!(net.statistics().connections, MANY);
    world.pass(3_600_000_000);
    peers.iter_mut().for_each(|peer| peer.data(b"hello, are you there?"));
    world.settle();
    let mut answers = 0;
    while let Some(frame) = port.take() {
        answers += usize::from(
            peer::see(&frame).is_some_and(|seen| seen.payload == b"hello, are you there?"),
        );
    }
    assert_eq!(answers, MANY);
    for peer in &mut peers {
        peer.ack += 21;
        peer.fin();
    }
    world.settle();
    for peer in &mut peers {
        peer.ack += 1;
        peer.ack();
    }
    world.settle();
    let counts = net.statistics();
    assert_eq!((counts.connections, counts.time_wait, counts.resets_out), (0, 0, 0), "{counts:?}");
}
