//! When each connection wants to be looked at again: a heap with one entry at most for each.
//!
//! A deadline that moves to a later time stays where it is, since most are never reached: data is acknowledged long before it
//! would be sent again. Whoever takes an entry out therefore asks the connection whether its time has come, and arms it
//! again. Each connection's place in the heap is kept, so that an earlier deadline replaces its entry; the heap never grows
//! beyond one entry a connection.

use alloc::vec::Vec;

use smoltcp::time::Instant;

use crate::pool::OutOfMemory;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

/// Deadlines of connections, which are named by their index.
pub(crate) struct Timers {
    /// A binary heap: none is earlier than its parent, at `(place - 1) / 2`.
    heap: Vec<(Instant, u32)>,
    /// By index: the place in `heap`, or [`NOWHERE`].
    places: Vec<u32>,
}

impl Timers {
    pub(crate) const fn new() -> Timers {
        Timers { heap: Vec::new(), places: Vec::new() }
    }

    /// Makes room, so that arming the indices below `end` allocates nothing.
    pub(crate) fn reserve(&mut self, end: usize) -> Result<(), OutOfMemory> {
        if end > self.places.len() {
            self.places.try_reserve(end - self.places.len()).map_err(|_| OutOfMemory)?;
            self.heap.try_reserve(end - self.heap.len()).map_err(|_| OutOfMemory)?;
            self.places.resize(end, NOWHERE);
        }
        Ok(())
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.0)
    }

    /// `index` is to be looked at by `at` at the latest.
    pub(crate) fn arm(&mut self, index: u32, at: Instant) {
        let mut place = self.places[index as usize];
        if place == NOWHERE {
            place = self.heap.len() as u32; // below the number of indices
            self.heap.push((at, index));
        } else if self.heap[place as usize].0 <= at {
            return;
        }
        self.heap[place as usize].0 = at;
        self.rise(place as usize);
    }

    /// Forgets `index`.
    pub(crate) fn disarm(&mut self, index: u32) {
        let place = self.places[index as usize];
        if place != NOWHERE {
            self.take(place as usize);
        }
    }

    /// Takes out one whose deadline has come.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<u32> {
        let &(at, index) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.take(0);
        Some(index)
    }

    fn take(&mut self, place: usize) {
        let (_, index) = self.heap.swap_remove(place);
        self.places[index as usize] = NOWHERE;
        if place < self.heap.len() {
            self.rise(place);
            // If it has risen, what stands here now is earlier than all below, and sinks nowhere.
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.heap.swap(place, (place - 1) / 2);
            self.settle(place);
            place = (place - 1) / 2;
        }
        self.settle(place);
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let mut least = place;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child].0 < self.heap[least].0 {
                    least = child;
                }
            }
            self.settle(place);
            if least == place {
                return;
            }
            self.heap.swap(place, least);
            self.settle(place);
            place = least;
        }
    }

    fn settle(&mut self, place: usize) {
        self.places[self.heap[place].1 as usize] = place as u32; // below the number of indices
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Arm(u32, i64),
        Disarm(u32),
        Expire(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..8_u32, 0..50_i64).prop_map(|(index, at)| Step::Arm(index, at)),
            (0..8_u32).prop_map(Step::Disarm),
            (0..50_i64).prop_map(Step::Expire),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn the_heap_is_a_map_whose_earliest_comes_first(steps in steps()) {
            let mut timers = Timers::new();
            timers.reserve(8).unwrap();
            let mut model = BTreeMap::<u32, i64>::new();
            for step in steps {
                match step {
                    Step::Arm(index, at) => {
                        timers.arm(index, Instant::from_micros(at));
                        let entry = model.entry(index).or_insert(at);
                        *entry = at.min(*entry);
                    }
                    Step::Disarm(index) => {
                        timers.disarm(index);
                        model.remove(&index);
                    }
                    Step::Expire(now) => match timers.expired(Instant::from_micros(now)) {
                        Some(index) => {
                            let at = model.remove(&index).expect("it was armed");
                            prop_assert!(at <= now && model.values().all(|&other| other >= at));
                        }
                        None => prop_assert!(model.values().all(|&at| at > now)),
                    },
                }
                prop_assert_eq!(timers.earliest().map(|at| at.total_micros()), model.values().min().copied());
                prop_assert_eq!(timers.heap.len(), model.len());
            }
        }
    }
}
