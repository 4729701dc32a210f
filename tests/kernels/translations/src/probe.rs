//! Tries an address: reads, writes and calls that may fault, and goes on.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use freestone::platform::x86_64::trap::traps::{self, Frame, Outcome};

const PAGE_FAULT: u8 = 14;

/// `ret`, which [`call`] can call.
pub const RETURN: u8 = 0xc3;

/// Where a fault goes on; 0 where none is expected.
static RESUME: AtomicU64 = AtomicU64::new(0);

/// From now on the functions here are told of faults.
pub fn start() {
    traps::handle(PAGE_FAULT, resume, 0);
}

fn resume(frame: &mut Frame, _word: usize) -> Outcome {
    let to = RESUME.swap(0, Ordering::Relaxed);
    if to == 0 {
        return Outcome::Unhandled;
    }
    // SAFETY: the end of one of the sequences below, which puts the stack pointer back and says what it changes.
    unsafe { frame.registers_mut().rip = to };
    Outcome::Handled
}

/// What stands at `at`, or `None` if reading faults.
pub fn read(at: u64) -> Option<u64> {
    let (value, done): (u64, u64);
    // SAFETY: reading changes nothing, and a fault goes on behind it.
    unsafe {
        asm!(
            "lea {done}, [rip + 2f]", "mov [{resume}], {done}", "xor {done:e}, {done:e}",
            "mov {value}, [{at}]", "mov {done:e}, 1", "2:",
            done = out(reg) done, value = out(reg) value, at = in(reg) at, resume = in(reg) RESUME.as_ptr(),
        );
    }
    RESUME.store(0, Ordering::Relaxed);
    (done == 1).then_some(value)
}

/// Writes to `at`; `false` if that faults.
///
/// # Safety
///
/// - Nobody minds if `value` stands there, wherever the processor believes that is.
pub unsafe fn write(at: u64, value: u64) -> bool {
    let done: u64;
    // SAFETY: the caller answers for the memory; a fault goes on behind it.
    unsafe {
        asm!(
            "lea {done}, [rip + 2f]", "mov [{resume}], {done}", "xor {done:e}, {done:e}",
            "mov [{at}], {value}", "mov {done:e}, 1", "2:",
            done = out(reg) done, value = in(reg) value, at = in(reg) at, resume = in(reg) RESUME.as_ptr(),
        );
    }
    RESUME.store(0, Ordering::Relaxed);
    done == 1
}

/// Calls `at`; `false` if that faults.
///
/// # Safety
///
/// - If anything can be executed there, [`RETURN`] stands there.
pub unsafe fn call(at: u64) -> bool {
    let done: u64;
    // SAFETY: what is called returns at once; a fault goes on where the stack pointer is put back.
    unsafe {
        asm!(
            "mov {stack}, rsp", "lea {done}, [rip + 2f]", "mov [{resume}], {done}", "xor {done:e}, {done:e}",
            "call {at}", "mov {done:e}, 1", "2:", "mov rsp, {stack}",
            done = out(reg) done, stack = out(reg) _, at = in(reg) at, resume = in(reg) RESUME.as_ptr(),
        );
    }
    RESUME.store(0, Ordering::Relaxed);
    done == 1
}
