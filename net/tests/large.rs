//! Segments larger than frames, as a device hands them over that puts some together: both stacks take them whole.

#[path = "world/peer.rs"]
mod peer;
mod world;

use embedded_io_async::Read;
use freestone_net::Options;
use freestone_net::embassy_net::tcp::TcpSocket;
use peer::Peer;
use smoltcp::wire::TcpControl;
use world::{Ether, World, network};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ at >> 8) as u8).collect()
}

#[test]
fn a_listener_takes_a_segment_as_large_as_its_window() {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, _) = network::<4>(&mut world, &ether, 1);
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    let mut options = Options::default();
    options.receive_buffer = 65_000;
    let listener = net.listen(80, &options).expect("the port is free");
    let mut peer = Peer::new(&port, 1, 2, 80, 5000);
    peer.open(&mut world);
    for len in [65_000, 40_000, 1461] {
        peer.data(&pattern(len));
    }
    world.settle();
    let acknowledged = peer.hear_all();
    assert_eq!(acknowledged.len(), 1, "what comes in a round is acknowledged once");
    // What is beyond the window is the peer's to send again.
    let (read, stream) = world.run(async move {
        let mut stream = listener.accept().await;
        let mut bytes = vec![0; 65_000];
        stream.read_exact(&mut bytes).await.expect("it has come");
        (bytes, stream)
    });
    assert!(read == pattern(65_000));
    assert!(stream.received() == 0);
}

#[test]
fn a_socket_of_embassy_net_takes_one_too() {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, _) = network::<4>(&mut world, &ether, 1);
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    let buffer = |len| Box::leak(vec![0; len].into_boxed_slice());
    let mut socket = TcpSocket::new(net.stack(), buffer(40_000), buffer(1000));
    world.spawn(async move {
        socket.accept(99).await.expect("a connection");
        let mut bytes = vec![0; 40_000];
        let mut at = 0;
        while at < bytes.len() {
            at += socket.read(&mut bytes[at..]).await.expect("it has come");
        }
        assert!(bytes == pattern(40_000));
        socket.close();
        socket.flush().await.expect("it is closed");
        std::future::pending().await
    });
    let mut peer = Peer::new(&port, 1, 2, 99, 5000);
    world.settle();
    answer_for(&mut world, &port);
    peer.open(&mut world);
    peer.data(&pattern(40_000));
    world.pass(100_000);
    let last = peer.hear_all().pop().expect("an answer");
    assert_eq!((last.control, last.ack), (TcpControl::Fin, Some(peer.seq)));
}

/// Says, as a peer without a stack must, at which station it is.
fn answer_for(world: &mut World, port: &world::Port) {
    let mut answer = [0; 42];
    answer[..6].copy_from_slice(&world::station(1));
    answer[6..12].copy_from_slice(&port.address);
    answer[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]);
    answer[22..28].copy_from_slice(&port.address);
    answer[28..32].copy_from_slice(&world::ip(2).octets());
    answer[32..38].copy_from_slice(&world::station(1));
    answer[38..42].copy_from_slice(&world::ip(1).octets());
    port.send(answer.to_vec());
    world.settle();
}
