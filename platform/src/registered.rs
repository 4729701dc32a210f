//! What has been registered with this crate, as one number.

use core::sync::atomic::AtomicPtr;

use crate::{arch, exit, timer};
use freestone_rt::console;

/// Another number than before if handlers, timers, consoles or the last look have been registered or taken back in
/// between, or the hardware's timer taken. The timer's own handler does not count: it stays once it is there, and alone it
/// does nothing; nor does that it has the hardware.
pub fn registered() -> u64 {
    let handlers = arch::trap::traps::slots().iter().chain(arch::trap::interrupts::slots());
    let handlers = handlers.chain(arch::more_handlers::slots());
    let slots = handlers.chain([exit::last_look()]).map(|slot| {
        let pointer = AtomicPtr::load(slot, core::sync::atomic::Ordering::Relaxed);
        if timer::is_own(pointer) { 0 } else { pointer.addr() as u64 }
    });
    let owner = if timer::is_started() { 0 } else { arch::one_shot::vector() };
    let counts = [timer::running() as u64, console::consoles().count() as u64, owner.into()];
    // FNV-1a, by words.
    slots
        .chain(counts)
        .fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}
