//! A device's interrupts, from their handler to the task that waits.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use atomic_waker::AtomicWaker;

/// How an interrupt by wire is answered, so that the device lets go of the wire (VIRTIO 1.2, 4.1.4.5, 4.2.2).
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(Answer);

#[derive(Clone, Copy, Debug)]
enum Answer {
    /// There is no wire.
    None,
    /// What was read from the first is written to the second.
    Words(NonNull<u32>, NonNull<u32>),
    /// Reading is enough.
    Byte(NonNull<u8>),
    Port(u16),
}

// SAFETY: registers have no processor that they belong to.
unsafe impl Send for Interrupt {}
// SAFETY: as for `Send`; each answer is one reading, and at most one writing of what was read.
unsafe impl Sync for Interrupt {}

const A_QUEUE: u32 = 1;
const CONFIG: u32 = 2;

impl Interrupt {
    /// Of a device that interrupts by messages only.
    pub const NONE: Interrupt = Interrupt(Answer::None);

    /// By a register that is read, and one that is written to.
    ///
    /// # Safety
    ///
    /// - They are the device's, mapped for good. So is that of the other two.
    pub unsafe fn words(status: NonNull<u32>, acknowledge: NonNull<u32>) -> Interrupt {
        Interrupt(Answer::Words(status, acknowledge))
    }

    /// By a register that is read.
    ///
    /// # Safety
    ///
    /// - As for [`words`](Self::words).
    pub unsafe fn byte(status: NonNull<u8>) -> Interrupt {
        Interrupt(Answer::Byte(status))
    }

    /// By a port that is read.
    ///
    /// # Safety
    ///
    /// - As for [`words`](Self::words).
    pub unsafe fn port(status: u16) -> Interrupt {
        Interrupt(Answer::Port(status))
    }

    /// What the interrupt was for.
    fn answer(&self) -> u32 {
        match self.0 {
            Answer::None => 0,
            // SAFETY: the maker's promise.
            Answer::Words(status, acknowledge) => unsafe {
                let causes = status.read_volatile();
                acknowledge.write_volatile(causes);
                u32::from_le(causes)
            },
            // SAFETY: the maker's promise.
            Answer::Byte(status) => unsafe { status.read_volatile().into() },
            // SAFETY: the maker's promise.
            Answer::Port(status) => unsafe { crate::ports::read_byte(status).into() },
        }
    }
}

/// The messages that a device interrupts by, if there are messages: numbers of its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// For its queues.
    pub queues: Option<u16>,
    /// For changes of its configuration.
    pub config: Option<u16>,
}

/// What the handlers of a device's interrupts and its driver share.
#[derive(Debug)]
pub struct Attention {
    interrupt: Interrupt,
    waker: AtomicWaker,
    has_news: AtomicBool,
}

impl Attention {
    /// For the device whose wire is answered so.
    pub const fn new(interrupt: Interrupt) -> Attention {
        Attention { interrupt, waker: AtomicWaker::new(), has_news: AtomicBool::new(false) }
    }

    /// In the handler of the device's wire. Whether the interrupt was the device's: wires are shared.
    pub fn on_wire(&self) -> bool {
        let causes = self.interrupt.answer();
        if causes & CONFIG != 0 {
            self.has_news.store(true, Ordering::Release);
        }
        if causes & (A_QUEUE | CONFIG) != 0 {
            self.waker.wake();
        }
        causes != 0
    }

    /// In the handler of the message for queues.
    pub fn on_queue(&self) {
        self.waker.wake();
    }

    /// In the handler of the message for changes of the configuration.
    pub fn on_config(&self) {
        self.has_news.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Has the next interrupt wake this task; before the last look at what is waited for.
    #[inline]
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Whether the configuration has changed since the last call.
    #[inline]
    pub(crate) fn take_news(&self) -> bool {
        self.has_news.load(Ordering::Relaxed) && self.has_news.swap(false, Ordering::Acquire)
    }
}
