//! Reading a file takes work in proportion to its size, also for files that are built to take for ever.
//!
//! `valgrind` counts instructions, not seconds. Each kind of file comes in two sizes: the larger must cost no more for each of
//! its bytes. Without `valgrind` the tests are skipped, with a message.

#[path = "../inspect/tests/made/mod.rs"]
mod made;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs, thread};

use freestone_inspect::disassembly::Links;
use freestone_inspect::rules::{self, Options, Subject};
use freestone_inspect::symbols::Table;
use freestone_inspect::{File, contract, size};
use made::{ALLOC, Elf, LOAD, NOTE, Part, Section, Symbol, archive};

/// What README.md promises for each byte of a file, of the optimised library; without optimisation, which is what
/// tests have, it is this many times as much.
const INSTRUCTIONS: u64 = 3_000;
const UNOPTIMISED: u64 = 15;

/// How much more a byte of the larger file may cost: logarithms of its size.
const GROWTH: f64 = 1.5;

const SMALL: usize = 8 << 10;
const LARGE: usize = 4 * SMALL;

/// Names the file that this program, started once more, is to look at.
const FILE: &str = "FREESTONE_LOOK_AT";

#[test]
fn look() {
    let Some(path) = env::var_os(FILE) else { return };
    let Ok(file) = File::open(path) else { return };
    let mut table = Table::new();
    let _ = table.add(&file);
    let _ = contract::contract(std::slice::from_ref(&file), None);
    for object in file.objects().into_iter().flatten().flatten() {
        let sections = 0..object.sections.len();
        sections.for_each(|section| drop(Links::of(&object, section)));
        let _ = (object.functions().count(), object.notes().len());
    }
    let Ok(image) = file.image() else { return };
    let _ = size::sizes(&image);
    let subject = Subject::new(image, Options::default());
    let _ = (rules::check(&subject), rules::check_for_boot(&subject));
}

/// A name of the file's own size in each kind that has a long one.
fn long(len: usize) -> String {
    "n".repeat(len / 2)
}

const BASE: u64 = 0x10_0000;

/// Five bytes: a call of what is `at` bytes into the code, from `from` bytes into it.
fn call(from: usize, at: usize) -> Vec<u8> {
    let distance = at as i32 - (from as i32 + 5);
    [vec![0xe8], distance.to_le_bytes().to_vec()].concat()
}

/// Code of calls, all to its first byte, which returns.
fn calls(len: usize) -> Vec<u8> {
    let mut code = vec![0xc3, 0x90, 0x90, 0x90, 0x90];
    while code.len() + 5 < len {
        code.extend(call(code.len(), 0));
    }
    code.push(0xc3);
    code
}

/// Code of functions of six bytes, each of which calls the first and returns.
fn callers(count: usize, callee: usize) -> Vec<u8> {
    let mut code = vec![0xc3; 8];
    for _ in 0..count {
        code.extend(call(code.len(), callee));
        code.push(0xc3);
    }
    code
}

fn many_sections(len: usize) -> Elf {
    let mut elf = Elf::kernel(BASE, calls(len / 2));
    elf.sections.extend((0..len / 2 / 64).map(|_| Section::code(BASE, Part::Same(1))));
    elf
}

/// A name in which each part refers to the one before, twice.
fn bomb(number: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digit = |at: usize| DIGITS[at] as char;
    let mut name = format!("_RIC8a{number:07}TlE");
    let mut last = name.len() - 5;
    // Offsets of two digits hold for the rest of a name as short as this.
    for _ in 0..24 {
        let at = name.len() - 2;
        let number = last - 1;
        let digits = match number {
            0..62 => format!("{}_", digit(number)),
            _ => format!("{}{}_", digit(number / 62), digit(number % 62)),
        };
        name.push_str(&format!("TB{digits}B{digits}E"));
        last = at;
    }
    name + "E"
}

/// A name whose arguments are `part`, then as many references to it, through `hops` others, as `len` allows.
fn references(part: &str, hops: usize, len: usize) -> String {
    let base_62 = |number: usize| {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let digits = [number / 3844, number / 62 % 62, number % 62];
        digits.map(|digit| DIGITS[digit] as char).into_iter().collect::<String>()
    };
    let mut name = format!("_RIC1a{part}");
    // Counted from behind `_R`, less one.
    let mut last = "IC1a".len();
    for _ in 0..hops {
        let at = name.len() - 2;
        name.push_str(&format!("B{}_", base_62(last - 1)));
        last = at;
    }
    while name.len() < len {
        name.push_str(&format!("B{}_", base_62(last - 1)));
    }
    name + "E"
}

/// A kind of file and one of it.
type Kind = (&'static str, Vec<u8>);

/// A smaller and a larger file of a kind.
type Pair = (Kind, Kind);

/// Every kind of file, in about this size.
fn files(len: usize) -> Vec<Kind> {
    let mut files = Vec::new();
    let mut add = |name, elf: Elf| files.push((name, elf.bytes()));
    add("a function of calls", Elf::kernel(BASE, calls(len)));
    add("sections over each other", many_sections(len));
    let mut elf = many_sections(len);
    elf.symbols = vec![Symbol::function("a", BASE, 1), Symbol::function("b", BASE + 5, 1)];
    add("the same with symbols", elf);

    // As many as are let pass, and at different addresses.
    let mut elf = Elf::kernel(BASE, calls(len * 3 / 4));
    elf.sections.extend([1, 2].map(|n| Section::code(BASE + n * (len as u64 / 5), Part::Same(1))));
    add("few sections over each other", elf);
    let mut elf = Elf::kernel(BASE, vec![0xc3; len / 4]);
    elf.segments.extend((0..len / 2 / 56).map(|_| (LOAD, 5, BASE, Part::File)));
    add("segments over each other", elf);
    let mut elf = Elf::kernel(BASE, vec![0xc3; len / 4]);
    elf.segments.extend((0..len / 4 / 56).map(|_| (LOAD, 5, 0, Part::Same(2))));
    let small = Section {
        name: b".s".to_vec(),
        kind: 1,
        flags: ALLOC,
        ..Section::code(1 << 40, Part::Own(vec![1]))
    };
    elf.sections.extend(vec![small; len / 4 / 64]);
    add("sections in no segment", elf);
    let mut elf = Elf::kernel(BASE, vec![0; len / 4]);
    elf.segments.extend((0..len / 2 / 56).map(|_| (NOTE, 4, BASE, Part::Same(1))));
    add("notes over each other", elf);

    let mut elf = Elf::kernel(BASE, vec![0x90; len / 4]);
    let each = |at: u64| Symbol::function(format!("f{at}"), BASE + at, u64::MAX);
    elf.symbols = (0..len as u64 / 50).map(each).collect();
    add("functions over each other", elf.clone());
    elf.symbols.iter_mut().for_each(|symbol| symbol.address = BASE);
    add("names at one address", elf.clone());
    let name = long(len).into_bytes();
    elf.symbols.iter_mut().for_each(|symbol| symbol.name.clone_from(&name));
    add("one long name for all", elf);
    let mut elf = Elf::kernel(BASE, vec![0x90; len / 4]);
    elf.symbols =
        (0..len as u64 / 400).map(|n| Symbol::function(bomb(n as usize), BASE + n, 1)).collect();
    add("names that grow", elf);

    for (what, part, hops) in [
        ("names of references to references", "l".to_owned(), 450),
        ("names that refer to an unseen path", format!("MIC1a{}El", "l".repeat(len / 8)), 0),
        (
            "names that refer to what says nothing",
            format!("NvNvNv{}C0{}", "Nv".repeat(400), "0".repeat(403)),
            0,
        ),
    ] {
        let mut elf = Elf::kernel(BASE, vec![0x90; len / 4]);
        let name = references(&part, hops, len / 2);
        elf.symbols = vec![Symbol::function(name, BASE, 1)];
        add(what, elf);
    }

    // Floats handed on without a register of either kind.
    let mut elf = Elf::kernel(BASE, calls(len));
    let (first, rest) = (Symbol::function("__adddf3", BASE, 5), BASE + 5);
    elf.symbols = vec![first.clone(), Symbol::function("caller", rest, len as u64)];
    add("one caller of floats", elf);
    let mut elf =
        Elf::kernel(BASE, [calls(len / 4), [0xe9, 0, 0, 0, 0].repeat(len / 100)].concat());
    let at = |n: usize| BASE + (len / 4 + 5 * n) as u64;
    elf.symbols = vec![
        Symbol::function("nobody", BASE, 5),
        Symbol::function("hub", BASE + 5, len as u64 / 4),
    ];
    for n in 0..len / 100 {
        let from = len / 4 + 5 * n;
        let Part::Own(code) = &mut elf.sections[0].part else { unreachable!() };
        let Some(place) = code.get_mut(from..from + 5) else { continue };
        place.copy_from_slice(&call(from, 5));
        elf.symbols.push(Symbol::function(
            if n % 2 == 0 { "__adddf3" } else { "__muldf3" },
            at(n),
            5,
        ));
    }
    add("many definitions that hand floats on", elf);
    // `mov edi, 1`: the call after it passes no floats in vector registers, and the callee has some.
    let mut elf = Elf::kernel(BASE, Vec::new());
    let mut code = vec![0x0f, 0x57, 0xc0, 0xc3];
    elf.symbols =
        vec![Symbol::function(long(len / 2) + "_", BASE, 4), Symbol::function("sqrt", BASE, 4)];
    for n in 0..len / 80 {
        let start = code.len();
        code.extend([0xbf, 1, 0, 0, 0]);
        code.extend(call(code.len(), 0));
        code.push(0xc3);
        elf.symbols.push(Symbol::function(format!("f{n}"), BASE + start as u64, 11));
    }
    elf.sections[0].part = Part::Own(code);
    add("findings that name one long name", elf);

    // Calls of address 0, and names that nobody defines.
    let code = callers(len / 100, (BASE as usize).wrapping_neg());
    let mut elf = Elf::kernel(BASE, code);
    elf.symbols = (0..3)
        .map(|n| Symbol::function(format!("{}{n}", long(len / 4)), BASE + 8 + 6 * n, 6))
        .collect();
    let nobody = |n| Symbol { section: 0, ..Symbol::function(format!("u{n}"), 0, 0) };
    elf.symbols.extend((0..len / 60).map(nobody));
    add("undefined names and their callers", elf);
    // Functions that each call the next.
    let count = len / 60;
    let mut code = Vec::new();
    for n in 0..count {
        code.extend(call(6 * n, 6 * ((n + 1) % count)));
        code.push(0xc3);
    }
    let mut elf = Elf::kernel(BASE, code);
    let names =
        ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"].map(String::from).into_iter();
    let names = names.chain((0..).map(|n| format!("f{n}")));
    elf.symbols = names
        .take(count)
        .zip(0..)
        .map(|(name, n)| Symbol::function(name, BASE + 6 * n, 6))
        .collect();
    add("a long ring of calls", elf);
    // 32-bit code, or data: bytes that are no instruction.
    let mut elf = Elf::kernel(BASE, vec![0x06; len / 4]);
    elf.symbols =
        (0..len as u64 / 50).map(|at| Symbol::function(format!("g{at}"), BASE + at, 1)).collect();
    add("functions that are no code", elf);

    let mut elf = Elf { is_relocatable: true, ..Elf::default() };
    elf.sections.push(Section::code(0, Part::Own(vec![0x90; len / 4])));
    for n in 0..len / 4 / 64 {
        elf.sections.push(Section { kind: 1, flags: ALLOC, ..Section::code(0, Part::Own(vec![])) });
        elf.sections.push(Section {
            kind: 4,
            flags: 0,
            info: n as u32,
            ..Section::code(0, Part::Same(1))
        });
    }
    add("relocations of everything", elf);

    let mut small = Elf { is_relocatable: true, ..Elf::default() };
    small.symbols = (0..len / 60)
        .map(|n| Symbol { section: 0, ..Symbol::function(format!("u{n}"), 0, 0) })
        .collect();
    let object = small.bytes();
    files.push(("an archive's one long name", archive(&[(&(long(len) + ".o"), &object)])));
    small.symbols.truncate(1);
    let (object, name) = (small.bytes(), long(len / 2));
    let members = vec![(name.as_str(), object.as_slice()); len / 2 / (object.len() + 60)];
    files.push(("an archive's long names", archive(&members)));
    files
}

/// How many instructions looking at a file takes; `None` without `valgrind`.
fn instructions(path: &Path) -> Option<u64> {
    let own = env::current_exe().expect("this program's path");
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let output = command.arg(own).args(["--exact", "look"]).env(FILE, path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).replace(',', "");
    assert!(output.status.success(), "{}: {text}", path.display());
    let (_, rest) = text.split_once("I refs:").or_else(|| text.split_once("I   refs:"))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn written(folder: &Path, size: &str, number: usize, bytes: &[u8]) -> PathBuf {
    let path = folder.join(format!("{size}-{number}"));
    fs::write(&path, bytes).expect("a file for the test");
    path
}

#[test]
fn no_file_takes_more_than_its_size_allows() {
    if env::var_os(FILE).is_some() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bound");
    fs::create_dir_all(&folder).expect("a folder for the test");
    let Some(nothing) = instructions(Path::new("/nonexistent")) else {
        println!("SKIPPED: valgrind is not installed, nothing was counted");
        return;
    };
    let look = |(number, ((name, small), (_, large))): (usize, Pair)| {
        let each = |bytes: &[u8], size: &str| {
            let path = written(&folder, size, number, bytes);
            let count = instructions(&path).expect("it ran before").saturating_sub(nothing);
            count as f64 / bytes.len() as f64
        };
        let (before, after) = (each(&small, "small"), each(&large, "large"));
        println!("{name:<40} {before:>9.0} and {after:>9.0} instructions a byte");
        let bound = (INSTRUCTIONS * UNOPTIMISED) as f64;
        let is_too_much = after > bound || after > GROWTH * before.max(1000.0);
        is_too_much.then(|| format!("{name}: {before:.0}, then {after:.0} a byte"))
    };
    // Counts do not depend on what runs beside: two at a time.
    let pairs = Mutex::new(files(SMALL).into_iter().zip(files(LARGE)).enumerate());
    let next = || pairs.lock().expect("no panic holds it").next();
    let all = || std::iter::from_fn(next).filter_map(look).collect::<Vec<_>>();
    let complaints = thread::scope(|scope| {
        let other = scope.spawn(all);
        let mut own = all();
        own.extend(other.join().expect("its panic is told"));
        own
    });
    assert!(complaints.is_empty(), "{complaints:#?}");
}
