//! A handler of single steps wakes a task at one moment after the other of the way to the halt, interrupts out or in, as an
//! NMI's might: none is lost. With `--icount`, as it waits for what may never come.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use freestone::interrupts::{Frame, Outcome};
use freestone::{BootInfo, Exit, Signal, println, task, time, traps};

freestone::entry!(async main, audit: exit);

const DEBUG: u8 = 1;
const TRAP_FLAG: u64 = 1 << 8;
const LIMIT: Duration = Duration::from_secs(1);

static RAISED: Signal = Signal::new();
static RAISED_AT: AtomicU64 = AtomicU64::new(0);
/// How many steps it is until it is raised.
static LEFT: AtomicU64 = AtomicU64::new(0);

fn step(frame: &mut Frame, _: usize) -> Outcome {
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        RAISED_AT.store(time::now().as_nanos() as u64, Ordering::Relaxed);
        RAISED.raise();
        // SAFETY: without the flag the interrupted code goes on as it would have.
        unsafe { frame.registers_mut().rflags &= !TRAP_FLAG };
    }
    Outcome::Handled
}

async fn main(_boot: &'static BootInfo) -> Exit {
    traps::handle(DEBUG, step, 0);
    let mut lost = 0;
    for steps in (200..2000).step_by(7) {
        LEFT.store(steps, Ordering::Relaxed);
        let begin = time::now();
        let wait = core::pin::pin!(task::timeout(LIMIT, RAISED.wait()));
        // SAFETY: the handler of what follows changes nothing that this code uses.
        unsafe { asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP_FLAG) };
        // Ready in either case: what was lost is seen when the time is up.
        let _ = wait.await;
        let raised = Duration::from_nanos(RAISED_AT.load(Ordering::Relaxed));
        // Of a way that is shorter than so many steps the rest is behind the halt.
        let is_early = LEFT.load(Ordering::Relaxed) == 0 && raised < begin + LIMIT / 2;
        lost += u32::from(is_early && time::now() >= begin + LIMIT);
        RAISED.take();
    }
    println!("lost: {lost}");
    if lost == 0 { Exit::Success } else { Exit::Failure }
}
