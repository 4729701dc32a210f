//! The entropy device: takes words from its buffers, and gives the device up at the first error.

use core::sync::atomic::Ordering;

use super::{BUFFER_BYTES, Queue, Transport, reset, start};

/// The entropy device's number (5.4.1).
pub const DEVICE_ID: u32 = 4;

const WORDS: usize = BUFFER_BYTES / size_of::<u64>();

/// A device in use, and what is left of its latest buffer.
pub struct Source<T> {
    device: T,
    queue: &'static Queue,
    words: [u64; WORDS],
    left: usize,
    /// What tells the latest buffer from the next one. Its words are not kept: they belong to who got them.
    digest: u64,
    is_broken: bool,
}

impl<T: Transport> Source<T> {
    /// Brings the device up.
    pub fn new(device: T, queue: &'static Queue, is_over: impl FnMut() -> bool) -> Source<T> {
        let is_broken = start(&device, queue, is_over).is_err();
        Source { device, queue, words: [0; WORDS], left: 0, digest: 0, is_broken }
    }

    /// Whether it did something wrong, and is not asked any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The next word; `None` if the device is broken. One that gives less than a word each time until time is over is.
    pub fn word(&mut self, mut is_over: impl FnMut() -> bool) -> Option<u64> {
        while self.left == 0 && !self.is_broken {
            self.refill(&mut is_over);
            if self.left == 0 && !self.is_broken && is_over() {
                self.give_up(&mut is_over);
            }
        }
        self.left = self.left.checked_sub(1)?;
        // Nobody gets a word twice.
        self.words.get_mut(self.left).map(core::mem::take)
    }

    fn refill(&mut self, mut is_over: impl FnMut() -> bool) {
        if self.is_broken {
            return;
        }
        let latest = self.queue.take(&self.device, &mut is_over);
        let Ok(len) = latest else { return self.give_up(is_over) };
        let words = self.queue.buffer.each_ref().map(|word| word.load(Ordering::Relaxed));
        let left = len / size_of::<u64>();
        // By chance once in 2^59 buffers.
        let filled = words.get(..left).unwrap_or_default();
        let is_twice = filled.iter().enumerate().any(|(at, word)| filled[..at].contains(word));
        let digest = filled.iter().fold(1, |digest: u64, word| {
            (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        if is_twice || (left != 0 && digest == self.digest) {
            return self.give_up(is_over);
        }
        (self.words, self.left, self.digest) = (words, left, digest);
    }

    fn give_up(&mut self, is_over: impl FnMut() -> bool) {
        self.is_broken = true;
        // If it does not even do that, it may write to its queue for ever, which nobody reads any more.
        let _ = reset(&self.device, is_over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::{Cell, RefCell};
    use std::boxed::Box;
    use std::vec::Vec;

    use super::super::{Error, LEN};

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
        WrongId,
        IndexJumps,
        NeedsReset,
    }

    struct Model {
        habit: Cell<Habit>,
        legacy: bool,
        features: u64,
        takes_features: bool,
        resets: bool,
        has_queue: bool,
        status: Cell<u32>,
        accepted: Cell<u64>,
        queue: RefCell<Option<&'static Queue>>,
        state: Cell<u64>,
        statuses: RefCell<Vec<u32>>,
    }

    fn model() -> Model {
        Model {
            habit: Cell::new(Habit::Good),
            legacy: false,
            features: 1 << 32 | 1 << 28,
            takes_features: true,
            resets: true,
            has_queue: true,
            status: Cell::new(0xf),
            accepted: Cell::new(u64::MAX),
            queue: RefCell::new(None),
            state: Cell::new(1),
            statuses: RefCell::default(),
        }
    }

    impl Transport for &Model {
        fn set_status(&self, status: u32) {
            self.statuses.borrow_mut().push(status);
            if status == 0 && self.resets {
                *self.queue.borrow_mut() = None;
                self.status.set(0);
            } else if status != 0 {
                self.status.set(if self.takes_features { status } else { status & !8 });
            }
        }
        fn status(&self) -> u32 {
            self.status.get()
        }
        fn features_half(&self, which: u32) -> u32 {
            (self.features >> (32 * which)) as u32
        }
        fn accept_half(&self, which: u32, half: u32) {
            let other = self.accepted.get() & u64::from(u32::MAX) << (32 * (1 - which));
            self.accepted.set(other | u64::from(half) << (32 * which));
        }
        fn is_legacy(&self) -> bool {
            self.legacy
        }
        fn give(&self, queue: &'static Queue) -> bool {
            *self.queue.borrow_mut() = Some(queue);
            self.has_queue
        }
        fn notify(&self) {
            let queue = self.queue.borrow().expect("it was given one");
            assert!(self.status.get() & 4 != 0, "told before it was started");
            let relaxed = Ordering::Relaxed;
            let index = queue.used.index.load(relaxed);
            assert_eq!(queue.available_index.load(relaxed), index.wrapping_add(1));
            let next = || {
                self.state.set(self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
                self.state.get()
            };
            let (mut len, mut id, mut step) = (BUFFER_BYTES as u32, 0, 1);
            let habit = self.habit.get();
            match habit {
                Habit::Repeats => self.state.set(5),
                Habit::Short(bytes) | Habit::Says(bytes) => len = bytes,
                Habit::WrongId => id = 1,
                Habit::IndexJumps => step = 2,
                Habit::NeedsReset => self.status.set(self.status.get() | 64),
                Habit::Silent => return,
                _ => {}
            }
            let written = if let Habit::Says(_) = habit { BUFFER_BYTES } else { len as usize };
            for word in &queue.buffer[..written / 8] {
                let value = match habit {
                    Habit::OneByte => 0x4141_4141_4141_4141,
                    Habit::Zeros => 0,
                    _ => next(),
                };
                word.store(value, relaxed);
            }
            let (used_id, used_len) = &queue.used.ring[usize::from(index) % LEN];
            used_id.store(id, relaxed);
            used_len.store(len, relaxed);
            queue.used.index.store(index.wrapping_add(step), Ordering::Release);
        }
    }

    fn queue() -> &'static Queue {
        Box::leak(Box::new(Queue::new()))
    }

    /// A clock that runs out after so many looks.
    fn limit() -> impl FnMut() -> bool {
        let mut looks = 0;
        move || {
            looks += 1;
            assert!(looks <= 1000, "waited on after the end");
            looks == 1000
        }
    }

    #[test]
    fn a_good_device_gives_all_it_has_for_longer_than_indices_last() {
        for legacy in [false, true] {
            let model = Model { legacy, ..model() };
            let mut source = Source::new(&model, queue(), limit());
            let mut state = 1_u64;
            for _ in 0..70_000 {
                let mut words = [0; WORDS];
                for word in words.iter_mut().rev() {
                    *word = source.word(limit()).expect("a word");
                }
                for word in words {
                    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    assert_eq!(word, state);
                }
            }
            let accepted = if legacy { 0 } else { 1 << 32 };
            assert_eq!(model.accepted.get(), accepted, "nothing else was wanted");
            let statuses: &[u32] = if legacy { &[0, 1, 3, 7] } else { &[0, 1, 3, 11, 15] };
            assert_eq!(*model.statuses.borrow(), statuses);
        }
    }

    #[test]
    fn a_device_that_gives_a_little_is_asked_again_until_time_is_over() {
        let model = model();
        model.habit.set(Habit::Short(12));
        let mut source = Source::new(&model, queue(), limit());
        assert!((0..10).all(|_| source.word(limit()).is_some()));
        model.habit.set(Habit::Short(7));
        assert_eq!(source.word(limit()), None, "half a word is none, and time is over");
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
            Habit::WrongId,
            Habit::IndexJumps,
            Habit::NeedsReset,
        ] {
            let model = model();
            let mut source = Source::new(&model, queue(), limit());
            assert!((0..WORDS).all(|_| source.word(limit()).is_some()));
            model.habit.set(habit);
            // Repetition of a whole buffer shows with the second.
            let words = (0..3 * WORDS).filter(|_| source.word(limit()).is_some()).count();
            let most = if habit == Habit::Repeats { WORDS } else { 0 };
            assert!(source.is_broken() && words <= most, "{habit:?}: {words} words");
            assert_eq!(model.status.get(), 0, "{habit:?}: it was not reset");
            model.habit.set(Habit::Good);
            assert_eq!(source.word(limit()), None, "{habit:?}: it was asked again");
        }
    }

    #[test]
    fn a_device_that_cannot_be_started_is_not_used() {
        for model in [
            Model { features: 1 << 28, ..model() },
            Model { takes_features: false, ..model() },
            Model { resets: false, ..model() },
            Model { has_queue: false, ..model() },
        ] {
            let mut source = Source::new(&model, queue(), limit());
            assert!(source.is_broken() && source.word(limit()).is_none());
        }
        let model = Model { resets: false, ..model() };
        assert_eq!(reset(&&model, limit()), Err(Error::Silent));
    }
}
