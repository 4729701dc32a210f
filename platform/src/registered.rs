//! A hash of everything registered with this crate, which tells whether a registration has changed.

use core::sync::atomic::Ordering;

use crate::{arch, exit, timer};
use freestone_rt::console;

/// Another number than before if handlers, timers, consoles or the last look have been registered or taken back in
/// between, or the hardware's timer taken. The timer's own handler does not count: it stays once it is there, and alone it
/// does nothing; nor does that it has the hardware.
pub fn registered() -> u64 {
    let handlers = arch::trap::traps::slots().iter().chain(arch::trap::interrupts::slots());
    let handlers = handlers.chain(arch::more_handlers::slots());
    let slots = handlers.flat_map(|slot| if timer::is_own(slot) { [0; 2] } else { slot.numbers() });
    let owner = if timer::is_started() { 0 } else { arch::one_shot::vector() };
    let others = [
        exit::last_look().load(Ordering::Relaxed).addr() as u64,
        timer::running() as u64,
        console::consoles().count() as u64,
        owner.into(),
    ];
    // FNV-1a, by words.
    slots
        .chain(others)
        .fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}
