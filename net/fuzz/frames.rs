//! Frames and conversations that the input makes, for a network with a listener that echoes: nothing panics, and when all limits
//! have passed nothing is left. `run.sh` says how to start it.
//!
//! A network is for ever, so all inputs meet the same one, in the world of `tests/`, whose clock goes on.
#![no_main]

#[path = "../tests/world/peer.rs"]
mod peer;
#[path = "../tests/world/mod.rs"]
mod world;

use std::cell::RefCell;
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use freestone_net::{Net, Options};
use libfuzzer_sys::fuzz_target;
use peer::Peer;
use smoltcp::wire::{Ipv4Packet, TcpControl, TcpPacket, TcpSeqNumber};
use world::{Ether, Port, World, network, station};

struct Scene {
    world: World,
    net: Net,
    /// The network's own plug, and another.
    server: Port,
    port: Port,
    /// Of the next peer.
    source_port: u16,
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new();
        let ether = Ether::new(1);
        let (net, server) = network::<4>(&mut world, &ether, 1);
        let port = ether.port(2);
        let mut options = Options::default();
        options.backlog = 4;
        (options.receive_buffer, options.send_buffer) = (3000, 3000);
        let listener = Rc::new(net.listen(80, &options).expect("the port is free"));
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
        Scene { world, net, server, port, source_port: 1024 }
    }

    fn peer(&mut self) -> Peer {
        self.source_port = self.source_port.checked_add(1).unwrap_or(1024);
        Peer::new(&self.port, 1, 2, 80, self.source_port)
    }

    /// Steps of eight bytes; what is said is in what follows.
    fn run(&mut self, input: &[u8]) {
        let mut peers = [self.peer(), self.peer(), self.peer()];
        for (at, step) in input.as_chunks::<8>().0.iter().enumerate() {
            let rest = &input[(at + 1) * 8..];
            match step[0] {
                // A peer's handshake, as peers do it, but nobody asserts that it comes to an end.
                0..64 => {
                    let peer = &mut peers[usize::from(step[1]) % 3];
                    peer.syn();
                    self.world.settle();
                    while peer.hear().is_some() {}
                    peer.ack();
                }
                64..192 => {
                    let peer = &mut peers[usize::from(step[1]) % 3];
                    while peer.hear().is_some() {}
                    speak(peer, &self.server, *step, rest);
                }
                192..240 => {
                    let kind = [[0x08, 0x00], [0x08, 0x06], [0x86, 0xdd], [step[2], step[3]]];
                    let to = [station(1), [0xff; 6], [0x33, 0x33, 0, 0, 0, 1]];
                    let (to, kind) = (to[usize::from(step[4]) % 3], kind[usize::from(step[5]) % 4]);
                    let body = &rest[..rest.len().min(step[6].into())];
                    self.server.inject([&to[..], &station(2), &kind, body].concat());
                }
                240..250 => self.world.settle(),
                250..253 => self.server.set_room(Some(usize::from(step[1]) % 8)),
                253 => self.server.set_room(None),
                _ => self.world.pass(u64::from(step[1]) << (step[2] % 19)),
            }
        }
        self.server.set_room(None);
        self.world.pass(400_000_000);
        let counts = self.net.statistics();
        // Who has left its connection open and idle may have it, and so many are served at once.
        assert!(counts.connections <= 8 && counts.half_open == 0, "{counts:?}");
        for peer in &mut peers {
            end(peer, &mut self.world);
        }
        self.world.pass(400_000_000);
        let counts = self.net.statistics();
        assert_eq!((counts.connections, counts.half_open), (0, 0), "{counts:?}");
        while self.port.take().is_some() {}
        let mut peer = self.peer();
        peer.syn();
        self.world.settle();
        let answers = peer.hear_all();
        assert!(answers.iter().any(|seen| seen.control == TcpControl::Syn), "{counts:?}");
        end(&mut peer, &mut self.world);
        self.world.pass(1_000_000);
    }
}

/// Resets what a peer has, at the number that is expected: that of the answer to a segment that is out of place.
fn end(peer: &mut Peer, world: &mut World) {
    while peer.hear().is_some() {}
    for _ in 0..2 {
        peer.ack();
        world.settle();
        while let Some(seen) = peer.hear() {
            peer.seq = seen.ack.unwrap_or(peer.seq);
        }
        peer.reset();
        world.settle();
    }
}

/// Says it as a peer that follows the conversation, and then deviates: numbers, flags, options, lengths up to 64 KiB, a byte.
fn speak(peer: &mut Peer, server: &Port, step: [u8; 8], rest: &[u8]) {
    let [_, _, flags, sequence, acknowledged, low, high, how] = step;
    let len = usize::from(u16::from_le_bytes([low, high])) >> (how & 15);
    let options = &rest[..rest.len().min(usize::from(how >> 4 & 3) * 4)];
    let payload = vec![0x5a; len.min(65_535 - 20 - 20 - options.len())];
    let mut frame = peer.frame(&peer.repr(TcpControl::None, &payload));
    let header = 20 + options.len();
    frame.splice(54..54, options.iter().copied());
    let total = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[46] = ((header / 4) << 4) as u8;
    frame[47] = flags;
    let near =
        |number: i32, by: u8| number.wrapping_add(i32::from(by as i8) * i32::from(by as i8).pow(2));
    let sequence = TcpSeqNumber(near(peer.seq.0, sequence));
    frame[38..42].copy_from_slice(&sequence.0.to_be_bytes());
    frame[42..46].copy_from_slice(&near(peer.ack.0, acknowledged).to_be_bytes());
    if how & 0x40 != 0 {
        frame[48..50].copy_from_slice(&[low, high]);
    }
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    let (source, destination) = (peer.source.into(), peer.destination.into());
    TcpPacket::new_unchecked(&mut frame[34..]).fill_checksum(&source, &destination);
    match rest.first_chunk() {
        Some([place, byte]) if how & 0x80 != 0 && *place < 90 => {
            // Not in Ethernet's header: answers would go to another station from then on, and the peer could not end what it has.
            if let Some(at) = frame.get_mut(14 + usize::from(*place)) {
                *at = *byte;
            }
        }
        _ => peer.seq = sequence + payload.len() + usize::from(flags & 3 != 0),
    }
    server.inject(frame);
}

fuzz_target!(|input: &[u8]| {
    thread_local! {
        static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
    }
    SCENE.with_borrow_mut(|scene| scene.get_or_insert_with(Scene::new).run(input));
});
