//! Reading what this machine has: the toolchain's own libraries and this test program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::symbols::{Binding, Place, Table};
use freestone_inspect::{File, Kind, Problem};

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
