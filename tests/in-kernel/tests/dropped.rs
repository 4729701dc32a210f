//! A handler may drop stacks and frames at any moment, and they are given back: the processor stops after each instruction, and
//! after a given number the handler drops two stacks and some frames.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use freestone::memory::{self, Access, Frames, KernelStack, PAGE_SIZE, PhysAddr, VirtAddr};
use freestone::platform::hypervisor::xen;
use freestone::traps::{self, Frame, Outcome};

freestone_harness::harness!();

/// The debug exception, which the trap flag raises after each instruction.
const DEBUG: u8 = 1;

/// What the handler drops, after so many more steps.
static OTHERS: spin::Mutex<Option<Droppable>> = spin::Mutex::new(None);
static LEFT: AtomicUsize = AtomicUsize::new(0);
static STEPS: AtomicUsize = AtomicUsize::new(0);

type Droppable = ([KernelStack; 2], Option<Frames>);

fn on_step(frame: &mut Frame, _word: usize) -> Outcome {
    STEPS.fetch_add(1, Ordering::Relaxed);
    if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        // SAFETY: without the trap flag the interrupted code goes on as it would have.
        unsafe { frame.registers_mut().rflags &= !0x100 };
        if let Some(mut others) = OTHERS.try_lock() {
            drop(others.take());
        }
    }
    Outcome::Handled
}

/// Does `work` in single steps, in the middle of which the handler drops `others`.
fn interrupted(moment: usize, others: Droppable, work: impl FnOnce()) {
    traps::handle(DEBUG, on_step, 0);
    *OTHERS.lock() = Some(others);
    LEFT.store(moment, Ordering::Relaxed);
    // SAFETY: sets the trap flag (bit 8), which the handler survives; the stack is used through push and pop.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    work();
    // SAFETY: clears it.
    unsafe { asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
    drop(OTHERS.lock().take());
}

fn stack() -> KernelStack {
    KernelStack::new("short-lived", 9000).unwrap()
}

/// How many steps are taken to interrupt a work at its moments, or twice that: each is an exception.
const MOST_STEPS: usize = 120_000;

/// At how many moments a work of so many steps is interrupted. Xen has a part in each of them, and takes some twenty times
/// as long.
fn points(length: usize) -> usize {
    let (most_steps, least) = if xen().is_some() { (MOST_STEPS / 20, 1) } else { (MOST_STEPS, 8) };
    (most_steps / length).clamp(least, 100)
}

freestone_harness::tests! {
    fn nothing_is_lost() {
        // Tables for the guard pages come first, and stay as spare ones.
        drop([(); 20].map(|()| stack()));
        let works: [(&str, fn()); 6] = [
            ("a change of the map", map_and_unmap),
            ("a stack", || drop(stack())),
            ("frames", || drop((Frames::take(2).unwrap(), Frames::take(7).unwrap()))),
            ("frames that are left over", || drop(Frames::take(1 << 40))),
            ("a look at the map", look),
            ("a refusal", refused),
        ];
        for (name, work) in works {
            let before = memory::stats().unwrap().0.free;
            let longest = usize::MAX;
            interrupted(longest, ([stack(), stack()], None), work);
            let length = longest - LEFT.load(Ordering::Relaxed);
            let points = points(length);
            freestone::println!("{name}: {points} points of {length}");
            for point in 0..points {
                // In the middle of each part, or a little later.
                let part = length / points;
                let moment = 1 + part / 2 + length * point / points + point * 7 % part.div_ceil(2).max(1);
                interrupted(moment, ([stack(), stack()], Some(Frames::take(3).unwrap())), work);
                // The next change of the map.
                map_and_unmap();
                let after = memory::stats().unwrap().0.free;
                assert_eq!(after, before, "{name}, interrupted at {moment} of {length}");
            }
        }
        memory::audit().unwrap();
    }

    fn a_handler_may_drop_stacks_in_the_middle_of_a_drop() {
        for moment in (1..400).step_by(3) {
            let [first, second, third, last] = [stack(), stack(), stack(), stack()];
            // The neighbours of the one that is dropped, on either side.
            interrupted(moment, ([second, last], None), || drop(third));
            // Whoever takes the frames now writes where the nodes were.
            let frames = Frames::take(9).unwrap();
            // SAFETY: frames of ours.
            unsafe { frames.as_ptr().as_mut() }.fill(0x41);
            drop(frames);
            drop(first);
        }
        memory::audit().unwrap();
        freestone::println!("{} steps", STEPS.load(Ordering::Relaxed));
        assert!(STEPS.load(Ordering::Relaxed) > 10_000);
    }
}

fn map_and_unmap() {
    let (window, to) = (VirtAddr::new(1 << 46), PhysAddr::new(0x20_0000));
    // SAFETY: memory that is not even read, at addresses that nobody uses.
    unsafe {
        memory::map(window, to, PAGE_SIZE, Access::Read).unwrap();
        memory::unmap(window, PAGE_SIZE).unwrap();
    }
}

fn look() {
    memory::translate(VirtAddr::new(PAGE_SIZE)).unwrap();
    memory::stats();
}

fn refused() {
    assert!(memory::map_firmware(PhysAddr::new(0), 8).is_err());
    assert!(memory::map_mmio(PhysAddr::new(0x20_0000), 8).is_err());
}
