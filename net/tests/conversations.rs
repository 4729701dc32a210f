//! embassy-net's clients talk to our listener.

mod world;

use std::cell::Cell;
use std::rc::Rc;

use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, ReadReady, Write};
use freestone_net::embassy_net::tcp::{ConnectError, TcpSocket};
use freestone_net::{Error, ListenError, Listener, Net, Options, TcpStream};
use world::{Ether, Faults, World, ip, join_all, network};

const PORT: u16 = 80;

/// A socket of embassy-net, whose buffers are never freed.
fn socket(net: Net) -> TcpSocket<'static> {
    let mut socket =
        TcpSocket::new(net.stack(), Box::leak(Box::new([0; 2048])), Box::leak(Box::new([0; 2048])));
    socket.set_nagle_enabled(false);
    socket
}

async fn connect(net: Net) -> TcpSocket<'static> {
    let mut socket = socket(net);
    socket.connect((ip(1), PORT)).await.unwrap();
    socket
}

async fn echo(mut stream: TcpStream) -> Result<u64, Error> {
    let mut bytes = [0; 512];
    let mut total = 0;
    loop {
        let len = stream.read(&mut bytes).await?;
        if len == 0 {
            return Ok(total);
        }
        stream.write_all(&bytes[..len]).await?;
        total += len as u64;
    }
}

/// A server with one task for each connection that echoes, as many as come.
fn serve(world: &mut World, net: Net, options: &Options, tasks: usize) {
    let listener: &'static Listener = Box::leak(Box::new(net.listen(PORT, options).unwrap()));
    for _ in 0..tasks {
        world.spawn(async move {
            loop {
                let _ = echo(listener.accept().await).await;
            }
        });
    }
}

fn two<const SOCKETS: usize>(world: &mut World, ether: &Ether) -> (Net, Net) {
    let (server, _) = network::<4>(world, ether, 1);
    let (client, _) = network::<SOCKETS>(world, ether, 2);
    world.run(async move {
        server.wait_up().await;
        client.wait_up().await;
    });
    (server, client)
}

/// Sends `len` bytes, and reads as many; whether they are the same.
async fn exchange(mut socket: TcpSocket<'static>, len: usize, salt: u8) -> bool {
    let pattern = move |i: usize| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ salt;
    let (mut reader, mut writer) = socket.split();
    let write = async {
        let bytes: Vec<u8> = (0..len).map(pattern).collect();
        writer.write_all(&bytes).await.is_ok()
    };
    let read = async {
        let mut bytes = [0; 700];
        let mut at = 0;
        while at < len {
            let Ok(n @ 1..) = reader.read(&mut bytes).await else { return false };
            if !(at..at + n).map(pattern).eq(bytes[..n].iter().copied()) {
                return false;
            }
            at += n;
        }
        true
    };
    let (written, same) = embassy_futures::join::join(write, read).await;
    socket.close();
    let mut rest = [0; 1];
    written && same && socket.read(&mut rest).await == Ok(0)
}

#[test]
fn what_a_client_sends_comes_back() {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (server, client) = two::<8>(&mut world, &ether);
    serve(&mut world, server, &Options::default(), 1);
    assert!(world.run(async move { exchange(connect(client).await, 100_000, 7).await }));
    world.pass(100_000);
    let counts = server.statistics();
    assert_eq!(
        (counts.established, counts.connections, counts.resets_in, counts.resets_out),
        (1, 0, 0, 0),
        "{counts:?}"
    );
}

#[test]
fn hundreds_of_clients_talk_at_once() {
    let mut world = World::new();
    let ether = Ether::new(2);
    let (server, client) = two::<308>(&mut world, &ether);
    serve(&mut world, server, &with(|options| options.backlog = 512), 300);
    let clients = (0..300_u16).map(|n| {
        let talk = async move { exchange(connect(client).await, 3000, n as u8).await };
        Box::pin(talk) as std::pin::Pin<Box<dyn Future<Output = bool>>>
    });
    let results = world.run(join_all(clients.collect()));
    assert_eq!(results.iter().filter(|same| **same).count(), 300);
}

fn with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}
