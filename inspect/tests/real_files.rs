//! Reading what this machine has: the toolchain's own libraries and this test program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::disassembly::{self, Links};
use freestone_inspect::rules::{self, Options, Subject};
use freestone_inspect::symbol::{Binding, Place};
use freestone_inspect::symbols::Table;
use freestone_inspect::{File, Kind, Problem, size};

/// The toolchain's library of this name for the host.
fn library(name: &str) -> PathBuf {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output();
    let folder = String::from_utf8(output.expect("rustc runs").stdout).expect("a path");
    let files = fs::read_dir(Path::new(folder.trim())).expect("the toolchain has libraries");
    let start = format!("lib{name}-");
    files
        .map(|entry| entry.expect("a folder can be listed").path())
        .find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            file.starts_with(&start) && file.ends_with(".rlib")
        })
        .unwrap_or_else(|| panic!("the toolchain has no {name}"))
}

#[test]
fn core_lacks_what_the_design_says_and_names_who_wants_it() {
    let mut table = Table::new();
    for name in ["core", "alloc", "compiler_builtins"] {
        table.add(&File::open(library(name)).unwrap()).unwrap();
    }
    let missing: Vec<_> = table.missing().collect();
    for name in ["memcpy", "memset", "memcmp", "memmove", "strlen", "rust_eh_personality"] {
        let found = missing.iter().find(|(missing, _)| *missing == name);
        let (_, users) = found.unwrap_or_else(|| panic!("{name} is not missing"));
        assert!(users.iter().all(|user| user.crate_name.is_some()), "{users:?}");
    }
    assert!(!missing.iter().any(|(name, _)| *name == "__udivti3"));
    let division = &table.defined["__udivti3"];
    assert_eq!(division[0].crate_name.as_deref(), Some("compiler_builtins"));
    assert_eq!((division[0].binding, division[0].place), (Binding::Weak, Place::Text));
}

#[test]
fn functions_of_core_are_found_with_their_code() {
    let file = File::open(library("core")).unwrap();
    assert_eq!(file.kind(), Ok(Kind::Archive));
    let mut count = 0;
    for object in file.objects().unwrap() {
        let object = object.unwrap();
        for function in object.functions() {
            assert!(function.is_sized && !function.code.is_empty(), "{}", function.name);
            count += 1;
        }
    }
    assert!(count > 300, "{count} functions");
}

#[test]
fn this_program_has_this_function() {
    let file = File::open("/proc/self/exe").unwrap();
    let image = file.image().unwrap();
    assert!(image.interpreter().is_some());
    let own = image.functions().find(|f| f.name.contains("this_program_has_this_function"));
    let own = own.expect("this function is in the program that runs it");
    assert_eq!(image.bytes_at(own.address).map(|bytes| &bytes[..16]), Some(&own.code[..16]));
}

#[test]
fn what_is_no_object_is_refused_by_name() {
    for (bytes, problem) in [
        (&b""[..], Problem::Empty),
        (b"hello", Problem::NotElf),
        (b"!<thin>\n", Problem::ThinArchive),
        (b"\x7fELF", Problem::Malformed("the ELF header")),
        (b"\x7fELF\x02\x01\x01", Problem::Malformed("the ELF header")),
    ] {
        let error = File::from_bytes("some/file", bytes.to_vec())
            .and_then(|file| file.object().map(drop))
            .expect_err("this is no object");
        assert_eq!((error.problem, error.file.as_str()), (problem, "some/file"), "{bytes:?}");
    }
    let missing = File::open("/does/not/exist").map(drop).expect_err("there is no such file");
    assert!(missing.to_string().starts_with("/does/not/exist: "), "{missing}");
    assert_eq!(File::open("/").map(drop).unwrap_err().problem, Problem::NotAFile);
}

/// How many functions of a library there are, use the red zone, vector registers, x87.
fn counted(name: &str) -> (u32, u32, u32, u32) {
    let file = File::open(library(name)).unwrap();
    let (mut all, mut red_zone, mut vector, mut x87) = (0, 0, 0, 0);
    for object in file.objects().unwrap() {
        let object = object.unwrap();
        let links: Vec<_> =
            (0..object.sections.len()).map(|index| Links::of(&object, index)).collect();
        for function in object.functions() {
            let facts = disassembly::facts(&function, &links[function.section]);
            assert!(!facts.undecodable.is_any(), "{}", function.name);
            all += 1;
            red_zone += u32::from(facts.red_zone.is_any());
            vector += u32::from(facts.vector.is_any());
            x87 += u32::from(facts.x87.is_any());
        }
    }
    println!("{name}: {all} functions, {red_zone} red zone, {vector} vector, {x87} x87");
    (all, red_zone, vector, x87)
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_prebuilt_core_uses_vectors_and_hardly_any_red_zone() {
    let (all, red_zone, vector, x87) = counted("core");
    assert!(all > 300 && vector > all / 10, "{vector} of {all} use vector registers");
    assert!(red_zone < 10 && x87 == 0, "{red_zone} use the red zone, {x87} x87");
    let (all, red_zone, _, _) = counted("compiler_builtins");
    assert!(red_zone > 10, "{red_zone} of {all} use the red zone");
}

/// Whatever is in it, a file gives a report or an error.
fn look_at(bytes: &[u8]) {
    let Ok(file) = File::from_bytes("changed", bytes.to_vec()) else { return };
    let _ = Table::new().add(&file);
    if let Ok(image) = file.image() {
        let _ = size::sizes(&image);
        let _ = rules::check(&Subject::new(image, Options::default()));
    }
}

#[test]
fn no_truncation_and_no_changed_byte_makes_it_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let is_long = std::env::var_os("FREESTONE_LONG").is_some_and(|value| value == "1");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 5, "{files:?}");
    for path in files {
        let whole = fs::read(&path).unwrap();
        // Headers lie at both ends; between them is mostly code and padding.
        let is_header = |at: usize| at < 0x200 || at + 0x400 > whole.len();
        let step = if is_long { 1 } else { 41 };
        for at in (0..whole.len()).filter(|at| at % step == 0 || (is_header(*at) && at % 3 == 0)) {
            look_at(&whole[..at]);
            for value in [0, 1, 0x7f, 0xff, whole[at] ^ 0x80] {
                let mut changed = whole.clone();
                changed[at] = value;
                look_at(&changed);
            }
        }
    }
}
