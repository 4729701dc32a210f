//! The entropy device: good ones, and each wrong habit.

use core::cell::{Cell, RefCell};
use std::vec::Vec;

use super::*;
use crate::memory::Memory;
use crate::model::{ANY_LAYOUT, Host, HostPages, Lie, Model, VERSION_1};

/// What a device does about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Good,
    Short(u32),
    Says(u32),
    Repeats,
    OneByte,
    Zeros,
    Silent,
    Lies(Lie),
    NeedsReset,
}

/// A model and what it does.
struct Device<'a> {
    model: &'a Model,
    state: Cell<u64>,
    habit: Cell<Habit>,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Device<'_> {
    fn new(model: &Model) -> Device<'_> {
        Device { model, state: Cell::new(1), habit: Cell::new(Habit::Good) }
    }

    /// Does what it was asked for.
    fn work(&self) {
        let habit = self.habit.get();
        if habit == Habit::Silent || self.model.rings.borrow().is_empty() {
            return;
        }
        let (mut written, mut lie) = (BUFFER_BYTES, Lie::None);
        match habit {
            Habit::Short(bytes) => written = bytes as usize,
            Habit::Says(bytes) => lie = Lie::Len(bytes),
            Habit::Lies(other) => lie = other,
            Habit::Repeats => self.state.set(5),
            Habit::NeedsReset => self.model.status.set(self.model.status.get() | 64),
            _ => {}
        }
        let word = || {
            self.state.set(self.state.get().wrapping_add(STEP));
            match habit {
                Habit::OneByte => [0x41; 8],
                Habit::Zeros => [0; 8],
                _ => self.state.get().to_le_bytes(),
            }
        };
        self.model.with(0, |ring| {
            let fill = |chain: &crate::model::Chain| {
                let bytes: Vec<u8> = (0..WORDS).flat_map(|_| word()).collect();
                chain.write(&bytes[..written])
            };
            ring.answer(fill, lie)
        });
    }

    fn source(&self) -> Source<&Model, HostPages> {
        Source::new(self.model, Host::zeroed(BYTES).expect("memory"), limited())
    }

    /// The next word, from a device that works while it is waited for.
    fn word(&self, source: &mut Source<&Model, HostPages>) -> Option<u64> {
        let looks = RefCell::new(0);
        source.word(|| {
            self.work();
            let mut looks = looks.borrow_mut();
            *looks += 1;
            assert!(*looks <= 1000, "waited on after the end");
            *looks == 1000
        })
    }
}

#[test]
fn a_good_device_gives_all_it_has_for_longer_than_indices_last() {
    for is_legacy in [false, true] {
        let features = if is_legacy { ANY_LAYOUT } else { VERSION_1 | 1 << 28 };
        let model = Model { is_legacy, features, ..Model::new(KIND) };
        let device = Device::new(&model);
        let mut source = device.source();
        let mut state = 1_u64;
        for _ in 0..70_000 {
            let mut words = [0; WORDS];
            for word in words.iter_mut().rev() {
                *word = device.word(&mut source).expect("a word");
            }
            for word in words {
                state = state.wrapping_add(STEP);
                assert_eq!(word, state);
            }
        }
        let accepted = if is_legacy { ANY_LAYOUT } else { VERSION_1 };
        assert_eq!(model.accepted.get(), accepted, "nothing else was wanted");
        let statuses: &[u8] = if is_legacy { &[0, 1, 3, 7] } else { &[0, 1, 3, 11, 15] };
        assert_eq!(*model.statuses.borrow(), statuses);
    }
}

#[test]
fn a_device_that_gives_a_little_is_asked_again_until_time_is_over() {
    let model = Model::new(KIND);
    let device = Device::new(&model);
    device.habit.set(Habit::Short(12));
    let mut source = device.source();
    assert!((0..10).all(|_| device.word(&mut source).is_some()));
    device.habit.set(Habit::Short(7));
    assert_eq!(device.word(&mut source), None, "half a word is none, and time is over");
    assert!(source.is_broken() && model.status.get() == 0);
}

#[test]
fn every_wrong_habit_is_the_end_of_it() {
    for habit in [
        Habit::Says(0),
        Habit::Says(65),
        Habit::Says(u32::MAX),
        Habit::Repeats,
        Habit::OneByte,
        Habit::Zeros,
        Habit::Silent,
        Habit::Lies(Lie::Id(1)),
        Habit::Lies(Lie::Step(2)),
        Habit::NeedsReset,
    ] {
        let model = Model::new(KIND);
        let device = Device::new(&model);
        let mut source = device.source();
        assert!((0..WORDS).all(|_| device.word(&mut source).is_some()));
        device.habit.set(habit);
        // Repetition of a whole buffer shows with the second.
        let words = (0..3 * WORDS).filter(|_| device.word(&mut source).is_some()).count();
        let most = if habit == Habit::Repeats { WORDS } else { 0 };
        assert!(source.is_broken() && words <= most, "{habit:?}: {words} words");
        assert_eq!(model.status.get(), 0, "{habit:?}: it was not reset");
        device.habit.set(Habit::Good);
        assert_eq!(device.word(&mut source), None, "{habit:?}: it was asked again");
    }
}

#[test]
fn a_device_that_cannot_be_started_is_not_used() {
    let model = || Model::new(KIND);
    for model in [
        Model { features: 1 << 28, ..model() },
        Model { takes_features: false, ..model() },
        Model { resets: false, ..model() },
        Model { takes_queues: false, ..model() },
        Model { most: 0, ..model() },
        Model { most: 3, has_fixed_len: true, ..model() },
        Model { kind: 1, ..model() },
    ] {
        let device = Device::new(&model);
        let mut source = device.source();
        assert!(source.is_broken() && device.word(&mut source).is_none());
    }
}

/// A device that is not stopped keeps its memory.
#[test]
fn memory_is_given_back_when_the_device_has_stopped() {
    let model = Model::new(KIND);
    let device = Device::new(&model);
    drop(device.source());
    assert_eq!(model.statuses.borrow().last(), Some(&0), "reset");
}
