//! Debug information that is built to take all memory, or for ever: a backtrace through such a kernel ends, within a memory limit
//! that the system enforces.

mod common;
#[path = "../../inspect/tests/made/mod.rs"]
mod made;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{folder, script};
use made::{ALLOC, Elf, NOTE, Part, Section, Symbol};

const BASE: u64 = 0x10_0000;

/// How large a bomb is, and how much memory the tool may have for it, in KiB: itself, its threads' stacks, and some
/// twenty times the file.
const SIZE: usize = 4 << 20;
const MEMORY: u64 = (200 << 10) + 20 * (SIZE as u64 >> 10);

/// A kernel with these sections of debugging information.
fn kernel(debug: Vec<(&str, u64, Vec<u8>)>) -> Elf {
    let mut elf = Elf::kernel(BASE, vec![0x90; 64]);
    let mut note = [4, 4, 18].map(u32::to_le_bytes).concat();
    note.extend(b"Xen\0");
    note.extend((BASE as u32).to_le_bytes());
    let section = |name: &str, kind, flags, bytes| Section {
        name: name.into(),
        kind,
        flags,
        address: 0,
        info: 0,
        part: Part::Own(bytes),
    };
    elf.sections.push(section(".note", 7, ALLOC, note));
    elf.segments.push((NOTE, 4, 0x20_0000, Part::Same(2)));
    elf.sections
        .extend(debug.into_iter().map(|(name, flags, bytes)| section(name, 1, flags, bytes)));
    elf.symbols = vec![Symbol::function("_RNvC6kernel4main", BASE, 64)];
    elf
}

/// With its length in front.
fn counted(bytes: Vec<u8>) -> Vec<u8> {
    [(bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat()
}

/// A unit of DWARF 4 whose abbreviations are at 0.
fn unit(entries: &[u8]) -> Vec<u8> {
    counted([&[4, 0, 0, 0, 0, 0, 8], entries].concat())
}

/// A program of lines, with these files, that begins at the kernel's code.
fn lines(files: &[u8], program: &[u8]) -> Vec<u8> {
    // One byte an instruction, lines -3..9 by special opcodes, of which the first is 13.
    let mut header = vec![1, 1, 1, 0xfd, 12, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    header.extend(files);
    header.push(0);
    let start = [&[0, 9, 2][..], &BASE.to_le_bytes(), &[16]].concat();
    counted([vec![4, 0], counted(header), start, program.to_vec(), vec![0, 1, 1]].concat())
}

/// Abbreviation 1: a unit with its lines, and entries in it. 2: one with its addresses as well.
const UNITS: &[u8] =
    &[1, 0x11, 1, 0x10, 0x17, 0, 0, 2, 0x11, 1, 0x10, 0x17, 0x11, 1, 0x12, 7, 0, 0];
/// Abbreviation 3: a function at an address, a byte long. 4: a function inlined there.
const FUNCTIONS: &[u8] =
    &[3, 0x2e, 1, 0x11, 1, 0x12, 11, 0, 0, 4, 0x1d, 1, 0x11, 1, 0x12, 11, 0, 0];

/// The beginning of a unit of abbreviation 2 over all of the code.
fn located() -> Vec<u8> {
    [&[2, 0, 0, 0, 0][..], &BASE.to_le_bytes(), &64_u64.to_le_bytes()].concat()
}

fn bombs(size: usize) -> Vec<(&'static str, Elf)> {
    let abbreviations = || (".debug_abbrev", 0, [UNITS, FUNCTIONS, &[0]].concat());
    // Each of these is a row, of an address of its own.
    let rows = lines(b"a\0\0\0\0", &vec![28; size]);
    let one = unit(&[1, 0, 0, 0, 0, 0]);
    let define = [0, 6, 3, b'a', 0, 0, 0, 0].repeat(size / 8);
    let files = b"a\0\0\0\0".repeat(size / 5);
    // Codes of three bytes, tags, no attributes.
    let table: Vec<u8> = (1..size as u32 / 7)
        .flat_map(|n| [n as u8 | 128, (n >> 7) as u8 | 128, (n >> 14) as u8, 0x2e, 0, 0, 0])
        .collect();
    let at = |code, address: u64| [&[code][..], &address.to_le_bytes(), &[64]].concat();
    let functions = at(3, BASE).into_iter().chain([0]).collect::<Vec<_>>().repeat(size / 12);
    let nested = [at(3, BASE), at(4, BASE).repeat(size / 11)].concat();
    vec![
        (
            "a row for each byte",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, one.clone()),
                (".debug_line", 0, rows.clone()),
            ]),
        ),
        (
            "one program of lines for many units",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, one.repeat(1000)),
                (".debug_line", 0, rows),
            ]),
        ),
        (
            "files defined by a program",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, one.clone()),
                (".debug_line", 0, lines(b"", &define)),
            ]),
        ),
        (
            "a table of files for many units",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, one.repeat(1000)),
                (".debug_line", 0, lines(&files, &[28; 64])),
            ]),
        ),
        (
            "a table of abbreviations for many units",
            kernel(vec![
                (".debug_abbrev", 0, table),
                (".debug_info", 0, one.repeat(1000)),
                (".debug_line", 0, lines(b"", &[28; 64])),
            ]),
        ),
        (
            "functions over each other",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, unit(&[located(), functions].concat())),
                (".debug_line", 0, lines(b"", &[28; 64])),
            ]),
        ),
        (
            "functions in each other",
            kernel(vec![
                abbreviations(),
                (".debug_info", 0, unit(&[located(), nested].concat())),
                (".debug_line", 0, lines(b"", &[28; 64])),
            ]),
        ),
        ("compressed", kernel(vec![abbreviations(), (".debug_info", 1 << 11, vec![0; size])])),
    ]
}

/// Boots it with a fake that prints a trace, with so many KiB of address space; gives stdout and stderr.
fn trace(folder: &Path, elf: &Elf, memory: u64) -> (Option<i32>, String) {
    let (kernel, qemu) = (folder.join("kernel"), folder.join("qemu"));
    fs::write(&kernel, elf.bytes()).expect("a file for the test");
    script(
        &qemu,
        "for n in 1 2 3 4 5 6 7 8; do
             printf '  from 0x000000000010000%d\\n  from 0x000000000010001%d\\n' $n $n
         done
         exit 33",
    );
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {memory}; exec \"$@\""), "sh"])
        .arg(env!("CARGO_BIN_EXE_cargo-freestone"))
        .args(["freestone", "run", "--no-check", "--accel", "tcg", "--qemu"])
        .args([&qemu, &kernel])
        .output()
        .expect("the tool starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn debugging_information_takes_memory_by_the_files_size() {
    let folder = folder("bombs");
    for (what, elf) in bombs(SIZE) {
        let (status, text) = trace(&folder, &elf, MEMORY);
        assert_eq!(status, Some(0), "{what}: {text}");
        assert_eq!(text.matches(" from 0x").count(), 16, "{what}: {text}");
    }
}

/// Debugging information with numbers that cannot be added to or multiplied.
fn wrapping() -> Vec<(&'static str, Elf)> {
    // The largest number, and the smallest, seven bits in each byte.
    let max = [&[0xff; 9][..], &[1]].concat();
    let min = [&[0x80; 9][..], &[0x7f]].concat();
    let one = |kind: &[u8], entries: &[u8], lines: &[u8]| {
        let kinds = [kind, &[0]].concat();
        let all = [("abbrev", kinds), ("info", unit(entries)), ("line", self::lines(b"", lines))];
        let all = all.map(|(name, bytes)| (format!(".debug_{name}"), bytes));
        kernel(all.iter().map(|(name, bytes)| (name.as_str(), 0, bytes.clone())).collect())
    };
    let sized =
        |size: u64| [&[2, 0, 0, 0, 0][..], &BASE.to_le_bytes(), &size.to_le_bytes()].concat();
    let inner = |entry: &[u8]| [located(), entry.to_vec()].concat();
    let function = [&[3][..], &BASE.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
    let kinds = |kind: &[u8]| [UNITS, kind].concat();
    // A unit of 64 bits whose ranges are the first of a list at 8: one at the end of the address space behind that.
    let header = [&[5, 0, 1, 8][..], &[0; 8], &[1], &8_u64.to_le_bytes(), &[0]].concat();
    let long = [&[0xff; 4][..], &(header.len() as u64).to_le_bytes(), &header].concat();
    let list = vec![
        (".debug_abbrev", 0, vec![1, 0x11, 0, 0x74, 0x17, 0x55, 0x23, 0, 0, 0]),
        (".debug_info", 0, long),
        (".debug_rnglists", 0, [&[0; 8][..], &u64::MAX.to_le_bytes()].concat()),
    ];
    vec![
        ("a unit's size", one(UNITS, &sized(u64::MAX), &[28; 64])),
        (
            "a function's size",
            one(&kinds(&[3, 0x2e, 0, 0x11, 1, 0x12, 7, 0, 0]), &inner(&function), &[28; 64]),
        ),
        ("a step of lines", one(UNITS, &located(), &[&[3][..], &min, &[28; 64]].concat())),
        (
            "an address by number",
            one(&[1, 0x11, 0, 0x11, 0x1b, 0, 0], &[&[1][..], &max].concat(), &[28; 64]),
        ),
        (
            "a name by number",
            one(&[1, 0x11, 0, 3, 0x1a, 0, 0], &[&[1][..], &max].concat(), &[28; 64]),
        ),
        (
            "a function's name by number",
            one(
                &kinds(&[3, 0x2e, 0, 0x11, 1, 0x12, 11, 3, 0x1a, 0, 0]),
                &inner(&[&[3][..], &BASE.to_le_bytes(), &[64], &max].concat()),
                &[28; 64],
            ),
        ),
        (
            "what is skipped",
            one(
                &kinds(&[3, 0x2e, 0, 0x40, 0x18, 0x0b, 0x0b, 0, 0]),
                &inner(&[&[3][..], &max].concat()),
                &[28; 64],
            ),
        ),
        ("ranges by number", kernel(list)),
    ]
}

#[test]
fn numbers_at_the_end_of_their_range_are_not_added_to() {
    let folder = folder("wrapping");
    let all = wrapping().into_iter().map(|(what, elf)| (what, trace(&folder, &elf, MEMORY)));
    let wrong: Vec<_> = all.filter(|(_, (status, _))| *status != Some(0)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_trace_lacks_is_said() {
    let folder = folder("lacks");
    let lines = || lines(b"a.rs\0\0\0\0", &[28; 64]);
    let whole = |flags| {
        let info = unit(&[located(), vec![0]].concat());
        let all = [("abbrev", [UNITS, &[0]].concat()), ("info", info), ("line", lines())];
        all.map(|(name, bytes)| (name, flags, bytes))
    };
    let named = |start: &str, flags| {
        let all = whole(flags).map(|(name, flags, bytes)| (format!("{start}{name}"), flags, bytes));
        kernel(
            all.iter().map(|(name, flags, bytes)| (name.as_str(), *flags, bytes.clone())).collect(),
        )
    };
    let place = "(a.rs:1)";
    for (elf, expected) in [
        (named(".debug_", 0), place),
        (named(".debug_", 1 << 11), "is compressed; link it without"),
        (named(".zdebug_", 0), "is compressed; link it without"),
        (kernel(vec![]), "no debugging information; set debug ="),
        (
            named(".debug_", 0),
            "main was compiled without a frame pointer; build with -C force-frame-pointers=yes",
        ),
    ] {
        let (status, text) = trace(&folder, &elf, MEMORY);
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(
            text.contains("lack files and lines"),
            expected != place && !expected.starts_with("main"),
            "{text}"
        );
    }
}
