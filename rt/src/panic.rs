//! The panic report, which is written so that a second failure does not lose it.
//!
//! The report takes no lock and allocates nothing. It must survive its own failure: a message
//! whose `Display` panics, a console that faults, an exit function that panics. A counter holds the
//! number of panics so far, and each level does less than the one before: everything, then the location and
//! message of the second panic, then one fixed line, then only the exit, then nothing but waiting.

use core::fmt::Write as _;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::number::Decimal;
use crate::{backtrace, console};

static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Whether a panic is being reported. A fault handler asks, to say so.
pub fn in_progress() -> bool {
    DEPTH.load(Ordering::Relaxed) > 0
}

/// Reports a panic on every console, then calls `exit`. The handler that [`panic_handler!`](crate::panic_handler) defines calls it.
pub fn report(info: &PanicInfo<'_>, exit: fn() -> !) -> ! {
    let mut out = console::emergency();
    // Results are ignored on purpose: there is nobody left to tell.
    match DEPTH.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let _ = out.write_str("\nKERNEL PANIC");
            describe(&mut out, info);
            backtrace::print(&mut out, backtrace::frame_pointer());
        }
        1 => {
            let _ = out.write_str("\nPANIC WHILE PANICKING");
            describe(&mut out, info);
        }
        2 => {
            let _ = out.write_str("\nPANIC WHILE PANICKING, again: giving up on the report\n");
        }
        3 => {}
        _ => loop {
            core::hint::spin_loop();
        },
    }
    exit()
}

/// Writes where the panic was and its message. The place comes first: it cannot fail, the message can.
pub fn describe(out: &mut console::Writer, info: &PanicInfo<'_>) {
    if let Some(place) = info.location() {
        let _ = out.write_str(" at ");
        // Not `{}` of a string or an integer: see `number`.
        let _ = out.write_str(place.file());
        let (line, column) = (Decimal(place.line().into()), Decimal(place.column().into()));
        let _ = write!(out, ":{line}:{column}");
    }
    let _ = write!(out, "\n  {}\n", info.message());
}

/// Defines the `#[panic_handler]` in a kernel's crate: `panic_handler!(exit = PATH)`, `PATH` a `fn() -> !`.
#[macro_export]
macro_rules! panic_handler {
    (exit = $exit:path) => {
        #[panic_handler]
        fn freestone_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panic::report(info, $exit)
        }
    };
}
