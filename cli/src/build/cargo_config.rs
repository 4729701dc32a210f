//! Cargo's configuration, as far as this tool needs it: cargo has no stable command that prints it.
//!
//! The strongest first: `--config`, the last one before the others; the environment; the files of this folder and of
//! those above; the user's own. For a value the strongest counts; lists are joined, as cargo does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::cargo_args::CargoArguments;
use crate::foreign::Shown as _;
use crate::status::Failure;

/// How deep files may include each other.
const INCLUDES: usize = 8;

/// What cargo's configuration says.
#[derive(Debug, Default)]
pub struct Config {
    /// The strongest first.
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    /// What a message calls it.
    name: String,
    /// What relative paths in it start from.
    base: PathBuf,
    table: toml::Table,
}

impl Config {
    /// As cargo would read it in this folder.
    pub fn read(arguments: &CargoArguments) -> Self {
        let mut all = Self::default();
        for given in arguments.config().rev() {
            let file = Path::new(given);
            match file.is_file() {
                true => all.add_file(file, 0),
                false => all.add("--config", PathBuf::new(), &given.to_string_lossy()),
            }
        }
        for file in files() {
            all.add_file(&file, 0);
        }
        all
    }

    /// A file, and behind it those that it includes, which are weaker.
    fn add_file(&mut self, file: &Path, depth: usize) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = file.parent().unwrap_or(Path::new("/"));
        let base = folder.parent().unwrap_or(folder).to_owned();
        self.add(&file.shown().to_string(), base, &text);
        let included = self.sources.last().and_then(|source| source.table.get("include"));
        let list = match included {
            Some(toml::Value::Array(list)) => list.clone(),
            Some(one) => vec![one.clone()],
            None => return,
        };
        for include in list.iter().rev().filter(|_| depth < INCLUDES) {
            let path = include.as_str().or_else(|| include.get("path")?.as_str());
            if let Some(path) = path {
                self.add_file(&folder.join(path), depth + 1);
            }
        }
    }

    /// What is wrong with a text, cargo says.
    fn add(&mut self, name: &str, base: PathBuf, text: &str) {
        let table = text.parse().unwrap_or_default();
        self.sources.push(Source { name: name.to_owned(), base, table });
    }

    /// The strongest value of `[build]`; with what relative paths in it start from.
    fn build(&self, key: &str, variable: &str) -> Option<(String, PathBuf, toml::Value)> {
        let found = |source: &Source| {
            let value = source.table.get("build")?.get(key)?.clone();
            Some((source.name.clone(), source.base.clone(), value))
        };
        let is_given = |source: &&Source| source.name == "--config";
        let from_environment = || {
            let value = env::var(variable).ok()?;
            Some((variable.to_owned(), PathBuf::new(), toml::Value::String(value)))
        };
        let given = self.sources.iter().filter(is_given).find_map(found);
        given.or_else(from_environment).or_else(|| self.sources.iter().find_map(found))
    }

    /// The target that cargo builds for when it is not told another: with who says so.
    pub fn target(&self) -> Result<Option<(String, String)>, Failure> {
        let Some((name, base, value)) = self.build("target", "CARGO_BUILD_TARGET") else {
            return Ok(None);
        };
        let target = match &value {
            toml::Value::String(target) => target.as_str(),
            toml::Value::Array(_) => match &self.joined_targets()[..] {
                [] => return Ok(None),
                [target] => target,
                all => {
                    return Err(Failure::usage(format!(
                        "{name}: build.target has several targets, and a kernel is built for one: choose it by \
                         --target: {}",
                        all.join(", ")
                    )));
                }
            },
            _ => return Ok(None),
        };
        if target.is_empty() {
            return Ok(None);
        }
        let target = match target.ends_with(".json") {
            true => base.join(target).to_string_lossy().into_owned(),
            false => target.to_owned(),
        };
        Ok(Some((name, target)))
    }

    fn joined_targets<'a>(&'a self) -> Vec<&'a str> {
        let list = |source: &'a Source| source.table.get("build")?.get("target")?.as_array();
        let lists = self.sources.iter().filter_map(list);
        lists.flatten().filter_map(toml::Value::as_str).collect()
    }

    /// The compiler that is named there.
    pub fn rustc(&self) -> Option<OsString> {
        let (_, base, value) = self.build("rustc", "CARGO_BUILD_RUSTC")?;
        let rustc = value.as_str().filter(|rustc| !rustc.is_empty())?;
        // A name alone is looked for on PATH.
        Some(match rustc.contains('/') {
            true => base.join(rustc).into(),
            false => rustc.into(),
        })
    }

    /// The compiler flags in it; or which of them are no list, to which others can be added.
    pub fn rustflags(&self) -> Result<Rustflags, Failure> {
        let mut all = Rustflags::default();
        for Source { name, table, .. } in &self.sources {
            all.add(table).map_err(|table| {
                Failure::usage(format!(
                    "{name}: the rustflags of [{table}] are one string, to which nothing can be added; \
                     write them as a list: rustflags = [\"…\", \"…\"]"
                ))
            })?;
        }
        for (name, value) in env::vars_os() {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            let list = match &*name {
                "CARGO_BUILD_RUSTFLAGS" => &mut all.build,
                _ if name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS") => {
                    &mut all.target
                }
                _ => continue,
            };
            list.extend(value.split_whitespace().map(str::to_owned));
        }
        Ok(all)
    }
}

/// Compiler flags, by where they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rustflags {
    /// `build.rustflags`
    pub build: Vec<String>,
    /// `target.….rustflags` of every target, this one or not.
    pub target: Vec<String>,
}

impl Rustflags {
    /// Adds what is in a source; or the name of a table whose flags are no list.
    fn add(&mut self, source: &toml::Table) -> Result<(), String> {
        let flags = |table: &toml::Value, name: &str| match table.get("rustflags") {
            None => Ok(Vec::new()),
            Some(toml::Value::Array(list)) => {
                Ok(list.iter().filter_map(|flag| flag.as_str().map(str::to_owned)).collect())
            }
            Some(_) => Err(name.to_owned()),
        };
        if let Some(build) = source.get("build") {
            self.build.extend(flags(build, "build")?);
        }
        for (name, table) in
            source.get("target").and_then(toml::Value::as_table).into_iter().flatten()
        {
            self.target.extend(flags(table, &format!("target.{name}"))?);
        }
        Ok(())
    }
}

/// Cargo's configuration files for this folder: its own, those of the folders above, and the user's.
fn files() -> Vec<PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let folders = here.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let mut files = Vec::new();
    for folder in folders {
        // The old name wins, if both are there.
        let names = ["config", "config.toml"].map(OsStr::new);
        let file = names.map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
        // The user's folder may be one of those above.
        files.extend(file.filter(|file| !files.contains(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sources: &[(&str, &str, &str)]) -> Config {
        let mut all = Config::default();
        for (name, base, text) in sources {
            all.add(name, base.into(), text);
        }
        all
    }

    #[test]
    fn flags_are_found_in_both_tables_of_a_file() {
        let read = |text: &str| {
            let mut all = Rustflags::default();
            all.add(&text.parse().unwrap_or_default()).map(|()| (all.build, all.target))
        };
        let list = |flags: &[&str]| flags.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>();
        assert_eq!(read("[build]\nrustflags = ['-O', '-g']"), Ok((list(&["-O", "-g"]), list(&[]))));
        let targets = "[target.a]\nrustflags = ['x']\n[target.'cfg(unix)']\nrustflags = ['y']";
        assert_eq!(read(targets), Ok((list(&[]), list(&["x", "y"]))));
        assert_eq!(
            read("[target.a]\nrunner = 'r'\n[alias]\nb = 'build'"),
            Ok((list(&[]), list(&[])))
        );
        assert_eq!(read("[build]\nrustflags = '-O -g'"), Err("build".into()));
        assert_eq!(read("no toml ["), Ok((list(&[]), list(&[]))));
        assert_eq!(read("build.rustflags=['-O']"), Ok((list(&["-O"]), list(&[]))));
    }

    #[test]
    fn the_strongest_target_counts_and_paths_start_where_they_are_written() {
        let target = |sources: &[(&str, &str, &str)]| match config(sources).target() {
            Ok(found) => found.map_or_else(String::new, |(_, target)| target),
            Err(failure) => failure.message,
        };
        let file = ("/w/.cargo/config.toml", "/w", "[build]\ntarget = 'a.json'");
        assert_eq!(target(&[]), "");
        assert_eq!(target(&[file]), "/w/a.json");
        assert_eq!(target(&[("--config", "", "build.target='b'"), file]), "b");
        assert_eq!(target(&[("f", "/", "build.target=['b']"), file]), "b");
        let several = target(&[("f", "/", "build.target=['b', 'c']"), file]);
        assert!(several.starts_with("f: build.target has several targets"), "{several}");
        let list = ("g", "/", "build.target=['c']");
        assert!(target(&[("f", "/", "build.target=['b']"), list]).ends_with(": b, c"));
        assert_eq!(target(&[("f", "/", "build.target=[]")]), "");
        assert_eq!(target(&[("f", "/", "no toml [")]), "");
    }
}
