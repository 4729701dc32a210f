//! A queue beside a device that keeps to the rules, and one that does not.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::memory::Memory;
use crate::model::{ANY_LAYOUT, EVENTS, Host, HostPages, Lie, Model, VERSION_1};
use crate::transport::{negotiate, start};

const N: usize = 8;
type Ours = Queue<N, HostPages>;

fn queue(model: &Model) -> Ours {
    let features = negotiate(&model, model.kind, EVENT_INDEX, || false).expect("features");
    let len = Ours::len(&model, 0).expect("a length");
    let pages = Host::zeroed(Ours::bytes(len)).expect("memory");
    let queue = Ours::new(&model, 0, len, pages, &features, None).expect("a queue");
    start(&model, &features);
    queue
}

fn models() -> impl Iterator<Item = Model> {
    let kinds = [(false, 0), (false, EVENTS), (true, 0), (true, EVENTS)];
    kinds.into_iter().flat_map(|(is_legacy, events)| {
        [2, 8, 256].map(|most| {
            let features = if is_legacy { ANY_LAYOUT } else { VERSION_1 };
            Model { is_legacy, features: features | events, most, ..Model::new(9) }
        })
    })
}

fn segment(index: u16, is_written: bool) -> Segment {
    Segment { address: 0x1000 + u64::from(index), len: u32::from(index) + 1, is_written }
}

/// For longer than indices last: what is offered comes back, in any order, and the device reads what was described.
#[test]
fn what_is_offered_comes_back() {
    for model in models() {
        let mut queue = queue(&model);
        let count = queue.count();
        assert_eq!(usize::from(count), N.min(model.most.into()));
        let mut expected = 0_u64;
        for round in 0..40_000_u64 {
            let some = (round % u64::from(count)) as u16 + 1;
            for index in 0..some {
                queue.describe(index, segment(index, index % 2 == 0), None);
                queue.offer(index);
            }
            queue.tell();
            assert_eq!(queue.flying(), some);
            model.with(0, |ring| {
                assert!(ring.take());
                let mut chains: Vec<_> = ring.taken.drain(..).collect();
                for (index, chain) in (0..).zip(&chains) {
                    let [piece] = chain.pieces[..] else { panic!("a chain of one") };
                    let wanted = segment(index, index % 2 == 0);
                    assert_eq!((piece.address, piece.len), (wanted.address, wanted.len));
                    assert_eq!(piece.is_written, wanted.is_written);
                }
                if round % 3 == 0 {
                    chains.reverse();
                }
                for chain in chains {
                    ring.give(chain.head, u32::from(chain.head) * 3, Lie::None);
                }
            });
            let mut seen = BTreeMap::new();
            while let Some((id, len)) = queue.take().expect("no lie") {
                assert_eq!(len, u32::from(id) * 3);
                assert!(seen.insert(id, len).is_none());
            }
            assert_eq!(seen.len(), usize::from(some));
            expected += 1;
            let rings = model.with(0, |ring| ring.bell.load(Ordering::Relaxed));
            assert_eq!(
                (u64::from(rings), queue.rings()),
                (expected, expected),
                "one bell for a batch"
            );
        }
    }
}

#[test]
fn chains_are_read_to_their_end() {
    let model = Model::new(9);
    let mut queue = queue(&model);
    queue.describe(3, segment(3, false), Some(1));
    queue.describe(1, segment(1, true), Some(6));
    queue.describe(6, segment(6, true), None);
    queue.offer(3);
    queue.tell();
    model.with(0, |ring| {
        ring.take();
        let lens: Vec<_> = ring.taken[0].pieces.iter().map(|piece| piece.len).collect();
        assert_eq!(lens, [4, 2, 7]);
    });
}

/// The bell is rung when the device has looked at all that it knew of, and never else; at the wrap of indices too.
#[test]
fn the_bell_is_rung_only_when_it_is_wanted() {
    for events in [0, EVENTS] {
        let model = Model { features: VERSION_1 | events, ..Model::new(9) };
        let mut queue = queue(&model);
        let rings = || model.with(0, |ring| ring.bell.load(Ordering::Relaxed));
        for _ in 0..70_000 {
            let before = rings();
            queue.tell();
            assert_eq!(rings(), before, "nothing was offered");
            queue.offer(0);
            queue.tell();
            assert_eq!(rings(), before + 1);
            queue.offer(1);
            queue.show();
            queue.offer(2);
            queue.tell();
            // It has not looked since: with events it does not want to know.
            assert_eq!(rings(), before + if events == 0 { 2 } else { 1 });
            model.with(0, |ring| while ring.answer(|_| 0, Lie::None) {});
            while queue.take().expect("no lie").is_some() {}
        }
    }
    let model = Model::new(9);
    let mut queue = queue(&model);
    model.with(0, |ring| ring.want_no_notification());
    queue.offer(0);
    queue.tell();
    assert_eq!(queue.rings(), 0);
}

/// An interrupt comes for the last of what was asked for; and if that was there already, the caller is told.
#[test]
fn interrupts_come_when_they_were_asked_for() {
    for model in models().filter(|model| model.most >= 8) {
        let mut queue = queue(&model);
        let has_events = queue.has_events;
        let interrupts = || model.with(0, |ring| ring.interrupts);
        for round in 0..70_000_u32 {
            let wanted = (round % 3) as u16 + 1;
            for index in 0..5 {
                queue.offer(index);
            }
            queue.tell();
            queue.ask(1);
            let first = interrupts();
            model.with(0, |ring| ring.answer(|_| 0, Lie::None));
            assert_eq!(interrupts(), first + 1);
            // Who takes something asks again before it waits.
            queue.take().expect("no lie").expect("the first");
            let before = interrupts();
            model.with(0, |ring| ring.answer(|_| 0, Lie::None));
            assert_eq!(interrupts(), before, "not asked for");
            assert_eq!(queue.ask(wanted), wanted == 1);
            for more in 1..4 {
                model.with(0, |ring| ring.answer(|_| 0, Lie::None));
                let asked = u32::from(more + 1 >= wanted && wanted > 1);
                let come = interrupts() - before;
                if has_events {
                    assert_eq!(come, asked, "{wanted} {more}");
                } else {
                    assert!(come >= asked);
                }
            }
            while queue.take().expect("no lie").is_some() {}
        }
    }
}

#[test]
fn lies_are_seen() {
    for lie in [
        Lie::Id(1),
        Lie::Id(8),
        Lie::Id(255),
        Lie::Id(256),
        Lie::Id(65_536),
        Lie::Id(u32::MAX),
        Lie::Step(2),
        Lie::Step(u16::MAX),
        Lie::Step(1 << 15),
        Lie::Twice,
    ] {
        for model in models().filter(|model| model.most >= 8) {
            let mut queue = queue(&model);
            queue.offer(0);
            if lie == Lie::Twice {
                queue.offer(2);
            }
            queue.tell();
            model.with(0, |ring| ring.answer(|_| 0, lie));
            let first = queue.take();
            let seen = if lie == Lie::Twice { queue.take() } else { first };
            assert_eq!(seen, Err(Lying), "{lie:?}");
            assert_eq!(queue.take(), Err(Lying), "it stays so");
        }
    }
}

#[test]
fn queues_that_cannot_be_are_refused() {
    for most in [0, 3, 12, u16::MAX] {
        let model = Model { most, ..Model::new(9) };
        let refused = if most >= N as u16 { Ok(N as u16) } else { Err(Error::Refused) };
        assert_eq!(Ours::len(&&model, 0), refused, "{most}");
    }
    let model = Model { takes_queues: false, ..Model::new(9) };
    let features = negotiate(&&model, 9, 0, || false).expect("features");
    let pages = Host::zeroed(Ours::bytes(8)).expect("memory");
    assert!(matches!(Ours::new(&&model, 0, 8, pages, &features, None), Err(Error::Refused)));
    let model = Model::new(9);
    let pages = Host::zeroed(Ours::bytes(8)).expect("memory");
    assert!(matches!(Ours::new(&&model, 0, 1 << 15, pages, &features, None), Err(Error::NoMemory)));
}

proptest! {
    /// Whatever stands in the used ring: an answer is one that was under way, or an error.
    #[test]
    fn anything_in_the_used_ring(
        noise in proptest::collection::vec(any::<u16>(), 0..64), offered in 0..8_u16, events: bool,
    ) {
        let features = VERSION_1 | if events { EVENTS } else { 0 };
        let model = Model { features, ..Model::new(9) };
        let mut queue = queue(&model);
        for index in 0..offered {
            queue.offer(index);
        }
        queue.tell();
        for (at, half) in noise.iter().enumerate().take(ENTRIES + 4 * N + 1) {
            queue.used(at).store(half % 16, Ordering::Relaxed);
        }
        let mut seen = Vec::new();
        for _ in 0..20 {
            if let Ok(Some((id, _))) = queue.take() {
                prop_assert!(id < offered && !seen.contains(&id));
                seen.push(id);
            }
        }
        let _ = queue.ask(1);
    }
}
