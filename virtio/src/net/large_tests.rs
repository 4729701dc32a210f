//! Segments larger than frames, both ways: beside a device that cuts as the standard says, and one that lies about buffers.

use std::vec::Vec;

use proptest::prelude::*;

use super::tests::{OWN, Ours, RECEIVED, SENT, attention, bring_up, idle, model, receive, send};
use super::*;
use crate::model::{ANY_LAYOUT, Chain, EVENTS, Lie, Model, Ring};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;

const CUTS: u64 = CSUM | HOST_TSO4 | HOST_TSO6;
const TAKES: u64 = GUEST_CSUM | LARGE_FRAMES;

/// A segment of one of four connections, over IPv4 and IPv6.
#[derive(Clone, Debug)]
struct Data {
    connection: u8,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: usize,
}

impl Data {
    fn frame(&self) -> Vec<u8> {
        let is_v6 = self.connection & 1 != 0;
        let len = (20 + self.payload) as u16;
        let mut frame = std::vec![2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4];
        if is_v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend([0xfd; 32]);
        } else {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            let sum = !sum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        frame.extend([0, 80, 0x80 | self.connection, 7]);
        frame.extend(self.sequence.to_be_bytes());
        frame.extend(self.acknowledged.to_be_bytes());
        frame.extend([0x50, self.flags, 0x20, 0, 0, 0, 0, 0]);
        frame.extend((0..self.payload).map(|at| (self.sequence as usize + at) as u8 ^ 0x5a));
        frame
    }
}

/// The sum of all halves (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn half(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// What leaves a device that was given `bytes` (5.1.6.2): the sums are completed, and what is large is cut.
fn leaves(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (header, frame) = bytes.split_at(12);
    let little = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (kind, headers_len, size) = (header[1], little(2), little(4));
    let (start, at) = (little(6), little(6) + little(8));
    assert_eq!(header[10..], [0, 0], "how many buffers: only for what is received");
    if header[0] != 1 {
        assert_eq!(header, [0; 12]);
        return [frame.to_vec()].into();
    }
    if kind == 0 {
        let mut frame = frame.to_vec();
        let sum = !sum(&frame[start..]);
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        return [frame].into();
    }
    let is_v6 = kind == 4;
    assert!(is_v6 || kind == 1, "{kind}");
    assert_eq!((headers_len, at), (start + 20, start + 16));
    assert_eq!(half(frame, if is_v6 { 18 } else { 16 }), frame.len() - if is_v6 { 54 } else { 14 });
    assert!(is_v6 || sum(&frame[14..34]) == 0xffff, "whoever takes it whole looks at this");
    let data: Vec<&[u8]> = frame[headers_len..].chunks(size).collect();
    assert!(data.len() > 1, "nothing to cut");
    let begun = half(frame, at) as u32;
    let pieces = data.iter().enumerate().map(|(index, data)| {
        let mut piece = [&frame[..headers_len], data].concat();
        let len = piece.len();
        let sequence = u32::from_be_bytes(*piece[start + 4..].first_chunk().expect("four"));
        let sequence = sequence.wrapping_add((index * size) as u32);
        piece[start + 4..start + 8].copy_from_slice(&sequence.to_be_bytes());
        if index + 1 != frame[headers_len..].chunks(size).len() {
            piece[start + 13] &= !(PSH | FIN);
        }
        let (len_at, is_of) = if is_v6 { (18, len - 54) } else { (16, len - 14) };
        piece[len_at..len_at + 2].copy_from_slice(&(is_of as u16).to_be_bytes());
        if !is_v6 {
            piece[24..26].fill(0);
            let sum = !sum(&piece[14..34]);
            piece[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        // The length is part of what is summed with the segment.
        let less = !((frame.len() - start) as u16);
        let begun = [begun as u16, less, (len - start) as u16];
        let begun: Vec<u8> = begun.iter().flat_map(|half| half.to_be_bytes()).collect();
        piece[at..at + 2].copy_from_slice(&sum(&begun).to_be_bytes());
        let sum = !sum(&piece[start..]);
        piece[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        piece
    });
    pieces.collect()
}

/// All that the device was shown, given back.
fn sent(model: &Model) -> Vec<Vec<u8>> {
    model.with(SENT, |ring| {
        ring.take();
        let chains: Vec<Chain> = ring.taken.drain(..).collect();
        for chain in &chains {
            ring.give(chain.head, 0, Lie::None);
        }
        chains.iter().map(Chain::read).collect()
    })
}

/// The frame as it leaves where nothing is cut.
fn completed(data: &Data) -> Vec<u8> {
    let mut frame = data.frame();
    let start = frame.len() - data.payload - 20;
    let addresses = if data.connection & 1 != 0 { 22..54 } else { 26..34 };
    let mut summed = frame[addresses].to_vec();
    summed.extend(((20 + data.payload) as u16).to_be_bytes());
    summed.extend([0, 6]);
    summed.extend(&frame[start..]);
    let sum = !sum(&summed);
    frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn segments_of_a_round_go_out_as_one() {
    for connection in [0, 1] {
        for is_legacy in [false, true] {
            let features = CUTS | TAKES | MAC | if is_legacy { ANY_LAYOUT } else { 0 };
            let model = Model { is_legacy, ..model(features) };
            let mut net = bring_up(&model, attention(), 64);
            let segments: Vec<Data> = (0..12_u32)
                .map(|at| Data {
                    connection,
                    sequence: (u32::MAX - 3000).wrapping_add(at * 1400),
                    acknowledged: 9,
                    flags: if at == 11 { ACK | PSH | FIN } else { ACK },
                    payload: if at == 11 { 30 } else { 1400 },
                })
                .collect();
            for data in &segments {
                assert!(send(&mut net, &data.frame()));
            }
            net.link_state(&mut idle());
            let sent = sent(&model);
            assert_eq!(sent.len(), 1);
            let headers_len = if connection == 1 { 74 } else { 54 };
            let kind = if connection == 1 { 4 } else { 1 };
            let header = [1, kind, headers_len, 0, 0x78, 5, headers_len - 20, 0, 16, 0, 0, 0];
            assert_eq!(sent[0][..12], header);
            let wanted: Vec<_> = segments.iter().map(completed).collect();
            assert_eq!(leaves(&sent[0]), wanted);
            assert_eq!((net.statistics().sent, net.statistics().joined), (12, 12));
            // All of the chain's buffers are free again.
            (0..64).for_each(|_| assert!(send(&mut net, &[0; 60])));
        }
    }
}

#[test]
fn a_run_ends_with_what_ip_can_say() {
    let model = model(CUTS | MAC);
    let mut net = bring_up(&model, attention(), 64);
    let mut wanted = Vec::new();
    for at in 0..60 {
        let data =
            Data { connection: 0, sequence: at * 1460, acknowledged: 0, flags: ACK, payload: 1460 };
        wanted.push(completed(&data));
        assert!(send(&mut net, &data.frame()));
    }
    net.link_state(&mut idle());
    let sent = sent(&model);
    // 44 × 1460 + 40 is the last below 65,536.
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [66 + 44 * 1460, 66 + 16 * 1460]);
    assert_eq!(sent.iter().flat_map(|bytes| leaves(bytes)).collect::<Vec<_>>(), wanted);
}

/// A run that takes all buffers goes out when one more is asked for, not when the round ends.
#[test]
fn a_run_that_fills_the_queue_does_not_wait_for_itself() {
    let model = model(CUTS | MAC | EVENTS);
    let mut net = bring_up(&model, attention(), 8);
    let frame = |at: u32| {
        Data { connection: 0, sequence: at * 700, acknowledged: 0, flags: ACK, payload: 700 }
            .frame()
    };
    for at in 0..100 {
        if !send(&mut net, &frame(at)) {
            assert_eq!(sent(&model).len(), 1);
            assert!(send(&mut net, &frame(at)));
        }
    }
    assert_eq!(net.error(), None);
}

fn data() -> impl Strategy<Value = Vec<(Data, bool)>> {
    let payload = prop_oneof![Just(0), Just(1), 500..700_usize, Just(1000), Just(1440), Just(1440)];
    let flags = prop_oneof![
        9 => Just(ACK),
        5 => (0..5_usize).prop_map(|at| [ACK | PSH, ACK | FIN, SYN, ACK | 0x40, ACK | 4][at])
    ];
    let one = (0..4_u8, flags, payload, 0..12_u8, 0..12_u8);
    proptest::collection::vec(one, 0..120).prop_map(|steps| {
        let mut next = [[u32::MAX - 9000, 1]; 4];
        let mut connection = 0;
        let steps = steps.into_iter().map(|(other, flags, payload, what, end)| {
            if what == 0 {
                connection = other;
            }
            let [sequence, acknowledged] = &mut next[usize::from(connection)];
            match what {
                1 => *sequence = sequence.wrapping_add(1),
                2 => *acknowledged += 1,
                3 => *sequence = sequence.wrapping_sub(1440),
                _ => {}
            }
            let (sequence, acknowledged) = (*sequence, *acknowledged);
            next[usize::from(connection)][0] = sequence.wrapping_add(payload as u32);
            (Data { connection, sequence, acknowledged, flags, payload }, end == 0)
        });
        steps.collect()
    })
}

proptest! {
    /// What leaves is what would have left without: the same frames, in the same order.
    #[test]
    fn what_the_device_cuts_is_what_the_stack_sent(steps in data(), v4: bool, v6: bool, events: bool) {
        let cuts = CSUM | if v4 { HOST_TSO4 } else { 0 } | if v6 { HOST_TSO6 } else { 0 };
        let model = model(cuts | MAC | if events { EVENTS } else { 0 });
        let mut net = bring_up(&model, attention(), 16);
        let (mut wanted, mut left) = (Vec::new(), Vec::new());
        let leave = |left: &mut Vec<Vec<u8>>| left.extend(sent(&model).iter().flat_map(|bytes| leaves(bytes)));
        for (data, ends) in &steps {
            while !send(&mut net, &data.frame()) {
                leave(&mut left);
            }
            wanted.push(completed(data));
            if *ends {
                net.link_state(&mut idle());
                leave(&mut left);
            }
        }
        net.link_state(&mut idle());
        leave(&mut left);
        prop_assert_eq!(left, wanted);
        prop_assert_eq!(net.statistics().sent, steps.len() as u64);
        for _ in 0..16 {
            prop_assert!(send(&mut net, &[0; 60]));
        }
    }

    /// Bytes that are no frame, and frames with a byte changed.
    #[test]
    fn anything_may_be_sent(
        connection in 0..2_u8, at: prop::sample::Index, to: u8, len in 0..1500_usize, runs in 1..4_u32,
    ) {
        let model = model(CUTS | MAC);
        let mut net = bring_up(&model, attention(), 16);
        for run in 0..runs {
            let data = Data { connection, sequence: run * 600, acknowledged: 0, flags: ACK, payload: 600 };
            let mut frame = data.frame();
            let at = at.index(80);
            frame[at] = to;
            frame.truncate(len.max(1));
            send(&mut net, &frame);
        }
        net.link_state(&mut idle());
        prop_assert!(!sent(&model).is_empty());
        prop_assert_eq!(net.error(), None);
    }
}

/// A frame that is whole, and of which no byte is like its neighbours.
fn large(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 256 + at) as u8 & 0x7f).collect()
}

fn header(buffers: u16) -> [u8; 12] {
    let [low, high] = buffers.to_le_bytes();
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, low, high]
}

/// The device puts bytes into as many buffers as they need, or of that size each, and says the header's number.
fn deliver(ring: &mut Ring, bytes: &[u8], each: usize) -> usize {
    bytes.chunks(each).filter(|part| ring.answer(|chain| chain.write(part), Lie::None)).count()
}

fn deliver_frame(ring: &mut Ring, frame: &[u8]) -> bool {
    let buffers = (12 + frame.len()).div_ceil(BUFFER_BYTES);
    deliver(ring, &[&header(buffers as u16)[..], frame].concat(), BUFFER_BYTES) == buffers
}

#[test]
fn frames_in_several_buffers_come_whole() {
    for is_legacy in [false, true] {
        let features = TAKES | MAC | EVENTS | if is_legacy { ANY_LAYOUT } else { 0 };
        let model = Model { is_legacy, ..model(features) };
        let mut net = bring_up(&model, attention(), 40);
        let lens = [14, 60, 2036, 2037, 4084, 4085, 9000, 65_535, merged::LONGEST_FRAME];
        for (round, len) in (0..200).zip(lens.into_iter().cycle()) {
            let frame = large(len);
            assert!(model.with(RECEIVED, |ring| deliver_frame(ring, &frame)), "{round}");
            assert!(receive(&mut net) == Some(frame), "{len}");
            assert_eq!(receive(&mut net), None);
            net.link_state(&mut idle());
        }
        let statistics = net.statistics();
        assert_eq!((statistics.received, statistics.dropped), (200, 0));
        assert_eq!(statistics.large, 200 - 23 - 23 - 22);
    }
}

#[test]
fn what_has_come_of_a_frame_waits_for_the_rest() {
    let model = model(TAKES | MAC);
    let mut net = bring_up(&model, attention(), 40);
    let frame = large(8000);
    let bytes = [&header(4)[..], &frame].concat();
    for (index, part) in bytes.chunks(BUFFER_BYTES).enumerate() {
        assert_eq!(receive(&mut net), None, "{index}");
        net.link_state(&mut idle());
        let before = model.with(RECEIVED, |ring| ring.interrupts);
        model.with(RECEIVED, |ring| assert_eq!(deliver(ring, part, BUFFER_BYTES), 1));
        assert_eq!(model.with(RECEIVED, |ring| ring.interrupts), before + 1, "who waits is woken");
    }
    assert!(receive(&mut net) == Some(frame));
}

#[test]
fn frames_that_cannot_be_are_dropped_with_all_their_buffers() {
    let model = model(TAKES | MAC);
    let mut net = bring_up(&model, attention(), 64);
    let too_long = [&header(33)[..], &large(merged::LONGEST_FRAME + 1)].concat();
    let small = [&header(1)[..], &[7; 60]].concat();
    for (dropped, (lens, said)) in [
        // Too long by a byte, a buffer of nothing, one of more than a buffer has, first and later.
        (std::vec![BUFFER_BYTES; 33], None),
        (std::vec![100, 0, 100], Some((1, 0))),
        (std::vec![100, 100, 100], Some((1, 2049))),
        (std::vec![100, 100, 100], Some((2, u32::MAX))),
        (std::vec![100, 100, 100], Some((0, 2049))),
    ]
    .into_iter()
    .enumerate()
    {
        model.with(RECEIVED, |ring| {
            if said.is_none() {
                assert_eq!(deliver(ring, &too_long, BUFFER_BYTES), 33);
            } else {
                for (index, len) in lens.iter().enumerate() {
                    let bytes = [&header(lens.len() as u16)[..], &large(*len)].concat();
                    let lie = said.filter(|(at, _)| *at == index);
                    let lie = lie.map_or(Lie::None, |(_, len)| Lie::Len(len));
                    ring.answer(|chain| chain.write(&bytes), lie);
                }
            }
            deliver(ring, &small, BUFFER_BYTES);
        });
        assert_eq!(receive(&mut net), Some([7; 60].to_vec()), "{dropped}: the next one comes");
        assert_eq!(net.statistics().dropped, dropped as u64 + 1);
        net.link_state(&mut idle());
    }
    // A header alone, in two buffers.
    model.with(RECEIVED, |ring| {
        deliver(ring, &header(2), 11);
        deliver(ring, &header(2), 12);
        deliver(ring, &[1, 2], 2);
    });
    assert_eq!(receive(&mut net), None);
    assert_eq!((net.error(), net.statistics().dropped), (None, 8));
}

#[test]
fn numbers_of_buffers_that_cannot_be_are_lies() {
    for buffers in [0, 41, u16::MAX] {
        let model = model(TAKES | MAC);
        let mut net = bring_up(&model, attention(), 40);
        model.with(RECEIVED, |ring| {
            let bytes = [&header(buffers)[..], &[0; 100]].concat();
            deliver(ring, &bytes, BUFFER_BYTES);
        });
        assert_eq!(receive(&mut net), None);
        assert_eq!(net.error(), Some(Error::Lying), "{buffers}");
    }
}

/// Those for which there are buffers enough, and only with what they need.
#[test]
fn features_are_taken_with_those_that_they_need() {
    let accepted = |features, buffers, most| {
        let model = Model { most, ..model(features) };
        let net = Ours::new(&model, attention(), Messages::default(), buffers, OWN, limited());
        assert!(net.is_ok());
        model.accepted.get() & (CSUM | GUEST_CSUM | CUTS | TAKES)
    };
    let all = CUTS | TAKES;
    assert_eq!(accepted(all, 64, 256), all);
    assert_eq!(accepted(all, 33, 256), all);
    for (buffers, most) in [(32, 256), (64, 32), (1, 256)] {
        assert_eq!(accepted(all, buffers, most), CUTS | GUEST_CSUM, "{buffers} of {most}");
    }
    let some = GUEST_CSUM | MERGED_BUFFERS | GUEST_TSO6;
    assert_eq!(accepted(some, 64, 256), some);
    assert_eq!(accepted(GUEST_CSUM | MERGED_BUFFERS, 64, 256), GUEST_CSUM);
    assert_eq!(accepted(GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6, 64, 256), GUEST_CSUM);
    assert_eq!(accepted(LARGE_FRAMES, 64, 256), 0);
    assert_eq!(accepted(HOST_TSO4, 64, 256), 0);
    assert_eq!(accepted(CSUM | HOST_TSO6, 64, 256), CSUM | HOST_TSO6);
}
