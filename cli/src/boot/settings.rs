//! Settings in `Cargo.toml`: `[package.metadata.freestone]` of a kernel's package, and `[workspace.metadata.freestone]` for
//! all kernels of a workspace. Options and environment override them, and a package's settings override its workspace's.
//!
//! | key | value | same as option |
//! |---|---|---|
//! | `machine` | text | `--machine` |
//! | `memory` | MiB | `-m` |
//! | `cores` | number | `--cores` |
//! | `timeout` | seconds, 0: never | `--timeout` |
//! | `qemu-args` | list of texts | `--qemu-arg`, once for each |
//! | `command-line` | text | what follows `--` |
//! | `test-timeout` | seconds for each kernel test, 0: never | `test --timeout` |
//!
//! An unknown key or a wrong value is an error: otherwise a misspelt setting would be ignored in silence.

use std::ffi::OsString;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::boot::machines::MACHINES;
use crate::boot::machines::{CORES, MEMORY};
use crate::spelling::nearest;
use crate::status::Failure;

/// What a package may set.
const KEYS: [&str; 7] =
    ["machine", "memory", "cores", "timeout", "qemu-args", "command-line", "test-timeout"];

/// What only a workspace may: which kernel is meant.
pub const RUN: &str = "run";

/// What messages call its table.
pub const WORKSPACE: &str = "[workspace.metadata.freestone]";

/// A value, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<T> {
    pub value: T,
    pub by: String,
}

impl<T> Asked<T> {
    pub fn new(value: T, by: impl Into<String>) -> Self {
        Self { value, by: by.into() }
    }
}

/// What is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub machine: Option<Asked<String>>,
    pub memory_mib: Option<Asked<u32>>,
    pub cores: Option<Asked<u32>>,
    /// Seconds, 0 for none.
    pub timeout: Option<Asked<u32>>,
    pub qemu_args: Option<Asked<Vec<OsString>>>,
    pub command_line: Option<Asked<OsString>>,
    pub test_timeout: Option<Asked<u32>>,
}

/// A table of a manifest's.
pub struct Table<'a> {
    /// With whose it is: what a message calls it.
    pub name: String,
    /// Null if there is none.
    pub values: &'a Value,
}

impl Settings {
    /// What the tables say, the nearest first.
    pub fn of(tables: &[Table]) -> Result<Self, Failure> {
        for table in tables {
            table.has_known_keys()?;
        }
        // A program gets its arguments with a zero behind each.
        let text =
            |value: &Value| value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned);
        let machine = |value: &Value| text(value).filter(|name| MACHINES.contains(&name.as_str()));
        let in_range = |range: RangeInclusive<u32>| {
            move |value: &Value| {
                let number = u32::try_from(value.as_u64()?).ok()?;
                range.contains(&number).then_some(number)
            }
        };
        let texts = |value: &Value| -> Option<Vec<OsString>> {
            value.as_array()?.iter().map(|one| Some(text(one)?.into())).collect()
        };
        let (cores, memory) = (ranged("a number", CORES), ranged("MiB", MEMORY));
        let seconds = "a number of seconds, or 0 for no limit";
        let any = 0..=u32::MAX;
        Ok(Self {
            machine: first(tables, "machine", &format!("one of {}", MACHINES.join(", ")), machine)?,
            memory_mib: first(tables, "memory", &memory, in_range(MEMORY))?,
            cores: first(tables, "cores", &cores, in_range(CORES))?,
            timeout: first(tables, "timeout", seconds, in_range(any.clone()))?,
            qemu_args: first(tables, "qemu-args", "a list of texts", texts)?,
            command_line: first(tables, "command-line", "a text", |v| text(v).map(Into::into))?,
            test_timeout: first(tables, "test-timeout", seconds, in_range(any))?,
        })
    }
}

fn ranged(what: &str, range: RangeInclusive<u32>) -> String {
    format!("{what} from {} to {}", range.start(), range.end())
}

impl Table<'_> {
    fn has_known_keys(&self) -> Result<(), Failure> {
        let keys = match self.values {
            Value::Null => return Ok(()),
            Value::Object(table) => table.keys(),
            other => {
                return Err(Failure::usage(format!("{}: it is {other}, and no table", self.name)));
            }
        };
        let is_known =
            |key: &&String| KEYS.contains(&key.as_str()) || *key == RUN && self.name == WORKSPACE;
        let Some(key) = keys.into_iter().find(|key| !is_known(key)) else { return Ok(()) };
        let cure = match nearest(key, &KEYS) {
            Some(near) => format!("is {near} meant?"),
            None => format!("there are {}", KEYS.join(", ")),
        };
        Err(Failure::usage(format!("{}: no setting is called `{key}`; {cure}", self.name)))
    }
}

/// The first value under a key. Those that it hides are looked at, too: they count elsewhere.
fn first<T>(
    tables: &[Table],
    key: &str,
    wanted: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<Asked<T>>, Failure> {
    let mut found = None;
    for table in tables.iter().rev() {
        let Some(value) = table.values.get(key) else { continue };
        let name = &table.name;
        let read = read(value).ok_or_else(|| {
            Failure::usage(format!("{name}: {key} is {value}; it may be {wanted}"))
        })?;
        found = Some(Asked::new(read, format!("{key} in {name}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(tables: &[(&str, Value)]) -> Result<Settings, Failure> {
        let table = |(name, values): &(&str, Value)| (name.to_string(), values.clone());
        let all: Vec<_> = tables.iter().map(table).collect();
        let tables: Vec<_> =
            all.iter().map(|(name, values)| Table { name: name.clone(), values }).collect();
        Settings::of(&tables)
    }

    #[test]
    fn the_nearest_table_wins_key_by_key() {
        let near = json!({ "memory": 8, "qemu-args": ["-snapshot"], "command-line": "a  b" });
        let far = json!({ "memory": 16, "machine": "pc", "run": "k" });
        let all = settings(&[("near", near), (WORKSPACE, far)]).expect("good settings");
        assert_eq!(all.memory_mib, Some(Asked::new(8, "memory in near")));
        assert_eq!(
            all.machine,
            Some(Asked::new("pc".into(), "machine in [workspace.metadata.freestone]"))
        );
        assert_eq!(all.qemu_args.map(|args| args.value), Some(vec!["-snapshot".into()]));
        assert_eq!(all.command_line.map(|line| line.value), Some("a  b".into()));
        assert_eq!((all.cores, all.timeout, all.test_timeout), (None, None, None));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (table, cure) in [
            (json!({ "memroy": 8 }), "near: no setting is called `memroy`; is memory meant?"),
            (json!([{ "memory": 8 }]), "no table"),
            (json!("memory"), "no table"),
            (json!({ "run": "k" }), "no setting is called `run`"),
            (json!({ "command-line": "a\0b" }), "a text"),
            (json!({ "colour": 8 }), "there are machine, memory"),
            (json!({ "memory": 1 }), "near: memory is 1; it may be MiB from 2 to"),
            (json!({ "memory": "8" }), "memory is \"8\""),
            (json!({ "machine": "vax" }), "it may be one of microvm, q35, pc"),
            (json!({ "cores": 0 }), "a number from 1 to"),
            (json!({ "timeout": -1 }), "or 0 for no limit"),
            (json!({ "timeout": 1u64 << 32 }), "or 0 for no limit"),
            (json!({ "qemu-args": "-s" }), "a list of texts"),
            (json!({ "command-line": ["a"] }), "a text"),
        ] {
            let why = settings(&[("near", table.clone())]).expect_err("refused").message;
            assert!(why.contains(cure), "{table}: {why}");
            assert!(settings(&[("", json!({})), ("far", table)]).is_err(), "hidden or not");
        }
    }
}
