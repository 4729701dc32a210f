//! One package of a workspace, as far as this tool needs it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build::program::FULL;
use crate::build::program::{Kernel, Program, list};
use crate::status::Failure;

/// Who depends on one of these is a kernel.
const KIT: [&str; 2] = ["freestone", "freestone-rt"];

/// Who depends on this one has tests that run inside a kernel.
const HARNESS: &str = "freestone-harness";

pub struct Package {
    pub name: String,
    pub folder: PathBuf,
    pub bins: Vec<String>,
    pub examples: Vec<String>,
    pub default_run: Option<String>,
    /// Whether what is built from it is likely to be a kernel.
    pub is_kernels: bool,
    /// `[package.metadata.freestone]`.
    pub settings: Value,
    /// Its own features, and whose it can turn on.
    pub features: Vec<String>,
    pub dependencies: Vec<String>,
    /// Test targets that run inside a kernel.
    pub kernel_tests: Vec<String>,
    /// Cargo's words for all that it would test on the host, if those are among it.
    pub on_host: Option<Vec<Vec<String>>>,
    /// Test targets that need the feature of the longer tests.
    pub full_tests: Vec<String>,
}

impl Package {
    pub fn from_json(package: &Value) -> Option<Self> {
        let is_kit = |d: &Value| d["name"].as_str().is_some_and(|name| KIT.contains(&name));
        // `kind` is null for what the program itself is linked with, else "dev" or "build".
        let uses = |d: &Value| is_kit(d) && d["kind"].is_null();
        let targets = package["targets"].as_array()?.iter();
        let programs = |kind| {
            let all = targets.clone().filter(|target| is_program(target, kind));
            all.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect()
        };
        let (bins, examples) = (programs("bin"), programs("example"));
        let dependencies = package["dependencies"].as_array()?;
        let has_harness = dependencies.iter().any(|d| d["name"] == HARNESS);
        let is_full = |target: &&Value| {
            let required = target["required-features"].as_array();
            required.is_some_and(|all| all.iter().any(|feature| feature == FULL))
        };
        let full_tests = targets
            .clone()
            .filter(|target| has_kind(target, "test") && is_full(target))
            .filter_map(|target| target["name"].as_str());
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let without_libtest = if has_harness { without_libtest(manifest) } else { Vec::new() };
        let is_without =
            |target: &&Value| without_libtest.iter().any(|name| target["name"] == **name);
        let is_inside = |target: &&Value| {
            let is_left_alone = target["test"] == false;
            has_harness && has_kind(target, "test") && (is_left_alone || is_without(target))
        };
        let kernel_tests =
            targets.clone().filter(is_inside).filter_map(|target| target["name"].as_str());
        let is_tested = |target: &&Value| target["test"] != false;
        let on_host = targets
            .clone()
            .any(|target| is_inside(&target) && is_tested(&target))
            .then(|| on_host(targets.filter(|target| !is_inside(target))));
        Some(Self {
            name: package["name"].as_str()?.into(),
            folder: manifest.parent()?.into(),
            bins,
            examples,
            default_run: package["default_run"].as_str().map(str::to_owned),
            is_kernels: dependencies.iter().any(uses)
                || !package["metadata"]["freestone"].is_null(),
            settings: table(&package["metadata"]),
            features: package["features"]
                .as_object()
                .map_or_else(Vec::new, |all| all.keys().cloned().collect()),
            // The name that the manifest gives it counts.
            dependencies: dependencies
                .iter()
                .filter_map(|d| d["rename"].as_str().or(d["name"].as_str()).map(str::to_owned))
                .collect(),
            kernel_tests: kernel_tests.map(str::to_owned).collect(),
            full_tests: full_tests.map(str::to_owned).collect(),
            on_host,
        })
    }

    /// Whether this has the program asked for, or any binary.
    pub fn has(&self, program: Option<&Program>) -> bool {
        match program {
            None => !self.bins.is_empty(),
            Some(Program::Bin(bin)) => self.bins.contains(bin),
            Some(Program::Example(example)) => self.examples.contains(example),
        }
    }

    /// Whether this is a kernel, and has the program asked for. An example's dependencies may be those of tests.
    pub fn is_kernel(&self, program: Option<&Program>) -> bool {
        (self.is_kernels || matches!(program, Some(Program::Example(_)))) && self.has(program)
    }

    pub fn kernel(&self, program: Option<&Program>) -> Result<Kernel, Failure> {
        let name = &self.name;
        let wrong = |message: String| Err(Failure::usage(message));
        let default = || self.default_run.clone().map(Program::Bin);
        let program = match (program.cloned().or_else(default), &self.bins[..]) {
            (Some(program), _) if self.has(Some(&program)) => program,
            (Some(Program::Example(example)), _) => {
                let examples = list(self.examples.iter());
                return wrong(format!(
                    "package {name} has no example {example}; it has: {examples}"
                ));
            }
            (_, []) => return wrong(format!("package {name} has no binary")),
            (None, [one]) => Program::Bin(one.clone()),
            (Some(Program::Bin(bin)), bins) => {
                let bins = list(bins.iter());
                return wrong(format!("package {name} has no binary {bin}; it has: {bins}"));
            }
            (None, bins) => {
                let bins = list(bins.iter());
                return wrong(format!(
                    "package {name} has several binaries; choose one with --bin: {bins}"
                ));
            }
        };
        Ok(Kernel { package: name.clone(), program })
    }
}

/// What a manifest holds for us, a table if all is well.
pub fn table(metadata: &Value) -> Value {
    metadata["freestone"].clone()
}

pub fn has_kind(target: &Value, kind: &str) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
}

/// The test targets of a manifest that bring a harness of their own, which is what cargo does not tell.
fn without_libtest(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let tests = table.get("test").and_then(toml::Value::as_array);
    let has_own =
        |test: &&toml::Value| test.get("harness").and_then(toml::Value::as_bool) == Some(false);
    let own = tests.into_iter().flatten().filter(has_own);
    own.filter_map(|test| test.get("name")?.as_str().map(str::to_owned)).collect()
}

/// What chooses these targets of a package in `cargo test`: programs and library by name, examples of code apart, as
/// cargo wants it.
fn on_host<'a>(targets: impl Iterator<Item = &'a Value> + Clone) -> Vec<Vec<String>> {
    let tested = targets.clone().filter(|target| target["test"] != false);
    let choose = |target: &Value| {
        let name = target["name"].as_str()?.to_owned();
        let named = ["test", "bin", "example", "bench"].iter().find(|kind| has_kind(target, kind));
        match named {
            Some(kind) => Some(vec![format!("--{kind}"), name]),
            None => (!has_kind(target, "custom-build")).then(|| vec!["--lib".into()]),
        }
    };
    let chosen: Vec<String> = tested.filter_map(choose).flatten().collect();
    let has_examples = targets.clone().any(|target| target["doctest"] == true);
    let examples = has_examples.then(|| vec!["--doc".to_owned()]);
    [chosen].into_iter().filter(|words| !words.is_empty()).chain(examples).collect()
}

/// An example may be a library instead.
fn is_program(target: &Value, kind: &str) -> bool {
    let is_one = target["crate_types"].as_array().is_none_or(|all| all.iter().any(|t| t == "bin"));
    has_kind(target, kind) && is_one
}
