//! Exceptions: entry in assembly, handlers in Rust. Interrupts have `interrupts`, and the frame from here.
//!
//! Stable Rust has no interrupt calling convention, so each vector enters through a stub, a single
//! `call` of a common body: the return address shows which stub, and so which vector, it was. The body
//! completes the [`Frame`], saves the vector state with FXSAVE (handlers are ordinary code and may use
//! SSE), and calls the dispatcher. An exception stays on the IST stack that it enters on; `nesting` finds a
//! free one for each.
//!
//! A handler is registered per vector ([`handle`]). An exception that no handler takes ends the kernel with a report.
//!
//! Sources: Intel SDM volume 3, 7.12 to 7.15.
//!
//! ```no_run
//! # use freestone_platform::x86_64::trap as freestone;
//! use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use freestone::traps::{self, Frame, Outcome};
//!
//! static LAST: AtomicU64 = AtomicU64::new(0);
//!
//! fn remember(frame: &mut Frame, _word: usize) -> Outcome {
//!     LAST.store(frame.rip, Relaxed);
//!     Outcome::Handled // go on behind it; `Unhandled` would end in a report
//! }
//!
//! traps::handle(traps::BREAKPOINT, remember, 0);
//! traps::breakpoint();
//! assert_ne!(LAST.load(Relaxed), 0);
//! ```

use core::arch::naked_asm;
use core::mem::offset_of;

use super::super::cpu;
use super::frame::frame_in_rbx;
use super::nesting::Level;
use super::{nesting, report};
use crate::slot::Slot;

pub use super::frame::{FIRST_INTERRUPT, Frame, Handler, Outcome, Registers, VECTORS};

/// Breakpoint (#BP), the one exception that is often meant.
pub const BREAKPOINT: u8 = 3;

/// Raises a breakpoint exception (`int3`). Without a handler for [`BREAKPOINT`] that is the end of the
/// kernel, with a report of where it stood.
pub fn breakpoint() {
    // SAFETY: INT3 enters the handler, which preserves everything it does not mean to change.
    unsafe { core::arch::asm!("int3") }
}

/// Size of one entry stub: `call rel32`.
pub(crate) const STUB_BYTES: u64 = 5;

impl Frame {
    /// Which vector brought us here.
    pub fn vector(&self) -> u8 {
        ((self.stub_end - first_stub()) / STUB_BYTES - 1) as u8
    }
}

static HANDLERS: [Slot; FIRST_INTERRUPT as usize] =
    [const { Slot::empty() }; FIRST_INTERRUPT as usize];

/// Registers `handler` for the exception `vector`, in place of the one before it; it is called with `word`. One that was
/// registered with another word is away for a moment before: an NMI that comes then is nobody's.
///
/// # Panics
///
/// If `vector` is an interrupt's, from 32 on: those are registered with `interrupts::handle`.
pub fn handle(vector: u8, handler: Handler, word: usize) {
    let slot = HANDLERS.get(usize::from(vector));
    slot.expect("an exception's vector is below 32").set(handler as *mut (), word);
}

/// Whether the handler of an exception or an NMI runs, or what has interrupted one.
#[inline]
pub(crate) fn in_handler() -> bool {
    nesting::is_taken()
}

/// The handlers of all exceptions.
pub(crate) fn slots() -> &'static [Slot] {
    &HANDLERS
}

/// Calls the handler in a slot, if there is one.
#[inline]
pub(super) fn call(slot: Option<&Slot>, frame: &mut Frame) -> Outcome {
    let Some((handler, word)) = slot.and_then(Slot::get) else { return Outcome::Unhandled };
    // SAFETY: the only functions registered are `Handler`s, in `handle` here and in `interrupts`; function
    // and data pointers have the same size and representation here.
    unsafe { core::mem::transmute::<*mut (), Handler>(handler)(frame, word) }
}

extern "C" fn dispatch(frame: &mut Frame) {
    let vector = frame.vector();
    let _level = Level::enter(frame);
    if call(HANDLERS.get(usize::from(vector)), frame) != Outcome::Handled {
        report::exception(frame);
    }
    // The handler may have let them in, and the level ends before the frame is left.
    cpu::disable_interrupts();
}

/// Address of vector 0's stub; the others follow, [`STUB_BYTES`] apart.
pub(crate) fn first_stub() -> u64 {
    stubs as *const () as u64
}

#[unsafe(naked)]
extern "C" fn stubs() {
    // The encoding is spelt out so that no assembler picks another one.
    naked_asm!(".rept 32", ".byte 0xe8", ".long {enter} - . - 4", ".endr", enter = sym enter)
}

/// FXSAVE's 512 bytes, and a word for MXCSR above them with its alignment.
pub(super) const STATE_BYTES: usize = 512 + 16;

/// 0 in the kernel that `tests/interrupts.rs` wants to fail.
const SAVE_VECTORS: usize = if cfg!(freestone_unprotected = "vectors") { 0 } else { 1 };

/// Completes the frame, saves everything, calls `dispatch`, restores everything. Some exceptions push an
/// error code and most do not. The processor aligns the IST stack's pointer to 16 bytes before it pushes five
/// words, or six: so bit 3 of the stack pointer tells which, and no table of vectors is needed.
///
/// ```text
/// on entry, no error code:   [stub end] rip cs rflags rsp ss      rsp a multiple of 16
/// on entry, error code:      [stub end] error rip cs rflags …     rsp a multiple of 16, plus 8
/// ```
#[unsafe(naked)]
extern "C" fn enter() {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_signal_frame",
        ".cfi_def_cfa rsp, 48",
        ".cfi_offset rip, -40; .cfi_offset rsp, -16",
        "test spl, 8",
        "jnz 2f",
        // No error code: move the stub's end down one word and put 0 in its place.
        "push [rsp]",
        "mov qword ptr [rsp + 8], 0",
        "2:",
        "push rax",
        "push rbx",
        "push rcx",
        "call {save}",
        frame_in_rbx!(),
        "call {dispatch}",
        "jmp {restore}",
        ".cfi_endproc",
        save = sym save,
        restore = sym restore,
        dispatch = sym dispatch,
    )
}

/// Called where `rcx` has just been pushed: completes the frame and saves the vector state below it. Leaves
/// the frame in `rdi` and `rbx`, the vector state at `rsp` and in `r12`, and MXCSR at its default.
#[unsafe(naked)]
pub(super) extern "C" fn save() {
    naked_asm!(
        // Where to return to stands in the place of `rdx`.
        "pop rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        // The interrupted code may have set DF and unmasked floating-point exceptions.
        "cld",
        "mov rbx, rsp",
        "mov rdi, rsp",
        // What looks like a call from the interrupted code, for backtraces.
        "push [rbx + {rip}]",
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, {state}",
        "and rsp, -16",
        ".if {save_vectors}",
        "fxsave64 [rsp]",
        ".endif",
        "mov dword ptr [rbp - 8], {mxcsr}",
        "ldmxcsr [rbp - 8]",
        "mov r12, rsp",
        "jmp rcx",
        state = const STATE_BYTES,
        save_vectors = const SAVE_VECTORS,
        rip = const offset_of!(Registers, rip),
        mxcsr = const cpu::MXCSR_DEFAULT,
    )
}

/// Jumped to with what `save` left in `rbx` and `r12`: goes back to the interrupted code.
#[unsafe(naked)]
pub(super) extern "C" fn restore() {
    naked_asm!(
        ".if {save_vectors}",
        "fxrstor64 [r12]",
        ".endif",
        "mov rsp, rbx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        // The stub's end and the error code.
        "add rsp, 16",
        "iretq",
        save_vectors = const SAVE_VECTORS,
    )
}
