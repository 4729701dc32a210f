//! Every kind of file that is no kernel has its own message, and no bytes make the check panic.

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
    for bytes in [[1, 0, 0, 0], [0xff; 4]] {
        let high = changed(first + 44, &bytes); // p_memsz
        assert!(matches!(high, Err(Problem::TooHigh(1..))), "{bytes:?}: {high:?}");
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
