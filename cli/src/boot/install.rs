//! A missing QEMU, or another program: detects that, reports it, and installs it if the user agrees.
//!
//! What runs, by who started the tool and how:
//!
//! | who | on Debian and Ubuntu | elsewhere |
//! |---|---|---|
//! | `--yes`, root | apt-get | the command to type |
//! | `--yes`, not root | the command to type: sudo only after a question | the command to type |
//! | on a terminal | asks, then apt-get, or `sudo apt-get` if not root | the command to type |
//! | root, no terminal (CI, containers) | apt-get | the command to type |
//! | not root, no terminal | the command to type | the command to type |
//!
//! QEMU's package is `qemu-system-x86` without its recommends (desktop back ends); what stays includes
//! the firmware that starts PVH kernels: SeaBIOS, `bios-microvm.bin` and the `pvh.bin` option ROM.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::boot::limits::{self, Bytes};
use crate::foreign::Shown as _;
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Output, Stop, Watch};

/// The program looked for on PATH.
pub const QEMU: &str = "qemu-system-x86_64";

/// Names another QEMU; `--qemu` wins over it.
pub const QEMU_VARIABLE: &str = "FREESTONE_QEMU";

/// What can be installed.
pub struct Needed {
    /// What users call it.
    pub name: &'static str,
    /// Debian's packages.
    pub packages: &'static [&'static str],
    /// What to type on other systems, after `sudo` where root is needed.
    pub commands: fn(Family) -> Option<&'static str>,
    /// What it is, where no command is known.
    pub otherwise: &'static str,
}

const NEEDED: Needed = Needed {
    name: "QEMU",
    packages: &["qemu-system-x86"],
    commands: |family| {
        Some(match family {
            Family::Fedora => "dnf install qemu-system-x86-core",
            Family::Arch => "pacman -S qemu-system-x86",
            Family::Alpine => "apk add qemu-system-x86_64",
            Family::Suse => "zypper install qemu-x86",
            Family::NixOs => "nix-shell -p qemu",
            Family::MacOs => "brew install qemu",
            Family::Debian | Family::Unknown => return None,
        })
    },
    otherwise: "QEMU (qemu-system-x86_64)",
};

/// For one run of apt-get: slow mirrors exist, silent ones too.
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The largest file that apt-get may write for it; QEMU's largest has 30 MiB, apt's own tables 150 MiB.
const MOST_WRITTEN: Bytes = Bytes(4 << 30);

/// For an answer to the question.
const ANSWER_LIMIT: Duration = Duration::from_secs(5 * 60);

/// QEMU's path: the one named by the user, else the one on PATH, else a freshly installed one.
pub fn qemu(named: Option<&Path>, yes: bool) -> Result<PathBuf, Failure> {
    if let Some(found) = find_qemu(named)? {
        return Ok(found);
    }
    say!("QEMU is missing: {QEMU} is not on PATH");
    install(&NEEDED, yes)?;
    find_qemu(None)?
        .ok_or_else(|| Failure::tool(format!("QEMU was installed, yet {QEMU} is not on PATH")))
}

/// QEMU's path, `None` if there is none; a name that leads nowhere is an error.
pub fn find_qemu(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let variable = env::var_os(QEMU_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (name, origin) = match (named, &variable) {
        (Some(path), _) => (path, "--qemu"),
        (None, Some(path)) => (path.as_path(), QEMU_VARIABLE),
        (None, None) => return Ok(find_program(Path::new(QEMU))),
    };
    match find_program(name) {
        Some(path) => Ok(Some(path)),
        None => Err(Failure::tool(format!(
            "{origin} names {}, which is not a program that can be run",
            name.shown()
        ))),
    }
}

/// Finds a program the way a shell does: on PATH, unless the name has a slash.
pub fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return is_program(name).then(|| name.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// This tool's folder in the user's cache, not yet made; `None` if the environment names no place.
pub fn cache() -> Option<PathBuf> {
    // A relative path there is to be ignored, says the XDG specification.
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(cache?.join("freestone"))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Installs it, if the table above says so.
pub fn install(needed: &Needed, yes: bool) -> Result<(), Failure> {
    let is_here = |name| find_program(Path::new(name)).is_some();
    let has_apt = Family::of_this_system() == Family::Debian && is_here("apt-get");
    let is_root = is_root();
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    // A question whose "yes" would lead nowhere is not asked.
    let may_ask = has_apt && (is_root || is_here("sudo"));
    if !yes && is_terminal && may_ask && ask(needed)? {
        return with_apt(needed, !is_root);
    }
    if has_apt && is_root && (yes || !is_terminal) {
        return with_apt(needed, false);
    }
    Err(Failure::tool(needed.cure()))
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

fn ask(needed: &Needed) -> Result<bool, Failure> {
    say!("Install it now with apt-get? [Y/n]");
    let stdin = io::stdin();
    if !supervise::wait_readable(&stdin, ANSWER_LIMIT) {
        return Err(Failure::tool(format!("no answer; {}", needed.cure())));
    }
    let mut answer = String::new();
    let read = stdin.read_line(&mut answer).unwrap_or(0);
    Ok(read > 0 && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

fn with_apt(needed: &Needed, sudo: bool) -> Result<(), Failure> {
    let install = [&["install", "-y", "--no-install-recommends"], needed.packages].concat();
    if has_package_lists() && apt(sudo, &install)? {
        return Ok(());
    }
    // No lists, or lists so old that they name files the mirror no longer has.
    if apt(sudo, &["update"])? && apt(sudo, &install)? {
        return Ok(());
    }
    let Needed { name, .. } = needed;
    Err(Failure::tool(format!("apt-get did not install {name}; by hand: {}", needed.cure())))
}

fn has_package_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

/// Runs apt-get and says whether it succeeded. Its output goes to stderr: stdout is the guest's.
fn apt(sudo: bool, arguments: &[&str]) -> Result<bool, Failure> {
    let words = if sudo { vec!["sudo", "apt-get"] } else { vec!["apt-get"] };
    say!("running: {} {}", words.join(" "), arguments.join(" "));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    if !sudo {
        command.stdin(Stdio::null());
    }
    limits::files_up_to(&mut command, MOST_WRITTEN);
    let watch = Watch {
        limit: Some(APT_LIMIT),
        stop: Stop::Ask,
        stdout: Output::ToStderr,
        stderr: Output::Inherit,
    };
    let outcome = supervise::run(&mut command, &watch)
        .map_err(|error| Failure::tool(format!("{} does not start: {error}", words[0])))?;
    match outcome.ending {
        Ending::Ended(status) if limits::is_too_large(status) => {
            Err(Failure::tool(format!("apt-get wrote a file of more than {MOST_WRITTEN}")))
        }
        Ending::Ended(status) => Ok(status.success()),
        Ending::Signalled(signal) => {
            Err(Failure::new(Status::of_signal(signal), "apt-get was stopped"))
        }
        _ => Err(Failure::tool(format!("apt-get took more than {} s", APT_LIMIT.as_secs()))),
    }
}

/// What to type on this system for QEMU.
pub fn cure() -> String {
    NEEDED.cure()
}

impl Needed {
    /// What to type on this system.
    pub fn cure(&self) -> String {
        let Self { name, packages, commands, otherwise } = self;
        let family = Family::of_this_system();
        let sudo = if is_root() || !family.needs_root() { "" } else { "sudo " };
        let debian = || format!("apt-get install --no-install-recommends {}", packages.join(" "));
        let command = match family {
            Family::Debian => Some(debian()),
            other => commands(other).map(str::to_owned),
        };
        match command {
            Some(command) => format!("install {name} with: {sudo}{command}"),
            None => format!("install {otherwise} with the system's package manager"),
        }
    }
}

/// Systems that install programs in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Debian,
    Fedora,
    Arch,
    Alpine,
    Suse,
    NixOs,
    MacOs,
    Unknown,
}

impl Family {
    fn of_this_system() -> Self {
        if env::consts::OS == "macos" {
            return Self::MacOs;
        }
        let text = fs::read_to_string("/etc/os-release")
            .or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        family_of(&text.unwrap_or_default())
    }

    fn needs_root(self) -> bool {
        !matches!(self, Self::NixOs | Self::MacOs)
    }
}

/// Reads os-release(5): `ID` first, then the relatives in `ID_LIKE`, nearest first.
fn family_of(os_release: &str) -> Family {
    let value = |key: &str| {
        let lines = os_release.lines().filter_map(|line| line.split_once('='));
        lines
            .filter(|(k, _)| k.trim() == key)
            .map(|(_, v)| v.trim().trim_matches(['"', '\'']))
            .next()
    };
    let names = [value("ID").unwrap_or(""), value("ID_LIKE").unwrap_or("")].join(" ");
    let family = |name: &str| match name {
        "debian" | "ubuntu" => Family::Debian,
        "fedora" | "rhel" | "centos" => Family::Fedora,
        "arch" => Family::Arch,
        "alpine" => Family::Alpine,
        "suse" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" => Family::Suse,
        "nixos" => Family::NixOs,
        _ => Family::Unknown,
    };
    names.split_whitespace().map(family).find(|f| *f != Family::Unknown).unwrap_or(Family::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_name_or_by_relatives() {
        for (text, family) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", Family::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Debian),
            ("ID=fedora", Family::Fedora),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", Family::Fedora),
            ("ID=manjaro\nID_LIKE=arch", Family::Arch),
            ("ID=alpine", Family::Alpine),
            ("ID='opensuse-leap'\nID_LIKE='suse opensuse'", Family::Suse),
            ("ID=nixos", Family::NixOs),
            ("ID=plan9\nID_LIKE=unix", Family::Unknown),
            ("", Family::Unknown),
            ("ID", Family::Unknown),
        ] {
            assert_eq!(family_of(text), family, "{text:?}");
        }
    }

    #[test]
    fn a_folder_and_a_plain_file_are_no_programs() {
        assert!(!is_program(Path::new("/")));
        assert!(!is_program(Path::new("/etc/passwd")));
        assert!(is_program(Path::new("/bin/sh")));
    }
}
