//! `cargo freestone archive`: `libfreestone.a` and its header, for kernels in C and other languages.
//!
//! Built from a small package made for it, without a red zone, and then cut down: rustc puts all of core
//! and compiler_builtins into such an archive, and those were compiled with a red zone. Only what the C names of our
//! crates use is kept. The names are made weak, so that a kernel's own definition of a name is used instead of ours and does
//! not collide with it.
//!
//! The promises are checked in the finished machine code, before any file is written: no
//! red zone, nothing undefined, and for the soft ABI no vector register.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use freestone_inspect::disassembly::{self, Links};
use freestone_inspect::elf::{Machine, Object};
use freestone_inspect::symbol::{Binding, Symbol, Visibility};
use freestone_inspect::{File, names};
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use serde_json::json;

use crate::args::{Telling, one_of};
use crate::boot::install::find_program;
use crate::build::advice;
use crate::build::build_args::{How, MODE, MODES, TARGET, toolchain};
use crate::build::cargo;
use crate::build::crates_here;
use crate::build::flags;
use crate::build::mode::Mode;
use crate::foreign::{self, Shown as _};
use crate::status::{Failure, Status};
use crate::supervise::{self, Output, Stop, Watch};
use crate::tell;
use crate::unfinished::Unfinished;
use crate::verbs::new::{Checkout, filled};
use crate::whole;

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What goes to the user.
const ARCHIVE: &str = "libfreestone.a";
const HEADER: (&str, &str) = ("freestone.h", include_str!("../../templates/archive/freestone.h"));

/// What the header includes, and has in its own text when it goes to the user: the list is a link to freestone-math's.
const INCLUDED: (&str, &str) =
    ("#include \"exports.h\"\n", include_str!("../../templates/archive/exports.h"));

/// The package it is built from.
const FILES: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("../../templates/archive/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../templates/archive/lib.rs")),
];

/// Whose members the C names are in. Link-time optimisation puts them under the name of the package,
/// but for crates that must not be optimised into calls of themselves.
const CRATES: [&str; 3] = ["freestone_c", "freestone_math", "freestone_mem"];

/// Floats as integers.
const SOFT: &str = "soft";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("archive")
        .about("Build libfreestone.a and its header, for kernels in C")
        .arg(
            Arg::new("abi")
                .long("abi")
                .value_name("ABI")
                .value_parser(one_of(&["host", SOFT]))
                .help("How floats are passed: in vector registers, or as integers [default: host]"),
        )
        .arg(
            Arg::new(TARGET)
                .long("target")
                .value_name("TARGET")
                .conflicts_with("abi")
                .help("Build for this target, with its ABI"),
        )
        .arg(Arg::new(MODE).long("mode").hide(true).value_parser(one_of(&MODES)))
        .arg(toolchain())
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value("freestone-c")
                .help("Where to put the two files"),
        )
        .arg(Checkout::arg())
        .args(Telling::args("Print one line of JSON instead of text"))
}

/// What was given.
struct Arguments {
    is_soft: bool,
    how: How,
    out: PathBuf,
    checkout: Checkout,
    telling: Telling,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    archive(&Arguments {
        is_soft: matches.get_one("abi") == Some(&SOFT),
        how: How::from(matches),
        out: matches.get_one("out").cloned().expect("has a default"),
        checkout: Checkout::from(matches),
        telling: Telling::from(matches),
    })
}

fn archive(arguments: &Arguments) -> Result<Status, Failure> {
    let Arguments { out, how, .. } = arguments;
    let Telling { json, verbose } = arguments.telling;
    let out = std::path::absolute(out).map_err(|error| unwritable(out, &error))?;
    let scratch = Unfinished::folder_in(&out).map_err(|error| unwritable(&out, &error))?;
    let scratch = scratch.path();
    let mode = match arguments.is_soft {
        true => Mode::soft(how, verbose)?,
        false => Mode::without_configuration(how, scratch, verbose)?,
    };
    let ar = ar()?;
    let checkout = arguments.checkout.folder()?;
    for (name, text) in FILES {
        write(&scratch.join(name), filled(text, "", checkout.as_deref()))?;
    }
    let built = build(&mode, scratch, checkout.as_deref(), verbose)?;
    let file = File::open(&built).map_err(|error| Failure::tool(error.to_string()))?;
    let members = needed(&file)?;
    let proof = prove(&members)?;
    let folder = scratch.join("members");
    let mut paths = Vec::new();
    for (number, object) in members.iter().enumerate() {
        let path = folder.join(format!("{number:03}-{}.o", object.crate_name().unwrap_or("core")));
        let bytes = weakened(object.bytes()).ok_or_else(|| broken(object))?;
        write(&path, bytes)?;
        paths.push(path);
    }
    let packed = pack(&ar, scratch, &paths)?;
    let header = HEADER.1.replace(INCLUDED.0, INCLUDED.1);
    for (name, content) in [(ARCHIVE, packed.as_slice()), (HEADER.0, header.as_bytes())] {
        let path = out.join(name);
        whole::write(&path, content).map_err(|error| unwritable(&path, &error))?;
    }
    match json {
        true => tell!(
            "{}",
            foreign::json(
                &json!({ "archive": out.join(ARCHIVE).to_string_lossy(), "header": out.join(HEADER.0).to_string_lossy(),
                "target": mode.target_name, "names": proof.names, "functions": proof.functions,
                "red_zone": proof.is_disassembled.then_some(0),
                "vector": proof.is_disassembled.then_some(proof.vector) })
            )
        ),
        false => {
            tell!("{}", out.join(ARCHIVE).shown());
            tell!("{}", out.join(HEADER.0).shown());
            tell!("{proof}");
        }
    }
    if mode.target_name == "x86_64-unknown-none" && proof.vector > 0 {
        return Err(Failure::new(Status::Failed, "soft-float code uses vector registers"));
    }
    Ok(Status::Success)
}

/// What was found in the machine code.
struct Proof {
    names: usize,
    functions: usize,
    vector: usize,
    is_disassembled: bool,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { names, functions, vector, is_disassembled } = self;
        write!(f, "{names} names, {functions} functions: nothing undefined")?;
        match is_disassembled {
            true => write!(f, ", no red zone, {vector} with vector registers"),
            // Neither Arm's nor RISC-V's calling convention has one.
            false => write!(f, "; the target has no red zone"),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.shown()))
}

fn broken(object: &Object<'_>) -> Failure {
    Failure::tool(format!("{}: rustc made an object that cannot be read", object.name()))
}

/// A file of the folder that the archive is built in.
fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    let folder = path.parent().expect("it was joined to one");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, content));
    written.map_err(|error| unwritable(path, &error))
}

fn ar() -> Result<PathBuf, Failure> {
    let found = ["ar", "llvm-ar"].iter().find_map(|name| find_program(Path::new(name)));
    found.ok_or_else(|| {
        Failure::tool("neither ar nor llvm-ar is on PATH (Debian: apt-get install binutils)")
    })
}

fn build(
    mode: &Mode,
    scratch: &Path,
    checkout: Option<&Path>,
    verbose: bool,
) -> Result<PathBuf, Failure> {
    let missing = crates_here::lock(scratch, checkout)?;
    let target_directory = scratch.join("target");
    let mut command = cargo::cargo();
    command.current_dir(scratch).env("CARGO_TARGET_DIR", &target_directory);
    command.args(["build", "--release"]);
    if missing.is_none() {
        command.arg("--offline");
    }
    // Only ours count: the archive is to be what was proved, whatever the user builds kernels with.
    let extra = ["-Cno-redzone=yes", "-Cforce-unwind-tables=no"].map(Into::into);
    mode.apply(&mut command, &target_directory, &extra)?;
    command.env("CARGO_ENCODED_RUSTFLAGS", flags::only(&mode.flags(&extra)));
    let why = missing.map(|missing| format!("; {}", crates_here::advice(checkout, &missing)));
    let what = format!("could not build the archive{}", why.unwrap_or_default());
    advice::build(&mut command, LIMIT, None, &what, verbose)?;
    Ok(target_directory.join(&mode.target_name).join("release/libfreestone_c.a"))
}

/// The members that our crates' C names reach, ours first.
fn needed(file: &File) -> Result<Vec<Object<'_>>, Failure> {
    let fail = |error: freestone_inspect::Error| Failure::tool(error.to_string());
    let all: Vec<_> = file.objects().map_err(fail)?.collect::<Result<_, _>>().map_err(fail)?;
    let mut definers = BTreeMap::new();
    // Strong definitions win, and of equals the first: as a linker has it.
    for is_weak_too in [false, true] {
        for (index, object) in all.iter().enumerate() {
            for symbol in object.symbols().iter().filter(|symbol| symbol.is_provided()) {
                let is_strong = symbol.binding == Binding::Global;
                if is_strong || is_weak_too {
                    definers.entry(symbol.name.to_string()).or_insert(index);
                }
            }
        }
    }
    let is_ours =
        |object: &Object<'_>| object.crate_name().is_some_and(|name| CRATES.contains(&name));
    let mut chosen: Vec<_> = (0..all.len()).filter(|index| is_ours(&all[*index])).collect();
    let mut seen: BTreeSet<_> = chosen.iter().copied().collect();
    let mut next = 0;
    while next < chosen.len() {
        for symbol in all[chosen[next]].symbols().iter().filter(|symbol| symbol.is_undefined()) {
            match definers.get(&*symbol.name) {
                Some(index) if seen.insert(*index) => chosen.push(*index),
                Some(_) => {}
                None if symbol.name.is_empty() || symbol.name == "_GLOBAL_OFFSET_TABLE_" => {}
                None => {
                    let name = names::demangled(&symbol.name);
                    let message =
                        format!("nobody defines {name}, which {} wants", all[chosen[next]].name());
                    return Err(Failure::new(Status::Failed, message));
                }
            }
        }
        next += 1;
    }
    let mut all: Vec<_> = all.into_iter().map(Some).collect();
    Ok(chosen.into_iter().filter_map(|index| all[index].take()).collect())
}

/// A C name that others can link to.
fn is_public(symbol: &Symbol<'_>) -> bool {
    symbol.is_provided()
        && symbol.visibility == Visibility::Default
        && symbol.demangled() == symbol.name
}

fn prove(members: &[Object<'_>]) -> Result<Proof, Failure> {
    let mut proof = Proof { names: 0, functions: 0, vector: 0, is_disassembled: true };
    for object in members {
        let public = object.symbols().iter().filter(|s| is_public(s));
        proof.names += public.count();
        proof.is_disassembled &= object.machine == Machine::X86_64;
        for function in object.functions() {
            proof.functions += 1;
            if object.machine != Machine::X86_64 {
                continue;
            }
            let facts = disassembly::facts(&function, &Links::of(object, function.section));
            if facts.red_zone.is_any() || facts.red_zone_doubtful.is_any() {
                let message = format!("{} in {} uses the red zone", function.name, object.name());
                return Err(Failure::new(Status::Failed, message));
            }
            proof.vector += usize::from(facts.vector.is_any());
        }
    }
    Ok(proof)
}

/// The object with its global definitions made weak, and without bitcode, which linkers with a plugin for
/// LLVM would take for all there is. `None` if it is not a 64-bit little-endian one.
fn weakened(bytes: &[u8]) -> Option<Vec<u8>> {
    type Header = elf::FileHeader64<LittleEndian>;
    /// Of `Elf64_Sym`: its size; st_info is at 4, st_shndx at 6 (System V ABI, "Symbol Table").
    const SYMBOL: usize = 24;
    /// Of `Elf64_Shdr`: its size; sh_name is at 0, sh_type at 4 ("Sections").
    const SECTION: usize = 64;
    let mut patched = bytes.to_vec();
    let header = Header::parse(bytes).ok()?;
    let sections = header.sections(LittleEndian, bytes).ok()?;
    let headers = usize::try_from(header.e_shoff(LittleEndian)).ok()?;
    for (index, section) in sections.iter().enumerate() {
        let name = sections.section_name(LittleEndian, section).ok()?;
        if [&b".llvmbc"[..], b".llvmcmd"].contains(&name) {
            let start = headers + index * SECTION;
            // No name, and SHT_NULL: as if it were not there.
            patched.get_mut(start..start + 8)?.fill(0);
        }
        if section.sh_type(LittleEndian) != elf::SHT_SYMTAB {
            continue;
        }
        let (offset, len) = section.file_range(LittleEndian)?;
        let table =
            usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(len)?).ok()?;
        for symbol in patched.get_mut(table)?.chunks_exact_mut(SYMBOL) {
            let is_defined = symbol[6..8] != [0, 0];
            let (binding, kind) = (symbol[4] >> 4, symbol[4] & 0xf);
            if is_defined && binding == elf::STB_GLOBAL.0 {
                symbol[4] = elf::STB_WEAK.0 << 4 | kind;
            }
        }
    }
    Some(patched)
}

/// The archive of these members.
fn pack(ar: &Path, scratch: &Path, members: &[PathBuf]) -> Result<Vec<u8>, Failure> {
    let fresh = scratch.join(ARCHIVE);
    let mut command = process::Command::new(ar);
    command.stdin(process::Stdio::null()).arg("rcs").arg(&fresh).args(members);
    let watch =
        Watch { limit: Some(LIMIT), stop: Stop::Ask, stdout: Output::Keep, stderr: Output::Keep };
    let outcome = supervise::run(&mut command, &watch).map_err(|error| unwritable(ar, &error))?;
    if !outcome.is_success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr).trim_end().to_owned();
        return Err(Failure::tool(format!("ar: {complaint}")));
    }
    fs::read(&fresh).map_err(|error| unwritable(&fresh, &error))
}
