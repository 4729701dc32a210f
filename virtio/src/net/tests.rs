//! The network driver beside a device that echoes, and one that lies.

use core::cell::Cell;
use core::task::Waker;
use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::vec::Vec;

use proptest::prelude::*;

use embassy_net_driver::{RxToken, TxToken};

use super::*;
use crate::interrupt::Interrupt;
use crate::model::{ANY_LAYOUT, EVENTS, Host, Lie, Model, Ring, VERSION_1};

pub const RECEIVED: usize = 0;
pub const SENT: usize = 1;
pub const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub type Ours<'a> = Net<&'a Model, Host>;

pub fn attention() -> &'static Attention {
    Box::leak(Box::new(Attention::new(Interrupt::NONE)))
}

pub fn model(features: u64) -> Model {
    let model = Model { features: features | VERSION_1, ..Model::new(KIND) };
    *model.config.borrow_mut() = [0x52, 0x54, 0, 1, 2, 3, 1, 0, 0, 0, 0xdc, 0x05].into();
    model
}

pub fn bring_up<'a>(model: &'a Model, attention: &'static Attention, buffers: u16) -> Ours<'a> {
    Net::new(model, attention, Messages::default(), buffers, OWN, limited()).expect("a device")
}

struct Count(AtomicU32);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Sends `frame`, if there is room.
pub fn send(net: &mut Ours, frame: &[u8]) -> bool {
    let Some(room) = net.transmit(&mut idle()) else { return false };
    room.consume(frame.len(), |bytes| bytes.copy_from_slice(frame));
    true
}

/// The next frame that was received.
pub fn receive(net: &mut Ours) -> Option<Vec<u8>> {
    net.receive(&mut idle()).map(|(frame, _)| frame.consume(|bytes| bytes.to_vec()))
}

/// The device puts a frame into the driver's next buffer. Whether it had one.
fn deliver(ring: &mut Ring, header: &[u8], frame: &[u8], lie: Lie) -> bool {
    ring.answer(|chain| chain.write(&[header, frame].concat()), lie)
}

fn headers() -> impl Iterator<Item = (Model, usize)> {
    [0, EVENTS, CSUM | GUEST_CSUM, CSUM | GUEST_CSUM | EVENTS].into_iter().flat_map(|features| {
        let modern = model(features | MAC | STATUS);
        let legacy = Model { is_legacy: true, features: features | ANY_LAYOUT | MAC, ..model(0) };
        [(modern, 12), (legacy, 10)]
    })
}

#[test]
fn frames_go_both_ways_for_longer_than_indices_last() {
    for (model, header_len) in headers() {
        let mut net = bring_up(&model, attention(), 16);
        for round in 0..20_000_u32 {
            let frames: Vec<Vec<u8>> = (0..round % 7 + 1)
                .map(|one| (0..60 + one * 200).map(|at| (at ^ round) as u8 & 0x7f).collect())
                .collect();
            for frame in &frames {
                assert!(send(&mut net, frame));
            }
            net.link_state(&mut idle());
            let sent = model.with(SENT, |ring| {
                ring.take();
                let chains: Vec<_> = ring.taken.drain(..).collect();
                chains
                    .into_iter()
                    .map(|chain| {
                        let bytes = chain.read();
                        ring.give(chain.head, 0, Lie::None);
                        assert_eq!(
                            bytes[..header_len],
                            [0; 12][..header_len],
                            "no TCP, no checksum"
                        );
                        bytes[header_len..].to_vec()
                    })
                    .collect::<Vec<_>>()
            });
            assert_eq!(sent, frames);
            model.with(RECEIVED, |ring| {
                for frame in &frames {
                    assert!(deliver(ring, &[0; 12][..header_len], frame, Lie::None));
                }
            });
            for frame in &frames {
                assert_eq!(receive(&mut net).as_ref(), Some(frame));
            }
            assert_eq!(receive(&mut net), None);
        }
        assert_eq!(net.statistics().dropped, 0);
        assert_eq!(net.statistics().sent, net.statistics().received);
        assert_eq!(net.error(), None);
    }
}

#[test]
fn there_may_be_as_many_buffers_as_there_can_be() {
    let model = model(MAC);
    let mut net = bring_up(&model, attention(), u16::MAX);
    let sent = (0..2 * MOST_BUFFERS).filter(|_| send(&mut net, &[0; 60])).count();
    assert_eq!(sent, MOST_BUFFERS);
}

/// All frames of a round, and all buffers that went back: one notification each at most.
#[test]
fn a_round_is_one_notification() {
    let model = model(EVENTS | MAC);
    let mut net = bring_up(&model, attention(), 64);
    let before = net.statistics().notifications;
    for round in 1..1000 {
        for _ in 0..8 {
            assert!(send(&mut net, &[1; 60]));
        }
        assert_eq!(net.statistics().notifications, before + round - 1);
        net.link_state(&mut idle());
        net.link_state(&mut idle());
        assert_eq!(net.statistics().notifications, before + round);
        model.with(SENT, |ring| while ring.answer(|_| 0, Lie::None) {});
    }
    assert_eq!(model.with(SENT, |ring| ring.interrupts), 0, "nobody waits for what is sent");
}

#[test]
fn who_waits_for_room_is_woken_when_there_is_some() {
    for features in [0, EVENTS] {
        let model = model(features | MAC);
        let attention = attention();
        let mut net = bring_up(&model, attention, 8);
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        for _ in 0..20_000 {
            while send(&mut net, &[1; 60]) {}
            assert!(net.transmit(&mut Context::from_waker(&waker)).is_none());
            let woken = count.0.load(Ordering::Relaxed);
            // It was told already: what waits for room must not wait for ever.
            model.with(SENT, |ring| {
                ring.take();
                assert_eq!(ring.taken.len(), 8);
            });
            let mut given = 0;
            while !model.with(SENT, |ring| {
                let head = ring.taken.pop_front().expect("more").head;
                ring.give(head, 0, Lie::None)
            }) {
                given += 1;
                assert!(given < 8, "no interrupt came");
            }
            attention.on_queue();
            assert_eq!(count.0.load(Ordering::Relaxed), woken + 1);
            assert!(net.transmit(&mut Context::from_waker(&waker)).is_some());
            model.with(SENT, |ring| while ring.answer(|_| 0, Lie::None) {});
        }
    }
}

#[test]
fn who_waits_for_a_frame_is_woken() {
    for features in [0, EVENTS] {
        let model = model(features | MAC);
        let mut net = bring_up(&model, attention(), 8);
        for _ in 0..70_000 {
            assert!(receive(&mut net).is_none());
            net.link_state(&mut idle());
            let before = model.with(RECEIVED, |ring| ring.interrupts);
            model.with(RECEIVED, |ring| assert!(deliver(ring, &[0; 12], &[0; 60], Lie::None)));
            assert_eq!(model.with(RECEIVED, |ring| ring.interrupts), before + 1);
            assert!(receive(&mut net).is_some());
        }
    }
}

std::thread_local! {
    static ARRIVES: Cell<Option<&'static Model>> = const { Cell::new(None) };
}

/// A task that is waited for no more when another registers: at that time a frame arrives that is too short.
struct Arrival;

impl std::task::Wake for Arrival {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(model) = ARRIVES.take() {
            model.with(RECEIVED, |ring| assert!(deliver(ring, &[], &[0; 5], Lie::None)));
        }
    }
}

/// What is dropped may arrive after a look that finds nothing and before an interrupt is asked for.
#[test]
fn who_waits_is_woken_after_what_is_dropped() {
    for features in [0, EVENTS, GUEST_CSUM | LARGE_FRAMES, GUEST_CSUM | LARGE_FRAMES | EVENTS] {
        let model: &Model = Box::leak(Box::new(model(features | MAC)));
        let mut net = bring_up(model, attention(), 40);
        let arrival = Waker::from(Arc::new(Arrival));
        assert!(net.receive(&mut Context::from_waker(&arrival)).is_none());
        drop(arrival);
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        ARRIVES.set(Some(model));
        for _ in 0..2 {
            assert!(net.receive(&mut Context::from_waker(&waker)).is_none());
            if count.0.swap(0, Ordering::Relaxed) == 0 {
                break;
            }
        }
        assert_eq!((net.statistics().dropped, count.0.load(Ordering::Relaxed)), (1, 0));
        let is_wanted = model.with(RECEIVED, |ring| {
            let before = ring.interrupts;
            assert!(deliver(ring, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], &[0; 60], Lie::None));
            ring.interrupts != before
        });
        assert!(is_wanted, "{features:#x}: nobody is told of the next frame");
        assert!(receive(&mut net).is_some());
    }
}

/// However fast it comes, what is dropped does not keep a task from its end.
#[test]
fn a_flood_of_what_is_dropped_has_its_turns() {
    const BUFFERS: u16 = 8;
    let model = model(MAC | EVENTS);
    let mut net = bring_up(&model, attention(), BUFFERS);
    let mut ring = model.rings.borrow_mut()[RECEIVED].take().expect("a queue");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = 1_000_000;
            while left > 0 && !is_over.load(Ordering::Relaxed) {
                left -= i32::from(ring.answer(|_| 5, Lie::None));
            }
        });
        let mut most = 0;
        // However late the device begins.
        while net.statistics().dropped < 10_000 {
            let before = net.statistics().dropped;
            assert!(receive(&mut net).is_none());
            most = most.max(net.statistics().dropped - before);
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(most > 0 && most <= 2 * u64::from(BUFFERS), "{most} in one turn");
    });
}

#[test]
fn frames_of_impossible_lengths_are_dropped() {
    let model = model(MAC);
    let mut net = bring_up(&model, attention(), 8);
    let lens = [0, 1, 11, 12, 25, 2049, 4096, u32::MAX];
    for len in lens {
        model.with(RECEIVED, |ring| {
            deliver(ring, &[0; 12], &[9; 100], Lie::Len(len));
            deliver(ring, &[0; 12], &[7; 14], Lie::None);
        });
        assert_eq!(receive(&mut net), Some([7; 14].to_vec()), "{len}");
        net.link_state(&mut idle());
    }
    assert_eq!(net.statistics().dropped, lens.len() as u64);
    assert_eq!(net.error(), None);
}

#[test]
fn a_device_that_lies_is_reset_and_used_no_more() {
    for direction in [RECEIVED, SENT] {
        for lie in [Lie::Id(300), Lie::Id(7), Lie::Step(9), Lie::Step(u16::MAX), Lie::Twice] {
            if direction == RECEIVED && lie == Lie::Twice {
                // The buffer went back in between, so this is no lie.
                continue;
            }
            let model = model(MAC | STATUS);
            let mut net = bring_up(&model, attention(), 4);
            if direction == SENT {
                while send(&mut net, &[0; 60]) {}
            }
            let work = |ring: &mut Ring| {
                let len = |chain: &crate::model::Chain| chain.write(&[0; 100]);
                ring.answer(len, lie);
                ring.answer(len, lie);
            };
            model.with(direction, work);
            for _ in 0..4 {
                let _ = receive(&mut net);
                let _ = send(&mut net, &[0; 60]);
            }
            assert_eq!(net.error(), Some(Error::Lying), "{direction} {lie:?}");
            assert_eq!(model.status.get(), 0, "reset");
            assert!(net.link_state(&mut idle()) == LinkState::Down);
            assert!(!send(&mut net, &[0; 60]) && receive(&mut net).is_none());
        }
    }
}

#[test]
fn the_link_follows_the_configuration() {
    let model = model(MAC | STATUS);
    let attention = attention();
    let mut net = bring_up(&model, attention, 8);
    let mut is_up = || net.link_state(&mut idle()) == LinkState::Up;
    assert!(is_up());
    model.config.borrow_mut()[6] = 0;
    assert!(is_up(), "nobody said so");
    attention.on_config();
    assert!(!is_up());
    model.config.borrow_mut()[6] = 1;
    attention.on_config();
    assert!(is_up());
    model.status.set(0xff);
    attention.on_config();
    assert!(!is_up(), "unplugged");
    assert_eq!(net.error(), Some(Error::Unplugged));
}

#[test]
fn a_device_that_sends_nothing_is_asked_whether_it_is_there() {
    let gone = [(0xff, Some(Error::Unplugged)), (0x4f, Some(Error::Lying)), (0xf, None)];
    for ((status, error), is_busy) in gone.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let model = model(MAC | STATUS);
        let mut net = bring_up(&model, attention(), 64);
        let round = |net: &mut Ours| {
            let _ = send(net, &[0; 60]);
            net.link_state(&mut idle()) == LinkState::Up
        };
        for _ in 0..20 {
            assert!(round(&mut net) && round(&mut net));
            model.with(SENT, |ring| while ring.answer(|_| 0, Lie::None) {});
        }
        // It is there, and only slow: asked less and less often. Without room, too.
        for _ in 0..if is_busy { 200 } else { 0 } {
            assert!(round(&mut net));
        }
        model.status.set(status);
        for _ in 0..if is_busy { MOST_VAIN_ROUNDS } else { VAIN_ROUNDS } {
            assert!(is_busy || net.error().is_none(), "not at once");
            round(&mut net);
            // No frame, no question.
            (0..10).for_each(|_| _ = net.link_state(&mut idle()));
        }
        round(&mut net);
        assert_eq!(net.error(), error, "{status:#x}, {is_busy}");
        assert_eq!(round(&mut net), error.is_none());
    }
}

#[test]
fn addresses_are_believed_if_they_can_be() {
    let found = |features, config: &[u8]| {
        let model = model(features);
        *model.config.borrow_mut() = config.into();
        let net = bring_up(&model, attention(), 4);
        let HardwareAddress::Ethernet(mac) = net.hardware_address() else { panic!("Ethernet") };
        (mac, net.capabilities().max_transmission_unit)
    };
    let good = [2, 1, 1, 1, 1, 1];
    let config = |mac: [u8; 6], mtu: u16| [&mac[..], &[1, 0, 1, 0], &mtu.to_le_bytes()].concat();
    assert_eq!(found(MAC | MTU, &config(good, 1400)), (good, 1414));
    assert_eq!(found(MAC, &config(good, 1400)), (good, 1514));
    assert_eq!(found(MTU, &config(good, 9000)), (OWN, 1514));
    assert_eq!(found(MAC | MTU, &config([0; 6], 575)), (OWN, 1514));
    assert_eq!(found(MAC, &config([0xff; 6], 0)), (OWN, 1514));
    assert_eq!(found(MAC | MTU, &[]), (OWN, 1514));
    let restless = Model { is_restless: true, ..model(MAC | MTU) };
    let net = bring_up(&restless, attention(), 4);
    assert!(net.hardware_address() == HardwareAddress::Ethernet(OWN));
}

#[test]
fn devices_that_cannot_be_used_are_refused() {
    let failed =
        |model: Model| Ours::new(&model, attention(), Messages::default(), 8, OWN, limited()).err();
    assert_eq!(failed(Model { kind: 2, ..model(0) }), Some(Error::OtherKind(2)));
    assert_eq!(failed(Model { features: 0, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { takes_features: false, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { takes_queues: false, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { most: 0, ..model(0) }), Some(Error::Refused));
    assert_eq!(failed(Model { resets: false, ..model(0) }), Some(Error::Silent));
    let legacy = Model { is_legacy: true, features: 0, ..model(0) };
    assert_eq!(failed(legacy), Some(Error::Refused), "no room for the header beside the frame");
}

#[test]
fn the_device_completes_checksums_and_vouches_for_others() {
    let model = model(CSUM | GUEST_CSUM | MAC);
    let mut net = bring_up(&model, attention(), 8);
    let kinds = net.capabilities().checksum;
    assert!(matches!((kinds.tcp, kinds.udp), (Checksum::None, Checksum::Tx)));
    // A TCP segment over IPv4, without a checksum.
    let mut frame = std::vec![0; 54];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    frame[46] = 0x50;
    assert!(send(&mut net, &frame));
    net.link_state(&mut idle());
    let sent = model.with(SENT, |ring| {
        ring.take();
        ring.taken[0].read()
    });
    assert_eq!(sent[..12], [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]);
    assert_eq!(sent[12 + 50..][..2], [0, 26], "what is summed with the segment");
    for (flags, is_taken) in [(0, false), (1, true), (2, true), (4, false)] {
        let header = [flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        model.with(RECEIVED, |ring| deliver(ring, &header, &frame, Lie::None));
        assert_eq!(receive(&mut net).is_some(), is_taken, "{flags}");
    }
    assert_eq!(net.statistics().dropped, 2);
}

proptest! {
    /// Whatever the device does: what the stack gets is a frame that lies in a buffer.
    #[test]
    fn anything_from_the_device(
        steps in proptest::collection::vec((0..8_u8, any::<u32>(), any::<u8>()), 0..200), events: bool,
    ) {
        let large = CSUM | GUEST_CSUM | HOST_TSO4 | LARGE_FRAMES;
        let model = model(MAC | STATUS | large | if events { EVENTS } else { 0 });
        let attention = attention();
        let mut net = bring_up(&model, attention, 40);
        for (step, word, byte) in steps {
            let ring = |index: usize, lie| {
                if !model.rings.borrow().is_empty() {
                    let mut bytes = [byte; 300];
                    bytes[10..12].copy_from_slice(&(word as u16 % 48).to_le_bytes());
                    model.with(index, |ring| ring.answer(|chain| chain.write(&bytes), lie));
                }
            };
            match step {
                0 => ring(RECEIVED, Lie::None),
                1 => ring(SENT, Lie::None),
                2 => ring(RECEIVED, Lie::Len(word)),
                3 if byte == 0 => ring(RECEIVED, Lie::Id(word % 300)),
                4 if byte == 0 => ring(SENT, Lie::Step(word as u16)),
                5 => { let _ = send(&mut net, &[byte; 90]); }
                6 => { let _ = receive(&mut net); }
                _ => {
                    model.config.borrow_mut()[6] = byte;
                    attention.on_config();
                    net.link_state(&mut idle());
                }
            }
        }
        let statistics = net.statistics();
        prop_assert!(statistics.received < 300 && statistics.sent < 300);
    }
}
