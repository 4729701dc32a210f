//! embassy-net's clients talk to our listener.

mod world;

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, ReadReady, Write, WriteReady};
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
        Box::pin(talk) as Talk
    });
    let results = world.run(join_all(clients.collect()));
    assert_eq!(results.iter().filter(|same| **same).count(), 300);
}

type Talk = std::pin::Pin<Box<dyn Future<Output = bool>>>;

#[test]
fn conversations_survive_loss_doubles_and_disorder() {
    for seed in 1..=6 {
        let mut world = World::new();
        let ether = Ether::new(seed);
        let (server, client) = two::<16>(&mut world, &ether);
        serve(&mut world, server, &Options::default(), 8);
        ether.set_faults(Faults { lost: 5, doubled: 5, late: 10 });
        let clients = (0..8_u16).map(|n| {
            let talk = async move {
                let mut socket = socket(client);
                while socket.connect((ip(1), PORT)).await.is_err() {}
                exchange(socket, 20_000, n as u8).await
            };
            Box::pin(talk) as Talk
        });
        let results = world.run(join_all(clients.collect()));
        assert_eq!(results, [true; 8], "seed {seed}");
        ether.set_faults(Faults::default());
        world.pass(200_000_000);
        assert_eq!(server.statistics().connections, 0, "seed {seed}");
    }
}

#[test]
fn connections_are_accepted_in_turn_by_those_who_wait_longest() {
    let mut world = World::new();
    let ether = Ether::new(3);
    let (server, client) = two::<12>(&mut world, &ether);
    let listener: &'static Listener =
        Box::leak(Box::new(server.listen(PORT, &Options::default()).unwrap()));
    let order = Rc::new(RefCell::new(Vec::new()));
    for n in 0..3 {
        let order = order.clone();
        world.spawn(async move {
            for _ in 0..3 {
                let stream = listener.accept().await;
                order.borrow_mut().push(n);
                std::mem::forget(stream);
            }
        });
    }
    world.settle();
    // One that is cancelled loses nothing and holds up nobody.
    {
        let mut cancelled = Box::pin(listener.accept());
        let mut context = Context::from_waker(Waker::noop());
        assert!(cancelled.as_mut().poll(&mut context).is_pending());
    }
    world.run(async move {
        for _ in 0..9 {
            connect(client).await;
        }
    });
    world.settle();
    assert_eq!(*order.borrow(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_stream_in_two_halves_reads_and_writes_at_once() {
    let mut world = World::new();
    let ether = Ether::new(4);
    let (server, client) = two::<8>(&mut world, &ether);
    let listener = server.listen(PORT, &Options::default()).unwrap();
    world.spawn(async move {
        let (mut reader, mut writer) = listener.accept().await.into_split();
        let bytes = async {
            let mut total = 0;
            while let Ok(len @ 1..) =
                reader.read_with(|bytes| (bytes.len().min(100), bytes.len().min(100))).await
            {
                total += len;
            }
            total
        };
        let write = async {
            let mut left = 30_000;
            while left > 0 {
                left -= writer
                    .write_with(|room| {
                        let len = room.len().min(left);
                        room[..len].fill(0x55);
                        (len, len)
                    })
                    .await
                    .unwrap();
            }
            writer.acknowledged().await.unwrap();
            writer.shutdown();
        };
        let (total, ()) = embassy_futures::join::join(bytes, write).await;
        assert_eq!(total, 30_000);
        assert_eq!(writer.write(b"x").await, Err(Error::Closed));
    });
    let (sent, received) = world.run(async move {
        let mut socket = connect(client).await;
        let (mut reader, mut writer) = socket.split();
        let write = async { writer.write_all(&[0xaa; 30_000]).await.is_ok() };
        let read = async {
            let (mut total, mut bytes) = (0, [0; 999]);
            while let Ok(len @ 1..) = reader.read(&mut bytes).await {
                assert!(bytes[..len].iter().all(|byte| *byte == 0x55));
                total += len;
            }
            total
        };
        let result = embassy_futures::join::join(write, read).await;
        socket.close();
        let _ = socket.flush().await;
        result
    });
    assert!(sent);
    assert_eq!(received, 30_000);
    world.pass(100_000);
    assert_eq!(server.statistics().connections, 0);
}

#[test]
fn embassy_net_has_the_same_address_for_all_else() {
    let mut world = World::new();
    let ether = Ether::new(5);
    let (server, client) = two::<8>(&mut world, &ether);
    serve(&mut world, server, &Options::default(), 1);
    // A port without any listener is refused at once.
    let refused = world.run(async move { socket(client).connect((ip(1), 81)).await });
    assert_eq!(refused, Err(ConnectError::ConnectionReset));
    // One of embassy-net's own, on the server.
    world.spawn(async move {
        let mut socket = socket(server);
        socket.accept(82).await.unwrap();
        socket.write_all(b"embassy").await.unwrap();
        socket.flush().await.unwrap();
        std::mem::forget(socket);
    });
    let heard = world.run(async move {
        let mut socket = socket(client);
        socket.connect((ip(1), 82)).await.unwrap();
        let mut bytes = [0; 7];
        socket.read_exact(&mut bytes).await.unwrap();
        bytes
    });
    assert_eq!(&heard, b"embassy");
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    let mut world = World::new();
    let ether = Ether::new(6);
    let (server, _) = network::<4>(&mut world, &ether, 1);
    let error = |port: u16, options: &Options| server.listen(port, options).err();
    let good = Options::default();
    assert_eq!(error(0, &good), Some(ListenError::PortZero));
    let listener = server.listen((ip(1), PORT), &good).unwrap();
    assert_eq!(error(PORT, &good), Some(ListenError::InUse));
    let other = server.listen((ip(7), PORT), &good).unwrap();
    drop((listener, other));
    assert_eq!(error(PORT, &good), None);
    let bad: [fn(&mut Options); 6] = [
        |options| options.backlog = 0,
        |options| options.max_connections = 0,
        |options| options.receive_buffer = 535,
        |options| options.receive_buffer = 65_536,
        |options| options.send_buffer = (1 << 20) + 1,
        |options| options.keep_alive = Some(Duration::from_ticks(0)),
    ];
    for (n, change) in bad.into_iter().enumerate() {
        assert_eq!(error(PORT, &with(change)), Some(ListenError::BadOptions), "number {n}");
    }
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let mut world = World::new();
    let ether = Ether::new(7);
    let (server, client) = two::<8>(&mut world, &ether);
    let listener = server.listen(PORT, &Options::default()).unwrap();
    let end = world.run(async move {
        let accept = async {
            let mut stream = listener.accept().await;
            stream.set_keep_alive(Some(Duration::from_secs(10)));
            stream.set_timeout(Some(Duration::from_secs(25)));
            stream
        };
        let (mut stream, socket) = embassy_futures::join::join(accept, connect(client)).await;
        // The peer is there, and answers.
        Timer::after_secs(100).await;
        assert_eq!((stream.read_ready(), stream.write_ready()), (Ok(false), Ok(true)));
        std::mem::forget(socket);
        ether.set_faults(Faults { lost: 100, ..Faults::default() });
        let mut bytes = [0; 1];
        stream.read(&mut bytes).await
    });
    assert_eq!(end, Err(Error::TimedOut));
}

#[test]
fn a_peer_that_has_vanished_costs_memory_for_two_hours_and_nine_questions() {
    let mut world = World::new();
    let ether = Ether::new(7);
    let (server, client) = two::<8>(&mut world, &ether);
    let listener = server.listen(PORT, &Options::default()).unwrap();
    let mut stream = world.run(async move {
        let (stream, socket) =
            embassy_futures::join::join(listener.accept(), connect(client)).await;
        std::mem::forget((listener, socket));
        stream
    });
    // It is there, and answers one question each time; nothing else is said in a day.
    world.pass(10_000_000);
    let frames = server.statistics().frames_out;
    world.pass(24 * 3_600_000_000);
    assert_eq!((stream.read_ready(), server.statistics().connections), (Ok(false), 1));
    let questions = server.statistics().frames_out - frames;
    assert!((11..=13).contains(&questions), "{questions} in a day");
    ether.set_faults(Faults { lost: 100, ..Faults::default() });
    let vanished = world::now();
    world.pass(7_000_000_000);
    assert_eq!(server.statistics().connections, 1);
    let end = world.run(async move { stream.read(&mut [0; 1]).await });
    assert_eq!(end, Err(Error::TimedOut));
    let took = (world::now() - vanished) / 1_000_000;
    assert!((7000..=7200 + 9 * 75 + 1).contains(&took), "{took} s");
    let counts = server.statistics();
    assert_eq!((counts.connections, counts.timed_out), (0, 1), "{counts:?}");
}

#[test]
fn a_lost_address_ends_its_connections() {
    let mut world = World::new();
    let ether = Ether::new(8);
    let (server, client) = two::<8>(&mut world, &ether);
    let listener = server.listen(PORT, &Options::default()).unwrap();
    let end = world.run(async move {
        let (mut stream, socket) =
            embassy_futures::join::join(listener.accept(), connect(client)).await;
        std::mem::forget(socket);
        let mut bytes = [0; 1];
        let read = async { stream.read(&mut bytes).await };
        let renumber = async {
            server.set_ipv4(world::static_config(3).ipv4);
        };
        embassy_futures::join::join(read, renumber).await.0
    });
    assert_eq!(end, Err(Error::AddressLost));
    assert_eq!(server.statistics().connections, 0);
}

fn with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}
