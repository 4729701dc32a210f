//! Requests of 13 bytes and answers of 13 bytes on one connection, among idle ones: what `tests/instructions.rs` counts.
//!
//! `requests CONNECTIONS REQUESTS AT_ONCE`. The peer is no stack but a few lines that write segments, so that nearly all of
//! the work is that of the crate.

#[path = "../tests/world/peer.rs"]
mod peer;
#[path = "../tests/world/mod.rs"]
mod world;

use embedded_io_async::{Read, Write};
use freestone_net::Options;
use peer::Peer;
use world::{Ether, World, network};

fn main() {
    let numbers: Vec<usize> =
        std::env::args().skip(1).map(|number| number.parse().expect("a number")).collect();
    let [connections, requests, at_once] = numbers[..] else {
        panic!("requests CONNECTIONS REQUESTS AT_ONCE")
    };
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, _) = network::<4>(&mut world, &ether, 1);
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    let mut options = Options::default();
    options.receive_buffer = 1024;
    options.send_buffer = 1024;
    let listener = net.listen(80, &options).expect("the port is free");
    world.spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..at_once {
            streams.push(listener.accept().await);
        }
        let serve = streams.into_iter().map(|mut stream| {
            let serve = async move {
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..len]).await.expect("the connection stands");
                }
            };
            Box::pin(serve) as std::pin::Pin<Box<dyn Future<Output = ()>>>
        });
        let serve = serve.collect::<Vec<_>>();
        let mut idle = Vec::new();
        let rest = async move {
            loop {
                idle.push(listener.accept().await);
            }
        };
        embassy_futures::join::join(world::join_all(serve), rest).await;
    });
    let mut peers = Vec::new();
    for number in 0..connections {
        let mut peer = Peer::new(&port, 1, 2, 80, 1024 + number as u16);
        peer.open(&mut world);
        peers.push(peer);
    }
    for _ in 0..requests / at_once {
        for peer in &mut peers[..at_once] {
            peer.data(b"Hello, World!");
        }
        world.settle();
        let mut answers = 0;
        while let Some(frame) = port.take() {
            let peer = &mut peers[usize::from(u16::from_be_bytes([frame[36], frame[37]])) - 1024];
            answers += peer.take_in(&frame);
        }
        assert_eq!(answers, at_once * 13);
    }
}
