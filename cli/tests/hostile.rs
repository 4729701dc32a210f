//! Hostile files and programs: names with terminal escapes through every verb that prints them, addresses at the end
//! of the address space, and a megabyte of gzip that stands for a gigabyte.

mod common;
#[path = "../../inspect/tests/made/mod.rs"]
mod made;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{folder, script, tool};
use made::{ALLOC, Elf, NOTE, Part, Section, Symbol};
use serde_json::Value;

/// Clears the screen, sets the title, goes back a line, writes over it, turns the rest around, is not UTF-8.
const HOSTILE: &[u8] = b"\x1b[2J\x1b]0;owned\x07\nerror: forged\r\x9b31m\xe2\x80\xae\xff";

const BASE: u64 = 0x10_0000;

/// The PVH note.
fn note(entry: u64) -> Section {
    let mut note = [4, 4, 18].map(u32::to_le_bytes).concat();
    note.extend(b"Xen\0");
    note.extend((entry as u32).to_le_bytes());
    let name = b".note.Xen".to_vec();
    Section { name, kind: 7, flags: ALLOC, address: 0x20_0000, info: 0, part: Part::Own(note) }
}

/// A kernel that halts.
fn kernel(symbols: Vec<Symbol>) -> Elf {
    // `hlt`, `jmp` back, `call 0` as linkers leave it of what is undefined, `ret`.
    let mut code = vec![0xf4, 0xeb, 0xfd, 0xe8];
    code.extend((-(BASE as i32 + 8)).to_le_bytes());
    code.push(0xc3);
    let mut elf = Elf::kernel(BASE, code);
    elf.sections.push(note(BASE));
    elf.segments.push((1, 4, 0x20_0000, Part::Same(2)));
    elf.segments.push((NOTE, 4, 0x20_0000, Part::Same(2)));
    // Room for a table of names.
    elf.segments.push((0x6673_6e6d, 4, 0, Part::Own(vec![])));
    elf.symbols = symbols;
    elf
}

fn hostile(front: &str) -> Vec<u8> {
    [front.as_bytes(), HOSTILE].concat()
}

/// Names in every place that has some.
fn hostile_kernel(folder: &Path) -> PathBuf {
    let undefined = Symbol { section: 0, ..Symbol::function(hostile("wanted"), 0, 0) };
    let functions = vec![
        Symbol::function(hostile("start"), BASE, 3),
        Symbol::function(hostile("caller"), BASE + 3, 6),
        // Characters that legacy mangling spells out.
        Symbol::function("_ZN3foo9a$u202e$b17h0123456789abcdefE", BASE + 8, 1),
    ];
    let mut elf = kernel([functions, vec![undefined]].concat());
    let list = Section { name: hostile(".init_array"), ..note(BASE) };
    elf.sections.push(Section { kind: 14, flags: ALLOC | 1 | 4, ..list });
    let path = folder.join(std::ffi::OsStr::from_bytes(&hostile("kernel")));
    fs::write(&path, elf.bytes()).expect("a file for the test");
    path
}

/// Whether a byte may stand in what the tool writes, and no line was forged.
#[track_caller]
fn must_be_harmless(what: &str, text: &[u8]) {
    let shown = String::from_utf8_lossy(text).escape_debug().to_string();
    let text = std::str::from_utf8(text).unwrap_or_else(|_| panic!("{what}: not UTF-8: {shown}"));
    let is_bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(is_bad), "{what}: {shown}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{what}: {shown}");
}

#[test]
fn hostile_names_are_harmless_in_every_verb() {
    let folder = folder("names");
    let kernel = hostile_kernel(&folder);
    let qemu = folder.join("qemu");
    // What a QEMU complains about has a kernel's text in it, too.
    script(&qemu, "printf '\\033[2J\\nerror: forged\\r\\n\\377\\n' >&2; exit 1");
    let qemu = qemu.to_str().expect("plain");
    let mut seen = 0;
    for words in [
        &["check", "--all", "--size"][..],
        &["check", "--json", "--size"],
        &["check", "--sarif"],
        &["symbols"],
        &["symbols", "--markdown"],
        &["symbols", "--json"],
        &["run"],
        &["run", "--json"],
        &["run", "--no-check", "--qemu", qemu],
        &["run", "--no-check", "--json", "--qemu", qemu],
        &["chart", "--no-check", "--qemu", qemu],
        &["debug", "--no-check", "--print"],
        &["names", "-o", "/dev/null/no"],
        &["runner"],
    ] {
        let output = tool().args(words).arg(&kernel).output().expect("the tool starts");
        let what = words.join(" ");
        assert!(output.status.code().is_some(), "{what}: {output:?}");
        must_be_harmless(&what, &output.stdout);
        // This fake's stderr is quoted; with `error:` of its own it must not begin a line.
        must_be_harmless(&what, &output.stderr);
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        seen += usize::from(String::from_utf8_lossy(&all).contains("\\u{1b}[2J"));
        if words.iter().any(|word| ["--json", "--sarif"].contains(word)) {
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            serde_json::from_str::<Value>(&text)
                .unwrap_or_else(|error| panic!("{what}: {error} in {text}"));
        }
    }
    assert!(seen >= 8, "only {seen} show the names at all");
}

#[test]
fn addresses_at_the_end_of_the_address_space_are_refused_or_read() {
    let folder = folder("addresses");
    for address in [u64::MAX - 15, u64::MAX, u64::MAX - 4095, 1 << 63] {
        for place in 0..3 {
            let mut elf = kernel(vec![Symbol::function("main", BASE, 3)]);
            match place {
                0 => elf.sections[0].address = address,
                1 => elf.symbols[0].address = address,
                _ => elf.segments[0].2 = address,
            }
            let path = folder.join("kernel");
            fs::write(&path, elf.bytes()).expect("a file for the test");
            for words in [
                &["check", "--all", "--size"][..],
                &["symbols"],
                &["names", "-o", "/dev/null"],
                &["run", "--no-check", "--qemu", "/bin/false"],
                &["chart", "--no-check", "--qemu", "/bin/false"],
                &["debug", "--no-check", "--print"],
                &["runner"],
            ] {
                let mut command = tool();
                command.env("FREESTONE_QEMU", "/bin/false").args(words).arg(&path);
                let output = command.output().expect("the tool starts");
                let text = String::from_utf8_lossy(&output.stderr);
                let is_panic = output.status.code().is_none() || text.contains("panicked");
                assert!(!is_panic, "{words:?}, {address:#x} at {place}: {text}");
            }
        }
    }
}

/// `run --trace` keeps sums, not the log: it comes through a pipe, and lines of any length and number are read.
#[test]
fn a_log_of_any_length_is_summed_up_and_not_kept() {
    let folder = folder("trace");
    let kernel = folder.join("kernel");
    fs::write(&kernel, self::kernel(vec![]).bytes()).expect("a file for the test");
    let qemu = folder.join("qemu");
    script(
        &qemu,
        "while [ \"$1\" != -D ]; do [ $# = 0 ] && exit 99; shift; done
         [ -p \"$2\" ] || exit 98
         exec >\"$2\"
         yes \"memory_region_ops_read cpu 0 mr 0x1 addr 0x3fd value 0x60 size 1 name 'serial'\" | head -n 200000
         head -c 50000000 /dev/zero
         exit 33",
    );
    let output = tool()
        .args(["run", "--no-check", "--accel", "tcg", "--trace", "--qemu"])
        .args([&qemu, &kernel])
        .output()
        .expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("serial") && text.contains("200000"), "{text}");
}

#[test]
fn a_bomb_of_gzip_is_given_up_at_its_limit() {
    let folder = folder("bomb");
    let bomb = folder.join("xen.gz");
    let zeroes =
        Command::new("head").args(["-c", "200000000", "/dev/zero"]).stdout(Stdio::piped()).spawn();
    let packed = Command::new("gzip").stdin(zeroes.expect("head").stdout.expect("a pipe")).output();
    fs::write(&bomb, packed.expect("gzip").stdout).expect("a file for the test");
    let kernel = folder.join("kernel");
    fs::write(&kernel, self::kernel(vec![]).bytes()).expect("a file for the test");
    let output = tool()
        .args(["run", "--no-check", "--on", "xen", "--qemu", "/bin/false", "--xen"])
        .args([&bomb, &kernel])
        .output()
        .expect("the tool starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("gzip gives more than 64 MiB"), "{text}");
    assert_eq!(output.status.code(), Some(3), "{text}");
}
