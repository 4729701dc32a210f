//! The frame of an exception or an interrupt: what a handler sees of the code that it interrupts.

use core::mem::offset_of;

/// How many vectors there are, exceptions and interrupts.
pub const VECTORS: usize = 256;

/// Exceptions are below, interrupts from here on.
pub const FIRST_INTERRUPT: u8 = 32;

/// The interrupted processor state, as the entry code lays it out on the handler's stack.
///
/// Reading is open ([`Frame`] derefs to [`Registers`]). Changing it changes what the interrupted code goes on
/// with, so that is [unsafe](Frame::registers_mut).
#[derive(Debug)]
#[repr(transparent)]
pub struct Frame(pub(super) Registers);

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
    pub(super) stub_end: u64,
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

/// Handles one vector; the word is the one that it was registered with. Runs with interrupts off, on a stack of 16 KiB above a guard page, over code that
/// may hold any lock: it must not wait for one, and must not allocate. The handler of an interrupt may
/// enable interrupts; they nest until the stack is used up.
pub type Handler = fn(&mut Frame, usize) -> Outcome;

/// What debuggers know a complete frame by (DWARF 5, 6.4): the stack that was interrupted, and its registers in
/// the frame at `rbx`, which calls leave alone. In the order of [`Registers`], counted from its end.
macro_rules! frame_in_rbx {
    () => {
        ".cfi_def_cfa rbx, 176
        .cfi_offset r15, -176; .cfi_offset r14, -168; .cfi_offset r13, -160; .cfi_offset r12, -152
        .cfi_offset r11, -144; .cfi_offset r10, -136; .cfi_offset r9, -128; .cfi_offset r8, -120
        .cfi_offset rbp, -112; .cfi_offset rdi, -104; .cfi_offset rsi, -96; .cfi_offset rdx, -88
        .cfi_offset rcx, -80; .cfi_offset rbx, -72; .cfi_offset rax, -64
        .cfi_offset rip, -40; .cfi_offset rsp, -16"
    };
}
pub(super) use frame_in_rbx;

const _: () = assert!(size_of::<Registers>() == 176 && offset_of!(Registers, rip) == 176 - 40);
