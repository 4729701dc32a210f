//! ELF files and archives with parts that no linker would combine.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::collections::HashMap;

pub const ALLOC: u64 = 2;
pub const EXEC: u64 = 4;

pub const LOAD: u32 = 1;
pub const NOTE: u32 = 4;

/// Where the contents of a section or segment are.
#[derive(Clone)]
pub enum Part {
    Own(Vec<u8>),
    /// Those of the section of this number, once more.
    Same(usize),
    /// The whole file.
    File,
}

#[derive(Clone)]
pub struct Section {
    pub name: Vec<u8>,
    pub kind: u32,
    pub flags: u64,
    pub address: u64,
    pub info: u32,
    pub part: Part,
}

impl Section {
    pub fn code(address: u64, part: Part) -> Section {
        let (name, flags) = (b".text".to_vec(), ALLOC | EXEC);
        Section { name, kind: 1, flags, address, info: 0, part }
    }
}

/// A symbol of the section of this number; 0: undefined.
#[derive(Clone)]
pub struct Symbol {
    pub name: Vec<u8>,
    pub section: u16,
    pub address: u64,
    pub size: u64,
}

impl Symbol {
    /// A function in section 1.
    pub fn function(name: impl AsRef<[u8]>, address: u64, size: u64) -> Symbol {
        Symbol { name: name.as_ref().to_vec(), section: 1, address, size }
    }
}

/// What a file is made of. Sections are counted from 1.
#[derive(Clone, Default)]
pub struct Elf {
    pub is_relocatable: bool,
    pub entry: u64,
    /// Type, flags, address, what it holds.
    pub segments: Vec<(u32, u32, u64, Part)>,
    pub sections: Vec<Section>,
    pub symbols: Vec<Symbol>,
}

/// Strings with a zero behind each, and where they are.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> u32 {
        if self.bytes.is_empty() {
            self.bytes.push(0);
        }
        *self.known.entry(text.to_vec()).or_insert_with(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend(text);
            self.bytes.push(0);
            at
        })
    }
}

impl Elf {
    /// A kernel with its code at `address`.
    pub fn kernel(address: u64, code: Vec<u8>) -> Elf {
        let segments = vec![(LOAD, 5, address, Part::Same(1))];
        let sections = vec![Section::code(address, Part::Own(code))];
        Elf { entry: address, segments, sections, ..Elf::default() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (mut strings, mut names) = (Strings::default(), Strings::default());
        let mut symbols = vec![0; 24];
        for symbol in &self.symbols {
            symbols.extend(strings.add(&symbol.name).to_le_bytes());
            // A global function.
            symbols.extend([0x12, 0]);
            symbols.extend(symbol.section.to_le_bytes());
            symbols.extend([symbol.address.to_le_bytes(), symbol.size.to_le_bytes()].concat());
        }
        strings.add(b"");
        let mut sections = self.sections.clone();
        let own = |name: &[u8], kind, bytes| Section {
            name: name.to_vec(),
            kind,
            flags: 0,
            address: 0,
            info: 1,
            part: Part::Own(bytes),
        };
        sections.push(own(b".symtab", 2, symbols));
        sections.push(own(b".strtab", 3, strings.bytes));
        let places: Vec<u32> = sections.iter().map(|section| names.add(&section.name)).collect();
        let last = names.add(b".shstrtab");
        sections.push(own(b".shstrtab", 3, names.bytes));

        let mut file = vec![0; 64 + 56 * self.segments.len()];
        let mut ranges: Vec<(u64, u64)> = vec![(0, 0)];
        for section in &sections {
            let Part::Own(bytes) = &section.part else {
                ranges.push((0, 0));
                continue;
            };
            file.resize(file.len().next_multiple_of(8), 0);
            ranges.push((file.len() as u64, bytes.len() as u64));
            file.extend(bytes);
        }
        file.resize(file.len().next_multiple_of(8), 0);
        let table = file.len();
        let total = table + 64 * (sections.len() + 1);
        let range = |part: &Part, number: usize| match part {
            Part::Own(_) => ranges[number],
            Part::Same(number) => ranges[*number],
            Part::File => (0, total as u64),
        };
        file.resize(table + 64, 0);
        for (index, section) in sections.iter().enumerate() {
            let (offset, size) = range(&section.part, index + 1);
            let name = places.get(index).copied().unwrap_or(last);
            file.extend([name.to_le_bytes(), section.kind.to_le_bytes()].concat());
            file.extend(
                [section.flags, section.address, offset, size].map(u64::to_le_bytes).concat(),
            );
            // The strings are behind the symbols.
            let (link, entry) = if section.kind == 2 { (index as u32 + 2, 24) } else { (0, 0) };
            file.extend([link.to_le_bytes(), section.info.to_le_bytes()].concat());
            file.extend([1_u64, entry].map(u64::to_le_bytes).concat());
        }
        for (index, (kind, flags, address, part)) in self.segments.iter().enumerate() {
            let (offset, size) = range(part, 0);
            let mut header = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
            header
                .extend([offset, *address, *address, size, size, 1].map(u64::to_le_bytes).concat());
            file[64 + 56 * index..][..56].copy_from_slice(&header);
        }
        file[..24].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0");
        if self.is_relocatable {
            file[16] = 1;
        }
        file[24..48]
            .copy_from_slice(&[self.entry, 64, table as u64].map(u64::to_le_bytes).concat());
        let (segments, count) = (self.segments.len() as u16, sections.len() as u16 + 1);
        let end = [64, 56, segments, 64, count, count - 1].map(u16::to_le_bytes).concat();
        file[52..64].copy_from_slice(&end);
        file
    }
}

/// An archive of members with these names, all spelled out in its table of long ones.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut strings = Strings::default();
    // The end of a name in that table.
    let places: Vec<_> =
        members.iter().map(|(name, _)| strings.add(format!("{name}/\n").as_bytes())).collect();
    let mut out = b"!<arch>\n".to_vec();
    let mut add = |name: &str, bytes: &[u8]| {
        let len = bytes.len();
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644).bytes());
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    };
    add("//", &strings.bytes);
    for (place, (_, bytes)) in places.iter().zip(members) {
        add(&format!("/{place}"), bytes);
    }
    out
}
