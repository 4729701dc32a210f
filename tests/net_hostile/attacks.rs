//! The attacks, frame by frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::frames::*;
use crate::scene::{ANSWER_END, AT_ONCE, LAST_REQUEST, MANY, REQUEST, Scene, open_many};
use crate::wire::{KERNEL, KERNEL_IP, OUR_IP, OURS};

fn link_local(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number)
}

/// The kernel's own link-local address.
const KERNEL_IP6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456);

fn v4(packet: &[u8]) -> Vec<u8> {
    ethernet(KERNEL, OURS, IPV4, packet)
}

fn v6(packet: &[u8]) -> Vec<u8> {
    ethernet(KERNEL, OURS, IPV6, packet)
}

/// One good frame of each kind that the kernel understands.
fn good_frames() -> Vec<Vec<u8>> {
    let ends = (OUR_IP, KERNEL_IP);
    let both = (IpAddr::from(OUR_IP), IpAddr::from(KERNEL_IP));
    let here = (link_local(2), KERNEL_IP6);
    let syn = Client::new(80, 999).frame(SYN, &[2, 4, 5, 180, 3, 3, 7, 1], &[]);
    let data =
        Client::new(80, 999).frame(ACK | PSH, &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], b"hello");
    let syn6 =
        Client::between((here.0.into(), here.1.into()), 80, 999).frame(SYN, &[2, 4, 5, 180], &[]);
    let solicitation = [&[0; 4][..], &KERNEL_IP6.octets(), &[1, 1], &OURS].concat();
    let hop = [&[ICMPV6, 0, 5, 2, 0, 0, 1, 0][..], &icmpv6(here, 130, 0, &[0; 24])].concat();
    vec![
        syn,
        data,
        syn6,
        v4(&ipv4(ends, ICMP, (1, 0), &icmp(8, 0, b"\0\x01\0\x01ping"))),
        v4(&ipv4(ends, ICMP, (2, 0x2000), &icmp(8, 0, b"\0\x01\0\x01fragment"))),
        v4(&ipv4(ends, UDP, (3, 0), &udp(both, (67, 68), &[2; 300]))),
        v4(&ipv4(ends, UDP, (4, 0), &udp(both, (53, 53), &[0x81; 60]))),
        ethernet(BROADCAST, OURS, ARP, &arp(1, (OURS, OUR_IP), ([0; 6], KERNEL_IP))),
        v6(&advertisement(
            link_local(2),
            0,
            &[&[5, 1, 0, 0, 0, 0, 5, 0][..], &[1, 1], &OURS].concat(),
        )),
        v6(&ipv6(here, ICMPV6, 255, &icmpv6(here, 135, 0, &solicitation))),
        v6(&ipv6(here, ICMPV6, 64, &icmpv6(here, 128, 0, b"\0\x01\0\x01ping"))),
        v6(&ipv6(here, 0, 1, &hop)),
    ]
}

pub fn garbage(s: &mut Scene) {
    let good = good_frames();
    for frame in &good {
        for len in 0..frame.len() {
            // An empty datagram is no frame to QEMU.
            s.wire.send(&frame[..len.max(1)]);
        }
    }
    for _ in 0..4000 {
        let mut frame = good[s.random() as usize % good.len()].clone();
        for _ in 0..1 + s.random() % 4 {
            let at = 12 + s.random() as usize % (frame.len() - 12);
            frame[at] = s.random() as u8;
        }
        s.wire.send(&frame);
    }
    for len in [1515, 1518, 2035, 2036, 2037, 2048, 4000, 9014, 16_000, 65_000, 65_535] {
        let ends = (OUR_IP, KERNEL_IP);
        let data = vec![0x5a; usize::min(len - 34, 65_500)];
        s.wire.send(&v4(&ipv4(ends, ICMP, (1, 0), &icmp(8, 0, &data[8..]))));
        let mut frame = good[0].clone();
        frame.resize(len, 0);
        s.wire.send(&frame);
    }
}

pub fn fragments(s: &mut Scene) {
    let ends = (OUR_IP, KERNEL_IP);
    let ping = icmp(8, 0, &[7; 3000]);
    for number in 0..3000 {
        // Begins, and never ends; ends, and never began; too far; each half over the other.
        let (field, data) = match number % 5 {
            0 => (0x2000, &ping[..1400]),
            1 => (175, &ping[1400..2800]),
            2 => (0x1fff, &ping[..1400]),
            3 => (0x2000 | 10, &ping[80..1480]),
            _ => (0x2000, &ping[..8]),
        };
        s.wire.send(&v4(&ipv4(ends, ICMP, (number, field), data)));
        s.wire.send(&v4(&ipv4(ends, TCP, (number, field), data)));
    }
    for _ in 0..50 {
        for at in (0..200).rev() {
            s.wire.send(&v4(&ipv4(ends, UDP, (7, 0x2000 | at), &ping[..16])));
        }
    }
}

pub fn forgeries(s: &mut Scene) {
    let sources = [
        KERNEL_IP,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(10, 0, 2, 255),
        Ipv4Addr::new(240, 0, 0, 1),
    ];
    for from in sources {
        for to in [
            KERNEL_IP,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(224, 0, 0, 1),
            Ipv4Addr::new(10, 0, 2, 255),
        ] {
            for (own_port, flags) in
                [(80, SYN), (80, SYN | ACK), (7, ACK), (9, FIN), (0, SYN), (81, 0xff), (82, 0)]
            {
                let mut liar = Client::between((from.into(), to.into()), 80, own_port);
                liar.say(&mut s.wire, flags, b"");
            }
            for station in [KERNEL, BROADCAST, [1, 0, 0x5e, 0, 0, 1]] {
                let packet = ipv4((from, to), ICMP, (1, 0), &icmp(8, 0, b"\0\x01\0\x01forged"));
                s.wire.send(&ethernet(station, OURS, IPV4, &packet));
                s.wire.send(&ethernet(KERNEL, station, IPV4, &packet));
            }
        }
    }
    let sources =
        [KERNEL_IP6, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, "ff02::1".parse().expect("one")];
    for from in sources {
        for to in [KERNEL_IP6, "ff02::1".parse().expect("one"), Ipv6Addr::UNSPECIFIED] {
            Client::between((from.into(), to.into()), 80, 80).say(&mut s.wire, SYN, b"");
            for next in 0..=255 {
                s.wire.send(&v6(&ipv6((from, to), next, 255, &[next; 40])));
            }
        }
    }
}

pub fn messages_of_control(s: &mut Scene) {
    let ends = (OUR_IP, KERNEL_IP);
    // What they say that it answers: a segment of ours, and one of somebody who is connected.
    let mut client = s.client(7);
    assert!(client.open(&mut s.wire));
    let quoted = client.framed(
        &Numbers { ports: (7, client.ports.0), seq: client.ack, flags: ACK, ..Numbers::default() },
        &[],
        &[],
    );
    for kind in 0..=255 {
        for code in [0, 1, 2, 3, 4, 5, 255] {
            let rest = [&[0, 0, 0, 20][..], &quoted[14..]].concat();
            s.wire.send(&v4(&ipv4(ends, ICMP, (1, 0), &icmp(kind, code, &rest))));
        }
    }
    let here = (link_local(2), KERNEL_IP6);
    for kind in 0..=255 {
        for to in [KERNEL_IP6, "ff02::1".parse().expect("one")] {
            let ends = (here.0, to);
            let bodies = [
                &[0; 4][..],
                &[0; 60],
                &[0xff; 60],
                &[&[0; 4][..], &to.octets(), &[1, 0], &[5; 6]].concat(),
            ];
            for body in bodies {
                for hops in [1, 255] {
                    s.wire.send(&v6(&ipv6(ends, ICMPV6, hops, &icmpv6(ends, kind, 0, body))));
                }
            }
        }
    }
    client.say(&mut s.wire, ACK | PSH, b"still there?");
    let answer = client.read(&mut s.wire, |bytes| bytes.len() >= 12);
    assert_eq!(answer.as_deref(), Some(&b"still there?"[..]), "a connection survives ICMP");
    client.say(&mut s.wire, RST | ACK, &[]);
}

pub fn neighbours(s: &mut Scene) {
    for number in 0..6000_u32 {
        let [.., high, low] = number.to_be_bytes();
        let station = [2, 0, 0, 1, high, low];
        let address = Ipv4Addr::new(10, 0, 2, low);
        let address = if address == OUR_IP { KERNEL_IP } else { address };
        for operation in [1, 2] {
            let message = arp(operation, (station, address), (KERNEL, KERNEL_IP));
            s.wire.send(&ethernet(KERNEL, station, ARP, &message));
        }
        let from = link_local(1000 + number as u16);
        let target = [&[0xe0, 0, 0, 0][..], &from.octets(), &[2, 1], &station].concat();
        for to in [KERNEL_IP6, "ff02::1".parse().expect("one")] {
            let ends = (from, to);
            s.wire.send(&v6(&ipv6(ends, ICMPV6, 255, &icmpv6(ends, 136, 0, &target))));
        }
        let solicitation = [&[0; 4][..], &KERNEL_IP6.octets(), &[1, 1], &station].concat();
        let ends = (from, KERNEL_IP6);
        s.wire.send(&v6(&ipv6(ends, ICMPV6, 255, &icmpv6(ends, 135, 0, &solicitation))));
    }
}

pub fn routers(s: &mut Scene) {
    for number in 0..3000_u16 {
        let lifetime = [0, 1, 1800, 65_535][usize::from(number % 4)];
        let network = Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0);
        let odd =
            ["ff02::", "::", "fe80::", "::1", "2001:db8::"].map(|text| text.parse().expect("one"));
        let (network, bits) = match number % 7 {
            0 => (odd[usize::from(number / 7 % 5)], 64),
            1 => (network, (number % 129) as u8),
            _ => (network, 64),
        };
        let mtu = [0_u32, 1, 68, 1280, 1500, u32::MAX][usize::from(number % 6)].to_be_bytes();
        let seconds = [0, 1, 7200, u32::MAX][usize::from(number % 4)];
        let options = [prefix(network, bits, seconds), [&[5, 1, 0, 0][..], &mtu].concat()].concat();
        s.wire.send(&v6(&advertisement(link_local(number % 500), lifetime, &options)));
    }
}

pub fn flood(s: &mut Scene) {
    for number in 0..20_000_u32 {
        let from = Ipv4Addr::from(0x0b00_0000 + number * 7919);
        Client::between((from.into(), KERNEL_IP.into()), 80, number as u16 | 1).say(
            &mut s.wire,
            SYN,
            &[],
        );
        if number % 4000 == 3999 {
            let start = Instant::now();
            s.ask("a part of the flood", 80, REQUEST, ANSWER_END);
            assert!(start.elapsed() < AT_ONCE * 2, "{:?}", start.elapsed());
        }
    }
}

pub fn odd_openings(s: &mut Scene) {
    let options: [&[u8]; 12] = [
        &[2, 4, 0, 0],
        &[2, 4, 0, 1],
        &[2, 4, 255, 255],
        &[2, 4, 0, 48],
        &[3, 3, 14, 1],
        &[3, 3, 255, 1],
        &[4, 2, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9],
        &[34, 2, 1, 1],
        &[8, 10, 255, 255, 255, 255, 0, 0, 0, 0, 1, 1],
        &[2, 0, 0, 0],
        &[2, 40, 1, 1],
        &[255; 40],
    ];
    for options in options {
        for flags in [SYN, SYN | PSH | URG, SYN | FIN, SYN | RST, SYN | 0xc0] {
            for window in [0, 1, 65_535] {
                let mut client = s.client(80);
                client.window = window;
                s.wire.send(&client.frame(flags, options, REQUEST));
                let Some(seen) = client.hear(&mut s.wire, Duration::from_millis(3)) else {
                    continue;
                };
                client.seq = seen.numbers.ack;
                client.ack = seen.numbers.seq.wrapping_add(1);
                client.say(&mut s.wire, ACK | PSH, REQUEST);
                client.hear(&mut s.wire, Duration::from_millis(2));
                client.say(&mut s.wire, RST | ACK, &[]);
            }
        }
    }
}

pub fn storms_of_ends(s: &mut Scene) {
    let mut clients = open_many(s, 7, MANY);
    for client in &mut clients {
        for far in [0_u32, 1, 4095, 4096, 70_000, 1 << 31] {
            let numbers = Numbers {
                ports: client.ports,
                seq: client.seq.wrapping_add(far | 1),
                ack: client.ack.wrapping_add(far),
                flags: if far == 0 { ACK | FIN } else { FIN },
                window: 1,
                urgent: 9,
            };
            s.wire.send(&client.framed(&numbers, &[], b""));
            s.wire.send(&client.framed(&numbers, &[], b"late"));
        }
        for flags in [SYN, SYN | ACK, FIN, ACK | FIN, ACK | FIN] {
            s.wire.send(&client.frame(flags, &[], &[]));
        }
        s.wire.send(&client.frame(RST, &[], &[]));
    }
    s.wire.drain(Duration::from_millis(100));
    // Nobody is connected.
    for number in 0..5000_u16 {
        let mut client = Client::between(
            (OUR_IP.into(), KERNEL_IP.into()),
            [7, 80, 81][usize::from(number % 3)],
            number | 1,
        );
        client.say(
            &mut s.wire,
            [RST, RST | ACK, FIN, ACK, FIN | ACK, SYN | ACK][usize::from(number % 6)],
            b"",
        );
    }
    // One of the ends was good, and a reset must come right behind it.
    for client in &mut clients {
        client.seq = client.seq.wrapping_add(1);
        client.say(&mut s.wire, RST, &[]);
    }
}

pub fn windows(s: &mut Scene) {
    // Shut from the beginning; and a byte wide, for as long as it takes.
    let mut clients = open_many(s, 5002, 20);
    for client in &mut clients {
        client.window = 0;
        client.say(&mut s.wire, ACK, &[]);
    }
    let mut slow = s.client(80);
    assert!(slow.open(&mut s.wire));
    slow.window = 1;
    slow.say(&mut s.wire, ACK | PSH, REQUEST);
    let answer = slow.read(&mut s.wire, |bytes| bytes.len() >= 20);
    assert!(answer.is_some(), "an answer byte by byte");
    slow.say(&mut s.wire, RST | ACK, &[]);
    // A byte at a time, the last first, and twice; urgent, and beyond the window.
    let mut client = s.client(80);
    assert!(client.open(&mut s.wire));
    let begin = client.seq;
    for at in (0..REQUEST.len()).rev().chain((0..REQUEST.len()).rev()) {
        client.seq = begin.wrapping_add(at as u32);
        s.wire.send(&client.frame(ACK | PSH | URG, &[], &REQUEST[at..=at]));
    }
    client.seq = begin.wrapping_add(50_000);
    s.wire.send(&client.frame(ACK | PSH, &[], &[1; 1400]));
    client.seq = begin.wrapping_add(REQUEST.len() as u32);
    let answer = client.read(&mut s.wire, |bytes| bytes.ends_with(ANSWER_END));
    assert!(answer.is_some(), "a request byte by byte");
    client.say(&mut s.wire, RST | ACK, &[]);
    for client in &mut clients {
        // All that it has sent is acknowledged: it may be a whole window.
        s.wire.send(&client.frame(RST | ACK, &[], &[]));
    }
}

pub fn in_a_row(s: &mut Scene, count: u32) {
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    for number in 0..count {
        let start = Instant::now();
        // On four ports, so that each is used again while the kernel remembers the connection before: it closes first.
        let mut client = Client::new(80, 10_000 + (number % 4) as u16);
        client.seq = number.wrapping_mul(100_000);
        if !client.open(&mut s.wire) {
            s.wire.failed(&format!("no answer to SYN {number}"));
        }
        client.say(&mut s.wire, ACK | PSH, LAST_REQUEST);
        let Some(_) = client.read(&mut s.wire, |bytes| bytes.ends_with(ANSWER_END)) else {
            s.wire.failed(&format!("no answer to request {number}"));
        };
        client.say(&mut s.wire, ACK | FIN, &[]);
        longest = longest.max(start.elapsed());
    }
    println!("{count} in a row: longest {longest:?}, {:?} each", start.elapsed() / count);
    assert!(longest < AT_ONCE, "{longest:?}");
}
