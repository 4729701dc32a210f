//! Frames that nobody should send: any bytes, and conversations in which bytes, lengths and order are wrong.

#[path = "world/peer.rs"]
mod peer;
mod world;

use std::rc::Rc;

use embedded_io_async::{Read, Write};
use freestone_net::{Config, Net, Options};
use peer::Peer;
use proptest::prelude::*;
use smoltcp::wire::{Ipv4Packet, TcpControl, TcpPacket, TcpSeqNumber};
use world::{Ether, Port, World, network, station};

fn server(config: Option<Config>) -> (World, Net, Port, Port) {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, server_port) = match config {
        None => network::<6>(&mut world, &ether, 1),
        Some(config) => {
            let port = ether.port(1);
            let (net, runner) = freestone_net::with_sockets::<_, 6>(port.clone(), config, 1);
            world.spawn(async move { runner.run().await });
            (net, port)
        }
    };
    let port = ether.port(2);
    let mut options = Options::default();
    options.backlog = 4;
    (options.receive_buffer, options.send_buffer) = (1000, 1000);
    let listener = Rc::new(net.listen(80, &options).unwrap());
    // More than there are peers, so that nobody waits behind one that says nothing for ever.
    for _ in 0..8 {
        let listener = listener.clone();
        world.spawn(async move {
            loop {
                let mut stream = listener.accept().await;
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..len]).await.is_err() {
                        break;
                    }
                }
            }
        });
    }
    world.settle();
    (world, net, port, server_port)
}

/// Whether nothing is left when all limits have passed, and a new peer gets an answer.
fn recovers(world: &mut World, net: Net, port: &Port) {
    world.pass(400_000_000);
    let counts = net.statistics();
    assert!(counts.connections <= 6 && counts.half_open == 0, "{counts:?}");
    while port.take().is_some() {}
    let mut peer = Peer::new(port, 1, 2, 80, 60_000);
    peer.syn();
    world.settle();
    assert!(peer.hear_all().iter().any(|seen| seen.control == TcpControl::Syn), "{counts:?}");
}

/// Bytes behind a header that lets them in.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let kinds =
        prop_oneof![Just([0x08, 0x00]), Just([0x08, 0x06]), Just([0x86, 0xdd]), any::<[u8; 2]>()];
    let to = prop_oneof![Just(station(1)), Just([0xff; 6]), Just([0x33, 0x33, 0, 0, 0, 1])];
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        // Something like a header of IPv4 or IPv6.
        (
            proptest::collection::vec(any::<u8>(), 40..120),
            any::<bool>(),
            prop_oneof![Just(1), Just(2), Just(6), Just(17), Just(58), Just(0)]
        )
            .prop_map(|(mut bytes, v6, protocol): (Vec<u8>, bool, u8)| {
                if v6 {
                    bytes[0] = 0x60;
                    let len = (bytes.len() - 40) as u16;
                    bytes[4..6].copy_from_slice(&len.to_be_bytes());
                    bytes[6] = protocol;
                    bytes[24..40].copy_from_slice(&[
                        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1,
                    ]);
                } else {
                    let len = bytes.len() as u16;
                    bytes[0] = 0x45;
                    bytes[2..4].copy_from_slice(&len.to_be_bytes());
                    bytes[9] = protocol;
                    bytes[16..20].copy_from_slice(&[10, 0, 0, 1]);
                    Ipv4Packet::new_unchecked(&mut bytes[..]).fill_checksum();
                }
                bytes
            }),
    ];
    (to, kinds, body).prop_map(|(to, kind, body)| [&to[..], &station(2), &kind, &body].concat())
}

#[derive(Debug, Clone)]
enum Say {
    Segment {
        peer: usize,
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        len: usize,
        options: Vec<u8>,
        broken: Option<(usize, u8)>,
    },
    Wait(u64),
}

fn say() -> impl Strategy<Value = Say> {
    let near = prop_oneof![4 => Just(0), 2 => -3..3_i32, 2 => -1500..1500_i32, 1 => any::<i32>()];
    let flags = prop_oneof![
        3 => Just(0x10), 3 => Just(0x18), 2 => Just(0x02), 1 => Just(0x11), 1 => Just(0x04), 1 => Just(0x14), 1 => Just(0x12),
        1 => any::<u8>(),
    ];
    let window = prop_oneof![Just(0), Just(1), Just(1000), any::<u16>()];
    let len = prop_oneof![3 => Just(0), 2 => 1..20_usize, 2 => 0..1460_usize];
    let options = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![2, 4, 5, 180]),
        1 => Just(vec![3, 3, 14, 1]),
        1 => Just(vec![2, 4, 0, 48, 3, 3, 255, 1, 4, 2, 1, 1]),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(|mut options| {
            options.truncate(options.len() / 4 * 4);
            options
        }),
    ];
    let broken = proptest::option::weighted(0.15, (0..80_usize, any::<u8>()));
    prop_oneof![
        12 => (0..6_usize, flags, near.clone(), near, window, len, options, broken).prop_map(
            |(peer, flags, seq, ack, window, len, options, broken)| Say::Segment { peer, flags, seq, ack, window, len, options, broken }
        ),
        1 => prop_oneof![Just(11_000), Just(1_100_000), 0..70_000_000_u64].prop_map(Say::Wait),
    ]
}

/// Says it as a peer that follows the conversation, and then deviates.
fn speak(peer: &mut Peer, server: &Port, said: &Say) {
    let Say::Segment { flags, seq, ack, window, len, options, broken, .. } = said else { return };
    let payload = vec![0x5a; *len];
    let mut frame = peer.frame(&peer.repr(TcpControl::None, &payload));
    let header = 20 + options.len();
    frame.splice(54..54, options.iter().copied());
    let total = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[46] = ((header / 4) << 4) as u8;
    frame[47] = *flags;
    let seq = TcpSeqNumber(peer.seq.0.wrapping_add(*seq));
    frame[38..42].copy_from_slice(&seq.0.to_be_bytes());
    frame[42..46].copy_from_slice(&peer.ack.0.wrapping_add(*ack).to_be_bytes());
    frame[48..50].copy_from_slice(&window.to_be_bytes());
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    let (source, destination) = (peer.source.into(), peer.destination.into());
    TcpPacket::new_unchecked(&mut frame[34..]).fill_checksum(&source, &destination);
    match broken {
        Some((place, byte)) if *place < frame.len() => frame[*place] = *byte,
        Some((place, _)) => frame.truncate(*place),
        None => peer.seq = seq + *len + usize::from(flags & 3 != 0),
    }
    server.inject(frame);
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = if std::env::var_os("FREESTONE_LONG").is_some() { usual * 50 } else { usual };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn no_bytes_make_it_panic(frames in proptest::collection::vec(frame(), 1..60)) {
        let (mut world, net, port, server_port) = server(None);
        for (n, frame) in frames.into_iter().enumerate() {
            server_port.inject(frame);
            if n % 3 == 0 {
                world.settle();
            }
        }
        world.settle();
        recovers(&mut world, net, &port);
    }

    #[test]
    fn nor_with_addresses_from_dhcp_and_routers(frames in proptest::collection::vec(frame(), 1..60)) {
        let (mut world, net, _, server_port) = server(Some(Config::default()));
        for frame in frames {
            server_port.inject(frame);
            world.settle();
        }
        world.pass(100_000_000);
        prop_assert_eq!(net.statistics().connections, 0);
    }

    #[test]
    fn no_conversation_makes_it_panic_or_leaves_anything(words in proptest::collection::vec(say(), 1..120)) {
        let (mut world, net, port, server_port) = server(None);
        let mut peers: Vec<_> = (0..6).map(|n| Peer::new(&port, 1, 2, 80, 1000 + n)).collect();
        for said in &words {
            match said {
                Say::Wait(micros) => world.pass(*micros),
                Say::Segment { peer, .. } => speak(&mut peers[*peer], &server_port, said),
            }
            world.settle();
            while let Some(frame) = port.take() {
                if let Some(peer) = peer::see(&frame).and_then(|seen| peers.iter_mut().find(|peer| peer.source_port == seen.to)) {
                    peer.notice(&peer::see(&frame).unwrap());
                }
            }
        }
        recovers(&mut world, net, &port);
    }
}
