//! ELF, 32 or 64 bits, either byte order, linked or not, as one set of plain structures.
//!
//! Headers are checked when an [`Object`] is made: every section, segment and symbol table lies inside the
//! file, so later reads are plain slices. The copies made here are of a size in
//! proportion to the file's own tables; contents are never copied.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;

use object::Endianness;
use object::elf;
use object::read::StringTable;
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _, Sym as _};

use crate::error::{Error, Problem};
use crate::names;
use crate::symbol::{Binding, Place, Symbol, SymbolKind, Visibility};

mod parts;

pub use parts::{Machine, Note, ObjectKind, Relocation, Section, Segment};

/// One ELF file: an object file, a library or an executable.
pub struct Object<'data> {
    file: &'data str,
    member: Option<String>,
    bytes: &'data [u8],
    endian: Endianness,
    /// Whether it is ELF64.
    pub is_64: bool,
    /// What processor it is for.
    pub machine: Machine,
    /// Linked or not.
    pub kind: ObjectKind,
    /// `e_entry`: where a program begins; 0: nowhere.
    pub entry: u64,
    /// The sections; the first is always the empty one. None in an image stripped of them.
    pub sections: Vec<Section<'data>>,
    /// The program headers.
    pub segments: Vec<Segment<'data>>,
    symbols: Vec<Symbol<'data>>,
    imports: Vec<Symbol<'data>>,
    /// Names of shared libraries.
    libraries: Vec<Cow<'data, str>>,
    /// For each section that has some, by its index, the sections that hold its relocations.
    relocated: BTreeMap<usize, Vec<usize>>,
    /// How many bytes of names, and of contents, may still be handed out. Names may share bytes, and segments lie
    /// over each other, but a table in which all share the same megabyte was made to take for ever.
    names_left: usize,
    sections_left: usize,
    segments_left: usize,
}

/// How often on average a byte of the file may be part of a name, of a section or of a segment.
const SHARED: usize = 4;

/// Far more than linkers make; each is looked at for each section.
const MOST_SEGMENTS: usize = 1024;

impl<'data> Object<'data> {
    /// Reads an ELF file that is in memory already; `file` is what errors call it.
    pub fn of(file: &'data str, bytes: &'data [u8]) -> Result<Self, Error> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(Error {
                file: file.into(),
                member: None,
                offset: None,
                problem: Problem::NotElf,
            });
        }
        Self::parse(file, None, bytes)
    }

    pub(crate) fn parse(
        file: &'data str,
        member: Option<String>,
        bytes: &'data [u8],
    ) -> Result<Self, Error> {
        let mut object = Self {
            file,
            member,
            bytes,
            endian: Endianness::Little,
            is_64: true,
            machine: Machine::Other(0),
            kind: ObjectKind::Relocatable,
            entry: 0,
            sections: Vec::new(),
            segments: Vec::new(),
            symbols: Vec::new(),
            imports: Vec::new(),
            libraries: Vec::new(),
            relocated: BTreeMap::new(),
            names_left: bytes.len().saturating_mul(SHARED),
            sections_left: bytes.len().saturating_mul(SHARED),
            segments_left: bytes.len().saturating_mul(SHARED),
        };
        match bytes.get(4) {
            Some(1) => object.read::<elf::FileHeader32<Endianness>>()?,
            Some(2) => object.read::<elf::FileHeader64<Endianness>>()?,
            _ => return Err(object.malformed(4, "the ELF header")),
        }
        Ok(object)
    }

    fn read<Elf: FileHeader<Endian = Endianness>>(&mut self) -> Result<(), Error> {
        let header = Elf::parse(self.bytes).map_err(|_| self.malformed(0, "the ELF header"))?;
        let endian = header.endian().map_err(|_| self.malformed(5, "the ELF header"))?;
        self.endian = endian;
        self.is_64 = header.is_class_64();
        self.entry = header.e_entry(endian).into();
        self.machine = match header.e_machine(endian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_386 => Machine::X86,
            elf::EM_AARCH64 => Machine::Aarch64,
            elf::EM_RISCV => Machine::Riscv,
            other => Machine::Other(other.0),
        };
        self.kind = match header.e_type(endian) {
            elf::ET_REL => ObjectKind::Relocatable,
            elf::ET_EXEC => ObjectKind::Executable,
            elf::ET_DYN => ObjectKind::Dynamic,
            _ => return Err(self.malformed(16, "the kind of ELF file")),
        };
        self.read_segments(header)?;
        self.read_sections(header)?;
        self.read_symbols(header)
    }

    fn read_segments<Elf: FileHeader<Endian = Endianness>>(
        &mut self,
        header: &Elf,
    ) -> Result<(), Error> {
        let (endian, bytes) = (self.endian, self.bytes);
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|_| self.malformed(header.e_phoff(endian).into(), "the program headers"))?;
        if segments.len() > MOST_SEGMENTS {
            return Err(self.malformed(header.e_phoff(endian).into(), "program headers, too many"));
        }
        for segment in segments {
            let offset = segment.p_offset(endian).into();
            let data = self.part(offset, segment.p_filesz(endian).into(), "a segment")?;
            self.segments_left = self
                .segments_left
                .checked_sub(data.len())
                .ok_or_else(|| self.malformed(offset, "segments, too many over each other"))?;
            self.segments.push(Segment {
                kind: segment.p_type(endian).0,
                flags: segment.p_flags(endian).0,
                offset,
                address: segment.p_vaddr(endian).into(),
                physical: segment.p_paddr(endian).into(),
                size: segment.p_memsz(endian).into(),
                data,
                align: segment.p_align(endian).into(),
            });
        }
        Ok(())
    }

    fn read_sections<Elf: FileHeader<Endian = Endianness>>(
        &mut self,
        header: &Elf,
    ) -> Result<(), Error> {
        let (endian, bytes) = (self.endian, self.bytes);
        let table = header.e_shoff(endian).into();
        let fail = |object: &Self| object.malformed(table, "the section headers");
        let headers = header.section_headers(endian, bytes).map_err(|_| fail(self))?;
        let strings = header.section_strings(endian, bytes, headers).map_err(|_| fail(self))?;
        for (index, section) in headers.iter().enumerate() {
            let offset = section.sh_offset(endian).into();
            let size = section.sh_size(endian).into();
            let kind = section.sh_type(endian);
            let is_empty = matches!(kind, elf::SHT_NOBITS | elf::SHT_NULL);
            let data = if is_empty { &[] } else { self.part(offset, size, "a section")? };
            self.sections_left = self
                .sections_left
                .checked_sub(data.len())
                .ok_or_else(|| self.malformed(offset, "sections, too many over each other"))?;
            let name = self.text(strings, section.sh_name(endian))?;
            if matches!(kind, elf::SHT_RELA | elf::SHT_REL) {
                let of = usize::try_from(section.sh_info(endian)).map_err(|_| fail(self))?;
                self.relocated.entry(of).or_default().push(index);
            }
            self.sections.push(Section {
                name,
                address: section.sh_addr(endian).into(),
                size: if kind == elf::SHT_NULL { 0 } else { size },
                data,
                offset,
                kind: kind.0,
                flags: section.sh_flags(endian).0,
            });
        }
        Ok(())
    }

    fn read_symbols<Elf: FileHeader<Endian = Endianness>>(
        &mut self,
        header: &Elf,
    ) -> Result<(), Error> {
        let (endian, bytes) = (self.endian, self.bytes);
        let fail = |object: &Self| object.malformed(header.e_shoff(endian).into(), "symbols");
        let sections = header.sections(endian, bytes).map_err(|_| fail(self))?;
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let table = sections.symbols(endian, bytes, kind).map_err(|_| fail(self))?;
            let mut symbols = Vec::with_capacity(table.symbols().len());
            for (index, symbol) in table.enumerate() {
                let name = self.text(table.strings(), symbol.st_name(endian))?;
                let section = table.symbol_section(endian, symbol, index);
                let section = section.map_err(|_| fail(self))?.map(|section| section.0);
                let kind = SymbolKind::from_elf(symbol.st_type());
                symbols.push(Symbol {
                    name,
                    binding: Binding::from_elf(symbol.st_bind()),
                    visibility: Visibility::from_elf(symbol.st_visibility()),
                    kind,
                    place: self.place(symbol.st_shndx(endian), section, kind),
                    section,
                    address: symbol.st_value(endian).into(),
                    size: symbol.st_size(endian).into(),
                });
            }
            if kind == elf::SHT_SYMTAB {
                self.symbols = symbols;
            } else {
                self.imports = symbols;
            }
        }
        let dynamic = sections.dynamic_table(endian, bytes).map_err(|_| fail(self))?;
        for entry in dynamic.iter().filter(|entry| entry.tag == elf::DT_NEEDED) {
            let name = u32::try_from(entry.val).map_err(|_| fail(self))?;
            let name = self.text(*dynamic.strings(), name)?;
            self.libraries.push(name);
        }
        Ok(())
    }

    fn place(&self, index: elf::SymbolSection, section: Option<usize>, kind: SymbolKind) -> Place {
        match index {
            elf::SHN_UNDEF => return Place::Undefined,
            elf::SHN_ABS => return Place::Absolute,
            elf::SHN_COMMON => return Place::Common,
            _ => {}
        }
        let Some(section) = section.and_then(|index| self.sections.get(index)) else {
            return Place::Other;
        };
        if !section.is_loaded() {
            Place::Other
        } else if section.is_thread_local() || kind == SymbolKind::ThreadLocal {
            Place::ThreadLocal
        } else if section.flags & elf::SHF_EXECINSTR.0 != 0 {
            Place::Text
        } else if section.kind == elf::SHT_NOBITS.0 {
            Place::Zeroed
        } else if section.is_writable() {
            Place::Data
        } else {
            Place::ReadOnly
        }
    }

    /// The file it is in.
    pub fn file(&self) -> &'data str {
        self.file
    }

    /// The archive member it is, if it is one.
    pub fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// File and member, as messages name them.
    pub fn name(&self) -> String {
        match &self.member {
            Some(member) => format!("{}({member})", self.file),
            None => self.file.into(),
        }
    }

    /// The crate whose code it holds, by the names of file and member; `None` for an executable and
    /// for what rustc did not make.
    pub fn crate_name(&self) -> Option<&str> {
        names::crate_of_member(self.member.as_deref()?).or_else(|| names::crate_of_file(self.file))
    }

    /// The file's bytes (the member's, in an archive).
    pub fn bytes(&self) -> &'data [u8] {
        self.bytes
    }

    /// The symbols, in the order of the file; relocations refer to them by index. Empty if the file
    /// is stripped.
    pub fn symbols(&self) -> &[Symbol<'data>] {
        &self.symbols
    }

    /// The symbols for a dynamic loader; those it is to find elsewhere are undefined.
    pub fn imports(&self) -> &[Symbol<'data>] {
        &self.imports
    }

    /// The shared libraries it asks for.
    pub fn needed_libraries(&self) -> &[Cow<'data, str>] {
        &self.libraries
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section<'data>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Bytes of a linked file from `address` on, to the end of the section or segment they are in.
    pub fn bytes_at(&self, address: u64) -> Option<&'data [u8]> {
        let in_section = self.sections.iter().filter(|s| s.is_loaded() && s.address != 0);
        let in_section = in_section.map(|s| (s.address, s.data));
        let in_segment = self.segments.iter().filter(|s| s.is_loaded());
        let in_segment = in_segment.map(|s| (s.address, s.data));
        in_section.chain(in_segment).find_map(|(start, data)| {
            let offset = usize::try_from(address.checked_sub(start)?).ok()?;
            data.get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    /// The relocations for one section, by its index; in an executable these are few or none.
    pub fn relocations(&self, section: usize) -> impl Iterator<Item = Relocation> + '_ {
        let tables = self.relocated.get(&section).filter(|_| section != 0).into_iter().flatten();
        let tables = tables.filter_map(|&table| self.sections.get(table));
        tables.flat_map(|table| self.relocation_table(table))
    }

    /// The entries of one section of relocations.
    pub fn relocation_table<'a>(
        &'a self,
        table: &'a Section<'data>,
    ) -> impl Iterator<Item = Relocation> + use<'a, 'data> {
        let has_addend = table.kind == elf::SHT_RELA.0;
        let (word, entry) = match (self.is_64, has_addend) {
            (true, true) => (8, 24),
            (true, false) => (8, 16),
            (false, true) => (4, 12),
            (false, false) => (4, 8),
        };
        table.data.chunks_exact(entry).map(move |entry| {
            let mut words = entry.chunks_exact(word).map(|bytes| self.word(bytes).unwrap_or(0));
            let mut next = || words.next().unwrap_or(0);
            let (offset, info, addend) = (next(), next(), next());
            let (symbol, kind) =
                if self.is_64 { (info >> 32, info as u32) } else { (info >> 8, info as u8 as u32) };
            let addend = match (has_addend, self.is_64) {
                (false, _) => 0,
                (true, true) => addend as i64,
                (true, false) => i64::from(addend as i32),
            };
            Relocation { offset, kind, symbol: symbol as usize, addend }
        })
    }

    /// The notes in sections of that kind, or, without sections, in segments. A broken note ends
    /// its section's.
    pub fn notes(&self) -> Vec<Note<'data>> {
        let sections = self.sections.iter().filter(|s| s.kind == elf::SHT_NOTE.0);
        let sections =
            sections.map(|s| (s.data, if s.address == 0 { s.offset } else { s.address }));
        let segments = self.segments.iter().filter(|s| s.kind == elf::PT_NOTE.0);
        let segments = segments.map(|s| (s.data, s.address));
        // Both usually hold the same ones.
        let mut seen = HashSet::new();
        let mut notes = Vec::new();
        for (mut data, mut address) in segments.chain(sections) {
            while let Some((note, len)) = self.note(data, address) {
                if seen.insert(note) {
                    notes.push(note);
                }
                data = &data[len..];
                address = address.wrapping_add(len as u64);
            }
        }
        notes
    }

    /// How many bytes at the start of `data` are notes.
    pub fn notes_len(&self, data: &'data [u8]) -> usize {
        let mut rest = data;
        while let Some((_, len)) = self.note(rest, 0) {
            rest = &rest[len..];
        }
        data.len().saturating_sub(rest.len())
    }

    /// The first note in `data`, and how many bytes it takes. All known notes are aligned to 4.
    fn note(&self, data: &'data [u8], address: u64) -> Option<(Note<'data>, usize)> {
        let number = |at: usize| Some(self.u32(*data.get(at..)?.first_chunk()?));
        let (owner_len, content_len) = (number(0)? as usize, number(4)? as usize);
        let owner = data.get(12..12_usize.checked_add(owner_len)?)?;
        let content_at = owner_len.checked_next_multiple_of(4)?.checked_add(12)?;
        let content = data.get(content_at..content_at.checked_add(content_len)?)?;
        let end = content_at.checked_add(content_len.checked_next_multiple_of(4)?)?;
        let owner = owner.strip_suffix(b"\0").unwrap_or(owner);
        Some((Note { owner, kind: number(8)?, content, address }, end.min(data.len())))
    }

    /// How many bytes an address has.
    pub fn word_bytes(&self) -> NonZeroU64 {
        const WIDTHS: [NonZeroU64; 2] = [NonZeroU64::new(4).unwrap(), NonZeroU64::new(8).unwrap()];
        WIDTHS[usize::from(self.is_64)]
    }

    /// The address-sized number at the start of `bytes`.
    pub fn word(&self, bytes: &[u8]) -> Option<u64> {
        if self.is_64 {
            let bytes = *bytes.first_chunk()?;
            let is_little = self.endian == Endianness::Little;
            Some(if is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
        } else {
            Some(self.u32(*bytes.first_chunk()?).into())
        }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        let is_little = self.endian == Endianness::Little;
        if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    fn part(&self, offset: u64, size: u64, what: &'static str) -> Result<&'data [u8], Error> {
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        range
            .and_then(|(start, len)| self.bytes.get(start..start.checked_add(len)?))
            .ok_or_else(|| self.malformed(offset, what))
    }

    fn text(&mut self, strings: StringTable<'data>, offset: u32) -> Result<Cow<'data, str>, Error> {
        if offset == 0 {
            return Ok(Cow::Borrowed(""));
        }
        let name = strings.get(offset).ok();
        let left = name.and_then(|name| self.names_left.checked_sub(name.len()));
        let (Some(name), Some(left)) = (name, left) else {
            return Err(self.error(None, Problem::Malformed("the names of symbols or sections")));
        };
        self.names_left = left;
        Ok(names::text(name))
    }

    pub(crate) fn malformed(&self, offset: u64, part: &'static str) -> Error {
        self.error(Some(offset), Problem::Malformed(part))
    }

    pub(crate) fn error(&self, offset: Option<u64>, problem: Problem) -> Error {
        Error { file: self.file.into(), member: self.member.clone(), offset, problem }
    }
}
