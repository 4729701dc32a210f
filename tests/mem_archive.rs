//! `freestone-mem` as an archive: its code is disassembled, in every build a kernel can choose.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use freestone_inspect::disassembly::{self, Links, Target};
use freestone_inspect::{File, Function, symbols};
use freestone_tests::{Scratch, cargo, root, run};

/// All that may be said against an archive of the six: an empty list is the proof.
#[derive(Default)]
struct Verdict {
    complaints: Vec<String>,
    /// Code bytes of each exported function.
    sizes: BTreeMap<String, usize>,
    uses_vectors: bool,
}

fn exports() -> Vec<&'static str> {
    include_str!("../mem/exports.txt").lines().collect()
}

/// Reads every function of an archive or object file.
fn judge(path: &Path) -> Verdict {
    let exports = exports();
    let file = File::open(path).expect("it was just built");
    let mut verdict = Verdict::default();
    // Who goes to whom, by the names that are not C's: our own.
    let mut edges = BTreeMap::<String, Vec<String>>::new();
    for object in file.objects().expect("an archive or an object") {
        let object = object.expect("a readable object");
        let functions: Vec<_> = object.functions().collect();
        for function in &functions {
            let facts = disassembly::facts(function, &Links::of(&object, function.section));
            let mut complain = |what: &str| {
                verdict.complaints.push(format!("{}: {what}", function.name));
            };
            let seen = [
                (facts.red_zone.is_any() || facts.red_zone_doubtful.is_any(), "red zone"),
                (facts.direction.is_any(), "std"),
                (facts.x87.is_any(), "x87"),
                (facts.undecodable.is_any(), "undecodable"),
            ];
            seen.iter().filter(|(seen, _)| *seen).for_each(|(_, what)| complain(what));
            verdict.uses_vectors |= facts.vector.is_any();
            for edge in &facts.edges {
                let target = match edge.target {
                    Target::Symbol(index) => object.symbols()[index].name.to_string(),
                    // Within a section the assembler may have settled it already.
                    Target::Address(address) => {
                        let at = |other: &&Function<'_>| {
                            (other.section, other.address) == (function.section, address)
                        };
                        functions.iter().find(at).map_or_else(String::new, |f| f.name.to_string())
                    }
                    Target::Slot(_) => continue,
                };
                if exports.contains(&&*target) {
                    complain(&format!("goes to {target}"));
                }
                for name in function.names() {
                    edges.entry(name.to_owned()).or_default().push(target.clone());
                }
            }
            for name in function.names().filter(|name| exports.contains(name)) {
                verdict.sizes.insert(name.to_owned(), function.code.len());
            }
        }
    }
    for start in edges.keys() {
        let (mut reached, mut seen) = (vec![start], 0);
        while seen < reached.len() {
            for target in edges.get(reached[seen]).into_iter().flatten() {
                if target == start {
                    verdict.complaints.push(format!("{start}: comes back to itself"));
                }
                if !reached.contains(&target) {
                    reached.push(target);
                }
            }
            seen += 1;
        }
    }
    let mut table = symbols::Table::new();
    table.add(&file).expect("the same file");
    verdict.complaints.extend(table.missing().map(|(name, _)| format!("{name}: undefined")));
    verdict
}

/// Builds the archive as a kernel's build does, with a choice and in a profile.
fn archive(scratch: &Scratch, choice: &str, profile: &str) -> PathBuf {
    let folder = scratch.path().join(if choice.is_empty() { "default" } else { choice });
    let mut command = cargo(root());
    command.args(["build", "--quiet", "-p", "freestone-mem", "--features", "export"]);
    command.args(["--profile", profile, "--target-dir"]).arg(&folder);
    if !choice.is_empty() {
        command.env("RUSTFLAGS", format!("--cfg freestone_mem=\"{choice}\""));
    }
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{built}");
    let profile = if profile == "dev" { "debug" } else { profile };
    folder.join(profile).join("libfreestone_mem.rlib")
}

#[test]
fn every_build_exports_the_six_and_none_goes_back_to_them() {
    let scratch = Scratch::new("mem-archive");
    for choice in ["", "small", "sse2", "avx2", "avx512"] {
        for profile in ["dev", "release"] {
            let verdict = judge(&archive(&scratch, choice, profile));
            let name = format!("{choice:?}, {profile}");
            assert_eq!(verdict.complaints, Vec::<String>::new(), "{name}");
            assert_eq!(verdict.sizes.keys().collect::<Vec<_>>(), exports(), "{name}");
            let is_vector = !["", "small"].contains(&choice);
            assert_eq!(verdict.uses_vectors, is_vector, "{name}: vector registers");
            println!("{name}: {:?}", verdict.sizes);
            if choice == "small" {
                // `bcmp` is a second name of `memcmp`.
                let bytes: usize = verdict.sizes.values().sum::<usize>() - verdict.sizes["bcmp"];
                assert_eq!(verdict.sizes["bcmp"], verdict.sizes["memcmp"]);
                assert!(bytes <= 256, "the small bodies have {bytes} bytes");
            }
        }
    }
}

/// Assembles one object file.
fn assemble(scratch: &Scratch, name: &str, source: &str) -> PathBuf {
    let path = scratch.path().join(name).with_extension("o");
    let mut cc = Command::new("cc")
        .args(["-c", "-x", "assembler", "-", "-o"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("cc, which every Rust toolchain on Linux needs");
    let text = format!(".intel_syntax noprefix\n.text\n{source}\n");
    cc.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("cc reads");
    assert!(cc.wait().expect("cc ends").success(), "{text}");
    path
}

#[test]
fn what_is_wrong_is_found() {
    let scratch = Scratch::new("mem-archive-wrong");
    let function = |name: &str, body: &str| {
        format!(
            ".globl {name}\n.type {name}, @function\n{name}: {body}\n.size {name}, . - {name}\n"
        )
    };
    let cases = [
        ("self-call", function("memcpy", "call memcpy\nret"), "goes to memcpy"),
        // As compilers write it. Without the relocation it would be a loop.
        ("self-jump", function("memset", "jmp memset@PLT"), "goes to memset"),
        (
            "sibling",
            function("memmove", "jmp memcpy") + &function("memcpy", "ret"),
            "goes to memcpy",
        ),
        (
            "circle",
            function("memmove", "jmp ours_copy")
                + &function("ours_copy", "jmp ours_shift")
                + &function("ours_shift", "jmp ours_copy"),
            "comes back to itself",
        ),
        ("red-zone", function("memcmp", "mov [rsp - 8], rdi\nret"), "red zone"),
        ("direction", function("memmove", "std\nrep movsb\ncld\nret"), "std"),
        ("undefined", function("strlen", "jmp something_else"), "undefined"),
    ];
    for (name, source, want) in cases {
        let complaints = judge(&assemble(&scratch, name, &source)).complaints;
        let found = complaints.iter().any(|complaint| complaint.contains(want));
        assert!(found, "{name}: wanted {want:?} among {complaints:?}");
    }
    let vectors = function("bcmp", "pxor xmm0, xmm0\nret");
    assert!(judge(&assemble(&scratch, "vectors", &vectors)).uses_vectors);
    let right = function("strlen", "xor eax, eax\nret");
    let verdict = judge(&assemble(&scratch, "right", &right));
    assert!(verdict.complaints.is_empty() && !verdict.uses_vectors);
}
