//! What an ELF file is made of.

use std::borrow::Cow;

use object::elf;

/// What kind of processor the code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit Arm.
    Aarch64,
    /// RISC-V, 32 or 64 bits.
    Riscv,
    /// Another, by its number in the ELF header.
    Other(u16),
}

/// What the linker has made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Not linked yet: a `.o` file.
    Relocatable,
    /// Linked at a fixed address.
    Executable,
    /// Linked to be loaded anywhere: a position-independent executable or a shared library.
    Dynamic,
}

/// A section.
#[derive(Clone, Debug)]
pub struct Section<'data> {
    /// Its name.
    pub name: Cow<'data, str>,
    /// Where it is in memory; 0 before linking.
    pub address: u64,
    /// How many bytes it has in memory.
    pub size: u64,
    /// Its bytes in the file; none if it is all zeroes (`.bss`).
    pub data: &'data [u8],
    /// Where these begin in the file.
    pub offset: u64,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
}

impl Section<'_> {
    /// Whether it is part of what runs.
    pub fn is_loaded(&self) -> bool {
        self.flags & elf::SHF_ALLOC.0 != 0
    }

    /// Whether it holds machine code.
    pub fn is_code(&self) -> bool {
        self.is_loaded() && self.flags & elf::SHF_EXECINSTR.0 != 0 && self.kind != elf::SHT_NOBITS.0
    }

    /// Whether it can be written to.
    pub fn is_writable(&self) -> bool {
        self.flags & elf::SHF_WRITE.0 != 0
    }

    /// Whether it holds a thread's own variables.
    pub fn is_thread_local(&self) -> bool {
        self.flags & elf::SHF_TLS.0 != 0
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.size)
    }
}

/// A program header: what a loader goes by.
#[derive(Clone, Debug)]
pub struct Segment<'data> {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// Where in the file.
    pub offset: u64,
    /// Where in memory, as the code sees it.
    pub address: u64,
    /// Where in memory, as the loader sees it.
    pub physical: u64,
    /// How many bytes in memory.
    pub size: u64,
    /// Its bytes in the file; the rest is zeroes.
    pub data: &'data [u8],
    /// `p_align`.
    pub align: u64,
}

impl Segment<'_> {
    /// Whether it is put into memory (`PT_LOAD`).
    pub fn is_loaded(&self) -> bool {
        self.kind == elf::PT_LOAD.0
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.size)
    }

    /// Whether code in it can run.
    pub fn is_executable(&self) -> bool {
        self.flags & elf::PF_X.0 != 0
    }

    /// Whether it can be written to.
    pub fn is_writable(&self) -> bool {
        self.flags & elf::PF_W.0 != 0
    }
}

/// An ELF note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Note<'data> {
    /// Who defines what it means, without the zero at the end.
    pub owner: &'data [u8],
    /// Which of the owner's notes it is.
    pub kind: u32,
    /// What it says.
    pub content: &'data [u8],
    /// Where it is in memory; in the file, for a section that is not loaded.
    pub address: u64,
}

/// A relocation: a place in a section that the linker fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// The place, counted from the start of the section (before linking) or an address.
    pub offset: u64,
    /// The machine's number for how it is filled in.
    pub kind: u32,
    /// The symbol's index in [`Object::symbols`](super::Object::symbols)' numbering; 0: none.
    pub symbol: usize,
    /// What is added to the symbol's address; 0 if that stands at the place itself.
    pub addend: i64,
}
