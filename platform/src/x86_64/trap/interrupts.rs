//! Interrupts: entry and exit, handlers, and the vectors that can be allocated.
//!
//! An interrupt enters on an IST stack, since the processor would push onto the interrupted code's red
//! zone otherwise, but leaves it at once: the frame is moved below the red zone of the interrupted stack, and
//! the handler runs on the interrupt stack: from its top for the first interrupt, further down for one that came in a
//! handler:
//!
//! ```text
//! interrupted stack                          interrupt stack
//!   …                                          handler of the first
//!   red zone, 128 bytes, untouched             red zone
//!   frame, 176 bytes                           frame of the second, which came in the first
//!   vector state, 512 bytes  ────────────►     handler of the second
//! ```
//!
//! So the IST stack is free again before another interrupt can come, and a handler may enable interrupts. An interrupted
//! stack needs 864 free bytes, however much the handlers need. If it has less, the entry runs into its guard page,
//! which is reported as that stack's overflow.
//!
//! A kernel that uses no interrupt has none of this code in its image: the first call that uses one makes the gates, and
//! interrupts are off until then.
//!
//! Sources: Intel SDM volume 3, 7.14; System V ABI for x86-64, 3.2.2 (the red zone).

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use freestone_rt::number::Decimal;

use super::super::cpu;
use super::frame::{FIRST_INTERRUPT, Frame, Handler, Outcome, VECTORS, frame_in_rbx};
use super::{descriptors, stacks, traps};
use crate::hypervisor;
use crate::slot::Slot;

pub(crate) use cpu::{
    disable_interrupts as disable, interrupts_are_enabled as are_enabled,
    without_interrupts as without,
};

/// Vectors that [`allocate`] gives away: above [`LEGACY`], below what the processor and the
/// hypervisor use for themselves. A higher vector is more urgent, in classes of 16.
const ALLOCATABLE: core::ops::Range<u8> = 0x30..0xe0;

const INTERRUPTS: usize = VECTORS - FIRST_INTERRUPT as usize;

static HANDLERS: [Slot; INTERRUPTS] = [const { Slot::empty() }; INTERRUPTS];

/// The handlers of all interrupts.
pub(crate) fn slots() -> &'static [Slot] {
    &HANDLERS
}

/// The slot of a vector, and the certainty that its gate exists.
fn slot(vector: u8) -> Option<&'static Slot> {
    make_gates();
    HANDLERS.get(usize::from(vector.checked_sub(FIRST_INTERRUPT)?))
}

/// See [`crate::interrupts::handle`].
pub fn handle(vector: u8, handler: Handler, word: usize) {
    let slot = slot(vector).expect("an interrupt's vector is 32 or more");
    // What comes meanwhile waits.
    cpu::without_interrupts(|| slot.set(handler as *mut (), word));
}

/// See [`crate::interrupts::allocate`].
pub fn allocate(handler: Handler, word: usize) -> Option<u8> {
    let free = |vector: &u8| slot(*vector).is_some_and(|slot| slot.claim(handler as *mut (), word));
    ALLOCATABLE.rev().find(free)
}

/// See [`crate::interrupts::release`].
pub fn release(vector: u8) {
    if let Some(slot) = slot(vector) {
        slot.clear();
    }
}

/// A handler that interrupts this does all of it too, with the same result.
fn make_gates() {
    static MADE: AtomicBool = AtomicBool::new(false);
    if !MADE.load(Ordering::Acquire) {
        descriptors::add_interrupt_gates(first_stub());
        if hypervisor::xen().is_none() {
            move_legacy_controllers();
        }
        MADE.store(true, Ordering::Release);
    }
}

/// The vectors of the two legacy controllers (8259). All their lines are masked. But if one falls silent again in the
/// moment in which it is asked, the controller interrupts by the last of its eight, and firmware has given it
/// exceptions' vectors.
pub(crate) const LEGACY: core::ops::Range<u8> = FIRST_INTERRUPT..ALLOCATABLE.start;
const _: () = assert!(LEGACY.start.is_multiple_of(8) && LEGACY.end - LEGACY.start == 16);

/// Source: Intel 8259A data sheet, initialization command words 1 to 4.
fn move_legacy_controllers() {
    const COMMANDS: [u16; 2] = [0x20, 0xa0];
    /// Four words follow, the second controller is on a line of the first.
    const INITIALIZE: u8 = 0x11;
    const LINE_OF_SECOND: u8 = 2;
    const MODE_8086: u8 = 0x01;
    const ALL: u8 = 0xff;
    let vectors = [LEGACY.start, LEGACY.start + 8];
    let cascade = [1 << LINE_OF_SECOND, LINE_OF_SECOND];
    for (command, (vector, cascade)) in COMMANDS.into_iter().zip(vectors.into_iter().zip(cascade)) {
        // SAFETY: the PC's interrupt controllers, which nobody else uses, with interrupts out.
        unsafe {
            cpu::outb(command, INITIALIZE);
            for word in [vector, cascade, MODE_8086, ALL] {
                cpu::outb(command + 1, word);
            }
        }
    }
}

/// Lets interrupts in.
pub fn enable() {
    make_gates();
    cpu::enable_interrupts();
}

/// Lets interrupts in and halts until one has come, then keeps them out again. None is missed: STI takes
/// effect behind the instruction that follows it (SDM volume 2, STI).
pub fn wait() {
    make_gates();
    // SAFETY: as in `enable` and `disable`.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// How many interrupts came that nobody had registered for.
pub fn unexpected() -> u64 {
    UNEXPECTED.load(Ordering::Relaxed)
}

static UNEXPECTED: AtomicU64 = AtomicU64::new(0);

/// What ends an interrupt at its controller, after the handler: a `fn(u8)`, or null before there is one.
static END_OF_INTERRUPT: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Has `end` called with the vector after the handler of every interrupt, with interrupts off.
pub(crate) fn set_end_of_interrupt(end: fn(u8)) {
    END_OF_INTERRUPT.store(end as *mut (), Ordering::Release);
}

extern "C" fn dispatch(frame: &mut Frame) {
    // The frame knows exceptions' stubs.
    let offset = frame.0.stub_end - first_stub();
    frame.0.stub_end =
        traps::first_stub() + u64::from(FIRST_INTERRUPT) * traps::STUB_BYTES + offset;
    let index = offset / traps::STUB_BYTES - 1;
    let vector = index as u8 + FIRST_INTERRUPT;
    if traps::call(HANDLERS.get(index as usize), frame) != Outcome::Handled {
        report_once(vector);
    }
    let end = END_OF_INTERRUPT.load(Ordering::Acquire);
    disable();
    if !end.is_null() {
        // SAFETY: `set_end_of_interrupt` stores `fn(u8)`s only.
        unsafe { core::mem::transmute::<*mut (), fn(u8)>(end)(vector) };
    }
}

#[cold]
fn report_once(vector: u8) {
    if UNEXPECTED.fetch_add(1, Ordering::Relaxed) == 0 {
        let vector = Decimal(vector.into());
        freestone_rt::println!("unexpected interrupt, vector {vector}; further ones are counted");
    }
}

/// Address of the first interrupt's stub; the others follow, as for exceptions.
fn first_stub() -> u64 {
    stubs as *const () as u64
}

#[unsafe(naked)]
extern "C" fn stubs() {
    naked_asm!(".rept 224", ".byte 0xe8", ".long {enter} - . - 4", ".endr", enter = sym enter)
}

/// What the ABI lets leaf functions use below the stack pointer; 0 in the kernel that `tests/interrupts.rs`
/// wants to fail.
const RED_ZONE: usize = if cfg!(freestone_unprotected = "red-zone") { 0 } else { 128 };

/// How many handlers run, one inside the other. The entry code counts, and chooses the stack by it.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Whether an interrupt handler runs.
#[inline]
pub fn in_handler() -> bool {
    DEPTH.load(Ordering::Relaxed) != 0
}

/// As for exceptions, with the change of stacks that the head of this file draws. Interrupts have no error
/// code. A fault in here, on a stack without room, is an exception like any other.
#[unsafe(naked)]
extern "C" fn enter() {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_signal_frame",
        ".cfi_def_cfa rsp, 48",
        ".cfi_offset rip, -40; .cfi_offset rsp, -16",
        "push rax",
        "push rcx",
        // rcx rax [stub end] rip cs rflags rsp ss
        "mov rax, rsp",
        ".cfi_def_cfa rax, 64",
        "mov rsp, [rax + 48]",
        "lea rsp, [rsp - {red_zone}]",
        "and rsp, -16",
        "push [rax + 56]",
        "push [rax + 48]",
        "push [rax + 40]",
        "push [rax + 32]",
        "push [rax + 24]",
        "push 0",
        "push [rax + 16]",
        "push [rax + 8]",
        "push rbx",
        "push [rax]",
        "call {save}",
        frame_in_rbx!(),
        "lea rax, [rip + {stack} + {stack_bytes}]",
        "cmp dword ptr [rip + {depth}], 0",
        "cmove rsp, rax",
        "inc dword ptr [rip + {depth}]",
        "call {dispatch}",
        "dec dword ptr [rip + {depth}]",
        "jmp {restore}",
        ".cfi_endproc",
        red_zone = const RED_ZONE,
        stack = sym stacks::INTERRUPT,
        stack_bytes = const crate::memory::address::PAGE_SIZE as usize + stacks::HANDLER_BYTES,
        depth = sym DEPTH,
        save = sym traps::save,
        restore = sym traps::restore,
        dispatch = sym dispatch,
    )
}
