//! What a function's machine code does, for x86_64: registers, stack, calls.
//!
//! The code is read once, in the order of addresses, with the `iced-x86` decoder. The depth of the stack
//! is tracked: pushes, `sub rsp`, frame pointers. After an unconditional jump the depth is
//! that of an earlier branch to this place, else the deepest so far; that is right for the way compilers
//! lay out code, but can be wrong for hand-written assembly.
//!
//! **The red zone** is the 128 bytes below the stack pointer, which the System V ABI lets functions without
//! calls use. These memory operands count (but not in `lea`, which touches no memory):
//!
//! - at `rsp − N`, in any function: compilers emit that for nothing else;
//! - at `rbp − N`, where `rbp` is the frame pointer of a function without calls, below the lowest place
//!   that pushes and `sub rsp` have made;
//! - at `rsp + index − N`, in a function without calls and without a frame. With a frame it can be the
//!   frame's own array, and counts as doubtful.
//!
//! An address below `rsp` that was computed into another register is not found.

mod frame;
mod reader;
#[cfg(test)]
mod tests;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use self::reader::Reader;
use crate::elf::Object;
use crate::functions::Function;

/// How far below the stack pointer the ABI's red zone reaches.
pub const RED_ZONE: i64 = 128;

/// What a function's code does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Accesses to the red zone.
    pub red_zone: Seen,
    /// What may be one: an indexed access in a function with a frame.
    pub red_zone_doubtful: Seen,
    /// Addresses below the stack pointer that are only computed.
    pub red_zone_address: Seen,
    /// Instructions on xmm, ymm and zmm registers.
    pub vector: Seen,
    /// Instructions on x87 and MMX registers. Not those that set the unit up, save or restore it.
    pub x87: Seen,
    /// `std`, after which string instructions run backwards.
    pub direction: Seen,
    /// Returns from an interrupt: `iret`.
    pub interrupt_return: Seen,
    /// Sets the FS register's base: `wrfsbase`, or loads the number of the MSR that holds it.
    pub thread_pointer: Seen,
    /// Calls through a register or a variable: where to is not known.
    pub unknown_calls: Seen,
    /// What is no instruction. The other facts cannot be trusted then: it is data or 32-bit code.
    pub undecodable: Seen,
    /// Calls, and jumps that leave the function, whose target is known.
    pub edges: Vec<Edge>,
    /// Deepest the stack gets, not counting the return address.
    pub frame_bytes: u64,
    /// Whether the frame also has a part whose size is decided at run time.
    pub is_frame_open: bool,
}

/// How often something was seen, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u32,
    /// The address of the first; 0 if there is none.
    pub first: u64,
}

impl Seen {
    fn add(&mut self, address: u64) {
        if self.count == 0 {
            self.first = address;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether it was seen at all.
    pub fn is_any(&self) -> bool {
        self.count > 0
    }
}

/// A way out of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The address of the call or jump.
    pub at: u64,
    /// Where it goes.
    pub target: Target,
    /// Whether it comes back.
    pub is_call: bool,
    /// How deep the stack is there.
    pub depth: u64,
}

/// Where a call or jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an address.
    Address(u64),
    /// To the address that stands at this address: a slot of the global offset table.
    Slot(u64),
    /// To a symbol, by its index in [`Object::symbols`]; before linking.
    Symbol(usize),
}

/// Where a section's code refers to symbols, before linking.
#[derive(Clone, Debug, Default)]
pub struct Links(Vec<(u64, usize)>);

impl Links {
    /// Those of one section, by its index. A linked file has none.
    pub fn of(object: &Object<'_>, section: usize) -> Self {
        let mut links: Vec<_> =
            object.relocations(section).map(|link| (link.offset, link.symbol)).collect();
        links.sort_unstable();
        Self(links)
    }

    fn symbol_at(&self, place: u64) -> Option<usize> {
        let index = self.0.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.0[index].1)
    }
}

/// Finds out what a function's code does.
pub fn facts(function: &Function<'_>, links: &Links) -> Facts {
    let mut reader = Reader::new(function, links);
    let mut decoder = Decoder::with_ip(64, function.code, function.address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        reader.read(&instruction, &decoder);
    }
    reader.finish()
}
