//! The ELF file that loaders get: the linked image without what no loader reads.
//!
//! Symbols, debug information and section headers lie behind the last loaded byte or are never loaded, so the file is cut there
//! and its header says that there are no sections. What is loaded stays where it is in the file, byte for byte. The table of
//! function names is part of what is loaded, so backtraces still have names.
//!
//! Source: System V ABI, chapter 4, "ELF Header".

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::image::name_table;

type Header = elf::FileHeader64<LittleEndian>;

/// Where `e_shoff`, `e_shnum` and `e_shstrndx` are in the header, and how long.
const SECTIONS_AT: [(usize, usize); 3] = [(40, 8), (60, 2), (62, 2)];

/// The image as it is loaded, with a table of its functions' names if it can have one. `None` if its headers are broken.
pub fn of(linked: &[u8], with_names: bool) -> Option<Vec<u8>> {
    let stripped = stripped(linked)?;
    let named = with_names.then(|| name_table::with_names_of(&stripped, linked).ok()).flatten();
    Some(named.map_or(stripped, |named| named.bytes))
}

/// The image without what no loader reads.
fn stripped(linked: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(linked).ok()?;
    let segments = header.program_headers(LittleEndian, linked).ok()?;
    let table = usize::try_from(header.e_phoff.get(LittleEndian)).ok()?;
    let mut end = table.checked_add(size_of_val(segments))?.max(size_of::<Header>());
    for segment in segments {
        let (offset, len) = segment.file_range(LittleEndian);
        // Nothing is in the file of a segment that only leaves room.
        if len > 0 {
            end = end.max(usize::try_from(offset.checked_add(len)?).ok()?);
        }
    }
    let mut bytes = linked.get(..end)?.to_vec();
    for (at, len) in SECTIONS_AT {
        bytes.get_mut(at..at.checked_add(len)?)?.fill(0);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_loaded_stays_and_the_rest_goes() {
        // Any program will do: this one has symbols and sections.
        let linked = fs::read(std::env::current_exe().unwrap()).unwrap();
        let bytes = of(&linked, true).expect("an ELF file");
        assert!(bytes.len() < linked.len());
        let header = Header::parse(&*bytes).unwrap();
        assert!(header.sections(LittleEndian, &*bytes).unwrap().is_empty());
        let [before, after] = [&linked, &bytes].map(|all| {
            let header = Header::parse(&**all).unwrap();
            header.program_headers(LittleEndian, &**all).unwrap().to_vec()
        });
        assert_eq!(before.len(), after.len());
        for (one, other) in before.iter().zip(&after).skip(1) {
            let [one, other] =
                [one.data(LittleEndian, &*linked), other.data(LittleEndian, &*bytes)];
            // The header itself is in the first that is loaded.
            let differ = one.unwrap().iter().zip(other.unwrap()).filter(|(a, b)| a != b).count();
            assert!(differ <= 12 && one.unwrap().len() == other.unwrap().len());
        }
    }

    #[test]
    fn broken_headers_are_refused() {
        let linked = fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in [0, 1, 63, 64, 100] {
            assert_eq!(of(&linked[..len], true), None, "{len}");
        }
        for at in 0..64 {
            for flip in [1, 0x80, 0xff] {
                let mut broken = linked.clone();
                broken[at] ^= flip;
                let _ = of(&broken, false);
            }
        }
    }
}
