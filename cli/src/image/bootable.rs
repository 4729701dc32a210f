//! Checks whether a file is a kernel that can be booted. The check comes before the machine starts, because a bad image
//! boots to silence.
//!
//! The tool boots an ELF64 executable for x86-64 with a PVH entry: a note named `Xen` of type
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

use freestone_protocol::entry::{NOTE_ALIGNMENT, PHYS32_ENTRY};
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

use crate::foreign::Shown as _;
use crate::status::Failure;

type Header = elf::FileHeader64<LittleEndian>;
type Segment = elf::ProgramHeader64<LittleEndian>;

/// More than any image that fits below 4 GiB: with a larger file something is wrong, and reading it
/// to find out what would take long.
const LARGEST: u64 = 1 << 30;

/// Whether this file is a program for this system.
pub fn is_host_program(path: &Path) -> bool {
    read(path).is_ok_and(|bytes| examine(&bytes) == Err(Problem::HostProgram))
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
    TooHigh(u64),
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
            Self::TooHigh(end) => {
                return write!(
                    f,
                    "it is to be loaded up to {end:#x}, and PVH entries reach the first 4 GiB alone: check the \
                     *physical* addresses in the linker script"
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

/// What code reaches that is entered without paging.
const REACH: u64 = 1 << 32;

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
    let refuse = |problem| Failure::usage(format!("{}: {problem}", path.shown()));
    examine(&read(path)?).map_err(refuse)
}

/// The bytes of what may be an image.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
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
    Ok(bytes)
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
    let is_dynamic = segments.iter().any(|s| s.p_type.get(LittleEndian) == elf::PT_INTERP);
    if is_dynamic || is_for_linux(segments, bytes) {
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
    if !loaded().any(|segment| is_code_at(segment, entry)) {
        return Err(Problem::EntryOutside(entry));
    }
    match loaded().map(end).max().unwrap_or(0) {
        end if end > REACH => Err(Problem::TooHigh(end)),
        end => Ok(Bootable { entry, end }),
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

/// Whether a note says so, as static programs have it too: `NT_GNU_ABI_TAG`, whose first word is 0 for Linux (Linux
/// Standard Base, "ELF notes").
fn is_for_linux(segments: &[Segment], bytes: &[u8]) -> bool {
    const ABI_TAG: u32 = 1;
    let mut left = bytes.len().saturating_mul(4);
    segments.iter().filter(|s| s.p_type.get(LittleEndian) == elf::PT_NOTE).any(|segment| {
        let data = segment.data(LittleEndian, bytes).unwrap_or_default();
        left = left.saturating_sub(data.len());
        let notes = NoteIterator::<Header>::new(LittleEndian, NOTE_ALIGNMENT, data).ok();
        let Some(mut notes) = notes.filter(|_| left > 0) else { return false };
        while let Ok(Some(note)) = notes.next() {
            let is_tag = note.name() == b"GNU" && note.n_type(LittleEndian).0 == ABI_TAG;
            if is_tag && note.desc().first_chunk() == Some(&[0; 4]) {
                return true;
            }
        }
        false
    })
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
mod tests;
