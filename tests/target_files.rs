//! The target files against compilers: their schema, the specifications of their built-in targets, and
//! whether they accept a file. The tables of `targets/README.md` are compared with the results.
//!
//! Statements about 1.96 are tested with a compiler of that release; without one (Debian's `rustc-web`) they are skipped, with a
//! message.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use freestone_tests::{Ended, Scratch, root, run, tool};
use serde_json::{Map, Value};

/// A file's machine, and the built-in target that it follows.
const FILES: [(&str, &str); 4] = [
    ("x86_64", "x86_64-unknown-none"),
    ("aarch64", "aarch64-unknown-none-softfloat"),
    ("riscv64", "riscv64gc-unknown-none-elf"),
    ("i686", "i686-unknown-linux-gnu"),
];

/// The release that the table of keys is about.
const RELEASE: &str = "1.96";

type Keys = Map<String, Value>;

fn file(machine: &str) -> Keys {
    let path = root().join(format!("targets/{machine}-freestone.json"));
    let text = fs::read_to_string(path).expect("it is there");
    serde_json::from_str(&text).expect("an object")
}

/// Compilers of this machine: path and release, such as `1.96`.
fn compilers() -> Vec<(String, String)> {
    let found = run(tool().args(["doctor", "--json"]));
    let answer: Value = serde_json::from_str(&found.stdout).expect("a line of JSON");
    let toolchains = answer["toolchains"].as_array().expect("a documented key");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let short = |release: String| release.split('.').take(2).collect::<Vec<_>>().join(".");
    toolchains.iter().map(|t| (text(&t["rustc"]), short(text(&t["release"])))).collect()
}

fn compiler() -> Option<String> {
    let found = compilers().into_iter().find(|(_, release)| release == RELEASE);
    if found.is_none() {
        println!("SKIPPED: no compiler {RELEASE} here. On Debian: apt-get install rustc-web");
    }
    found.map(|(rustc, _)| rustc)
}

fn ask(rustc: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(rustc);
    run(command.env("RUSTC_BOOTSTRAP", "1").arg("-Zunstable-options").args(arguments))
}

fn is_taken(rustc: &str, keys: &Keys, machine: &str, scratch: &Scratch) -> bool {
    let name = format!("{machine}-freestone.json");
    scratch.write(&name, &Value::Object(keys.clone()).to_string());
    let path = scratch.path().join(name).display().to_string();
    ask(rustc, &["--print", "cfg", "--target", &path]).status == Some(0)
}

/// As much of JSON Schema (draft 2020-12) as rustc's has; what it has not is a failure, not a pass.
fn agrees(value: &Value, schema: &Value, whole: &Value) -> Result<(), String> {
    for (word, wanted) in schema.as_object().ok_or("a schema that is no object")? {
        let listed = || wanted.as_array().cloned().unwrap_or_default();
        let passing = || listed().iter().filter(|one| agrees(value, one, whole).is_ok()).count();
        let is_right = match word.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().unwrap_or_default().trim_start_matches('#');
                agrees(value, whole.pointer(pointer).ok_or("a lost reference")?, whole)?;
                true
            }
            "type" => match wanted {
                Value::String(name) => has_type(value, name),
                _ => listed().iter().any(|name| has_type(value, name.as_str().unwrap_or_default())),
            },
            "anyOf" => passing() >= 1,
            "oneOf" => passing() == 1,
            "enum" => listed().contains(value),
            "const" => wanted == value,
            "minimum" => value.as_u64() >= wanted.as_u64() || value.is_null(),
            "maximum" => value.as_u64() <= wanted.as_u64(),
            "required" => {
                listed().iter().all(|key| value.get(key.as_str().unwrap_or_default()).is_some())
            }
            "properties" => {
                for (key, schema) in wanted.as_object().into_iter().flatten() {
                    if let Some(value) = value.get(key) {
                        agrees(value, schema, whole).map_err(|why| format!("{key}: {why}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().map(Map::keys);
                let known: BTreeSet<_> = known.into_iter().flatten().collect();
                let all =
                    value.as_object().into_iter().flat_map(Map::keys).collect::<BTreeSet<_>>();
                wanted != &Value::Bool(false) || all.is_subset(&known)
            }
            "$schema" | "title" | "description" | "$defs" | "format" => true,
            other => return Err(format!("the schema has {other}, which is not known here")),
        };
        if !is_right {
            return Err(format!("{value} is not of {word} {wanted}"));
        }
    }
    Ok(())
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => false,
    }
}

#[test]
fn each_file_agrees_with_the_compilers_schema() {
    for (rustc, release) in compilers() {
        let printed = ask(&rustc, &["--print", "target-spec-json-schema"]);
        let schema: Value = serde_json::from_str(&printed.stdout).expect("a schema");
        for (machine, _) in FILES {
            let keys = Value::Object(file(machine));
            assert_eq!(agrees(&keys, &schema, &schema), Ok(()), "{machine}, {release}");
        }
        // And it does tell right from wrong.
        let mut keys = file("x86_64");
        keys.insert("is-builtin".into(), true.into());
        assert!(agrees(&Value::Object(keys), &schema, &schema).is_err());
        let mut keys = file("x86_64");
        keys.insert("target-pointer-width".into(), "64".into());
        assert!(agrees(&Value::Object(keys), &schema, &schema).is_err());
        let mut keys = file("x86_64");
        keys.insert("code-model".into(), "kernels".into());
        assert!(agrees(&Value::Object(keys), &schema, &schema).is_err());
        let mut keys = file("x86_64");
        keys.remove("arch");
        assert!(agrees(&Value::Object(keys), &schema, &schema).is_err());
    }
}

/// The cells of the README's table with this heading in front.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("targets/README.md")).expect("it is there");
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no table {heading:?}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

#[test]
fn the_readme_says_which_release_takes_which_file() {
    let scratch = Scratch::new("target-files");
    let releases = ["1.95", "1.96", "1.97"];
    let rows = table("| file | 1.95 | 1.96 | 1.97 |");
    assert_eq!(rows.len(), FILES.len());
    for (rustc, release) in compilers() {
        let Some(column) = releases.iter().position(|known| *known == release) else { continue };
        for (row, (machine, _)) in rows.iter().zip(FILES) {
            assert_eq!(row[0], format!("{machine}-freestone.json"));
            let answer =
                if is_taken(&rustc, &file(machine), machine, &scratch) { "yes" } else { "no" };
            assert_eq!(row[column + 1], answer, "{machine}, {release}");
        }
    }
}

#[test]
fn the_readme_says_why_each_key_stands_and_what_is_left_out() {
    let Some(rustc) = compiler() else { return };
    let scratch = Scratch::new("target-keys");
    let rows = table("| key | x86_64 | aarch64 | riscv64 | i686 | without it | why |");
    let readme = fs::read_to_string(root().join("targets/README.md")).expect("it is there");
    let left_out = readme.split_once("Left out of what").expect("the paragraph").1;
    let mut told = BTreeSet::new();
    let files = FILES.map(|(machine, target)| {
        let printed = ask(&rustc, &["--print", "target-spec-json", "--target", target]);
        let built_in: Keys = serde_json::from_str(&printed.stdout).expect("an object");
        (machine, target, file(machine), built_in)
    });
    for row in &rows {
        let key = &row[0];
        assert!(told.insert(key.clone()), "{key} stands twice");
        let mut is_refused = false;
        for ((machine, _, keys, built_in), cell) in files.iter().zip(&row[1..]) {
            let is = match keys.get(key) {
                None => "-",
                Some(value) if built_in.get(key) == Some(value) => "same",
                Some(_) => "own",
            };
            assert_eq!(cell, is, "{key} of {machine}");
            if is != "-" {
                let mut without = keys.clone();
                without.remove(key);
                is_refused |= !is_taken(&rustc, &without, machine, &scratch);
            }
        }
        assert_eq!(row[5], if is_refused { "refused" } else { "accepted" }, "without {key}");
        assert!(row[6].len() > 10, "why {key}?");
    }
    for (machine, target, keys, built_in) in &files {
        for key in keys.keys() {
            assert!(told.contains(key), "{machine}: {key} is in no row");
        }
        // A hosted target has much that is about its system.
        for key in
            built_in.keys().filter(|key| !keys.contains_key(*key) && !target.contains("linux"))
        {
            assert!(
                left_out.contains(&format!("`{key}`")),
                "{machine}: no word of why {key} is left out"
            );
        }
    }
}
