//! An application for UEFI firmware that carries the kernel: no boot loader, no second toolchain.
//!
//! The firmware loads a PE file. This one has the code of `efi/stub.s`, which is assembled into the tool, and as data the parts of
//! the kernel that are loaded, its entry and its command line. The code starts the kernel as a PVH loader would; for the kernel
//! UEFI is one more of those.
//!
//! ```text
//! file 0x000   headers
//!      0x400   .text     stub.s, a page in memory            read, execute
//!      ...     .rdata    the payload, see stub.s             read
//!      ...     .reloc    an empty block: some firmware refuses files without one
//! ```
//!
//! Sources: Microsoft, "PE Format" (PE32+); UEFI 2.10, 2.1.1 (images).

use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::image::bootable;
use crate::status::Failure;

const PAGE: usize = 4096;
const FILE_ALIGNMENT: usize = 512;
const HEADERS: usize = 1024;

/// The most that the payload may be: sizes in the file's headers have 32 bits, and the firmware needs room for it twice.
const MOST: usize = 1 << 30;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(include_str!("efi/stub.s"));

/// The code; `None` in a tool for another processor, whose assembler does not know it.
#[cfg(target_arch = "x86_64")]
fn stub() -> Option<&'static [u8]> {
    unsafe extern "C" {
        #[link_name = "freestone_efi_start"]
        static START: u8;
        #[link_name = "freestone_efi_end"]
        static END: u8;
    }
    let (start, end) = (&raw const START, &raw const END);
    // SAFETY: two labels around the same constant bytes, the first before the second.
    Some(unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) })
}

#[cfg(not(target_arch = "x86_64"))]
fn stub() -> Option<&'static [u8]> {
    None
}

/// The application.
pub fn of(kernel: &[u8], line: &str) -> Result<Vec<u8>, Failure> {
    let stub = stub().ok_or_else(|| {
        Failure::usage(
            "--efi needs a tool that was built for x86-64, as the code in front of the kernel is a part of it",
        )
    })?;
    assert!(stub.len() <= PAGE, "the payload lies a page behind its begin");
    let payload = payload(kernel, line).ok_or_else(|| {
        Failure::usage("this kernel is too large for an EFI application, or its headers are broken")
    })?;
    Ok(pe(stub, &payload))
}

/// What the code reads, see `stub.s`.
fn payload(kernel: &[u8], line: &str) -> Option<Vec<u8>> {
    const HEAD: usize = 48;
    const PART: usize = 32;
    let entry = bootable::examine(kernel).ok()?.entry;
    let header = elf::FileHeader64::<LittleEndian>::parse(kernel).ok()?;
    let segments = header.program_headers(LittleEndian, kernel).ok()?;
    let loaded: Vec<_> =
        segments.iter().filter(|one| one.p_type.get(LittleEndian) == elf::PT_LOAD).collect();
    let line_at = HEAD + PART * loaded.len();
    let mut place = line_at + line.len() + 1;
    let (mut first, mut last, mut parts, mut content) = (u64::MAX, 0, Vec::new(), Vec::new());
    for segment in &loaded {
        let bytes = segment.data(LittleEndian, kernel).ok()?;
        let start = segment.p_paddr.get(LittleEndian);
        let zeros = segment.p_memsz.get(LittleEndian).checked_sub(bytes.len() as u64)?;
        let end = start.checked_add(bytes.len() as u64)?.checked_add(zeros)?;
        (first, last) = (first.min(start), last.max(end));
        // Parts that all lie over each other were made to fill memory.
        if place.checked_add(bytes.len())? > MOST {
            return None;
        }
        parts.extend([start, place as u64, bytes.len() as u64, zeros]);
        content.extend(bytes);
        place += bytes.len();
    }
    let first = first & !(PAGE as u64 - 1);
    let pages = last.checked_sub(first)?.div_ceil(PAGE as u64);
    let head = [first, pages, entry, line_at as u64, line.len() as u64 + 1, loaded.len() as u64];
    let words = head.into_iter().chain(parts).flat_map(u64::to_le_bytes);
    Some(words.chain(line.bytes()).chain([0]).chain(content).collect())
}

/// A file of three sections.
fn pe(code: &[u8], data: &[u8]) -> Vec<u8> {
    // A block for page 0, with two entries of the kind that means nothing.
    let relocations: &[u8] = &[0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0];
    let sections: [(&[u8; 8], &[u8], u32); 3] = [
        (b".text\0\0\0", code, 0x6000_0020),
        (b".rdata\0\0", data, 0x4000_0040),
        (b".reloc\0\0", relocations, 0x4200_0040),
    ];
    let (mut address, mut offset) = (PAGE, HEADERS);
    let (mut table, mut content) = (Vec::new(), Vec::new());
    let mut relocations_at = 0;
    for (name, bytes, flags) in sections {
        let raw = bytes.len().next_multiple_of(FILE_ALIGNMENT);
        table.extend(name);
        for word in [bytes.len(), address, raw, offset, 0, 0, 0] {
            table.extend((word as u32).to_le_bytes());
        }
        table.extend(flags.to_le_bytes());
        content.extend(bytes);
        content.resize(content.len().next_multiple_of(FILE_ALIGNMENT), 0);
        relocations_at = address;
        (address, offset) = (address + bytes.len().next_multiple_of(PAGE), offset + raw);
    }
    let mut file = headers(code.len(), data.len(), address, relocations_at, relocations.len());
    file.extend(table);
    file.resize(HEADERS, 0);
    file.extend(content);
    file
}

/// All headers up to the table of sections.
fn headers(
    code: usize,
    data: usize,
    size: usize,
    relocations_at: usize,
    relocations: usize,
) -> Vec<u8> {
    const PE_AT: u32 = 64;
    const DIRECTORIES: u32 = 16;
    let mut file = vec![0; PE_AT as usize];
    file[..2].copy_from_slice(b"MZ");
    file[60..].copy_from_slice(&PE_AT.to_le_bytes());
    let mut small = |words: &[u16]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    small(&[u16::from_le_bytes(*b"PE"), 0]);
    // Machine x86-64, sections, no time and no symbols, size of the optional header, executable and aware of large addresses.
    small(&[0x8664, 3, 0, 0, 0, 0, 0, 0, 112 + 8 * DIRECTORIES as u16, 0x022e]);
    // PE32+, no version of a linker.
    small(&[0x020b, 0]);
    let mut words = |words: &[u32]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    // Sizes of code, data and zeros; entry; where code begins; the preferred address, none.
    words(&[code as u32, data as u32, 0, PAGE as u32, PAGE as u32, 0, 0]);
    // Alignments in memory and file; versions of system, image and subsystem.
    words(&[PAGE as u32, FILE_ALIGNMENT as u32, 0, 0, 0, 0]);
    // Size in memory, of headers, no checksum; an EFI application (10) that needs no writable code (0x100).
    words(&[size as u32, HEADERS as u32, 0, 10 | 0x0100 << 16]);
    // Stack and heap, which EFI does not look at, and flags.
    words(&[0; 9]);
    words(&[DIRECTORIES]);
    for directory in 0..DIRECTORIES {
        // The sixth is that of relocations.
        let (at, len) = if directory == 5 { (relocations_at, relocations) } else { (0, 0) };
        words(&[at as u32, len as u32]);
    }
    file
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_no_kernel_has_no_payload() {
        assert!(payload(b"", "").is_none());
        assert!(payload(&fs::read(std::env::current_exe().unwrap()).unwrap(), "").is_none());
    }

    unsafe extern "sysv64" {
        fn freestone_efi_map(to: *mut u8, from: *const u8, bytes: usize, step: usize) -> u32;
    }

    const MOST: usize = 512;

    /// The map of these: kind, start, pages; each in so many bytes.
    fn map(regions: &[(u32, u64, u64)], step: usize) -> Result<Vec<(u64, u64, u32)>, u32> {
        let mut raw = Vec::new();
        for &(kind, start, pages) in regions {
            let begin = raw.len();
            raw.extend(u64::from(kind).to_le_bytes());
            raw.extend([start, 0, pages, 0xf].map(u64::to_le_bytes).concat());
            raw.resize(begin + step, 0xee);
        }
        let mut out = vec![0xcc_u8; MOST * 24 + 8];
        // SAFETY: the function reads the descriptors of `raw` and writes `MOST` regions at most, for which `out` has room.
        let count = unsafe { freestone_efi_map(out.as_mut_ptr(), raw.as_ptr(), raw.len(), step) };
        assert!(out[MOST * 24..].iter().all(|byte| *byte == 0xcc), "written past the end");
        if count as usize > MOST {
            return Err(count);
        }
        let long = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let regions = out.chunks_exact(24).take(count as usize);
        Ok(regions
            .map(|one| (long(&one[..8]), long(&one[8..16]), long(&one[16..]) as u32))
            .collect())
    }

    #[test]
    fn every_kind_of_memory_becomes_what_it_is_to_a_kernel() {
        let kinds = [2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 2, 2, 2, 2];
        for (kind, expected) in kinds.into_iter().enumerate() {
            let got = map(&[(kind as u32, 0x1000, 3)], 48);
            assert_eq!(got, Ok(vec![(0x1000, 0x3000, expected)]), "{kind}");
        }
        for kind in [u32::MAX, 0x8000_0000, 0x7000_0007] {
            assert_eq!(map(&[(kind, 0x1000, 1)], 40), Ok(vec![(0x1000, 0x1000, 2)]), "{kind}");
        }
    }

    #[test]
    fn neighbours_of_a_kind_become_one() {
        let regions = [
            (7, 0, 1),
            (4, 0x1000, 1),
            (7, 0x3000, 1),
            (0, 0x4000, 1),
            (5, 0x5000, 2),
            (9, 0x7000, 1),
        ];
        let merged =
            vec![(0, 0x2000, 1), (0x3000, 0x1000, 1), (0x4000, 0x3000, 2), (0x7000, 0x1000, 3)];
        for step in [40, 48, 64, 1000] {
            assert_eq!(map(&regions, step), Ok(merged.clone()), "{step}");
        }
        assert_eq!(map(&[], 48), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_told_is_more_than_any_kernel_reads() {
        let apart = |count: u64| (0..count).map(|at| (7, at * 0x2000, 1)).collect::<Vec<_>>();
        assert_eq!(map(&apart(MOST as u64), 48).map(|all| all.len()), Ok(MOST));
        assert_eq!(map(&apart(MOST as u64 + 1), 48), Err(u32::MAX));
        // A descriptor that is too short to be one.
        let mut out = [0; 24];
        for step in [0, 1, 39] {
            // SAFETY: nothing is read or written.
            let count = unsafe { freestone_efi_map(out.as_mut_ptr(), [0; 80].as_ptr(), 80, step) };
            assert_eq!(count, u32::MAX, "{step}");
        }
    }

    #[test]
    fn the_file_is_a_pe_of_three_sections() {
        let file = pe(&[0x90; 700], &[1; 5000]);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        assert!(file.starts_with(b"MZ") && file[word(60)..].starts_with(b"PE\0\0"));
        let optional = word(60) + 24;
        assert_eq!((word(optional + 16), word(optional + 56)), (PAGE, 5 * PAGE), "entry, size");
        let table = optional + 240;
        let section = |number: usize| {
            let at = table + 40 * number;
            (word(at + 8), word(at + 12), word(at + 16), word(at + 20))
        };
        assert_eq!(section(0), (700, PAGE, 1024, HEADERS));
        assert_eq!(section(1), (5000, 2 * PAGE, 5120, HEADERS + 1024));
        assert_eq!(section(2), (12, 4 * PAGE, 512, HEADERS + 1024 + 5120));
        assert_eq!(word(optional + 112 + 5 * 8), 4 * PAGE);
        assert_eq!(file.len(), HEADERS + 1024 + 5120 + 512);
    }
}
