//! How a kernel is built: with which compiler, for which target, with which `core`.
//!
//! | mode | target | where `core` comes from |
//! |---|---|---|
//! | host | `x86_64-unknown-linux-gnu` | the toolchain's own, as for every program |
//! | none | `x86_64-unknown-none` | installed, or a private sysroot, see [`crate::build::sysroot`] |
//! | json | a target file | built with the kernel, with flags that stable refuses |
//!
//! The default is host mode where there is one, because it needs nothing. A line on stderr says what was chosen and why,
//! except for the default.
//!
//! In host mode a plain build takes no flags of ours at all, so the file that `cargo build` leaves in `target/` is
//! the one that runs. In the others the compiler, the flags and the target are put on cargo's command line and
//! in its environment; `--verbose` shows them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::build_args::How;
use crate::build::cargo_args::CargoArguments;
use crate::build::cargo_config::Config;
use crate::build::flags;
use crate::build::sysroot;
use crate::build::target_file;
use crate::build::toolchains::{Linker, Toolchain};
use crate::foreign::Shown as _;
use crate::say;
use crate::status::Failure;
use crate::whole;

/// The target of host mode.
pub const HOST: &str = "x86_64-unknown-linux-gnu";

/// The target of none mode.
const NONE: &str = "x86_64-unknown-none";

/// A decision, to be applied to any number of cargo commands.
#[derive(Clone, Debug)]
pub struct Mode {
    /// One of [`MODES`](crate::build::build_args::MODES).
    pub name: &'static str,
    /// What cargo's `--target` gets; in host mode the name of the host.
    pub target: OsString,
    /// The name by which build scripts know it.
    pub target_name: String,
    /// `None`: whatever cargo takes by itself.
    rustc: Option<PathBuf>,
    flags: Vec<OsString>,
    is_bootstrap: bool,
    /// Whether cargo would build for it without being told, and with its own compiler.
    is_plain: bool,
    /// What else the user says to cargo.
    pub cargo: CargoArguments,
}

impl Mode {
    /// What the options ask for, or else what this machine can do.
    pub fn of(how: &How, target_directory: &Path, verbose: bool) -> Result<Self, Failure> {
        let config = Config::read(&how.cargo);
        let asked = how.target.as_deref().map(real_name);
        let configured = match (how.mode, asked) {
            (None, None) => config.target()?,
            // Even a list of several is no obstacle to who has chosen.
            _ => config.target().unwrap_or_else(|_| Some(Default::default())),
        };
        let target = match (&configured, how.mode, asked) {
            (Some((who, target)), None, None) => {
                let target = real_name(target);
                if target != HOST {
                    say!("target: {target}, as {who} says");
                }
                Some(target)
            }
            _ => asked,
        };
        let mut mode = Self::chosen(how, target, &config, target_directory, verbose)?;
        let is_cargos = configured.is_none_or(|(_, target)| real_name(&target) == HOST);
        mode.is_plain = mode.name == "host" && mode.rustc.is_none() && is_cargos;
        mode.cargo = how.cargo.clone();
        Ok(mode)
    }

    /// The same with other arguments for cargo.
    pub fn with(self, cargo: CargoArguments) -> Self {
        Self { cargo, ..self }
    }

    /// For the archive, which is no part of the user's workspace.
    pub fn without_configuration(
        how: &How,
        target_directory: &Path,
        verbose: bool,
    ) -> Result<Self, Failure> {
        let config = Config::read(&CargoArguments::default());
        Self::chosen(how, how.target.as_deref(), &config, target_directory, verbose)
    }

    fn chosen(
        how: &How,
        target: Option<&str>,
        config: &Config,
        target_directory: &Path,
        verbose: bool,
    ) -> Result<Self, Failure> {
        let named = sysroot::named(how.toolchain.as_deref())?;
        let name = match (how.mode, target) {
            (Some("json"), Some(target)) if !is_file(target) => {
                return Err(Failure::usage(format!(
                    "--mode json wants a target file (*.json), not the built-in target {target}"
                )));
            }
            (Some(mode @ ("host" | "none")), Some(target)) if is_file(target) => {
                return Err(Failure::usage(format!(
                    "--mode {mode} does not go with a target file"
                )));
            }
            (Some("host"), Some(target)) if target != HOST => {
                return Err(Failure::usage(format!(
                    "--mode host builds for {HOST} only, not {target}"
                )));
            }
            (Some("none"), Some(HOST)) => {
                return Err(Failure::usage(format!("{HOST} is the target of --mode host")));
            }
            (Some(wish), _) => wish,
            (None, Some(HOST)) => "host",
            (None, Some(target)) if is_file(target) => "json",
            (None, Some(_)) => "none",
            (None, None) if cfg!(all(target_arch = "x86_64", target_os = "linux")) => "host",
            (None, None) => "none",
        };
        flags::must_work(name, HOST, named.as_ref(), config)?;
        match name {
            "host" => Self::host(named, how.mode.is_some() || how.target.is_some()),
            "none" => Self::none(named, target.unwrap_or(NONE), verbose),
            _ => Self::json(named, target, target_directory),
        }
    }

    /// For the one target whose floats are integers to the calling convention.
    pub fn soft(how: &How, verbose: bool) -> Result<Self, Failure> {
        Self::none(sysroot::named(how.toolchain.as_deref())?, NONE, verbose)
    }

    fn host(named: Option<Toolchain>, is_asked_for: bool) -> Result<Self, Failure> {
        if let Some(toolchain) = &named {
            toolchain.is_new_enough().map_err(Failure::usage)?;
        }
        if is_asked_for || named.is_some() {
            let who = named.as_ref().map_or("the toolchain in use", |t| &t.name);
            say!("mode: host, with {who}'s own core for {HOST}");
        }
        Ok(Self {
            name: "host",
            target: HOST.into(),
            target_name: HOST.into(),
            rustc: named.map(|t| t.rustc),
            flags: Vec::new(),
            is_bootstrap: false,
            is_plain: false,
            cargo: CargoArguments::default(),
        })
    }

    /// Takes what is there; builds what can be built; and says what is missing.
    fn none(named: Option<Toolchain>, target: &str, verbose: bool) -> Result<Self, Failure> {
        let candidates = named.map_or_else(Toolchain::all, |toolchain| vec![toolchain]);
        let usable: Vec<_> = candidates.iter().filter(|t| t.is_new_enough().is_ok()).collect();
        let installed = usable.iter().find(|t| t.has_core(target));
        let prepared = || usable.iter().find(|t| sysroot::ready(t, target).is_some());
        let buildable = || usable.iter().find(|t| t.source().is_ok());
        let (toolchain, sysroot) = if let Some(toolchain) = installed {
            say!("mode: none, {target} is installed in {}", toolchain.name);
            (toolchain, None)
        } else if let Some(toolchain) = prepared().or_else(buildable) {
            let folder = sysroot::ensure(toolchain, target, verbose)?;
            let (name, release) = (&toolchain.name, &toolchain.release);
            say!("mode: none, core for {target} was built from the source of {name} ({release})");
            (toolchain, Some(folder))
        } else {
            let cure = |t: &Toolchain| format!("get core for it with: {}", t.cure(target));
            return Err(nothing_can(&candidates, target, cure));
        };
        let mut flags = Vec::new();
        if let Some(folder) = sysroot {
            let mut flag = OsString::from("--sysroot=");
            flag.push(folder);
            flags.push(flag);
        }
        flags.extend(linker(toolchain)?);
        Ok(Self {
            name: "none",
            target: target.into(),
            target_name: target.into(),
            rustc: Some(toolchain.rustc.clone()),
            flags,
            is_bootstrap: false,
            is_plain: false,
            cargo: CargoArguments::default(),
        })
    }

    fn json(
        named: Option<Toolchain>,
        target: Option<&str>,
        target_directory: &Path,
    ) -> Result<Self, Failure> {
        let path = match target {
            Some(path) => std::path::absolute(path)
                .ok()
                .filter(|path| path.is_file())
                .ok_or_else(|| Failure::usage(format!("{path}: there is no such target file")))?,
            None => own_target_file(target_directory)?,
        };
        let target_name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let candidates = named.map_or_else(Toolchain::all, |toolchain| vec![toolchain]);
        let toolchain = accepting(&candidates, &path)?;
        let name = &toolchain.name;
        say!("mode: json, {} with core built beside it by {name}", path.shown());
        Ok(Self {
            name: "json",
            target: path.into(),
            target_name,
            rustc: Some(toolchain.rustc.clone()),
            flags: linker(toolchain)?,
            is_bootstrap: true,
            is_plain: false,
            cargo: CargoArguments::default(),
        })
    }

    /// Makes `command`, a cargo command with its verb, build in this mode, with `extra` compiler flags, and with all
    /// that the user says to cargo. Where plain `cargo build` does what this mode wants, nothing else is added.
    pub fn apply(
        &self,
        command: &mut Command,
        target_directory: &Path,
        extra: &[OsString],
    ) -> Result<(), Failure> {
        self.cargo.build(command, self.is_bootstrap);
        if self.is_plain && extra.is_empty() {
            return Ok(());
        }
        command.arg("--target").arg(&self.target);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        if self.is_bootstrap {
            // In a folder of its own: cargo does not see that this variable changed, and would hand
            // what was built with it to a later build without.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.args(["-Zjson-target-spec", "-Zbuild-std=core,alloc"]);
            // Or tests would be built for unwinding, and `core` twice.
            command.args(["-Zpanic-abort-tests", "--target-dir"]);
            command.arg(target_directory.join("freestone/json"));
        }
        let ours = self.flags(extra);
        match ours.is_empty() {
            true => Ok(()),
            false => flags::add(command, &ours, &Config::read(&self.cargo)),
        }
    }

    /// This mode's compiler flags, and `extra` ones.
    pub fn flags<'a>(&'a self, extra: &'a [OsString]) -> Vec<&'a OsStr> {
        self.flags.iter().chain(extra).map(OsString::as_os_str).collect()
    }
}

/// Cargo has a name for the target of whatever host it runs on.
fn real_name(target: &str) -> &str {
    if target == "host-tuple" { HOST } else { target }
}

fn is_file(target: &str) -> bool {
    target.ends_with(".json")
}

fn linker(toolchain: &Toolchain) -> Result<Vec<OsString>, Failure> {
    let linker = toolchain.linker().map_err(Failure::tool)?;
    Ok(linker.as_ref().map(Linker::flags).unwrap_or_default())
}

/// Our target file, put where cargo can read it.
fn own_target_file(target_directory: &Path) -> Result<PathBuf, Failure> {
    let path = target_directory.join("freestone/x86_64-freestone.json");
    let fail = |error| Failure::tool(format!("{}: {error}", path.shown()));
    fs::create_dir_all(path.parent().expect("it was joined to one")).map_err(fail)?;
    if fs::read_to_string(&path).ok().as_deref() != Some(freestone_targets::X86_64_JSON) {
        // Whole: another build may read it just now.
        whole::write(&path, freestone_targets::X86_64_JSON).map_err(fail)?;
    }
    Ok(path)
}

/// The first toolchain that has the library's source and takes this target file; or what each has against it.
fn accepting<'a>(candidates: &'a [Toolchain], path: &Path) -> Result<&'a Toolchain, Failure> {
    let shown = path.shown();
    let usable = candidates.iter().filter(|t| t.is_new_enough().is_ok() && t.source().is_ok());
    let mut refusals = String::new();
    for toolchain in usable {
        match target_file::accepted(toolchain, path) {
            Ok(()) => return Ok(toolchain),
            Err(why) => {
                let (name, release) = (&toolchain.name, &toolchain.release);
                refusals.push_str(&format!("\n  {name} ({release}): {why}"));
            }
        }
    }
    if !refusals.is_empty() {
        return Err(Failure::usage(format!("{shown} is not for the toolchains here:{refusals}")));
    }
    let cure = |t: &Toolchain| format!("get the library's source with: {}", t.source_cure());
    Err(nothing_can(candidates, &shown.to_string(), cure))
}

/// Every toolchain with its reason and its cure.
fn nothing_can(
    candidates: &[Toolchain],
    target: &str,
    cure: impl Fn(&Toolchain) -> String,
) -> Failure {
    let mut message = format!("no toolchain here can build for {target}:");
    for toolchain in candidates {
        let line = toolchain.is_new_enough().err().unwrap_or_else(|| cure(toolchain));
        message.push_str(&format!("\n  {}: {line}", toolchain.name));
    }
    if candidates.is_empty() {
        return sysroot::no_rust();
    }
    Failure::tool(message)
}
