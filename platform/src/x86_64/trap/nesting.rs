//! Chooses the stack that the next exception, and the next NMI, enters on: one without a live frame.
//!
//! The processor takes the top of the stack from the TSS and writes over what is there. So before a handler does
//! anything that may be interrupted, and before it ends, the TSS is made to name free stacks. A stack is not free
//!
//! - while its handler runs; these stacks are counted ([`Level`]);
//! - just before and after that: from the entry until it is counted, and from the end of the count until it is left. No
//!   exception comes in these instructions, but an NMI may. Its handler may take exceptions, and when one of these returns,
//!   the next NMI may come (any IRETQ lets NMIs in again). These stacks are found by following the chain of interrupted
//!   code: the frame that the processor pushed lies at the top of each stack and holds the stack pointer of the code before.
//!
//! If no stack is free, the TSS names the guard page of the last one, and the next exception or NMI is reported as a double
//! fault. That takes a fault in the handler of a fault in the handler of a fault, or four NMIs.
//!
//! Interrupts enter on one stack and leave it within a dozen instructions, with interrupts off. But an NMI or an exception
//! may come there, and its handler may enable interrupts. So each level makes interrupts enter a little lower, below what
//! may be live there ([`ENTRY_FRAME`]).
//!
//! Source: Intel SDM volume 3, 7.7.1 (NMIs are blocked until the next IRET), 7.14.5 (IST).

use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};

use super::descriptors::{self, Ist};
use super::frame::Frame;
use super::stacks::{self, EXCEPTIONS, NMIS, TRAPS, trap_stack};

/// The set of stacks that [`Level`]s hold: a bit for each of [`TRAPS`].
static TAKEN: AtomicU8 = AtomicU8::new(0);

/// Whether anybody holds a level.
#[inline]
pub(super) fn is_taken() -> bool {
    TAKEN.load(Ordering::Relaxed) != 0
}

/// The stack pointer of the code that was interrupted when the stack was entered.
fn interrupted(stack: usize) -> u64 {
    // RSP is the last word but one that the processor pushes.
    let place = TRAPS[stack].top() - 16;
    // SAFETY: the stack is a static, mapped and aligned; only the processor writes this word. Volatile, since
    // the compiler does not know of that.
    unsafe { (place as *const u64).read_volatile() }
}

/// `known`, and all stacks that are found by following who was interrupted, from `rsp` on.
fn followed(
    known: u8,
    mut rsp: u64,
    holder: impl Fn(u64) -> Option<usize>,
    interrupted: impl Fn(usize) -> u64,
) -> u8 {
    let mut all = known;
    let mut seen = 0;
    // A stack seen twice is not possible, so this ends.
    while let Some(stack) = holder(rsp).filter(|stack| seen & 1 << stack == 0) {
        seen |= 1 << stack;
        all |= 1 << stack;
        rsp = interrupted(stack);
    }
    all
}

/// The first of `stacks` that is not `taken`.
fn free(taken: u8, mut stacks: Range<usize>) -> Option<usize> {
    stacks.find(|stack| taken & 1 << stack == 0)
}

/// Makes the TSS name a free stack among these.
fn aim(ist: Ist, all: Range<usize>, taken: u8) {
    let guard = TRAPS[all.end - 1].bottom();
    let top = free(taken, all).map_or(guard, |stack| TRAPS[stack].top());
    descriptors::set_stack(ist, top);
}

/// What an interrupt has on its entry stack before it leaves that, in whole alignments of the processor's.
const ENTRY_FRAME: u64 = 64;
const _: () = assert!(TRAPS.len() as u64 * ENTRY_FRAME < stacks::ENTRY_BYTES as u64 / 2);

/// Held while an exception's handler runs.
pub(super) struct Level {
    /// What was counted before.
    before: u8,
    /// What is taken while this is held, and until the stack is left.
    taken: u8,
    /// Where the next exception would have entered.
    exceptions: u64,
}

impl Level {
    /// Finds free stacks for what comes while the handler of `frame` runs.
    #[inline(never)] // Else its caller needs the frame pointer for something else, and traces end there.
    pub(super) fn enter(frame: &Frame) -> Level {
        // An NMI may come between any two of these lines. It counts back what it has counted, and finds this
        // frame's stack by itself.
        let before = TAKEN.load(Ordering::Relaxed);
        let exceptions = descriptors::stack(Ist::Exception);
        let own = trap_stack(&raw const *frame as u64).map_or(0, |stack| 1 << stack);
        let taken = followed(before | own, frame.rsp, trap_stack, interrupted);
        TAKEN.store(taken, Ordering::Relaxed);
        aim(Ist::Exception, EXCEPTIONS, taken);
        aim(Ist::Nmi, NMIS, taken);
        descriptors::set_stack(Ist::Interrupt, descriptors::stack(Ist::Interrupt) - ENTRY_FRAME);
        Level { before, taken, exceptions }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // The frame is live until IRETQ. An NMI may come before that, and must not enter here; an exception may
        // only in the handler of an NMI, which will have looked.
        descriptors::set_stack(Ist::Interrupt, descriptors::stack(Ist::Interrupt) + ENTRY_FRAME);
        aim(Ist::Nmi, NMIS, self.taken);
        descriptors::set_stack(Ist::Exception, self.exceptions);
        TAKEN.store(self.before, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Phase {
        Entered,
        Handled,
        Leaving,
    }

    #[derive(Debug)]
    struct Live {
        stack: usize,
        phase: Phase,
        before: u8,
        taken: u8,
        exceptions: Option<usize>,
    }

    /// A processor, as far as it matters here. Addresses are numbers of stacks; others are nobody's.
    struct Model {
        live: Vec<Live>,
        taken: u8,
        next: [Option<usize>; 2],
        rsp: [u64; 8],
        nmi_blocked: bool,
        had_all_nmis: bool,
    }

    const ORDINARY: u64 = 99;

    impl Model {
        fn new() -> Model {
            let next = [Some(EXCEPTIONS.start), Some(NMIS.start)];
            let (live, rsp) = (Vec::new(), [ORDINARY; 8]);
            Model { live, taken: 0, next, rsp, nmi_blocked: false, had_all_nmis: false }
        }

        /// False if there is no stack: a double fault, which is the end.
        fn enter(&mut self, class: usize) -> bool {
            let is_live = |stack: usize| self.live.iter().any(|live| live.stack == stack);
            let Some(stack) = self.next[class] else {
                // The third of three NMIs leaves no stack behind when it ends, until the second goes on.
                let is_full =
                    if class == 0 { EXCEPTIONS.clone().all(is_live) } else { self.had_all_nmis };
                assert!(is_full, "no stack, but one is free: {:?}", self.live);
                return false;
            };
            assert!(!is_live(stack), "stack {stack} is overwritten: {:?}", self.live);
            self.rsp[stack] = self.live.last().map_or(ORDINARY, |live| live.stack as u64);
            let phase = Phase::Entered;
            self.live.push(Live { stack, phase, before: 0, taken: 0, exceptions: None });
            let is_live = |stack: usize| self.live.iter().any(|live| live.stack == stack);
            self.had_all_nmis |= NMIS.clone().all(is_live);
            true
        }

        fn go_on(&mut self) {
            let Some(mut top) = self.live.pop() else { return };
            match top.phase {
                Phase::Entered => {
                    let holder = |rsp: u64| (rsp < 8).then_some(rsp as usize);
                    top.before = self.taken;
                    let known = top.before | 1 << top.stack;
                    top.taken = followed(known, self.rsp[top.stack], holder, |at| self.rsp[at]);
                    self.taken = top.taken;
                    top.exceptions = self.next[0];
                    self.next = [free(top.taken, EXCEPTIONS), free(top.taken, NMIS)];
                    top.phase = Phase::Handled;
                    self.live.push(top);
                }
                Phase::Handled => {
                    self.next = [top.exceptions, free(top.taken, NMIS)];
                    self.taken = top.before;
                    top.phase = Phase::Leaving;
                    self.live.push(top);
                }
                // IRETQ.
                Phase::Leaving => self.nmi_blocked = false,
            }
        }
    }

    #[test]
    fn no_live_frame_is_ever_overwritten() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let (mut deepest, mut double_faults) = (0, 0);
        for _ in 0..20_000 {
            let mut model = Model::new();
            for _ in 0..60 {
                let may_fault = model.live.last().is_none_or(|live| live.phase == Phase::Handled);
                let goes_on = match random(4) {
                    0 if !model.nmi_blocked => {
                        model.nmi_blocked = true;
                        model.enter(1)
                    }
                    1 if may_fault => model.enter(0),
                    _ => {
                        model.go_on();
                        true
                    }
                };
                deepest = deepest.max(model.live.len());
                double_faults += u32::from(!goes_on);
                if !goes_on {
                    break;
                }
            }
        }
        assert_eq!(deepest, 6, "every stack is used");
        assert!(double_faults > 100 && double_faults < 15_000, "{double_faults}");
    }

    /// What interrupted what: for interrupts, from where their frame reaches down, and whether it is still there.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Context {
        Interrupt { top: u64, is_live: bool },
        Trap { is_counted: bool },
    }

    /// Interrupts let in by the handlers of traps, which may have come in the entry of interrupts. False if a frame that
    /// was live was overwritten. `lower` and `disables` are what this file and `traps` do.
    fn entries_stay_whole(mut random: impl FnMut(u64) -> u64, lower: u64, disables: bool) -> bool {
        let (mut live, mut top, mut are_in) = (Vec::<(Context, bool)>::new(), 4096, true);
        for _ in 0..80 {
            let traps =
                live.iter().filter(|(context, _)| matches!(context, Context::Trap { .. })).count();
            match (random(4), live.last_mut()) {
                (0, _) if are_in => {
                    let covers = |&(context, _): &(Context, bool)| match context {
                        Context::Interrupt { top: other, is_live: true } => {
                            other.abs_diff(top) < ENTRY_FRAME
                        }
                        _ => false,
                    };
                    if live.iter().any(covers) {
                        return false;
                    }
                    live.push((Context::Interrupt { top, is_live: true }, are_in));
                    are_in = false;
                }
                (1, _) if traps < TRAPS.len() => {
                    live.push((Context::Trap { is_counted: false }, are_in));
                    are_in = false;
                }
                (_, Some((Context::Interrupt { is_live, .. }, _))) if *is_live => *is_live = false,
                (_, Some((Context::Trap { is_counted }, _))) if !*is_counted => {
                    *is_counted = true;
                    top -= lower;
                    // Two in three handlers let interrupts in.
                    are_in = random(3) != 0;
                }
                (2, Some((Context::Interrupt { .. }, _))) => are_in = true,
                // It ends: what was is again. Between the end of its level and IRETQ is a moment.
                (_, Some((Context::Trap { .. }, before))) if are_in && !disables => {
                    top += lower;
                    live.pop();
                    // The frame of the trap is still there, and interrupts are in.
                    live.push((Context::Interrupt { top: 0, is_live: false }, true));
                }
                (_, Some((context, before))) => {
                    top += if matches!(context, Context::Trap { .. }) { lower } else { 0 };
                    are_in = *before;
                    live.pop();
                }
                (_, None) => {}
            }
        }
        true
    }

    #[test]
    fn an_interrupt_that_a_traps_handler_lets_in_overwrites_no_entry() {
        let all_whole = |lower, disables| {
            let mut seed = 7_u64;
            let mut random = |below: u64| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (seed >> 33) % below
            };
            (0..20_000).all(|_| entries_stay_whole(&mut random, lower, disables))
        };
        assert!(all_whole(ENTRY_FRAME, true));
        assert!(!all_whole(0, true), "the same stack for all is not enough");
        assert!(!all_whole(ENTRY_FRAME / 2, true), "nor is half a frame");
        assert!(!all_whole(ENTRY_FRAME, false), "interrupts must be out before the level ends");
    }

    #[test]
    fn stacks_that_say_nonsense_are_followed_to_an_end() {
        let holder = |rsp: u64| (rsp < 8).then_some(rsp as usize);
        assert_eq!(followed(1, 5, holder, |_| 5), 1 | 1 << 5);
        assert_eq!(followed(0, 0, holder, |at| (at as u64 + 1) % 8), 0xff);
        assert_eq!(followed(4, ORDINARY, holder, |_| 0), 4);
    }
}
