//! Points at which a test can simulate an interrupt.
//!
//! [`probe`] stands between any two steps of the magazines that an interrupt could come between. In a test build it
//! calls the function that the test has set for its thread; in any other build it does nothing.

#[cfg(not(test))]
#[inline(always)]
pub fn probe() {}

#[cfg(test)]
pub use test::{Masked, probe, with_interrupt, with_step};

#[cfg(test)]
mod test {
    use std::boxed::Box;
    use std::cell::{Cell, RefCell};

    use crate::lock::Interrupts;

    std::thread_local! {
        static HANDLER: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
        static MASKED: Cell<bool> = const { Cell::new(false) };
        static STEP: Cell<Option<fn()>> = const { Cell::new(None) };
    }

    /// Masks the interrupts that a test makes: none comes while a lock with this type is held.
    pub struct Masked;

    // SAFETY: `probe` calls no handler while it is masked.
    unsafe impl Interrupts for Masked {
        fn mask() -> usize {
            probe();
            MASKED.replace(true).into()
        }

        unsafe fn restore(before: usize) {
            MASKED.set(before != 0);
            probe();
        }
    }

    /// Calls the handler, without a handler set meanwhile: interrupts do not nest here.
    pub fn probe() {
        if let Some(step) = STEP.get() {
            step();
        }
        if MASKED.get() {
            return;
        }
        let handler = HANDLER.with(|handler| handler.borrow_mut().take());
        if let Some(mut handler) = handler {
            handler();
            HANDLER.with(|place| *place.borrow_mut() = Some(handler));
        }
    }

    /// Runs `work`, with `step` called at every probe, those in `step` too.
    pub fn with_step(step: fn(), work: impl FnOnce()) {
        STEP.set(Some(step));
        work();
        STEP.set(None);
    }

    /// Runs `work`, with `handler` called at every probe.
    pub fn with_interrupt(handler: impl FnMut() + 'static, work: impl FnOnce()) {
        HANDLER.with(|place| *place.borrow_mut() = Some(Box::new(handler)));
        work();
        HANDLER.with(|place| *place.borrow_mut() = None);
    }
}
