//! What `cargo metadata` says about the workspace around the current directory: the kernel that is meant, and the
//! tests.
//!
//! Without a name on the command line the kernel is, in this order: the binary of the package the
//! user stands in, if that is a kernel's; the one that the workspace names under
//! `[workspace.metadata.freestone] run = "NAME"`; the only package with a binary that is a kernel's; the
//! binary of the package the user stands in; the only package with a binary. A kernel's package depends on
//! freestone, or has a table `[package.metadata.freestone]`.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::boot::settings::{RUN, Settings, Table, WORKSPACE};
use crate::build::cargo::{QUESTION_LIMIT, cargo, run_cargo};
use crate::build::cargo_args::CargoArguments;
use crate::build::package::{Package, table};
use crate::build::program::{Kernel, KernelTests, Program, list};
use crate::build::toolchains;
use crate::status::{Failure, Status};
use crate::supervise::{Output, Stop, Watch};

/// What `cargo metadata` says about the workspace around the current directory.
pub struct Workspace {
    packages: Vec<Package>,
    /// `[workspace.metadata.freestone]`.
    settings: Value,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo about the workspace around the current directory.
    pub fn read(arguments: &CargoArguments, verbose: bool) -> Result<Self, Failure> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        arguments.ask(&mut command);
        let watch = Watch {
            limit: Some(QUESTION_LIMIT),
            stop: Stop::Ask,
            stdout: Output::KeepAll,
            stderr: Output::Keep,
        };
        let outcome = run_cargo(&mut command, &watch, verbose)?;
        if !outcome.is_success() {
            let is_named = arguments.manifest_folder().is_some();
            return Err(no_metadata(is_named, &String::from_utf8_lossy(&outcome.stderr)));
        }
        let mut workspace = serde_json::from_slice(&outcome.stdout)
            .ok()
            .and_then(|metadata| Self::from_json(&metadata))
            .ok_or_else(|| Failure::tool("cargo metadata answered in an unknown form"))?;
        if let Some(folder) = arguments.target_directory() {
            workspace.target_directory = folder;
        }
        Ok(workspace)
    }

    fn from_json(metadata: &Value) -> Option<Self> {
        let packages = metadata["packages"].as_array()?.iter().map(Package::from_json);
        Some(Self {
            packages: packages.collect::<Option<_>>()?,
            settings: table(&metadata["metadata"]),
            target_directory: metadata["target_directory"].as_str()?.into(),
        })
    }

    /// The kernel that is meant by these options of `run`, seen from the folder `here`.
    pub fn kernel(
        &self,
        package: Option<&str>,
        program: Option<&Program>,
        here: &Path,
    ) -> Result<Kernel, Failure> {
        if let Some(name) = package {
            return self.named(name)?.kernel(program);
        }
        if let Some(kernel) = self.default_kernel(program, here)? {
            return Ok(kernel);
        }
        // Boot code of one's own needs no dependency of ours.
        if let Some(package) = self.around(here).filter(|package| package.has(program)) {
            return package.kernel(program);
        }
        let candidates: Vec<_> = self.packages.iter().filter(|p| p.has(program)).collect();
        match candidates[..] {
            [one] => one.kernel(program),
            [] if program.is_some() => Err(Failure::usage(format!(
                "no package here has {} {}",
                match program {
                    Some(Program::Example(_)) => "an example",
                    _ => "a binary",
                },
                program.map_or("", Program::name)
            ))),
            [] => Err(Failure::usage(
                "no package here has a binary; name an ELF file, or a package with -p",
            )),
            _ => Err(Failure::usage(format!(
                "no package here depends on freestone, and several have a binary: {}; choose one with -p",
                list(candidates.iter().map(|package| &package.name))
            ))),
        }
    }

    /// The kernel that is meant if none is named; `None` if no package here is a kernel's.
    pub fn default_kernel(
        &self,
        program: Option<&Program>,
        here: &Path,
    ) -> Result<Option<Kernel>, Failure> {
        let may_be = |package: &Package| match program {
            Some(Program::Example(_)) => package.has(program),
            _ => package.is_kernel(None),
        };
        if let Some(package) = self.around(here).filter(|package| may_be(package)) {
            return package.kernel(program).map(Some);
        }
        match &self.settings[RUN] {
            Value::Null => {}
            Value::String(name) => return self.named(name)?.kernel(program).map(Some),
            other => {
                return Err(Failure::usage(format!(
                    "{WORKSPACE}: {RUN} is {other}; it may be the name of a package"
                )));
            }
        }
        let candidates: Vec<_> =
            self.packages.iter().filter(|package| package.is_kernel(program)).collect();
        match candidates[..] {
            [] => Ok(None),
            [one] => one.kernel(program).map(Some),
            _ => Err(Failure::usage(format!(
                "several kernels here: {}; choose one with -p, \
                 or set run = \"NAME\" under [workspace.metadata.freestone]",
                list(candidates.iter().map(|package| &package.name))
            ))),
        }
    }

    /// What the user says to cargo, as far as it is for this package: see [`CargoArguments::with_features`].
    pub fn arguments_for(&self, package: &str, all: &CargoArguments) -> CargoArguments {
        let Ok(package) = self.named(package) else { return all.clone() };
        all.with_features(|feature| match feature.split_once('/') {
            Some((other, _)) => {
                let other = other.trim_end_matches('?');
                other == package.name || package.dependencies.iter().any(|name| name == other)
            }
            None => package.features.iter().any(|name| name == feature),
        })
    }

    /// The kernel of this package, `None` if it has none.
    pub fn kernel_of(
        &self,
        package: &str,
        program: Option<&Program>,
    ) -> Result<Option<Kernel>, Failure> {
        let package = self.named(package)?;
        let is_meant = package.is_kernel(None) || program.is_some();
        is_meant.then(|| package.kernel(program)).transpose()
    }

    /// What the manifests set for the kernels of a package.
    pub fn settings(&self, package: &str) -> Result<Settings, Failure> {
        self.settings_of(self.named(package)?)
    }

    /// The same for the package whose folder holds `here`.
    pub fn settings_around(&self, here: &Path) -> Result<Settings, Failure> {
        self.around(here).map_or(Ok(Settings::default()), |package| self.settings_of(package))
    }

    fn settings_of(&self, package: &Package) -> Result<Settings, Failure> {
        let name = format!("[package.metadata.freestone] of {}", package.name);
        Settings::of(&[
            Table { name, values: &package.settings },
            Table { name: WORKSPACE.into(), values: &self.settings },
        ])
    }

    /// Tests that run inside a kernel, of one package or of all.
    pub fn kernel_tests(&self, package: Option<&str>) -> Result<Vec<KernelTests>, Failure> {
        package.map(|name| self.named(name)).transpose()?;
        let chosen = self.packages.iter().filter(|p| package.is_none_or(|name| p.name == name));
        let tests = chosen.filter(|package| !package.kernel_tests.is_empty());
        Ok(tests
            .map(|p| KernelTests {
                package: p.name.clone(),
                targets: p.kernel_tests.clone(),
                are_cargos: p.on_host.is_some(),
            })
            .collect())
    }

    /// What `cargo test` is told, once for each list, to run all tests on the host, of one package or of all.
    ///
    /// # Errors
    ///
    /// Test programs for the host beside a kernel whose own tests cargo builds: with them cargo builds the kernel, and
    /// for a program that unwinds no kernel can be built.
    pub fn host_tests(&self, package: Option<&str>) -> Result<Vec<Vec<String>>, Failure> {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let is_mixed = |package: &&Package| package.on_host.is_some();
        let mut all = Vec::new();
        let mixed: Vec<&Package> = match package {
            Some(name) => {
                let package = self.packages.iter().find(|one| one.name == name);
                let mixed = package.filter(is_mixed);
                if mixed.is_none() {
                    all.push(words(&["-p", name]));
                }
                mixed.into_iter().collect()
            }
            None => {
                let mixed: Vec<_> = self.packages.iter().filter(is_mixed).collect();
                if mixed.len() < self.packages.len() {
                    let mut rest = words(&["--workspace"]);
                    rest.extend(mixed.iter().flat_map(|one| words(&["--exclude", &one.name])));
                    all.push(rest);
                }
                mixed
            }
        };
        for package in mixed {
            for targets in package.on_host.iter().flatten() {
                let test = targets.iter().skip_while(|word| *word != "--test").nth(1);
                if let Some(test) = test.filter(|_| !package.bins.is_empty()) {
                    return Err(Failure::usage(format!(
                        "package {}: the test {test} would run on the host, which cannot be beside a kernel whose tests plain \
                         cargo builds: for one inside the kernel write harness = false, else move it to a package of its own",
                        package.name
                    )));
                }
                all.push([words(&["-p", &package.name]), targets.clone()].concat());
            }
        }
        Ok(all)
    }

    /// The longer tests on the host, of one package or of all: packages with their test targets.
    pub fn full_tests(&self, package: Option<&str>) -> Vec<(&str, &[String])> {
        let chosen = self.packages.iter().filter(|p| package.is_none_or(|name| p.name == name));
        let full = chosen.filter(|package| !package.full_tests.is_empty());
        full.map(|package| (package.name.as_str(), package.full_tests.as_slice())).collect()
    }

    /// The package of this name; cargo takes `NAME@VERSION`, too.
    fn named(&self, name: &str) -> Result<&Package, Failure> {
        let plain = name.split_once('@').map_or(name, |(name, _version)| name);
        self.packages.iter().find(|package| package.name == plain).ok_or_else(|| {
            let kernels = self.packages.iter().filter(|p| p.is_kernel(None)).map(|p| &p.name);
            Failure::usage(format!(
                "no package {name} in this workspace; kernels here: {}",
                list(kernels)
            ))
        })
    }

    /// The package whose folder holds `here`; the innermost, for packages do nest.
    fn around(&self, here: &Path) -> Option<&Package> {
        let real = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let here = real(here);
        let holders =
            self.packages.iter().filter(|package| here.starts_with(real(&package.folder)));
        holders.max_by_key(|package| package.folder.components().count())
    }
}

/// A folder without a package is a question of where the user stands, a broken one cargo's affair.
fn no_metadata(is_named: bool, stderr: &str) -> Failure {
    let here = env::current_dir().unwrap_or_default();
    if is_named || here.ancestors().any(|folder| folder.join("Cargo.toml").exists()) {
        return Failure::new(
            Status::Build,
            match toolchains::too_old() {
                Some(why) => format!("cargo cannot read this workspace: {why}"),
                None => format!("cargo cannot read this workspace:\n{}", stderr.trim_end()),
            },
        );
    }
    Failure::usage("no Cargo.toml here or above; name an ELF file, or go to a kernel's folder")
}

#[cfg(test)]
mod tests;
