//! The link contract: every symbol that core and alloc need is provided, by our crates or, by design, by the
//! kernel. It is derived from the installed toolchain; `contract/` holds the last accepted result.
//!
//! `FREESTONE_BLESS=1 cargo test -p freestone-tests --test contract` writes those files anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Scratch, cargo, long, root, run, tool};
use serde_json::Value;

/// The names in the list that began it (rust-lang/rust#27200, July 2015), as far as the stored text of the
/// issue goes, and what was left after its first clean-up (#27823, August 2015).
const IN_2015: [&str; 25] = [
    "__morestack",
    "__powidf2",
    "__powisf2",
    "ceil",
    "ceilf",
    "exp",
    "exp2",
    "exp2f",
    "expf",
    "floor",
    "floorf",
    "fma",
    "fmaf",
    "fmod",
    "fmodf",
    "log",
    "log10",
    "log10f",
    "log2",
    "log2f",
    "logf",
    "memcmp",
    "memcpy",
    "memset",
    "rust_eh_personality",
];
const AFTER_27823: [&str; 9] = [
    "__powidf2",
    "__powisf2",
    "fmod",
    "fmodf",
    "memcmp",
    "memcpy",
    "memset",
    "rust_begin_unwind",
    "rust_eh_personality",
];

/// The release of the installed compiler, such as `1.95.0`.
fn release() -> String {
    let version = run(Command::new("rustc").arg("-vV")).stdout;
    let release = version.lines().find_map(|line| line.strip_prefix("release: "));
    release.expect("rustc -vV tells its release").to_owned()
}

fn document(markdown: &str, wanted: &BTreeSet<&str>) -> String {
    let mark = |yes| if yes { "yes" } else { "" };
    let names: BTreeSet<_> = IN_2015.iter().chain(&AFTER_27823).chain(wanted).collect();
    let rows: String = names
        .iter()
        .map(|name| {
            let columns =
                [IN_2015.contains(name), AFTER_27823.contains(name), wanted.contains(*name)];
            format!("| `{name}` | {} |\n", columns.map(mark).join(" | "))
        })
        .collect();
    format!(
        "# What core and alloc want of a kernel\n\n\
         Rust {} for `x86_64-unknown-linux-gnu`, as installed by rustup. Made by tests/contract.rs from\n\
         `cargo freestone symbols --markdown`; do not edit.\n\n{markdown}\n\
         ## Then and now\n\n\
         The list that began it is rust-lang/rust#27200 of July 2015; #27823 shortened it a month later. (The\n\
         first column ends where the stored text of the issue does.)\n\n\
         | symbol | July 2015 | August 2015 | today |\n|---|---|---|---|\n{rows}",
        release()
    )
}

#[test]
fn the_committed_table_is_what_this_toolchain_says() {
    let path = root().join(format!("tests/contract/x86_64-unknown-linux-gnu-{}.md", release()));
    let shown = run(tool().args(["symbols", "--markdown"]));
    assert_eq!(shown.status, Some(0), "{shown}");
    let symbols =
        shown.stdout.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let wanted: BTreeSet<_> =
        symbols.map(|symbol| symbol.strip_prefix("__rustc::").unwrap_or(symbol)).collect();
    let document = document(&shown.stdout, &wanted);
    if env::var_os("FREESTONE_BLESS").is_some() {
        fs::write(&path, &document).expect("the folder is there");
    }
    match fs::read_to_string(&path) {
        Ok(committed) => assert_eq!(committed, document, "{} is not up to date", path.display()),
        // A toolchain nobody has looked at yet is no defect of ours; the coverage test below is about it.
        Err(_) => println!("no table for this toolchain: {}\n{document}", path.display()),
    }
}

/// The targets whose core is built from source: by name, or a target file of ours; and whether that is quick enough
/// for each time.
const BUILT: [(&str, bool); 5] = [
    ("x86_64-unknown-none", true),
    ("aarch64-unknown-none", true),
    ("aarch64-unknown-none-softfloat", false),
    ("riscv64gc-unknown-none-elf", true),
    ("i686-freestone.json", false),
];

/// The last one is what `cargo freestone sysroot` builds at.
const LEVELS: [&str; 3] = ["0", "s", "3"];

/// A symbol's row: what is said of it, and at which levels it is wanted.
#[derive(Default, PartialEq, Eq, Debug)]
struct Wanted {
    by: BTreeSet<String>,
    provider: String,
    also: String,
    levels: BTreeSet<&'static str>,
}

/// What `cargo freestone symbols` says of these libraries, added to the rows.
fn add(rows: &mut BTreeMap<String, Wanted>, arguments: &[&str], level: &'static str) {
    let shown = run(tool().args(["symbols", "--json"]).args(arguments)).expect(0, &["{"]);
    let answer: Value = serde_json::from_str(&shown.stdout).expect("a line of JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for symbol in answer["symbols"].as_array().expect("a documented key") {
        let row = rows.entry(text(&symbol["symbol"])).or_default();
        row.by.extend(symbol["wanted_by"].as_array().into_iter().flatten().map(text));
        row.provider = text(&symbol["provider"]);
        row.also = text(&symbol["compiler_builtins"]);
        row.levels.insert(level);
        is_provided(symbol);
    }
}

/// Builds core and alloc for a target at a level, as `cargo freestone sysroot` does, and says where they are.
fn core_at(level: &str, target: &str, rustc: &str, scratch: &Scratch) -> PathBuf {
    scratch.write(
        "Cargo.toml",
        "[package]\nname = \"stub\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
         [profile.release]\npanic = \"abort\"\ncodegen-units = 1\n",
    );
    scratch.write("lib.rs", "#![no_std]\n");
    let mut command = cargo(scratch.path());
    command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_TARGET_DIR");
    let level_json = format!("{level:?}").replace("\"0\"", "0").replace("\"3\"", "3");
    command.args(["build", "--quiet", "--release", "-Zbuild-std=core,alloc", "-Zjson-target-spec"]);
    command.args(["--config", &format!("profile.release.opt-level={level_json}"), "--target"]);
    match target.strip_suffix(".json") {
        Some(_) => command.arg(root().join("targets").join(target)),
        None => command.arg(target),
    };
    let built = run(command.arg("--target-dir").arg(scratch.path().join(level)));
    assert_eq!(built.status, Some(0), "{target}, level {level}: {built}");
    let name = target.trim_end_matches(".json");
    scratch.path().join(level).join(name).join("release/deps")
}

fn levels_document(target: &str, release: &str, rows: &BTreeMap<String, Wanted>) -> String {
    let row = |(symbol, wanted): (&String, &Wanted)| {
        let by = wanted.by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let also = match wanted.also.as_str() {
            "weak" => "compiler_builtins (weak)",
            "strong" => "compiler_builtins",
            _ => "",
        };
        let levels = LEVELS.map(|level| if wanted.levels.contains(level) { "yes" } else { "" });
        format!("| `{symbol}` | {by} | {} | {also} | {} |\n", wanted.provider, levels.join(" | "))
    };
    format!(
        "# What core and alloc want of a kernel\n\n\
         Rust {release} for `{target}`, built from its source at three levels of optimisation. Made by\n\
         tests/contract.rs with `FREESTONE_LONG=1 FREESTONE_BLESS=1`; do not edit.\n\n\
         | symbol | wanted by | provided by | also in | level 0 | s | 3 |\n|---|---|---|---|---|---|---|\n{}",
        rows.iter().map(row).collect::<String>()
    )
}

fn levels_path(target: &str, release: &str) -> PathBuf {
    root().join(format!("tests/contract/{}-{release}.md", target.trim_end_matches(".json")))
}

/// All levels take minutes to build.
#[test]
fn long_the_committed_tables_are_what_core_says_at_each_level() {
    if !long() {
        return;
    }
    let Some(core) = sysroot("x86_64-unknown-none") else { return };
    for (target, _) in BUILT {
        let scratch = Scratch::new(&format!("contract-{target}"));
        let mut rows = BTreeMap::new();
        for level in LEVELS {
            let folder = core_at(level, target, core.rustc(), &scratch);
            add(&mut rows, &["--libraries", &folder.display().to_string()], level);
        }
        let document = levels_document(target, core.release(), &rows);
        let path = levels_path(target, core.release());
        if env::var_os("FREESTONE_BLESS").is_some() {
            fs::write(&path, &document).expect("the folder is there");
        }
        match fs::read_to_string(&path) {
            Ok(committed) => {
                assert_eq!(committed, document, "{} is not up to date", path.display())
            }
            Err(_) => println!("no table for this toolchain: {}\n{document}", path.display()),
        }
    }
}

/// What sysroots are built at, each time.
#[test]
fn the_committed_tables_are_what_a_built_core_says() {
    for (target, _) in BUILT.iter().filter(|(_, is_quick)| *is_quick) {
        let Some(core) = sysroot(target) else { return };
        let mut rows = BTreeMap::new();
        add(&mut rows, &["--target", target], "3");
        assert!(rows.len() > 5, "core wants next to nothing: {rows:?}");
        let Ok(committed) = fs::read_to_string(levels_path(target, core.release())) else {
            println!("no table for this toolchain: {target}, {}", core.release());
            continue;
        };
        let at_3 =
            committed.lines().filter(|line| line.starts_with("| `") && line.ends_with(" yes |"));
        let at_3: BTreeSet<_> = at_3.filter_map(|line| line.split('`').nth(1)).collect();
        let found: BTreeSet<_> = rows.keys().map(String::as_str).collect();
        assert_eq!(at_3, found, "{target}: not up to date");
    }
}

#[test]
fn every_symbol_is_provided_by_us_or_by_design() {
    provided(&["symbols", "--json"], 10);
}

/// Every symbol that is wanted, and more than `least` are.
fn provided(arguments: &[&str], least: usize) {
    let shown = run(tool().args(arguments));
    assert_eq!(shown.status, Some(0), "{shown}");
    let symbols: Value = serde_json::from_str(&shown.stdout).expect("--json prints JSON");
    let symbols = symbols["symbols"].as_array().expect("a list");
    assert!(symbols.len() > least, "core and alloc want more than that: {symbols:?}");
    symbols.iter().for_each(is_provided);
}

/// By us, or by what every kernel has of its own.
fn is_provided(row: &Value) {
    let provider = row["provider"].as_str().unwrap_or_default();
    let ours = ["freestone-mem", "freestone-math", "freestone-rt"].contains(&provider);
    let by_design = ["#[panic_handler]", "#[global_allocator]"].contains(&provider);
    assert!(ours || by_design, "left to others: {row}");
}

#[test]
fn the_shims_that_inspect_knows_are_those_of_rt() {
    assert_eq!(freestone_inspect::contract::SHIMS, freestone_rt::shims::EXPORTS);
}

/// What a build of a kernel made: the libraries, ours and what they use; the kernel's own objects; the
/// linker script.
struct Built {
    libraries: Vec<PathBuf>,
    objects: Vec<PathBuf>,
    script: PathBuf,
}

fn build(package: &str, folder: &Path, opt_level: &str) -> Built {
    let mut command = cargo(root());
    command.args(["rustc", "--release", "-p", package, "--message-format=json", "--target-dir"]);
    command.arg(folder).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level);
    // Keeps the kernel's objects, the one that the compiler makes for the allocator among them.
    let built = run(command.args(["--", "-Csave-temps"]));
    assert_eq!(built.status, Some(0), "{built}");
    let mut result = Built { libraries: Vec::new(), objects: Vec::new(), script: PathBuf::new() };
    for line in built.stdout.lines() {
        let message: Value = serde_json::from_str(line).expect("cargo prints JSON");
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        result.libraries.extend(files.filter(|file| file.ends_with(".rlib")).map(PathBuf::from));
        if let Some(out) = message["out_dir"].as_str()
            && Path::new(out).join("kernel.ld").exists()
        {
            result.script = Path::new(out).join("kernel.ld");
        }
    }
    let deps = fs::read_dir(folder.join("release/deps")).expect("cargo built into it").flatten();
    let is_object = |path: &PathBuf| path.to_string_lossy().ends_with(".rcgu.o");
    result.objects.extend(deps.map(|entry| entry.path()).filter(is_object));
    assert!(!result.objects.is_empty(), "no objects of the kernel");
    result
}

/// The linker script, changed to keep every function of core and alloc, whoever calls it.
fn keeping_core_whole(script: &Path, folder: &Path) -> PathBuf {
    let text = fs::read_to_string(script).expect("the build wrote it");
    let code = ".text : { ";
    assert_eq!(text.matches(code).count(), 1, "the linker script changed");
    let keep = |name: &str| format!("KEEP(*lib{name}-*.rlib:*(.text .text.*)) ");
    let whole = folder.join("whole.ld");
    let kept = text.replace(code, &format!("{code}{}{}", keep("core"), keep("alloc")));
    fs::write(&whole, kept).expect("the folder is writable");
    whole
}

/// Links core and alloc whole, a kernel's objects, and our crates; not compiler_builtins.
fn link(built: &Built, folder: &Path, without: Option<&str>) -> freestone_tests::Ended {
    let toolchain = run(Command::new("rustc").args(["--print", "target-libdir"])).stdout;
    let library = |name: &str| {
        let all =
            fs::read_dir(toolchain.trim_end()).expect("the toolchain has libraries").flatten();
        let begin = format!("lib{name}-");
        let found = all.map(|entry| entry.path()).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&begin) && name.ends_with(".rlib")
        });
        found.unwrap_or_else(|| panic!("no {name} in {toolchain}"))
    };
    let mut command = Command::new("cc");
    command.args(["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--gc-sections"]);
    command.args(["-Wl,-z,norelro", "-T"]).arg(keeping_core_whole(&built.script, folder));
    command.args(&built.objects);
    command.arg("-Wl,--whole-archive").arg(library("core")).arg(library("alloc"));
    command.args(["-Wl,--no-whole-archive", "-Wl,--start-group"]);
    let kept = built.libraries.iter().filter(|path| {
        without.is_none_or(|name| !path.to_string_lossy().contains(&format!("lib{name}-")))
    });
    run(command.args(kept).arg("-Wl,--end-group").arg("-o").arg(folder.join("image")))
}

#[test]
fn core_and_alloc_linked_whole_need_nothing_but_our_crates() {
    for opt_level in ["0", "s", "3"] {
        let scratch = Scratch::new(&format!("whole-{opt_level}"));
        let built = build("example-kernel", scratch.path(), opt_level);
        let linked = link(&built, scratch.path(), None);
        assert_eq!(linked.status, Some(0), "opt-level {opt_level}\n{linked}");

        // Whole it is: with what the kernel uses of core alone the image is less than half as large.
        let bytes = fs::metadata(scratch.path().join("image")).expect("linked").len();
        assert!(bytes > 400_000, "only {bytes} bytes: core is not whole");

        // The same link must fail without a crate that it needs, or it proves nothing.
        for (name, symbol) in [("freestone_mem", "memcpy"), ("freestone_math", "__udivti3")] {
            let linked = link(&built, scratch.path(), Some(name));
            assert_ne!(linked.status, Some(0), "links without {name}");
            assert!(linked.stderr.contains(symbol), "no word of {symbol}\n{linked}");
        }
    }
}
