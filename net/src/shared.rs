//! What handle, runner, listeners and streams have in common.

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use atomic_waker::AtomicWaker;
use embassy_net::Stack;

use crate::engine::Engine;
use crate::stash::Stash;

/// One for each network, for ever.
pub(crate) struct Shared {
    pub(crate) engine: RefCell<Engine>,
    pub(crate) stash: &'static RefCell<Stash>,
    pub(crate) stack: Stack<'static>,
    pub(crate) flag: Arc<Flag>,
    /// The flag as a waker, which embassy-net gets.
    pub(crate) stack_waker: Waker,
    /// Whether there is to be an IPv4 address.
    pub(crate) wants_ipv4: Cell<bool>,
    /// Who waits for an address.
    pub(crate) waiting: RefCell<Vec<Waker>>,
}

impl Shared {
    /// Link or addresses have changed.
    pub(crate) fn changed(&self) {
        // Not under the borrow: a waker may do anything.
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Whether embassy-net wants to be polled.
pub(crate) struct Flag {
    pub(crate) set: AtomicBool,
    pub(crate) runner: AtomicWaker,
}

impl Flag {
    pub(crate) fn new() -> Flag {
        Flag { set: AtomicBool::new(true), runner: AtomicWaker::new() }
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.store(true, Ordering::Release);
        self.runner.wake();
    }
}
