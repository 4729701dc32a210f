//! The console beside a device that echoes, and one that lies.

use core::task::Waker;
use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::interrupt::Interrupt;
use crate::model::{ANY_LAYOUT, EVENTS, Host, Lie, Model, VERSION_1};

const INPUT: usize = 0;
const OUTPUT: usize = 1;

type Ours<'a> = Console<&'a Model, Host>;

fn attention() -> &'static Attention {
    Box::leak(Box::new(Attention::new(Interrupt::NONE)))
}

fn bring_up<'a>(model: &'a Model, attention: &'static Attention) -> Ours<'a> {
    Console::new(model, attention, Messages::default(), limited()).expect("a console")
}

fn models() -> impl Iterator<Item = Model> {
    [0, EVENTS].into_iter().flat_map(|events| {
        [(false, VERSION_1, 256), (true, ANY_LAYOUT, 64), (false, VERSION_1, 2)].map(
            |(is_legacy, features, most)| Model {
                is_legacy,
                features: features | events,
                most,
                ..Model::new(KIND)
            },
        )
    })
}

fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

struct Count(AtomicU32);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the device has got since.
fn sent(model: &Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.with(OUTPUT, |ring| {
        while ring.answer(
            |chain| {
                bytes.extend(chain.read());
                0
            },
            Lie::None,
        ) {}
    });
    bytes
}

fn type_in(model: &Model, bytes: &[u8]) -> bool {
    model.with(INPUT, |ring| {
        ring.take();
        let Some(chain) = ring.taken.pop_front() else { return false };
        let len = chain.write(bytes);
        ring.give(chain.head, len, Lie::None)
    })
}

#[test]
fn bytes_go_both_ways_for_longer_than_indices_last() {
    for model in models() {
        let mut console = bring_up(&model, attention());
        for round in 0..70_000_u32 {
            let bytes: Vec<u8> = (0..round % 40 + 1).map(|at| (at ^ round) as u8).collect();
            assert_eq!(console.poll_write(&mut idle(), &bytes), Poll::Ready(Ok(bytes.len())));
            assert!(console.poll_flush(&mut idle()).is_pending());
            assert_eq!(sent(&model), bytes);
            assert_eq!(console.poll_flush(&mut idle()), Poll::Ready(Ok(())));
            type_in(&model, &bytes);
            // In two pieces.
            let mut read = [0; 64];
            let (first, second) = read.split_at_mut(7);
            let first = console.poll_read(&mut idle(), first);
            let Poll::Ready(Ok(mut len)) = first else { panic!("{first:?}") };
            if len < bytes.len() {
                let rest = console.poll_read(&mut idle(), second);
                let Poll::Ready(Ok(more)) = rest else { panic!("{rest:?}") };
                len += more;
            }
            assert_eq!(read[..len], bytes);
            assert!(console.poll_read(&mut idle(), &mut read).is_pending());
        }
        assert_eq!(console.error(), None);
    }
}

#[test]
fn what_is_written_is_one_notification() {
    let model = Model { features: VERSION_1 | EVENTS, ..Model::new(KIND) };
    let mut console = bring_up(&model, attention());
    let before = console.notifications();
    for byte in 0..2000_u32 {
        assert_eq!(console.poll_write(&mut idle(), &[byte as u8]), Poll::Ready(Ok(1)));
    }
    assert_eq!(console.notifications(), before);
    assert!(console.poll_flush(&mut idle()).is_pending());
    assert_eq!(console.notifications(), before + 1);
    assert!(sent(&model).into_iter().eq((0..2000_u32).map(|byte| byte as u8)));
    assert_eq!(model.with(OUTPUT, |ring| ring.interrupts), 1, "for the last of them");
}

#[test]
fn who_waits_is_woken() {
    for model in models() {
        let attention = attention();
        let mut console = bring_up(&model, attention);
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let context = &mut Context::from_waker(&waker);
        let woken = || count.0.load(Ordering::Relaxed);
        for _ in 0..100 {
            // Until nothing goes in any more.
            while console.poll_write(context, &[5; 300]).is_ready() {}
            let before = woken();
            let is_wanted =
                model.with(OUTPUT, |ring| ring.answer(|_| 0, Lie::None) && ring.interrupts != 0);
            assert!(is_wanted);
            attention.on_queue();
            assert_eq!(woken(), before + 1);
            assert!(console.poll_write(context, &[5]).is_ready());
            sent(&model);

            assert!(console.poll_read(context, &mut [0; 9]).is_pending());
            assert!(type_in(&model, b"x"), "an interrupt is wanted");
            attention.on_queue();
            assert_eq!(console.poll_read(context, &mut [0; 9]), Poll::Ready(Ok(1)));
        }
    }
}

#[test]
fn a_device_that_lies_is_reset_and_used_no_more() {
    for lie in
        [Lie::Id(300), Lie::Id(16), Lie::Step(40), Lie::Step(u16::MAX), Lie::Len(257), Lie::Twice]
    {
        let model = Model::new(KIND);
        let mut console = bring_up(&model, attention());
        model.with(INPUT, |ring| ring.answer(|chain| chain.write(b"x"), lie));
        let mut bytes = [0; 300];
        let failed = (0..3).find_map(|_| match console.poll_read(&mut idle(), &mut bytes) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        });
        // The buffer that was given back in between may be given twice.
        if lie != Lie::Twice {
            assert_eq!(failed, Some(Error::Lying), "{lie:?}");
            assert_eq!(model.status.get(), 0, "reset");
            assert_eq!(console.poll_write(&mut idle(), b"x"), Poll::Ready(Err(Error::Lying)));
        }

        let model = Model::new(KIND);
        let mut console = bring_up(&model, attention());
        assert!(console.poll_write(&mut idle(), b"x").is_ready());
        assert!(console.poll_flush(&mut idle()).is_pending());
        model.with(OUTPUT, |ring| ring.answer(|_| 0, lie));
        let flushed = console.poll_flush(&mut idle());
        // How much a device says it has written of what it only reads is nothing.
        let is_lie = !matches!(lie, Lie::Len(_));
        assert_eq!(flushed == Poll::Ready(Err(Error::Lying)), is_lie, "{lie:?} {flushed:?}");
    }
}

#[test]
fn size_and_loss_are_seen() {
    let model = Model { features: VERSION_1 | SIZE, ..Model::new(KIND) };
    *model.config.borrow_mut() = [80, 0, 25, 0].into();
    let attention = attention();
    let mut console = bring_up(&model, attention);
    assert_eq!(console.size(), Some((80, 25)));
    model.status.set(0xff);
    attention.on_config();
    assert_eq!(console.poll_read(&mut idle(), &mut [0]), Poll::Ready(Err(Error::Lying)));
    let other = Model::new(KIND);
    assert_eq!(bring_up(&other, self::attention()).size(), None);
}

#[test]
fn devices_that_cannot_be_used_are_refused() {
    let failed =
        |model: Model| Ours::new(&model, attention(), Messages::default(), limited()).err();
    assert_eq!(failed(Model::new(2)), Some(Error::OtherKind(2)));
    assert_eq!(failed(Model { features: 0, ..Model::new(KIND) }), Some(Error::Refused));
    assert_eq!(failed(Model { takes_queues: false, ..Model::new(KIND) }), Some(Error::Refused));
    assert_eq!(failed(Model { resets: false, ..Model::new(KIND) }), Some(Error::Silent));
    assert_eq!(failed(Model { most: 0, ..Model::new(KIND) }), Some(Error::Refused));
}

proptest! {
    /// Whatever the device does, what is read lies in a buffer.
    #[test]
    fn anything_from_the_device(
        steps in proptest::collection::vec((0..8_u8, any::<u32>(), any::<u8>()), 0..200), events: bool,
    ) {
        let model = Model { features: VERSION_1 | if events { EVENTS } else { 0 }, ..Model::new(KIND) };
        let mut console = bring_up(&model, attention());
        for (step, word, byte) in steps {
            let ring = |index: usize, lie| {
                if !model.rings.borrow().is_empty() {
                    model.with(index, |ring| ring.answer(|chain| chain.write(&[byte; 40]), lie));
                }
            };
            match step {
                0 => ring(INPUT, Lie::None),
                1 => ring(OUTPUT, Lie::None),
                2 => ring(INPUT, Lie::Len(word % 300)),
                3 if byte == 0 => ring(INPUT, Lie::Id(word % 300)),
                4 if byte == 0 => ring(OUTPUT, Lie::Step(word as u16)),
                5 => { let _ = console.poll_write(&mut idle(), &[byte; 90]); }
                6 => { let _ = console.poll_flush(&mut idle()); }
                _ => {
                    let mut bytes = [0; 50];
                    if let Poll::Ready(Ok(len)) = console.poll_read(&mut idle(), &mut bytes) {
                        prop_assert!((1..=50).contains(&len));
                    }
                }
            }
        }
    }
}

#[test]
fn an_emergency_needs_no_queue_and_no_driver() {
    let model = Model { features: VERSION_1 | EMERGENCY_WRITE, ..Model::new(KIND) };
    let emergency = Emergency::new(&model).expect("it is offered");
    emergency.write(b"a");
    assert!(model.statuses.borrow().is_empty() && model.rings.borrow().is_empty());
    // Beside a driver that has written half of something.
    let mut console = bring_up(&model, attention());
    let written = console.poll_write(&mut Context::from_waker(Waker::noop()), b"half");
    assert!(written.is_ready());
    emergency.write(b"\xff\n");
    assert_eq!(*model.written.borrow(), [(8, 97), (8, 255), (8, 10)]);
    assert_eq!(console.error(), None);
    for other in [Model::new(KIND), Model { kind: 1, features: u64::MAX, ..Model::new(KIND) }] {
        assert!(Emergency::new(&other).is_none());
    }
}
