//! Alarms for wakers that come from anywhere: what drivers of other crates' clocks need, as `embassy-time`'s.
//!
//! A driver is told a time and a waker, again at each poll, and never that nobody waits any more. So there is one alarm for
//! each waker, by its pointers, for the earliest time that it was told. While it waits it has a clone of the waker, so what
//! that points to is not another's meanwhile. Alarms that have rung are swept out when there are twice as many as before.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::cell::UnsafeCell;
use core::task::Waker;

use super::wheel::{Node, Wheel};

/// Data and functions of a waker.
type Key = (usize, usize);

pub(crate) struct Alarms {
    all: BTreeMap<Key, Box<UnsafeCell<Node>>>,
    sweep_at: usize,
}

const FEW: usize = 16;

impl Alarms {
    pub const fn new() -> Alarms {
        Alarms { all: BTreeMap::new(), sweep_at: FEW }
    }

    /// Sets the alarm of this waker, and gives what it had before, to be dropped outside.
    pub fn set(&mut self, wheel: &mut Wheel, deadline: u64, waker: Waker) -> Option<Waker> {
        if self.all.len() >= self.sweep_at {
            self.sweep();
        }
        let key = (waker.data().addr(), core::ptr::from_ref(waker.vtable()).addr());
        let node = self.all.entry(key).or_insert_with(|| Box::new(UnsafeCell::new(Node::new(0))));
        let node = node.get();
        // SAFETY: the box stays where it is until `sweep`, which takes none that waits; this executor's wheel and this
        // file alone look at it, in the executor's context.
        unsafe {
            if (*node).is_waiting() {
                if (*node).deadline <= deadline {
                    return Some(waker);
                }
                wheel.remove(node);
            }
            (*node).deadline = deadline;
            let earlier = (*node).waker.replace(waker);
            wheel.insert(node);
            earlier
        }
    }

    fn sweep(&mut self) {
        // SAFETY: as in `set`.
        self.all.retain(|_, node| unsafe { (*node.get()).is_waiting() });
        self.sweep_at = FEW.max(2 * self.all.len());
    }
}
