//! The table of functions' names, and the image with it, for the verb `names` and for every boot.
//!
//! freestone-rt's `symbols` defines the table and reads it in the kernel. Here it is made from the linked
//! image's symbols. The linker script reserves one more program header. In an image that has it the table becomes
//! a segment of its own, behind everything else in memory and in the file. Nothing of the linked image changes
//! except that header.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};

use freestone_inspect::elf::{Object, Section};
use freestone_inspect::names::demangled;
use freestone_inspect::symbol::{Binding, SymbolKind};
use freestone_protocol::names::{MAGIC, ROOM};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};

use crate::image::name_words::Words;

const PAGE: u64 = 4096;

/// The furthest that one function can begin behind the one before.
const WIDEST: u64 = (1 << 24) - 1;

/// Why an image gets no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNames {
    NotElf,
    NoSymbols,
    NoRoom,
    There,
    TooLarge,
}

impl std::fmt::Display for NoNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoNames::NotElf => "the ELF headers are broken; build the kernel again",
            NoNames::NoSymbols => "it has no symbols to make names of; build it without `strip`",
            NoNames::NoRoom => {
                "its linker script leaves no room for names: use freestone's, or give it a program \
                 header of type 0x66736e6d"
            }
            NoNames::There => "it has a table of names already",
            NoNames::TooLarge => {
                "its functions are too many, or too far apart, for a table of names"
            }
        })
    }
}

/// An image with its table.
pub struct Named {
    pub bytes: Vec<u8>,
    pub functions: usize,
    pub table_bytes: usize,
}

/// The image with a table of its names.
pub fn with_names(image: &[u8]) -> Result<Named, NoNames> {
    with_names_of(image, image)
}

/// The same, with the symbols of `linked`: the image as it was before it was stripped.
pub fn with_names_of(image: &[u8], linked: &[u8]) -> Result<Named, NoNames> {
    let header = elf::FileHeader64::<LittleEndian>::parse(image).map_err(|_| NoNames::NotElf)?;
    let segments = header.program_headers(LittleEndian, image).map_err(|_| NoNames::NotElf)?;
    let room = segments.iter().position(|s| s.p_type.get(LittleEndian).0 == ROOM);
    let is_table = |segment: &elf::ProgramHeader64<LittleEndian>| {
        segment.data(LittleEndian, image).is_ok_and(|data| data.starts_with(&MAGIC))
    };
    if room.is_none() && segments.iter().any(is_table) {
        return Err(NoNames::There);
    }
    // First what `strip` takes away: with the symbols goes a table that was there, and its header remains.
    let functions = functions(linked)?;
    let room = room.ok_or(NoNames::NoRoom)?;
    let table = table(&functions).ok_or(NoNames::TooLarge)?;

    let loaded = segments.iter().filter(|s| s.p_type.get(LittleEndian) == elf::PT_LOAD);
    // Behind the last there must be memory left.
    let ends = loaded.map(|s| s.p_vaddr.get(LittleEndian).checked_add(s.p_memsz.get(LittleEndian)));
    let end = ends.max_by_key(|end| end.unwrap_or(u64::MAX)).unwrap_or(Some(0));
    let address = end.and_then(|end| end.checked_next_multiple_of(PAGE));
    let address = address.ok_or(NoNames::NotElf)?;
    let offset = image.len().checked_next_multiple_of(PAGE as usize).ok_or(NoNames::NotElf)?;
    let mut bytes = image.to_vec();
    bytes.resize(offset, 0);
    bytes.extend(&table);
    let offset = offset as u64;
    let at = usize::try_from(header.e_phoff.get(LittleEndian)).ok();
    let at = at.and_then(|at| at.checked_add(room.checked_mul(size_of_val(&segments[room]))?));
    let len = table.len() as u64;
    let mut entry = [elf::PT_LOAD.0.to_le_bytes(), elf::PF_R.0.to_le_bytes()].concat();
    for word in [offset, address, address, len, len, PAGE] {
        entry.extend(word.to_le_bytes());
    }
    let place = at.and_then(|at| bytes.get_mut(at..)?.get_mut(..entry.len()));
    place.ok_or(NoNames::NotElf)?.copy_from_slice(&entry);
    Ok(Named { bytes, functions: functions.len(), table_bytes: table.len() })
}

/// Where functions begin, and their names as people write them. The last is where they end, without a name.
pub fn functions(image: &[u8]) -> Result<BTreeMap<u64, String>, NoNames> {
    let object = Object::of("the image", image).map_err(|_| NoNames::NotElf)?;
    let text = object.sections.iter().filter(|section| section.is_code());
    let end = text.map(|section| section.address.saturating_add(section.size)).max();
    let named = linkage_names(&object)
        .into_iter()
        .map(|(address, name)| (address, demangled(name).into_owned()));
    let mut functions: BTreeMap<_, _> = named.collect();
    match end {
        Some(end) if !functions.is_empty() => {
            functions.insert(end, String::new());
            Ok(functions)
        }
        _ => Err(NoNames::NoSymbols),
    }
}

/// What the linker calls the function that begins at `address`.
pub fn linkage_name(image: &[u8], address: u64) -> Option<String> {
    let object = Object::of("the image", image).ok()?;
    linkage_names(&object).get(&address).map(|&name| name.to_owned())
}

/// Where functions begin, and their names as the linker knows them.
fn linkage_names<'a>(object: &'a Object<'_>) -> BTreeMap<u64, &'a str> {
    let mut best: BTreeMap<u64, ((bool, bool), &str)> = BTreeMap::new();
    for symbol in object.symbols() {
        let section = symbol.section.and_then(|at| object.sections.get(at));
        if !section.is_some_and(|section| section.is_code() && is_within(section, symbol.address)) {
            continue;
        }
        // Several may begin at one place. A function's is better than a label's, a global's than a
        // local's.
        let is_global = symbol.binding != Binding::Local;
        let rank = match symbol.kind {
            SymbolKind::Function => (true, is_global),
            SymbolKind::Untyped => (false, is_global),
            _ => continue,
        };
        let name = &*symbol.name;
        if name.is_empty() || name.starts_with(".L") || name.starts_with('$') {
            continue;
        }
        let entry = best.entry(symbol.address).or_insert((rank, name));
        if rank > entry.0 {
            *entry = (rank, name);
        }
    }
    best.into_iter().map(|(address, (_, name))| (address, name)).collect()
}

/// Whether an address is in a section, or where it ends.
fn is_within(section: &Section<'_>, address: u64) -> bool {
    address.checked_sub(section.address).is_some_and(|offset| offset <= section.size)
}

/// What kernels call their main function when they do not call it `main`; the first is what `entry!` stamps, and
/// has the kernel's own in it where that was compiled into it.
const MAINS: [&str; 5] = ["freestone_main", "main", "kernel_main", "kmain", "start_kernel"];

/// Where the kernel's `main` begins: the function of that name in the crate that the image is called after,
/// else in any but the kit's; else by another name.
pub fn main_of(image: &Path, functions: &BTreeMap<u64, String>) -> Option<u64> {
    let own = image.file_name().map(|name| name.to_string_lossy().replace('-', "_"));
    let own = format!("{}::main", own.unwrap_or_default());
    let named = |wanted: &dyn Fn(&str) -> bool| {
        functions.iter().find(|(_, name)| wanted(name)).map(|(&address, _)| address)
    };
    named(&|name| name == own)
        .or_else(|| named(&|name| name.ends_with("::main") && !name.starts_with("freestone")))
        .or_else(|| MAINS.iter().find_map(|main| find(functions, main)))
}

/// Where the function of this name begins: the whole name, else the last word of one.
pub fn find(functions: &BTreeMap<u64, String>, wanted: &str) -> Option<u64> {
    let named = |name: fn(&str) -> &str| {
        functions.iter().find(|(_, known)| name(known) == wanted).map(|(&address, _)| address)
    };
    named(|name| name).or_else(|| named(|name| name.rsplit("::").next().unwrap_or(name)))
}

/// The table, as freestone-rt's `symbols` describes it. `None` if the image is too large for one.
fn table(functions: &BTreeMap<u64, String>) -> Option<Vec<u8>> {
    let (&base, _) = functions.first_key_value()?;
    let (&end, _) = functions.last_key_value()?;
    let span = u32::try_from(end.checked_sub(base)?).ok()?;
    let words = Words::learn(functions.values().map(String::as_str));

    let mut table = MAGIC.to_vec();
    table.extend([0; 8]);
    table.extend(base.to_le_bytes());
    table.extend(span.to_le_bytes());
    let mut place = 0_u16;
    for word in &words.words {
        table.extend(place.to_le_bytes());
        place = place.checked_add(u16::try_from(word.len()).ok()?)?;
    }
    table.extend(place.to_le_bytes());
    table.extend(words.words.concat());
    let mut before = base;
    for (&address, name) in functions {
        let mut gap = address.checked_sub(before)?;
        before = address;
        while let Some(rest) = gap.checked_sub(WIDEST).filter(|rest| *rest > 0) {
            // A name of no codes, in the middle of nowhere.
            table.extend((WIDEST as u32).to_le_bytes());
            gap = rest;
        }
        let codes = words.encode(name);
        table.extend((gap as u32 | (codes.len() as u32) << 24).to_le_bytes());
        table.extend(codes);
    }
    let len = u32::try_from(table.len()).ok()?;
    table[8..12].copy_from_slice(&len.to_le_bytes());
    // FNV-1a, 32 bits.
    let check = table[16..]
        .iter()
        .fold(0x811c_9dc5_u32, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    table[12..16].copy_from_slice(&check.to_le_bytes());
    Some(table)
}

/// What is booted: the image with its names, or the image itself where it can have none.
pub struct Booted {
    path: PathBuf,
    /// Keeps the file of a named image; it has no name in any folder and needs no removal.
    _file: Option<File>,
}

impl Booted {
    /// Prepares `image` for a machine with so much memory.
    pub fn new(image: &Path, with_table: bool, memory_mib: u32) -> Booted {
        let named = || {
            let named = with_names(&fs::read(image).ok()?).ok()?;
            let fits = crate::image::bootable::examine(&named.bytes).ok()?.must_fit(memory_mib);
            fits.ok()?;
            // By the process, as QEMU is another one.
            let file = in_memory(&named.bytes).ok()?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            Some(Booted { path: path.into(), _file: Some(file) })
        };
        let named = with_table.then(named).flatten();
        named.unwrap_or_else(|| Booted { path: image.to_owned(), _file: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file in memory that holds these bytes.
pub fn in_memory(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: a literal that ends in zero, and flags.
    let fd = unsafe { libc::memfd_create(c"kernel".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a file descriptor that nobody else has.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::name_words::LONGEST;
    use freestone_rt::symbols::Symbols;

    fn invented() -> BTreeMap<u64, String> {
        let mut functions = BTreeMap::new();
        let mut at = 0x10_0000;
        for number in 0..3000_u64 {
            let name = match number % 4 {
                0 => format!("core::fmt::Formatter::pad_{number}"),
                1 => format!("<alloc::vec::Vec<T> as core::ops::Drop{number}>::drop"),
                2 => format!("kernel::größe::{number}"),
                _ => "x".repeat(number as usize),
            };
            functions.insert(at, name);
            at += 1 + number * number % 977 + if number == 1500 { 40_000_000 } else { 0 };
        }
        functions.insert(at, String::new());
        functions
    }

    #[test]
    fn the_kernel_reads_what_is_written() {
        let functions = invented();
        let table = table(&functions).unwrap();
        let symbols = Symbols::new(&table).expect("a good table");
        let starts: Vec<_> = functions.iter().collect();
        for pair in starts.windows(2) {
            let (&start, name) = pair[0];
            let &end = pair[1].0;
            let expected: String =
                name.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
            for address in [start, end - 1] {
                let found = symbols.find(address).expect("inside");
                let shown = found.to_string();
                let is_filler = end - start > WIDEST && address == end - 1;
                assert!(is_filler || expected.starts_with(&shown), "{shown} for {expected}");
                assert!(shown.len() >= expected.len().min(LONGEST) || is_filler);
                assert!(is_filler || found.offset == address - start);
            }
        }
        assert!(symbols.find(0x10_0000 - 1).is_none());
        assert!(symbols.find(*functions.last_key_value().unwrap().0).is_none());
    }

    #[test]
    fn names_become_shorter() {
        let functions = invented();
        let plain: usize = functions.values().map(|name| name.len().min(LONGEST)).sum();
        let table = table(&functions).unwrap();
        assert!(table.len() < plain / 2, "{} bytes for {plain}", table.len());
    }

    #[test]
    fn a_broken_table_is_refused_or_read_within_its_bounds() {
        let table = table(&invented().into_iter().take(60).collect()).unwrap();
        for at in 0..table.len() {
            for flip in [1, 0x80, 0xff] {
                let mut broken = table.clone();
                broken[at] ^= flip;
                assert!(Symbols::new(&broken).is_none(), "byte {at}");
            }
        }
        for len in 0..table.len() {
            assert!(Symbols::new(&table[..len]).is_none(), "{len} bytes");
        }
        // With a right check, whatever else it says: nothing but an answer.
        for at in 16..table.len() {
            for flip in [1, 0x80, 0xff] {
                let mut broken = table.clone();
                broken[at] ^= flip;
                let check = freestone_rt::symbols::check(&broken[16..]);
                broken[12..16].copy_from_slice(&check.to_le_bytes());
                if let Some(symbols) = Symbols::new(&broken) {
                    for address in (0x10_0000..0x11_0000).step_by(97) {
                        let _ = symbols.find(address).map(|symbol| symbol.to_string());
                    }
                }
            }
        }
    }

    #[test]
    fn what_has_no_room_or_no_symbols_is_left_alone() {
        assert_eq!(with_names(b"").err(), Some(NoNames::NotElf));
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(with_names(&own).err(), Some(NoNames::NoRoom));
    }
}
