//! `cargo freestone doctor`: checks whether everything that `run` needs is here, and if not, says what to do.

use std::env;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use crate::args::{self, Telling};
use crate::boot::accel;
use crate::boot::boot_args::{self, BootArgs};
use crate::boot::install;
use crate::boot::kvm;
use crate::boot::machines;
use crate::boot::xen;
use crate::build::cargo_args::CargoArguments;
use crate::build::mode::HOST;
use crate::build::sysroot;
use crate::build::toolchains::{self, NoSource, OLDEST, Toolchain, answer, parse_version};
use crate::build::workspace::Workspace;
use crate::foreign::{self, Shown as _};
use crate::signals;
use crate::status::{Failure, Status};
use crate::tell;
use crate::unfinished::Unfinished;
use crate::verbs::debug;

const RUST_CURE: &str = "install Rust 1.95 or newer from https://rustup.rs, or: rustup update";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("doctor")
        .about("Check that everything is here that `run` needs")
        .arg(boot_args::qemu())
        .arg(args::json("Print one line of JSON instead of text"))
}

/// The answer to one question.
struct Check {
    name: &'static str,
    /// What was found, or what is wrong with it.
    found: Result<String, String>,
    /// What to do if something is wrong.
    cure: String,
}

impl Check {
    fn new(name: &'static str, found: Result<String, String>, cure: impl Into<String>) -> Self {
        Self { name, found, cure: cure.into() }
    }

    fn to_json(&self) -> Value {
        let (found, cure) = match &self.found {
            Ok(found) => (found, None),
            Err(wrong) => (wrong, Some(&self.cure)),
        };
        json!({ "name": self.name, "ok": self.found.is_ok(), "found": found, "cure": cure })
    }
}

/// What was given.
struct Arguments {
    qemu: Option<PathBuf>,
    json: bool,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    doctor(&Arguments { qemu: BootArgs::from(matches).qemu, json: Telling::from(matches).json })
}

fn doctor(Arguments { qemu, json }: &Arguments) -> Result<Status, Failure> {
    let qemu = qemu.as_deref();
    let checks = [
        Check::new("rustc", rustc(), RUST_CURE),
        Check::new("host", host(), format!("build kernels on {HOST}")),
        Check::new("cargo", cargo(), RUST_CURE),
        Check::new(
            "linker",
            linker(),
            "install a C linker (Debian: apt-get install gcc libc6-dev)",
        ),
        Check::new("qemu", qemu_version(qemu), install::cure()),
        Check::new("microvm", microvm(qemu), "install QEMU 5.0 or newer, with the microvm machine"),
        Check::new(
            "target",
            target(),
            "make it writable, or set CARGO_TARGET_DIR to a folder that is",
        ),
    ];
    let notes = [
        ("gdb", gdb()),
        ("kvm", own_kvm()),
        ("xen", xen::XEN.state(machines::XEN)),
        ("nested", kvm::KVM.state(machines::KVM)),
    ];
    let toolchains: Vec<_> = Toolchain::all().iter().map(Abilities::of).collect();
    let status =
        if checks.iter().all(|check| check.found.is_ok()) { Status::Success } else { Status::Tool };
    if let Some(signal) = signals::caught() {
        return Err(Failure::new(Status::of_signal(signal), "interrupted"));
    }
    if *json {
        let checks: Vec<_> = checks.iter().map(Check::to_json).collect();
        tell!(
            "{}",
            foreign::json(&json!({
                "status": status.code(), "checks": checks, "gdb": notes[0].1,
                "kvm": notes[1].1, "xen": notes[2].1, "kvm_nested": notes[3].1,
                "toolchains": toolchains.iter().map(Abilities::to_json).collect::<Vec<_>>(),
            }))
        );
    } else {
        show(&checks, &notes, &toolchains);
    }
    Ok(status)
}

fn show(checks: &[Check], notes: &[(&str, String)], toolchains: &[Abilities]) {
    for Check { name, found, cure } in checks {
        match found {
            Ok(found) => tell!("ok       {name:<8} {found}"),
            Err(wrong) => {
                tell!("missing  {name:<8} {wrong}\n         {:<8} -> {cure}", "")
            }
        };
    }
    for (name, note) in notes {
        tell!("note     {name:<8} {note}");
    }
    tell!("\ntoolchains");
    for Abilities { toolchain, modes } in toolchains {
        tell!("{} ({})", toolchain.name, toolchain.release);
        for (what, answer) in modes {
            match answer {
                Ok(how) => tell!("  yes  {what:<36} {how}"),
                Err(cure) => tell!("  no   {what:<36} -> {cure}"),
            };
        }
    }
}

/// Targets that kernels or library crates are built for.
const TARGETS: [&str; 4] = [
    "x86_64-unknown-none",
    "aarch64-unknown-none",
    "aarch64-unknown-none-softfloat",
    "riscv64gc-unknown-none-elf",
];

/// What a toolchain can build for, with how; or what would help.
struct Abilities {
    toolchain: Toolchain,
    modes: Vec<(String, Result<String, String>)>,
}

impl Abilities {
    fn of(toolchain: &Toolchain) -> Self {
        let mode = |mode: &str, target: &str| format!("{mode:<5}{target}");
        let mut modes = Vec::new();
        if let Err(why) = toolchain.is_new_enough() {
            modes.push((mode("any", ""), Err(format!("{why}; {RUST_CURE}"))));
            return Self { toolchain: toolchain.clone(), modes };
        }
        let host = match toolchain.has_core(HOST) {
            true => Ok("installed".to_owned()),
            false => Err(toolchain.cure(HOST)),
        };
        modes.push((mode("host", HOST), host));
        let source = match toolchain.source() {
            Ok(_) => Ok(()),
            Err(NoSource::Missing) => Err(String::new()),
            Err(NoSource::Other(release)) => Err(format!(" (the source here is {release})")),
        };
        for target in TARGETS {
            let answer = if toolchain.has_core(target) {
                Ok("installed".to_owned())
            } else if sysroot::ready(toolchain, target).is_some() {
                Ok("private sysroot, built".to_owned())
            } else {
                match &source {
                    Ok(()) => Ok(format!("cargo freestone sysroot --target {target}")),
                    Err(note) => Err(format!("{}{note}", toolchain.cure(target))),
                }
            };
            modes.push((mode("none", target), answer));
        }
        let json = match &source {
            Ok(()) => Ok("from the library's source".to_owned()),
            Err(note) => Err(format!("{}{note}", toolchain.source_cure())),
        };
        modes.push((mode("json", "target files"), json));
        Self { toolchain: toolchain.clone(), modes }
    }

    fn to_json(&self) -> Value {
        let modes = self.modes.iter().map(|(what, answer)| {
            let mut words = what.split_whitespace();
            let (mode, target) = (words.next(), words.collect::<Vec<_>>().join(" "));
            json!({ "mode": mode, "target": target, "ok": answer.is_ok(),
                "how": answer.as_ref().ok(), "cure": answer.as_ref().err() })
        });
        json!({ "name": self.toolchain.name, "release": self.toolchain.release,
            "rustc": self.toolchain.rustc, "modes": modes.collect::<Vec<_>>() })
    }
}

fn rustc() -> Result<String, String> {
    let text = answer(toolchains::rustc(), &["-vV"])?;
    let release = field(&text, "release: ").ok_or("rustc -vV answers in an unknown form")?;
    at_least(release)
}

fn host() -> Result<String, String> {
    let text = answer(toolchains::rustc(), &["-vV"])?;
    match field(&text, "host: ") {
        Some(HOST) => Ok(HOST.into()),
        Some(other) => Err(format!("{other}: the zero set-up build needs {HOST}")),
        None => Err("rustc -vV answers in an unknown form".into()),
    }
}

fn cargo() -> Result<String, String> {
    let program = env::var_os("CARGO").filter(|v| !v.is_empty()).unwrap_or_else(|| "cargo".into());
    let text = answer(program, &["--version"])?;
    at_least(text.split_whitespace().nth(1).ok_or("cargo --version answers in an unknown form")?)
}

fn linker() -> Result<String, String> {
    answer("cc", &["--version"]).map(|text| first_line(&text))
}

fn qemu_version(named: Option<&Path>) -> Result<String, String> {
    let path = find(named)?;
    let version = answer(&path, &["--version"])?;
    Ok(format!("{} ({})", first_line(&version), path.shown()))
}

fn microvm(named: Option<&Path>) -> Result<String, String> {
    let machines = answer(find(named)?, &["-machine", "help"])?;
    let is_known = machines.lines().any(|line| line.split_whitespace().next() == Some("microvm"));
    if is_known {
        Ok("known to QEMU".into())
    } else {
        Err("this QEMU has no microvm machine".into())
    }
}

fn find(named: Option<&Path>) -> Result<PathBuf, String> {
    match install::find_qemu(named) {
        Ok(Some(path)) => Ok(path),
        Ok(None) => Err(format!("{} is not on PATH", install::QEMU)),
        Err(failure) => Err(failure.message),
    }
}

/// Where a build would write: asked by writing, for permissions are not all that can be in the way.
fn target() -> Result<String, String> {
    let folder = match Workspace::read(&CargoArguments::default(), false) {
        Ok(workspace) => workspace.target_directory,
        // Outside of a workspace, or without cargo.
        Err(_) => env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()).into(),
    };
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    Unfinished::file_in(existing, 0o600)
        .map_err(|error| format!("{} cannot be written: {error}", folder.shown()))?;
    Ok(folder.shown().to_string())
}

/// Only a note: `debug` alone needs it.
fn gdb() -> String {
    let program = debug::gdb_program();
    match answer(&program, &["--version"]) {
        Ok(version) => first_line(&version),
        Err(why) => format!("{why}; only debug needs it: {}", debug::GDB_CURE),
    }
}

/// Only a note: kernels run under TCG, QEMU's own translator, which is everywhere and repeatable.
fn own_kvm() -> String {
    match accel::usable() {
        Ok(()) => "/dev/kvm can be used; run does so unless told --accel tcg".into(),
        Err(why) => format!("{why}; it is not needed, run goes by emulation"),
    }
}

fn at_least(version: &str) -> Result<String, String> {
    let (major, minor) = OLDEST;
    match parse_version(version) {
        Some(found) if found >= OLDEST => Ok(version.into()),
        _ => Err(format!("{version} is older than {major}.{minor}")),
    }
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().into()
}
