//! Exceptions and interrupts: entry in assembly, handlers in Rust.
//!
//! Stable Rust has no interrupt calling convention, so each vector enters through a stub, a single
//! `call` of one common body: the return address tells which stub, and so which vector, it was. That body completes the [`Frame`], saves the
//! vector state with FXSAVE (handlers are ordinary code and may use SSE), and calls `dispatch`.
//!
//! Some exceptions push an error code and most do not. Every vector is entered on an IST stack, whose
//! pointer the processor aligns to 16 bytes before it pushes five words, or six with an error code:
//! so bit 3 of the stack pointer tells which, and no table of vectors is needed.
//!
//! A handler is registered per vector ([`handle`]). What no handler takes ends the kernel with a
//! report if it is an exception, and is counted and reported once if it is an interrupt.
//!
//! Sources: Intel SDM volume 3, 7.12 to 7.15.

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use freestone_rt::number::Decimal;

use super::descriptors::Level;
use super::report;

/// How many vectors there are.
pub const VECTORS: usize = 256;

/// Exceptions are below, interrupts from here on.
pub const FIRST_INTERRUPT: u8 = 32;

/// Size of one entry stub: `call rel32`.
pub const STUB_BYTES: u64 = 5;

/// Breakpoint (#BP), the one exception that is often meant.
pub const BREAKPOINT: u8 = 3;

/// Raises a breakpoint exception (`int3`). Without a handler for [`BREAKPOINT`] that is the end of the
/// kernel, with a report of where it stood.
pub fn breakpoint() {
    // SAFETY: INT3 enters the handler, which preserves everything it does not mean to change.
    unsafe { core::arch::asm!("int3") }
}

/// The interrupted processor state, as the entry code lays it out on the handler's stack.
///
/// Reading is open ([`Frame`] derefs to [`Registers`]). Changing it changes what the interrupted code goes on
/// with, so that is [unsafe](Frame::registers_mut).
#[derive(Debug)]
#[repr(transparent)]
pub struct Frame(Registers);

/// See [`Frame`].
#[derive(Clone, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "registers have no better names than their own")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Where the stub's `call` would return to.
    stub_end: u64,
    /// The error code, 0 for vectors that have none.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl core::ops::Deref for Frame {
    type Target = Registers;

    fn deref(&self) -> &Registers {
        &self.0
    }
}

impl Frame {
    /// Which vector brought us here.
    pub fn vector(&self) -> u8 {
        ((self.stub_end - first_stub()) / STUB_BYTES - 1) as u8
    }

    /// The registers that the interrupted code will go on with.
    ///
    /// # Safety
    ///
    /// - The interrupted code can go on with what is written: an instruction to go on at, a stack that fits
    ///   it, and every register that the compiler believes unchanged.
    pub unsafe fn registers_mut(&mut self) -> &mut Registers {
        &mut self.0
    }
}

/// What a handler made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the interrupted code goes on.
    Handled,
    /// Not mine: report it.
    Unhandled,
}

/// Handles one vector. Runs with interrupts off, on a stack of 16 KiB above a guard page, over code that
/// may hold any lock: it must not wait for one, and must not allocate.
pub type Handler = fn(&mut Frame) -> Outcome;

static HANDLERS: [AtomicPtr<()>; VECTORS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; VECTORS];

/// Registers `handler` for `vector`, in place of the one before it.
pub fn handle(vector: u8, handler: Handler) {
    HANDLERS[usize::from(vector)].store(handler as *mut (), Ordering::Release);
}

fn handler(vector: u8) -> Option<Handler> {
    let pointer = HANDLERS[usize::from(vector)].load(Ordering::Acquire);
    // SAFETY: the only non-null pointers stored are `Handler`s, in `handle`; function and data
    // pointers have the same size and representation here.
    (!pointer.is_null()).then(|| unsafe { core::mem::transmute::<*mut (), Handler>(pointer) })
}

/// How many interrupts came that nobody had registered for.
pub fn unexpected_interrupts() -> u64 {
    UNEXPECTED.load(Ordering::Relaxed)
}

static UNEXPECTED: AtomicU64 = AtomicU64::new(0);

extern "C" fn dispatch(frame: &mut Frame) {
    let vector = frame.vector();
    let _level = Level::enter(vector);
    let outcome = handler(vector).map_or(Outcome::Unhandled, |handler| handler(frame));
    if outcome == Outcome::Handled {
        return;
    }
    if vector < FIRST_INTERRUPT {
        report::exception(frame);
    }
    if UNEXPECTED.fetch_add(1, Ordering::Relaxed) == 0 {
        let vector = Decimal(vector.into());
        freestone_rt::println!("unexpected interrupt, vector {vector}; further ones are counted");
    }
}

/// Address of vector 0's stub; the others follow, [`STUB_BYTES`] apart.
pub fn first_stub() -> u64 {
    stubs as *const () as u64
}

#[unsafe(naked)]
extern "C" fn stubs() {
    // The encoding is spelt out so that no assembler picks another one.
    naked_asm!(".rept 256", ".byte 0xe8", ".long {common} - . - 4", ".endr", common = sym common)
}

/// Completes the frame, saves everything, calls `dispatch`, restores everything.
///
/// ```text
/// on entry, no error code:   [stub end] rip cs rflags rsp ss      rsp a multiple of 16
/// on entry, error code:      [stub end] error rip cs rflags …     rsp a multiple of 16, plus 8
/// ```
#[unsafe(naked)]
extern "C" fn common() {
    naked_asm!(
        "test spl, 8",
        "jnz 2f",
        // No error code: move the stub's end down one word and put 0 in its place.
        "push [rsp]",
        "mov qword ptr [rsp + 8], 0",
        "2:",
        "push rax",
        "push rbx",
        "push rcx",
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
        // What looks like a call from the interrupted code, for backtraces.
        "push [rbx + {rip}]",
        "push [rbx + {rbp}]",
        "mov rbp, rsp",
        "mov rdi, rbx",
        "sub rsp, {state}",
        "and rsp, -16",
        "fxsave64 [rsp]",
        "mov dword ptr [rbp - 8], {mxcsr}",
        "ldmxcsr [rbp - 8]",
        "call {dispatch}",
        "fxrstor64 [rsp]",
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
        "add rsp, 16",
        "iretq",
        // 512 bytes of FXSAVE, a word for MXCSR above it, and room to align.
        state = const 512 + 32,
        rip = const offset_of!(Registers, rip),
        rbp = const offset_of!(Registers, rbp),
        mxcsr = const super::entry::MXCSR_DEFAULT,
        dispatch = sym dispatch,
    )
}
