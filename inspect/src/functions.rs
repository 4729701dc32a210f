//! Functions: the symbols that are functions, and the bytes of each.
//!
//! A symbol with a size gives the end of its function. Assembly often gives no size; such a function goes on to the next
//! symbol or the end of the section. A label inside a function with a size is not a function.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::elf::Object;
use crate::symbol::{Binding, Place, Symbol, SymbolKind};

/// A function and its code.
#[derive(Clone, Debug)]
pub struct Function<'data> {
    /// Its name, mangled as in the file; of several, the one most like a public name.
    pub name: Cow<'data, str>,
    /// Its other names.
    pub aliases: Vec<Cow<'data, str>>,
    /// Where it is; before linking, counted from the start of its section.
    pub address: u64,
    /// Its code.
    pub code: &'data [u8],
    /// The index of its section in [`Object::sections`].
    pub section: usize,
    /// Whether the symbol said how long it is; else it goes on to the next symbol.
    pub is_sized: bool,
    /// The strongest binding of its names.
    pub binding: Binding,
}

impl Function<'_> {
    /// Its name and all others.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.aliases.iter().map(|name| &**name))
    }

    /// One past its last byte.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.code.len() as u64)
    }
}

/// A place in a section where a function may begin, with all its names.
struct Start<'object, 'data> {
    section: usize,
    address: u64,
    size: u64,
    names: Vec<&'object Symbol<'data>>,
}

pub(crate) fn of<'data>(object: &Object<'data>) -> Vec<Function<'data>> {
    let starts = starts(object);
    let mut functions = Vec::with_capacity(starts.len());
    // Functions may lie over each other, but a table in which each takes up all code was made to take
    // for ever: when this is used up, each ends where the next begins.
    let code = object.sections.iter().filter(|section| section.is_code());
    let mut left =
        code.map(|section| section.data.len()).fold(0, usize::saturating_add).saturating_mul(2);
    // Where the last function that knew its size ends.
    let mut covered = (0, 0);
    let nexts = starts.iter().skip(1).map(Some).chain([None]);
    for (start, next) in starts.iter().zip(nexts) {
        let is_label = start.size == 0 && covered.0 == start.section && start.address < covered.1;
        if is_label {
            continue;
        }
        let section = &object.sections[start.section];
        let base = if section.address == 0 { 0 } else { section.address };
        let end = match start.size {
            0 => next
                .filter(|next| next.section == start.section)
                .map_or(u64::MAX, |next| next.address),
            size => start.address.saturating_add(size),
        };
        if start.size != 0 {
            covered = (start.section, end);
        }
        let from = start.address.checked_sub(base).zip(end.checked_sub(start.address));
        let Some(code) = from.and_then(|(from, len)| slice(section.data, from, len)) else {
            continue;
        };
        let code = match left.checked_sub(code.len()) {
            Some(rest) => {
                left = rest;
                code
            }
            None => until_next(code, start, next),
        };
        let first = start.names[0];
        functions.push(Function {
            name: first.name.clone(),
            aliases: start.names[1..].iter().map(|symbol| symbol.name.clone()).collect(),
            address: start.address,
            code,
            section: start.section,
            is_sized: start.size != 0,
            binding: first.binding,
        });
    }
    functions
}

fn until_next<'data>(
    code: &'data [u8],
    start: &Start<'_, '_>,
    next: Option<&Start<'_, '_>>,
) -> &'data [u8] {
    let next = next.filter(|next| next.section == start.section);
    let len = next.map_or(u64::MAX, |next| next.address.saturating_sub(start.address));
    &code[..code.len().min(usize::try_from(len).unwrap_or(usize::MAX))]
}

fn starts<'object, 'data>(object: &'object Object<'data>) -> Vec<Start<'object, 'data>> {
    let mut symbols: Vec<_> =
        object.symbols().iter().filter(|symbol| is_candidate(object, symbol)).collect();
    symbols.sort_by_key(|symbol| {
        let is_function = symbol.kind == SymbolKind::Function;
        let rank = (Reverse(is_function), symbol.binding.rank(), symbol.name.len(), &symbol.name);
        (symbol.section, symbol.address, rank)
    });
    let mut starts: Vec<Start<'object, 'data>> = Vec::new();
    for symbol in symbols {
        let section = symbol.section.unwrap_or(0);
        match starts.last_mut() {
            Some(last) if (last.section, last.address) == (section, symbol.address) => {
                last.size = last.size.max(symbol.size);
                last.names.push(symbol);
            }
            _ => starts.push(Start {
                section,
                address: symbol.address,
                size: symbol.size,
                names: vec![symbol],
            }),
        }
    }
    starts
}

fn is_candidate(object: &Object<'_>, symbol: &Symbol<'_>) -> bool {
    let section = symbol.section.and_then(|index| object.sections.get(index));
    let is_in_code = section.is_some_and(|section| {
        section.is_code()
            && symbol
                .address
                .checked_sub(section.address)
                .is_some_and(|offset| offset < section.data.len() as u64)
    });
    // `$x` and `$d` tell code from data on Arm and RISC-V; `.L` are the assembler's own.
    let is_mark = symbol.name.is_empty() || symbol.name.starts_with(['$', '.']);
    let is_code = matches!(symbol.kind, SymbolKind::Function | SymbolKind::Untyped);
    is_in_code && is_code && !is_mark && symbol.place == Place::Text
}

fn slice(data: &[u8], start: u64, len: u64) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(start).ok()?..)?;
    Some(&rest[..rest.len().min(usize::try_from(len).unwrap_or(usize::MAX))])
}

impl<'data> Object<'data> {
    /// The functions, in the order of sections and addresses, each with its code.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = Function<'data>> + use<'data> {
        of(self).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use crate::File;

    /// A relocatable file: a section of code of `len` bytes, and symbols, each with place and size.
    fn object(len: usize, symbols: &[(u64, u64)]) -> Vec<u8> {
        let (code_at, symbols_at) = (64, 64 + len);
        let strings_at = symbols_at + 24 * (symbols.len() + 1);
        let sections_at = strings_at + 8;
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
        file.extend([[0; 8], [0; 8], (sections_at as u64).to_le_bytes()].concat());
        file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 4, 0, 3, 0]);
        file.resize(symbols_at, 0x90);
        file.resize(symbols_at + 24, 0);
        for (place, size) in symbols {
            // Name 1, a global function, default visibility, section 1.
            file.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
            file.extend([place.to_le_bytes(), size.to_le_bytes()].concat());
        }
        file.extend(b"\0name\0\0\0");
        let mut section = |kind: u32, flags: u64, at: usize, size: usize, link: u32, entry: u64| {
            file.extend([0_u32.to_le_bytes(), kind.to_le_bytes()].concat());
            file.extend([flags, 0, at as u64, size as u64].map(u64::to_le_bytes).concat());
            file.extend([link.to_le_bytes(), 1_u32.to_le_bytes()].concat());
            file.extend([1_u64, entry].map(u64::to_le_bytes).concat());
        };
        section(0, 0, 0, 0, 0, 0);
        section(1, 6, code_at, len, 0, 0);
        section(2, 0, symbols_at, strings_at - symbols_at, 3, 24);
        section(3, 0, strings_at, 8, 0, 0);
        file
    }

    fn places(len: usize, symbols: &[(u64, u64)]) -> Vec<(u64, usize)> {
        let file = File::from_bytes("made", object(len, symbols)).unwrap();
        let object = file.object().unwrap();
        object.functions().map(|function| (function.address, function.code.len())).collect()
    }

    #[test]
    fn a_function_ends_where_it_says_or_where_the_next_begins() {
        assert_eq!(places(64, &[(0, 16), (16, 0), (32, 8)]), [(0, 16), (16, 16), (32, 8)]);
        assert_eq!(places(64, &[(48, 0)]), [(48, 16)]);
        assert_eq!(places(64, &[(48, 100)]), [(48, 16)], "the section ends first");
        assert_eq!(places(64, &[(0, 32), (8, 0)]), [(0, 32)], "a label in a function");
        assert_eq!(places(64, &[(64, 1), (u64::MAX, 1)]), [], "outside");
        assert_eq!(places(64, &[(8, 8), (8, 8)]), [(8, 8)], "two names");
    }

    #[test]
    fn functions_over_each_other_are_bounded() {
        let symbols: Vec<_> = (0..4096).map(|place| (place, u64::MAX)).collect();
        let total: usize = places(4096, &symbols).iter().map(|(_, len)| len).sum();
        assert!(total <= 5 * 4096 + 4096, "{total} bytes of code in 4096");
    }
}
