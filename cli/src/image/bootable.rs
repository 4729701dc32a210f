//! Is this file a kernel that can be booted? Asked before a machine starts, because afterwards a bad
//! image shows itself as silence.
//!
//! What the tool boots is an ELF64 executable for x86-64 with a PVH entry: a note named `Xen` of type
//! 18 (`XEN_ELFNOTE_PHYS32_ENTRY`, xen/include/public/elfnote.h) in a PT_NOTE segment, whose
//! descriptor is the physical address where a loader enters in 32-bit mode. QEMU and Xen both take
//! it. Every offset and length in the file is treated as hostile; the `object` crate checks bounds,
//! and what it does not look at (do segments lie inside the file, does the entry lie inside code)
//! is checked here.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

use crate::foreign::Shown as _;
use crate::status::Failure;

type Header = elf::FileHeader64<LittleEndian>;
type Segment = elf::ProgramHeader64<LittleEndian>;

/// XEN_ELFNOTE_PHYS32_ENTRY.
const PHYS32_ENTRY: u32 = 18;

/// What the parts of a note are aligned to. QEMU takes the segment's alignment instead, if that is more.
const NOTE_ALIGNMENT: u64 = 4;

/// More than any image that fits below 4 GiB: with a larger file something is wrong, and reading it
/// to find out what would take long.
const LARGEST: u64 = 1 << 30;

/// Whether this file is a program for this system.
pub fn is_host_program(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    examine(&bytes) == Err(Problem::HostProgram)
}

/// Why an image cannot be booted; the text of each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Empty,
    Script,
    Archive,
    WindowsProgram,
    LinuxImage,
    NotElf,
    Bits32,
    BigEndian,
    Machine(u16),
    Object,
    Core,
    HostProgram,
    PositionIndependent,
    Truncated,
    Broken,
    NoSegments,
    NoNote,
    BadNote,
    NoteAlignment(u64),
    EntryOutside(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty; build the kernel again",
            Self::Script => "this is a script, not a kernel; name the ELF file that cargo built",
            Self::Archive => "this is a library archive; name the executable that was linked from it",
            Self::WindowsProgram => "this is a Windows or EFI program; an ELF file is needed",
            Self::LinuxImage => "this is a Linux bzImage; name an ELF file with a PVH entry (vmlinux)",
            Self::NotElf => "this is not an ELF file; name the executable that cargo built",
            Self::Bits32 => "this is a 32-bit ELF file; build the kernel for x86_64",
            Self::BigEndian => "this ELF file is big-endian; build the kernel for x86_64",
            Self::Machine(machine) => {
                let name = machine_name(*machine);
                return write!(f, "this kernel was built for {name}; build it for x86_64");
            }
            Self::Object => "this is an object file that was not linked; name the linked executable",
            Self::Core => "this is a core dump; name the kernel itself",
            Self::HostProgram => {
                "this is a program for this system, not a kernel: \
                 let the kernel's build.rs pass on freestone's link arguments"
            }
            Self::PositionIndependent => {
                "this executable is position-independent; link it at a fixed address (-no-pie)"
            }
            Self::Truncated => "the ELF file is truncated; build the kernel again",
            Self::Broken => "the ELF headers are broken; build the kernel again",
            Self::NoSegments => "there is nothing to load in this ELF file; check the linker script",
            Self::NoNote => {
                "there is no PVH entry (ELF note `Xen`, type 18) in this file: let the kernel's \
                 build.rs pass on freestone's link arguments, or KEEP the note in your linker script"
            }
            Self::BadNote => {
                "the PVH note (`Xen`, type 18) must hold an address of 4 or 8 bytes; correct it"
            }
            Self::NoteAlignment(alignment) => {
                return write!(
                    f,
                    "the segment with the PVH note is aligned to {alignment}, and loaders then look for the note's \
                     address where it is not: keep other sections out of the PT_NOTE segment, and notes \
                     at 4 (`cargo freestone check` names them)"
                );
            }
            Self::EntryOutside(entry) => {
                return write!(
                    f,
                    "the PVH entry {entry:#x} lies in no executable segment; it must be the \
                     *physical* address of code: check the note and the linker script"
                );
            }
        })
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "32-bit x86".into(),
        40 => "32-bit Arm".into(),
        183 => "aarch64".into(),
        243 => "RISC-V".into(),
        258 => "LoongArch".into(),
        other => format!("ELF machine {other}"),
    }
}

/// What the firmware of `pc` and `q35` keeps for its tables, at the end of memory.
const FIRMWARE_BYTES: u64 = 128 << 10;

/// What matters about an image that can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootable {
    /// The physical address of its PVH entry.
    pub entry: u64,
    /// One past the highest physical address that it is loaded to, `.bss` included.
    pub end: u64,
}

impl Bootable {
    /// Refuses a machine that the image does not fit into: its loader would not say so, and firmware would write
    /// over the image's end.
    pub fn must_fit(&self, memory_mib: u32) -> Result<(), Failure> {
        let needed = self.end.saturating_add(FIRMWARE_BYTES).div_ceil(1 << 20);
        if needed > u64::from(memory_mib) {
            return Err(Failure::usage(format!(
                "the image does not fit into {memory_mib} MiB of memory; it needs -m {needed} or more"
            )));
        }
        Ok(())
    }
}

/// Refuses what cannot be booted, with a message that says what to do.
pub fn check(path: &Path) -> Result<Bootable, Failure> {
    let refuse = |why: &dyn fmt::Display| Failure::usage(format!("{}: {why}", path.shown()));
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    let about = fs::metadata(path).map_err(|error| refuse(&error))?;
    if about.is_dir() {
        return Err(refuse(&"this is a directory; name the ELF file in it"));
    }
    if !about.is_file() {
        return Err(refuse(&"this is not a regular file; name an ELF file"));
    }
    if about.len() > LARGEST {
        return Err(refuse(
            &"this file is larger than 1 GiB; name an ELF file that fits in memory",
        ));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|error| refuse(&error))?;
    examine(&bytes).map_err(|problem| refuse(&problem))
}

/// Whether these bytes are an image that can be booted.
pub fn examine(bytes: &[u8]) -> Result<Bootable, Problem> {
    identify(bytes)?;
    let header = Header::parse(bytes).map_err(|_| Problem::Broken)?;
    let machine = header.e_machine.get(LittleEndian);
    if machine != elf::EM_X86_64 {
        return Err(Problem::Machine(machine.0));
    }
    let kind = header.e_type.get(LittleEndian);
    match kind {
        elf::ET_REL => return Err(Problem::Object),
        elf::ET_CORE => return Err(Problem::Core),
        elf::ET_EXEC | elf::ET_DYN => {}
        _ => return Err(Problem::Broken),
    }
    let segments = header.program_headers(LittleEndian, bytes).map_err(|_| Problem::Truncated)?;
    if segments.iter().any(|s| s.p_type.get(LittleEndian) == elf::PT_INTERP) {
        return Err(Problem::HostProgram);
    }
    if kind == elf::ET_DYN {
        return Err(Problem::PositionIndependent);
    }
    let loaded = || segments.iter().filter(|s| s.p_type.get(LittleEndian) == elf::PT_LOAD);
    if loaded().next().is_none() {
        return Err(Problem::NoSegments);
    }
    if !loaded().all(|segment| segment.data(LittleEndian, bytes).is_ok()) {
        return Err(Problem::Truncated);
    }
    let entry = pvh_entry(segments, bytes)?;
    let end = |segment: &Segment| {
        let start = segment.p_paddr.get(LittleEndian);
        start.saturating_add(segment.p_memsz.get(LittleEndian))
    };
    if loaded().any(|segment| is_code_at(segment, entry)) {
        Ok(Bootable { entry, end: loaded().map(end).max().unwrap_or(0) })
    } else {
        Err(Problem::EntryOutside(entry))
    }
}

/// Tells ELF64 from everything else people hand to `run` by its first bytes.
fn identify(bytes: &[u8]) -> Result<(), Problem> {
    match bytes {
        [] => Err(Problem::Empty),
        [b'#', b'!', ..] => Err(Problem::Script),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Err(Problem::Archive),
        _ if bytes.get(0x202..0x206) == Some(b"HdrS") => Err(Problem::LinuxImage),
        [b'M', b'Z', ..] => Err(Problem::WindowsProgram),
        // EI_CLASS and EI_DATA follow the magic number (System V ABI, "ELF Identification").
        [0x7f, b'E', b'L', b'F', 1, ..] => Err(Problem::Bits32),
        [0x7f, b'E', b'L', b'F', 2, 2, ..] => Err(Problem::BigEndian),
        [0x7f, b'E', b'L', b'F', ..] if bytes.len() < size_of::<Header>() => {
            Err(Problem::Truncated)
        }
        [0x7f, b'E', b'L', b'F', ..] => Ok(()),
        _ => Err(Problem::NotElf),
    }
}

fn pvh_entry(segments: &[Segment], bytes: &[u8]) -> Result<u64, Problem> {
    let mut problem = Problem::NoNote;
    // Segments of notes that all lie over each other were made to take for ever.
    let mut left = bytes.len().saturating_mul(4);
    for segment in segments.iter().filter(|s| s.p_type.get(LittleEndian) == elf::PT_NOTE) {
        let data = segment.data(LittleEndian, bytes).map_err(|()| Problem::Truncated)?;
        left = left.checked_sub(data.len()).ok_or(Problem::Broken)?;
        let Ok(mut notes) = NoteIterator::<Header>::new(LittleEndian, NOTE_ALIGNMENT, data) else {
            continue;
        };
        // What is behind a note that is none may be anything; an entry before it is one.
        while let Some(note) = notes.next().unwrap_or_else(|_| {
            problem = Problem::Broken;
            None
        }) {
            if note.name() == b"Xen" && note.n_type(LittleEndian).0 == PHYS32_ENTRY {
                let alignment = segment.p_align.get(LittleEndian);
                let is_read = alignment <= NOTE_ALIGNMENT;
                return if is_read {
                    address(note.desc())
                } else {
                    Err(Problem::NoteAlignment(alignment))
                };
            }
        }
    }
    Err(problem)
}

fn address(descriptor: &[u8]) -> Result<u64, Problem> {
    if let Ok(bytes) = descriptor.try_into() {
        return Ok(u32::from_le_bytes(bytes).into());
    }
    descriptor.try_into().map(u64::from_le_bytes).map_err(|_| Problem::BadNote)
}

/// Physical, because loaders enter with paging off; inside the file's bytes, because what lies
/// beyond them (.bss) is zeroes and not code.
fn is_code_at(segment: &Segment, entry: u64) -> bool {
    let start = segment.p_paddr.get(LittleEndian);
    let is_executable = segment.p_flags.get(LittleEndian).0 & elf::PF_X.0 != 0;
    is_executable
        && entry
            .checked_sub(start)
            .is_some_and(|offset| offset < segment.p_filesz.get(LittleEndian))
}

/// The addresses that executable segments are linked to, and the physical ones that they are loaded to.
pub fn executable(bytes: &[u8]) -> Result<Vec<(Range<u64>, u64)>, Problem> {
    let header = Header::parse(bytes).map_err(|_| Problem::Broken)?;
    let segments = header.program_headers(LittleEndian, bytes).map_err(|_| Problem::Truncated)?;
    let is_code = |s: &&Segment| {
        let flags = s.p_flags.get(LittleEndian);
        s.p_type.get(LittleEndian) == elf::PT_LOAD && flags.0 & elf::PF_X.0 != 0
    };
    let code = segments.iter().filter(is_code).map(|s| {
        let start = s.p_vaddr.get(LittleEndian);
        let end = start.saturating_add(s.p_memsz.get(LittleEndian));
        (start..end, s.p_paddr.get(LittleEndian))
    });
    Ok(code.filter(|(range, _)| !range.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x10_0000;
    const ENTRY: u64 = BASE + 0x10;
    const NOTE_AT: usize = size_of::<Header>() + 2 * size_of::<Segment>();

    fn note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
        let words = [name.len() as u32, descriptor.len() as u32, kind];
        let mut note: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        note.extend(name);
        note.resize(note.len().next_multiple_of(4), 0);
        note.extend(descriptor);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    fn segment(kind: u32, flags: u32, offset: usize, address: u64, len: usize) -> Vec<u8> {
        let mut segment = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
        for word in [offset as u64, address, address, len as u64, len as u64, 4] {
            segment.extend(word.to_le_bytes());
        }
        segment
    }

    fn entry(bytes: &[u8]) -> Result<u64, Problem> {
        examine(bytes).map(|image| image.entry)
    }

    #[test]
    fn an_image_must_fit_into_the_machine() {
        let image = Bootable { entry: ENTRY, end: (3 << 20) + 1 };
        let failure = image.must_fit(3).unwrap_err();
        assert_eq!(failure.status, crate::status::Status::Usage);
        assert!(failure.to_string().contains("it needs -m 4 or more"), "{failure}");
        image.must_fit(4).unwrap();
        let room = Bootable { entry: ENTRY, end: (2 << 20) - FIRMWARE_BYTES };
        room.must_fit(2).unwrap();
        let end = room.end + 1;
        assert!(Bootable { end, ..room }.must_fit(2).is_err(), "over the firmware's tables");
        let hostile = Bootable { entry: ENTRY, end: u64::MAX };
        assert!(hostile.must_fit(u32::MAX).is_err());
        let end = examine(&good()).unwrap().end;
        assert_eq!(end, BASE + good().len() as u64);
    }

    /// The smallest kernel: header, one PT_LOAD over the whole file, one PT_NOTE, 32 bytes of code.
    fn kernel(note: &[u8]) -> Vec<u8> {
        let len = NOTE_AT + note.len() + 32;
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]); // ET_EXEC, EM_X86_64, EV_CURRENT
        for word in [ENTRY, size_of::<Header>() as u64, 0] {
            file.extend(word.to_le_bytes());
        }
        // e_flags, then e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        file.extend(segment(1, 5, 0, BASE, len));
        file.extend(segment(4, 4, NOTE_AT, 0, note.len()));
        file.extend(note);
        file.resize(len, 0xf4);
        file
    }

    fn good() -> Vec<u8> {
        kernel(&note(b"Xen\0", PHYS32_ENTRY, &(ENTRY as u32).to_le_bytes()))
    }

    fn changed(at: usize, bytes: &[u8]) -> Result<u64, Problem> {
        let mut file = good();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        entry(&file)
    }

    #[test]
    fn both_sizes_of_entry_are_read() {
        assert_eq!(entry(&good()), Ok(ENTRY));
        let wide = kernel(&note(b"Xen\0", PHYS32_ENTRY, &ENTRY.to_le_bytes()));
        assert_eq!(entry(&wide), Ok(ENTRY));
    }

    #[test]
    fn a_note_where_loaders_do_not_look_is_told_from_a_truncated_file() {
        let second = size_of::<Header>() + size_of::<Segment>();
        let aligned = |alignment: u64| changed(second + 48, &alignment.to_le_bytes());
        for taken in [0, 1, 4] {
            assert_eq!(aligned(taken), Ok(ENTRY), "{taken}");
        }
        for alignment in [8, 16, 64, 4096, 3 << 40] {
            assert_eq!(aligned(alignment), Err(Problem::NoteAlignment(alignment)));
        }
        // Something else behind the note, and before it.
        let entry_note = note(b"Xen\0", PHYS32_ENTRY, &(ENTRY as u32).to_le_bytes());
        assert_eq!(entry(&kernel(&[&entry_note[..], &[5; 8]].concat())), Ok(ENTRY));
        assert_eq!(entry(&kernel(&[&[5; 16][..], &entry_note].concat())), Err(Problem::Broken));
    }

    #[test]
    fn other_notes_are_passed_over() {
        let mut notes = note(b"GNU\0", 3, &[0xaa; 20]);
        notes.extend(note(b"Xen\0", 6, b"freestone\0"));
        notes.extend(note(b"Xen\0", PHYS32_ENTRY, &(ENTRY as u32).to_le_bytes()));
        assert_eq!(entry(&kernel(&notes)), Ok(ENTRY));
    }

    #[test]
    fn every_kind_of_wrong_file_has_its_own_answer() {
        let mut bz_image = vec![0; 0x400];
        bz_image[..2].copy_from_slice(b"MZ");
        bz_image[0x202..0x206].copy_from_slice(b"HdrS");
        for (file, problem) in [
            (&b""[..], Problem::Empty),
            (b"#!/bin/sh\n", Problem::Script),
            (b"!<arch>\n", Problem::Archive),
            (b"MZ\x90\0", Problem::WindowsProgram),
            (&bz_image, Problem::LinuxImage),
            (b"hello", Problem::NotElf),
            (b"\x7fEL", Problem::NotElf),
            (b"\x7fELF", Problem::Truncated),
            (b"\x7fELF\x01\x01\x01", Problem::Bits32),
            (b"\x7fELF\x02\x02\x01", Problem::BigEndian),
        ] {
            assert_eq!(examine(file), Err(problem), "{file:?}");
        }
    }

    #[test]
    fn every_kind_of_wrong_elf_has_its_own_answer() {
        let first = size_of::<Header>();
        let second = first + size_of::<Segment>();
        for (at, bytes, problem) in [
            (16, &[1, 0][..], Problem::Object),
            (16, &[3, 0], Problem::PositionIndependent),
            (16, &[4, 0], Problem::Core),
            (16, &[9, 0], Problem::Broken),
            (18, &[183, 0], Problem::Machine(183)),
            (6, &[7], Problem::Broken),          // EI_VERSION
            (54, &[55, 0], Problem::Truncated),  // e_phentsize
            (56, &[0, 0], Problem::NoSegments),  // e_phnum
            (first, &[0], Problem::NoSegments),  // PT_NULL
            (first, &[3], Problem::HostProgram), // PT_INTERP
            (first + 4, &[4], Problem::EntryOutside(ENTRY)),
            (first + 24, &[0, 0, 0x20], Problem::EntryOutside(ENTRY)), // p_paddr
            (first + 32, &[0x10, 0], Problem::EntryOutside(ENTRY)),    // p_filesz
            (first + 8, &[1], Problem::Truncated),                     // p_offset
            (second, &[0], Problem::NoNote),
            (second + 8, &[0xff; 8], Problem::Truncated),
            (second + 48, &[5], Problem::NoteAlignment(5)), // p_align
            (NOTE_AT, &[0xff; 4], Problem::Broken),         // n_namesz
            (NOTE_AT + 8, &[17], Problem::NoNote),
            (NOTE_AT + 12, b"Zen", Problem::NoNote),
        ] {
            assert_eq!(changed(at, bytes), Err(problem), "{bytes:?} at {at}");
        }
        for wrong in [0, 2, 5, 12] {
            let file = kernel(&note(b"Xen\0", PHYS32_ENTRY, &[0; 12][..wrong]));
            assert_eq!(examine(&file), Err(Problem::BadNote), "{wrong} bytes");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let file = good();
        for len in 0..file.len() {
            assert!(examine(&file[..len]).is_err(), "{len} of {} bytes", file.len());
        }
    }

    #[test]
    fn no_byte_and_no_word_makes_it_panic() {
        let file = good();
        for at in 0..file.len() {
            for value in 0..=255 {
                let mut file = file.clone();
                file[at] = value;
                let _ = examine(&file);
            }
            for word in [u64::MAX, u64::MAX >> 1, 1 << 63, 0xffff_fffc, 0] {
                let mut file = file.clone();
                let end = file.len().min(at + 8);
                file[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
                let _ = examine(&file);
            }
        }
    }

    #[test]
    fn an_odd_address_in_memory_does_not_matter() {
        let mut shifted = vec![0];
        shifted.extend(good());
        assert_eq!(entry(&shifted[1..]), Ok(ENTRY));
    }

    #[test]
    fn this_test_itself_is_a_host_program() {
        let own = fs::read("/proc/self/exe").expect("the test's own file");
        assert_eq!(examine(&own), Err(Problem::HostProgram));
    }
}
