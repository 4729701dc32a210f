//! Peers that flood, lie, vanish or cut the line: what they cost, and that others get through.

#[path = "world/memory.rs"]
mod memory;
#[path = "world/peer.rs"]
mod peer;
mod world;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use embassy_time::Duration;
use embedded_io_async::{Read, Write};
use freestone_net::{Error, Listener, Net, Options, TcpStream};
use memory::held;
use peer::Peer;
use smoltcp::wire::{TcpControl, TcpSeqNumber};
use world::{Ether, Port, World, network};

/// A server at port 80 whose backlog is 8, and a port on which peers speak.
struct Scene {
    world: World,
    net: Net,
    port: Port,
    server_port: Port,
    listener: Rc<Listener>,
}

fn scene(change: impl FnOnce(&mut Options)) -> Scene {
    let mut world = World::new();
    let ether = Ether::new(1);
    let (net, server_port) = network::<4>(&mut world, &ether, 1);
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    world.pass(2_000_000); // announcements
    while port.take().is_some() {}
    let mut options = Options::default();
    options.backlog = 8;
    change(&mut options);
    let listener = Rc::new(net.listen(80, &options).unwrap());
    Scene { world, net, port, server_port, listener }
}

impl Scene {
    fn peer(&self, source_port: u16) -> Peer {
        Peer::new(&self.port, 1, 2, 80, source_port)
    }

    fn accept(&mut self) -> TcpStream {
        let listener = self.listener.clone();
        self.world.run(async move { listener.accept().await })
    }

    /// Echoes on all connections that come, one after the other on each of so many tasks.
    fn echo(&mut self, tasks: usize) {
        for _ in 0..tasks {
            let listener = self.listener.clone();
            self.world.spawn(async move {
                loop {
                    let mut stream = listener.accept().await;
                    let mut bytes = [0; 256];
                    while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                        if stream.write_all(&bytes[..len]).await.is_err() {
                            break;
                        }
                    }
                }
            });
        }
    }

    /// Whether a new peer gets its answer.
    fn works(&mut self, source_port: u16) {
        let mut peer = self.peer(source_port);
        peer.open(&mut self.world);
        peer.data(b"hello");
        self.world.settle();
        let heard = peer.hear_all();
        assert_eq!(
            heard.iter().flat_map(|seen| seen.payload.clone()).collect::<Vec<_>>(),
            b"hello",
            "{heard:?}"
        );
        peer.fin();
        self.world.settle();
        peer.hear_all();
        peer.ack();
        self.world.settle();
    }
}

#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    let mut s = scene(|_| {});
    s.echo(1);
    s.works(1000);
    let before = held();
    for round in 0..200_u16 {
        for n in 0..7 {
            let mut liar = s.peer(2000 + round * 7 + n);
            liar.source = std::net::Ipv4Addr::new(10, 0, 77, n as u8);
            liar.syn();
        }
        s.world.settle();
        if round % 20 == 0 {
            // A handshake takes less time than seven forged ones come in.
            s.works(40_000 + round);
        }
        while s.port.take().is_some() {}
    }
    let counts = s.net.statistics();
    assert!(counts.half_open <= 8 && counts.half_open_evicted > 1000, "{counts:?}");
    s.world.pass(60_000_000);
    let counts = s.net.statistics();
    assert_eq!((counts.half_open, counts.connections), (0, 0), "{counts:?}");
    assert_eq!(counts.resets_out, 0, "forged sources get no resets");
    assert!(held() <= before + SLACK, "{} bytes are held, {before} were before", held());
}

/// What queues that have grown once may keep: the table, the list of connections, the ring of TIME-WAIT.
const SLACK: usize = 16 << 10;

#[test]
fn who_finds_the_queue_full_is_let_in_later() {
    let mut s = scene(|options| options.backlog = 2);
    let (mut a, mut b, mut late) = (s.peer(1000), s.peer(1001), s.peer(1002));
    a.open(&mut s.world);
    b.open(&mut s.world);
    late.syn();
    s.world.settle();
    assert_eq!(late.hear(), None, "no reset, no answer");
    assert_eq!(s.net.statistics().backlog_full, 1);
    let first = s.accept();
    assert_eq!(first.peer().port, 1000, "in the order in which they came");
    late.seq = late.seq - 1;
    late.open(&mut s.world);
    assert_eq!(s.accept().peer().port, 1001);
    assert_eq!(s.accept().peer().port, 1002);
}

#[test]
fn the_listener_has_no_more_connections_than_it_may() {
    let mut s = scene(|options| options.max_connections = 3);
    let streams: Vec<_> = (0..3)
        .map(|n| {
            s.peer(1000 + n).open(&mut s.world);
            s.accept()
        })
        .collect();
    let mut late = s.peer(1003);
    late.syn();
    s.world.settle();
    assert_eq!((late.hear(), s.net.statistics().too_many), (None, 1));
    streams.into_iter().for_each(TcpStream::abort);
    s.world.settle();
    late.seq = late.seq - 1;
    late.open(&mut s.world);
}

#[test]
fn a_storm_of_resets_leaves_nothing() {
    let mut s = scene(|options| options.backlog = 64);
    let before = held();
    let counts = s.net.statistics();
    for n in 0..500 {
        let mut peer = s.peer(1000 + n);
        peer.open(&mut s.world);
        if n % 2 == 0 {
            peer.data(b"never read");
        }
        peer.reset();
        s.world.settle();
    }
    let after = s.net.statistics();
    assert_eq!((after.connections, after.resets_in - counts.resets_in), (0, 500), "{after:?}");
    assert!(held() <= before + SLACK);
}

#[test]
fn a_reset_is_told_after_the_data_before_it() {
    let mut s = scene(|_| {});
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let mut stream = s.accept();
    peer.data(b"last words");
    peer.reset();
    s.world.settle();
    s.world.run(async move {
        let mut bytes = [0; 64];
        assert_eq!(stream.read(&mut bytes).await, Ok(10));
        assert_eq!(stream.read(&mut bytes).await, Err(Error::Reset));
        assert_eq!(stream.write(b"x").await, Err(Error::Reset));
        assert_eq!(stream.acknowledged().await, Ok(()), "nothing was written");
        assert_eq!(stream.close().await, Err(Error::Reset));
    });
    assert_eq!(s.net.statistics().connections, 0);
}

#[test]
fn the_peer_s_end_is_no_error_and_our_half_stays_open() {
    let mut s = scene(|_| {});
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let mut stream = s.accept();
    peer.data(b"question");
    peer.fin();
    s.world.settle();
    s.world.run(async move {
        let mut bytes = [0; 64];
        assert_eq!(stream.read(&mut bytes).await, Ok(8));
        assert_eq!(stream.read(&mut bytes).await, Ok(0));
        stream.write_all(b"answer").await.unwrap();
    });
    s.world.settle();
    let heard = peer.hear_all();
    assert_eq!(
        heard.last().map(|seen| (seen.control, seen.payload.as_slice())),
        Some((TcpControl::Fin, &b"answer"[..]))
    );
    peer.ack();
    s.world.settle();
    let counts = s.net.statistics();
    assert_eq!(
        (counts.connections, counts.time_wait),
        (0, 0),
        "who closes last keeps nothing: {counts:?}"
    );
}

/// This side closes first, up to TIME-WAIT.
fn retire(s: &mut Scene, source_port: u16) -> Peer {
    let mut peer = s.peer(source_port);
    peer.open(&mut s.world);
    drop(s.accept());
    s.world.settle();
    assert_eq!(peer.hear_all().last().unwrap().control, TcpControl::Fin);
    peer.fin();
    s.world.settle();
    peer
}

#[test]
fn time_wait_answers_a_repeated_fin_and_lets_a_new_connection_in() {
    let mut s = scene(|_| {});
    let mut peer = retire(&mut s, 1000);
    let counts = s.net.statistics();
    assert_eq!((counts.connections, counts.time_wait), (0, 1));
    let answer = peer.hear().unwrap();
    assert_eq!((answer.control, answer.ack), (TcpControl::None, Some(peer.seq)));
    // It was lost.
    peer.seq = peer.seq - 1;
    peer.fin();
    s.world.settle();
    assert_eq!(peer.hear(), Some(answer));
    // A bare acknowledgement, or a reset, gets no answer.
    peer.ack();
    peer.say(TcpControl::Rst, &[]);
    s.world.settle();
    assert_eq!(peer.hear(), None);
    // A SYN from before is an old one.
    let old = peer.seq;
    peer.seq = peer.seq - 1000;
    peer.syn();
    s.world.settle();
    assert_eq!(
        peer.hear().map(|seen| (seen.control, seen.ack)),
        Some((TcpControl::None, Some(old)))
    );
    peer.seq = old + 5;
    peer.open(&mut s.world);
    assert_eq!(s.accept().peer().port, 1000);
    // And an hour later anything goes.
    let mut peer = retire(&mut s, 1001);
    s.world.pass(61_000_000);
    peer.hear_all();
    peer.seq = peer.seq - 1000;
    peer.open(&mut s.world);
}

#[test]
fn thousands_of_connections_in_a_row_never_run_out() {
    let mut s = scene(|_| {});
    for n in 0..1500 {
        retire(&mut s, 1000 + n);
    }
    let before = held();
    for n in 1500..5000 {
        retire(&mut s, 1000 + n);
    }
    let counts = s.net.statistics();
    assert_eq!((counts.connections, counts.time_wait), (0, 1024), "{counts:?}");
    assert!(held() <= before + 4096, "{} bytes are held, {before} were before", held());
    // A record that had to go has left nothing behind.
    s.peer(1000).open(&mut s.world);
}

#[test]
fn both_close_at_once() {
    let mut s = scene(|_| {});
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let stream = s.accept();
    let done = Rc::new(Cell::new(None));
    let result = done.clone();
    s.world.spawn(async move { result.set(Some(stream.close().await)) });
    s.world.settle();
    assert_eq!(done.get(), None);
    // The peer's FIN crosses ours: it does not acknowledge it.
    peer.fin();
    s.world.settle();
    peer.hear_all();
    peer.ack();
    s.world.settle();
    assert_eq!(done.get(), Some(Ok(())));
    let counts = s.net.statistics();
    assert_eq!((counts.connections, counts.resets_out), (0, 0), "{counts:?}");
}

#[test]
fn who_never_acknowledges_our_end_is_reset_in_time() {
    let mut s = scene(|options| options.close_limit = Duration::from_secs(5));
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let before = held();
    drop(s.accept());
    s.world.pass(4_900_000);
    assert!(peer.hear_all().iter().all(|seen| seen.control == TcpControl::Fin));
    s.world.pass(200_000);
    assert_eq!(peer.hear_all().last().map(|seen| seen.control), Some(TcpControl::Rst));
    assert_eq!(s.net.statistics().connections, 0);
    assert!(held() < before);
}

#[test]
fn a_window_shut_for_ever_ends_the_connection() {
    let mut s = scene(|options| options.stall_limit = Some(Duration::from_secs(100)));
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let mut stream = s.accept();
    peer.window = 0;
    peer.ack();
    s.world.settle();
    let end = Rc::new(RefCell::new(None));
    let result = end.clone();
    s.world.spawn(async move {
        let wrote = stream.write_all(&[7; 10_000]).await;
        *result.borrow_mut() = Some(wrote);
    });
    for _ in 0..99 {
        s.world.pass(1_000_000);
        // It answers each probe, and so says that it is alive.
        if !peer.hear_all().is_empty() {
            peer.ack = peer.ack - 1;
            peer.ack();
        }
    }
    assert!(end.borrow().is_none());
    s.world.pass(62_000_000);
    assert_eq!(*end.borrow(), Some(Err(Error::TimedOut)));
    assert_eq!((s.net.statistics().connections, s.net.statistics().timed_out), (0, 1));
}

#[test]
fn an_idle_connection_wakes_nobody() {
    let mut s = scene(|_| {});
    s.echo(1);
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    peer.data(b"hello");
    s.world.settle();
    peer.hear_all();
    peer.ack();
    s.world.pass(5_000_000);
    let polls = s.world.polls;
    s.world.pass(3_000_000_000);
    assert_eq!(s.world.polls, polls);
}

#[test]
fn forged_frames_reach_no_stack() {
    let mut s = scene(|_| {});
    s.echo(1);
    s.works(1000);
    let before = s.net.statistics();
    let addresses = [
        [10, 0, 0, 1],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [0, 0, 0, 0],
        [10, 0, 255, 255],
    ];
    for source in addresses {
        let mut liar = s.peer(80);
        liar.source = source.into();
        liar.syn();
        liar.fin();
    }
    let mut liar = s.peer(0);
    liar.syn();
    s.world.settle();
    let mut elsewhere = s.peer(2000);
    elsewhere.to_station = 9;
    let frame = elsewhere.frame(&elsewhere.repr(TcpControl::Syn, &[]));
    s.server_port.inject(frame);
    s.world.settle();
    let after = s.net.statistics();
    assert_eq!((after.not_ours - before.not_ours, after.connections), (1, 0));
    assert!(after.forged - before.forged >= 12, "{after:?}");
    let mut tiny = s.peer(2001);
    let mut repr = tiny.repr(TcpControl::Syn, &[]);
    repr.max_seg_size = Some(1);
    tiny.say_raw(&repr);
    s.world.settle();
    assert_eq!((tiny.hear(), s.net.statistics().tiny_segments), (None, 1));
    s.works(1001);
}

#[test]
fn segments_beyond_the_window_overlapping_or_late_do_no_harm() {
    let mut s = scene(|_| {});
    let mut peer = s.peer(1000);
    peer.open(&mut s.world);
    let mut stream = s.accept();
    let begin = peer.seq;
    let bytes: Vec<u8> = (0..6000_usize).map(|i| (i % 251) as u8).collect();
    // 4,096 are granted; each piece overlaps the one before, the last first.
    for at in (0..6000).step_by(500).rev() {
        peer.seq = begin + at;
        peer.data(&bytes[at..6000.min(at + 900)]);
        s.world.settle();
    }
    peer.seq = begin + 1_000_000;
    peer.data(b"far outside");
    peer.seq = TcpSeqNumber(begin.0.wrapping_sub(30_000));
    peer.data(b"long ago");
    s.world.settle();
    let result = Rc::new(RefCell::new(Vec::new()));
    let got = result.clone();
    s.world.spawn(async move {
        let mut buffer = [0; 999];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            got.borrow_mut().extend_from_slice(&buffer[..len]);
        }
    });
    s.world.settle();
    assert_eq!(*result.borrow(), bytes[..4096]);
    // The window is open again, and the rest comes through.
    peer.seq = begin + 4096;
    peer.data(&bytes[4096..5500]);
    peer.data(&bytes[5500..]);
    s.world.settle();
    assert_eq!(*result.borrow(), bytes);
}

#[test]
fn a_driver_without_room_delays_and_loses_nothing() {
    let mut s = scene(|_| {});
    s.echo(4);
    let mut peers: Vec<_> = (0..4).map(|n| s.peer(1000 + n)).collect();
    peers.iter_mut().for_each(|peer| peer.open(&mut s.world));
    s.server_port.set_room(Some(2));
    peers.iter_mut().for_each(|peer| peer.data(b"wait for it"));
    s.world.settle();
    let polls = s.world.polls;
    s.world.settle();
    assert_eq!(s.world.polls, polls, "nobody spins");
    for _ in 0..8 {
        s.server_port.set_room(Some(1));
        s.world.settle();
    }
    s.server_port.set_room(None);
    s.world.settle();
    let mut answers = 0;
    while let Some(frame) = s.port.take() {
        answers +=
            usize::from(peer::see(&frame).is_some_and(|seen| seen.payload == b"wait for it"));
    }
    assert_eq!(answers, 4);
}

#[test]
fn a_dropped_listener_resets_who_waits() {
    let mut s = scene(|_| {});
    let before = s.net.statistics().connections;
    let (mut waits, mut half) = (s.peer(1000), s.peer(1001));
    waits.open(&mut s.world);
    half.syn();
    s.world.settle();
    while s.port.take().is_some() {}
    let accepted = s.accept();
    let mut queued = s.peer(1002);
    queued.open(&mut s.world);
    let net = s.net;
    s.listener = Rc::new(net.listen(81, &Options::default()).unwrap());
    s.world.settle();
    assert_eq!(queued.hear().map(|seen| seen.control), Some(TcpControl::Rst));
    assert_eq!(s.net.statistics().connections, before + 1, "the accepted one stays");
    drop(accepted);
    assert!(net.listen(80, &Options::default()).is_ok(), "the port is free");
}

#[test]
fn fragments_hold_two_datagrams_of_4_kib_at_most() {
    let mut s = scene(|_| {});
    s.echo(1);
    s.works(1000);
    let liar = s.peer(2000);
    let whole = liar.frame(&liar.repr(TcpControl::None, &[7; 1400]));
    let before = held();
    for number in 0..300_u16 {
        for offset in [0x1fff_u16, 0x1f00, 300, 100, 0] {
            let mut frame = whole.clone();
            frame[18..20].copy_from_slice(&number.to_be_bytes());
            frame[20..22].copy_from_slice(&(0x2000 | offset).to_be_bytes());
            let mut packet = smoltcp::wire::Ipv4Packet::new_unchecked(&mut frame[14..]);
            packet.fill_checksum();
            s.port.send(frame);
        }
        s.world.settle();
    }
    // Frames are read from buffers that are kept: 16 of them.
    assert!(held() <= before + 2 * 4096 + 16 * 1514, "{} bytes", held() - before);
    s.works(1001);
}

#[test]
fn a_deadline_that_is_set_while_the_one_before_is_late_is_kept() {
    let mut s = scene(|options| options.half_open_limit = Duration::from_millis(500));
    s.peer(1000).syn();
    s.world.settle();
    // The alarm is due, and has not rung, when another handshake begins.
    world::be_late(600_000);
    s.peer(1001).syn();
    s.world.settle();
    s.world.pass(400_000);
    assert_eq!(s.net.statistics().half_open_expired, 1);
    s.world.pass(200_000);
    assert_eq!(s.net.statistics().half_open_expired, 2);
}
