//! A wheel of timers: each is put in and taken out in constant time, however many there are.
//!
//! Eleven levels of 64 slots. A slot of level 0 is one microsecond, a slot of the next level is 64 of those below, so that
//! all 64 bits of a deadline have their place. A timer goes to the level of the highest digit, in base 64, in which its
//! deadline differs from the wheel's time. As time comes to a slot of a higher level its timers move down; each moves ten times
//! at most, and those in the near future hardly ever.
//!
//! All timers of the lowest level that has some are earlier than those of higher levels, and on a level the first slot is the
//! earliest: so the next deadline is found by looking at one slot.
//!
//! Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.

use core::marker::PhantomPinned;
use core::ptr;
use core::task::Waker;

const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT) as usize;

/// A timer, pinned while it is in a wheel.
pub(crate) struct Node {
    /// In microseconds.
    pub deadline: u64,
    pub waker: Option<Waker>,
    state: State,
    next: *mut Node,
    previous: *mut Node,
    _pinned: PhantomPinned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// In the slot of this level.
    Waiting {
        level: u8,
        slot: u8,
    },
    Fired,
}

impl Node {
    pub const fn new(deadline: u64) -> Node {
        let (next, previous) = (ptr::null_mut(), ptr::null_mut());
        Node { deadline, waker: None, state: State::Idle, next, previous, _pinned: PhantomPinned }
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub fn has_fired(&self) -> bool {
        self.state == State::Fired
    }
}

pub(crate) struct Wheel {
    /// What has come so far, in microseconds: no timer that waits has an earlier deadline.
    time: u64,
    /// A bit for each level that has timers.
    levels: u16,
    /// A bit for each slot that has timers.
    occupied: [u64; LEVELS],
    /// The last timer of each slot: a ring, in which the first follows the last.
    slots: [[*mut Node; SLOTS]; LEVELS],
    /// The next deadline, or an earlier time, if it is known.
    next: Option<u64>,
    count: usize,
}

impl Wheel {
    pub const fn new() -> Wheel {
        Wheel {
            time: 0,
            levels: 0,
            occupied: [0; LEVELS],
            slots: [[ptr::null_mut(); SLOTS]; LEVELS],
            next: None,
            count: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts a timer in. What has passed already comes next.
    ///
    /// # Safety
    ///
    /// - The node is not in a wheel. It stays where it is, and is touched by this wheel only, until it has fired or has been
    ///   taken out.
    pub unsafe fn insert(&mut self, node: *mut Node) {
        // SAFETY: the caller's promise.
        let deadline = unsafe { (*node).deadline }.max(self.time);
        if self.next.is_some_and(|next| deadline < next) || self.is_empty() {
            self.next = Some(deadline);
        }
        self.count += 1;
        // SAFETY: the caller's promise.
        unsafe { self.link(node, deadline) };
    }

    /// # Safety
    ///
    /// - As for [`insert`](Self::insert).
    unsafe fn link(&mut self, node: *mut Node, deadline: u64) {
        let differs = (self.time ^ deadline) | 1;
        let level = (u64::BITS - 1 - differs.leading_zeros()) / DIGIT;
        let slot = (deadline >> (DIGIT * level)) as usize % SLOTS;
        let last = &mut self.slots[level as usize][slot];
        // SAFETY: the caller's promise; the nodes of a slot wait, and so are there.
        unsafe {
            (*node).state = State::Waiting { level: level as u8, slot: slot as u8 };
            let (before, behind) =
                if last.is_null() { (node, node) } else { (*last, (**last).next) };
            (*node).previous = before;
            (*node).next = behind;
            (*before).next = node;
            (*behind).previous = node;
        }
        *last = node;
        self.occupied[level as usize] |= 1 << slot;
        self.levels |= 1 << level;
    }

    /// Takes a timer out, if it is in.
    ///
    /// # Safety
    ///
    /// - If it waits, it is in this wheel.
    pub unsafe fn remove(&mut self, node: *mut Node) {
        // SAFETY: the caller's promise.
        let State::Waiting { level, slot } = (unsafe { (*node).state }) else { return };
        let (level, slot) = (usize::from(level), usize::from(slot));
        // SAFETY: it waits, so its neighbours do, or are null.
        unsafe {
            (*node).state = State::Idle;
            let (next, previous) = ((*node).next, (*node).previous);
            (*next).previous = previous;
            (*previous).next = next;
            let last = &mut self.slots[level][slot];
            if *last == node {
                *last = if previous == node { ptr::null_mut() } else { previous };
            }
            if self.next == Some((*node).deadline.max(self.time)) {
                self.next = None;
            }
        }
        if self.slots[level][slot].is_null() {
            self.empty(level, slot);
        }
        self.count -= 1;
    }

    /// The slot has no timers any more.
    fn empty(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// The first slot that has timers, and the time at which it begins.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.trailing_zeros() as usize;
        if level >= LEVELS {
            return None;
        }
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = DIGIT * level as u32;
        // The digits above this one are the present ones, those below are 0.
        let above = self.time.checked_shr(shift + DIGIT).unwrap_or(0);
        let above = above.checked_shl(shift + DIGIT).unwrap_or(0);
        Some((level, slot, above | (slot as u64) << shift))
    }

    /// The next deadline, in microseconds, or an earlier time, if many are near it.
    pub fn next_deadline(&mut self) -> Option<u64> {
        if self.next.is_none() {
            /// In a slot that has more, its beginning is told: a look too early moves them down, and costs less than
            /// looking at all of them again and again.
            const LOOKED_AT: usize = 64;
            let (level, slot, start) = self.first()?;
            let last = self.slots[level][slot];
            let (mut node, mut earliest) = (last, u64::MAX);
            for looked_at in 0.. {
                if looked_at == LOOKED_AT && level != 0 {
                    earliest = start;
                    break;
                }
                // SAFETY: the slot is occupied, and its nodes wait.
                unsafe {
                    earliest = earliest.min((*node).deadline);
                    node = (*node).next;
                }
                if node == last {
                    break;
                }
            }
            self.next = Some(earliest.max(self.time));
        }
        self.next
    }

    /// Takes out a timer whose deadline is not later than `now`, in the order of deadlines, and gives its waker. `None` if
    /// there is none; the wheel's time is `now` then.
    pub fn expire(&mut self, now: u64) -> Option<Option<Waker>> {
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        // It is looked for again: what comes below may be all that it told of.
        self.next = None;
        loop {
            let Some((level, slot, start)) = self.first().filter(|(_, _, start)| *start <= now)
            else {
                // Nothing begins before that: what waits stays where it is.
                self.time = self.time.max(now);
                return None;
            };
            self.time = self.time.max(start);
            // SAFETY: the slot is occupied, and its nodes wait, in this wheel.
            unsafe {
                let node = (*self.slots[level][slot]).next;
                // Alone in its slot it is the earliest, and need not move down first.
                let is_alone = (*node).next == node && (*node).deadline <= now;
                if level == 0 || is_alone {
                    self.time = self.time.max((*node).deadline);
                    self.remove(node);
                    (*node).state = State::Fired;
                    return Some((*node).waker.take());
                }
            }
            self.move_down(level, slot);
        }
    }

    /// Puts the timers of a slot, which has come, where they belong now.
    fn move_down(&mut self, level: usize, slot: usize) {
        self.empty(level, slot);
        let last = core::mem::replace(&mut self.slots[level][slot], ptr::null_mut());
        // SAFETY: the slot was occupied; its nodes wait, in this wheel, and each is read before it is linked elsewhere.
        unsafe {
            let mut node = (*last).next;
            loop {
                let next = (*node).next;
                self.link(node, (*node).deadline.max(self.time));
                if node == last {
                    break;
                }
                node = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    /// A wheel beside a list of deadlines, by the numbers of their nodes.
    struct Both {
        wheel: Box<Wheel>,
        nodes: Vec<*mut Node>,
        waiting: Vec<(u64, usize)>,
        now: u64,
    }

    impl Both {
        fn new() -> Both {
            let wheel = Box::new(Wheel::new());
            Both { wheel, nodes: Vec::new(), waiting: Vec::new(), now: 0 }
        }

        fn insert(&mut self, deadline: u64) {
            let node = Box::into_raw(Box::new(Node::new(deadline)));
            // SAFETY: a new node, which stays.
            unsafe { self.wheel.insert(node) };
            self.waiting.push((deadline.max(self.now), self.nodes.len()));
            self.nodes.push(node);
        }

        fn remove(&mut self, which: usize) {
            if self.waiting.is_empty() {
                return;
            }
            let (_, number) = self.waiting.remove(which % self.waiting.len());
            // SAFETY: in this wheel.
            unsafe { self.wheel.remove(self.nodes[number]) };
            // SAFETY: nobody else looks at it.
            assert!(!unsafe { (*self.nodes[number]).is_waiting() });
        }

        fn advance(&mut self, by: u64) {
            self.now = self.now.saturating_add(by);
            let mut fired = Vec::new();
            while self.wheel.expire(self.now).is_some() {
                let has_fired = |entry: &(u64, usize)| {
                    // SAFETY: nobody else looks at it.
                    unsafe { (*self.nodes[entry.1]).has_fired() }
                };
                let at = self.waiting.iter().position(has_fired).expect("one that waited");
                fired.push(self.waiting.remove(at));
            }
            assert!(fired.is_sorted_by_key(|entry| entry.0), "{fired:?}");
            assert!(fired.iter().all(|entry| entry.0 <= self.now));
            assert!(self.waiting.iter().all(|entry| entry.0 > self.now), "{:?}", self.waiting);
        }

        fn compare(&mut self) {
            let next = self.waiting.iter().map(|entry| entry.0).min();
            assert_eq!(self.wheel.next_deadline(), next);
            assert_eq!(self.wheel.is_empty(), self.waiting.is_empty());
        }
    }

    impl Drop for Both {
        fn drop(&mut self) {
            for node in self.nodes.drain(..) {
                // SAFETY: made by `insert`; the wheel is not used any more.
                drop(unsafe { Box::from_raw(node) });
            }
        }
    }

    #[test]
    fn timers_of_one_deadline_fire_in_the_order_of_their_insertion() {
        for deadline in [0, 5, 70, 1 << 30] {
            let mut both = Both::new();
            (0..100).for_each(|_| both.insert(deadline));
            for expected in 0..100 {
                assert!(both.wheel.expire(deadline).is_some());
                let fired = both.nodes.iter().filter(|node| {
                    // SAFETY: nobody else looks at it.
                    unsafe { (***node).has_fired() }
                });
                assert_eq!(fired.count(), expected + 1);
                // SAFETY: as above.
                assert!(unsafe { (*both.nodes[expected]).has_fired() });
            }
        }
    }

    #[test]
    fn the_ends_of_time_have_their_places() {
        let mut both = Both::new();
        for deadline in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 60) - 1, 1 << 60, 0] {
            both.insert(deadline);
            both.compare();
        }
        for by in [0, (1 << 60) - 2, 1, 1, (1 << 63) - (1 << 60) - 1, 1, u64::MAX] {
            both.advance(by);
            both.compare();
        }
        assert!(both.wheel.is_empty());
        both.insert(7);
        both.compare();
        both.advance(0);
        assert!(both.wheel.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(usize),
        Advance(u64),
        Compare,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Of each size, from one microsecond to centuries.
        let size = || (0..40_u32, any::<u64>()).prop_map(|(bits, any)| any >> (63 - bits));
        let step = prop_oneof![
            4 => size().prop_map(Step::Insert),
            1 => any::<usize>().prop_map(Step::Remove),
            2 => size().prop_map(|by| Step::Advance(by / 2)),
            2 => Just(Step::Compare),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #[test]
        fn a_wheel_does_what_a_list_does(steps in steps()) {
            let mut both = Both::new();
            for step in steps {
                match step {
                    Step::Insert(after) => both.insert(both.now.saturating_add(after)),
                    Step::Remove(which) => both.remove(which),
                    Step::Advance(by) => both.advance(by),
                    Step::Compare => both.compare(),
                }
            }
            both.compare();
        }
    }
}
