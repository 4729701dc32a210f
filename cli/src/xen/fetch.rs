//! Debian's Xen, fetched once into the user's cache, never installed.
//!
//! ```text
//! $XDG_CACHE_HOME/freestone/   (or ~/.cache/freestone/)
//!     xen/                     is there only when complete
//!         xen.elf              what QEMU starts
//!         xen-hypervisor-…deb  where it comes from; licence and changelog are in it
//!         SHA256SUMS           of both; the package's as apt knows it from the signed lists
//!     xen.new/                 while it is being made
//!     lock                     held by who makes it
//! ```
//!
//! apt does the work, with its own configuration, mirrors and keys. If it has no package lists, or old
//! ones, lists are fetched into `xen.new/`, so nothing here needs root or changes the system. The sums are
//! checked before each use, which takes 20 ms; what does not agree with them is fetched anew.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::{check, unpack};
use crate::install::{self, find_program};
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Outcome, Output, Stop, Watch};

const IMAGE: &str = "xen.elf";
const SUMS: &str = "SHA256SUMS";

/// For one run of apt: slow mirrors exist, silent ones too.
const APT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// For a local program.
const LIMIT: Duration = Duration::from_secs(60);

/// How often the lock is tried.
const LOCK_TICK: Duration = Duration::from_millis(100);

/// Xen, from the cache or fetched into it.
pub fn xen() -> Result<PathBuf, Failure> {
    let folder = folder()?;
    if is_whole(&folder)? {
        return Ok(folder.join(IMAGE));
    }
    let parent = folder.parent().unwrap_or(&folder);
    fs::create_dir_all(parent).map_err(|error| cannot(parent, &error))?;
    let _lock = lock(&parent.join("lock"))?;
    // Somebody else may have fetched it while we waited.
    if !is_whole(&folder)? {
        if folder.exists() {
            say!("the Xen in {} is damaged; fetching it anew", folder.display());
        }
        let new = folder.with_extension("new");
        let made = make(&new).and_then(|()| {
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&new, &folder).map_err(|error| cannot(&folder, &error))
        });
        let _ = fs::remove_dir_all(&new);
        made?;
    }
    Ok(folder.join(IMAGE))
}

/// What there is to say about the cache, for `doctor`.
pub fn state() -> String {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(failure) => return failure.message,
    };
    match is_whole(&folder) {
        Ok(true) => {
            let package = package_in(&folder).unwrap_or_default();
            format!("{package} in {}", folder.display())
        }
        _ if folder.exists() => {
            format!("the one in {} is damaged; run --on xen fetches it anew", folder.display())
        }
        _ if find_program(Path::new("apt-get")).is_some() => {
            "not fetched yet; the first run --on xen does that".into()
        }
        _ => "none; run --on xen wants --xen PATH here".into(),
    }
}

fn folder() -> Result<PathBuf, Failure> {
    let none = "no place for Xen: set XDG_CACHE_HOME or HOME to an absolute path, or name a Xen with --xen";
    Ok(install::cache().ok_or_else(|| Failure::tool(none))?.join("xen"))
}

/// Whether all is there and agrees with the sums.
fn is_whole(folder: &Path) -> Result<bool, Failure> {
    let sums = folder.join(SUMS);
    // An image that the list does not mention is not checked by it.
    let lists_image = fs::read_to_string(&sums).is_ok_and(|text| text.contains(IMAGE));
    Ok(lists_image && agrees(folder)?)
}

fn agrees(folder: &Path) -> Result<bool, Failure> {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--status", SUMS]).current_dir(folder);
    Ok(run(&mut command, LIMIT)?.is_success())
}

/// The name of the package in the folder.
fn package_in(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".deb").map(str::to_owned)).next()
}

/// Waits for its turn; the lock goes with the file, whatever happens to the process.
fn lock(path: &Path) -> Result<File, Failure> {
    let file = File::create(path).map_err(|error| cannot(path, &error))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(cannot(path, &error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(signal) = supervise::caught() {
            return Err(Failure::new(Status::of_signal(signal), "interrupted"));
        }
        sleep(LOCK_TICK);
    }
}

/// Fetches and unpacks into `new`.
fn make(new: &Path) -> Result<(), Failure> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if find_program(Path::new(program)).is_none() {
            return Err(Failure::tool(elsewhere()));
        }
    }
    let _ = fs::remove_dir_all(new);
    let unpacked = new.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(|error| cannot(new, &error))?;
    let package = download(new)?;
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(new.join(&package)).arg(&unpacked);
    must(&run(&mut command, LIMIT)?, "dpkg-deb")?;

    let boot = unpacked.join("boot");
    let files = fs::read_dir(&boot).map_err(|error| cannot(&boot, &error))?.flatten();
    let mut packed =
        files.map(|entry| entry.path()).filter(|path| path.extension() == Some("gz".as_ref()));
    let useless = || Failure::tool(format!("there is no Xen that can be started in {package}"));
    let packed = packed.next().ok_or_else(useless)?;
    let bytes = unpack(&packed)?.ok_or_else(useless)?;
    check(&bytes).map_err(|_| useless())?;
    let image = new.join(IMAGE);
    fs::write(&image, bytes).map_err(|error| cannot(&image, &error))?;

    let mut command = Command::new("sha256sum");
    let outcome = run(command.args([&package, IMAGE]).current_dir(new), LIMIT)?;
    must(&outcome, "sha256sum")?;
    fs::write(new.join(SUMS), &outcome.stdout).map_err(|error| cannot(new, &error))?;
    for rest in [unpacked, new.join("apt")] {
        let _ = fs::remove_dir_all(rest);
    }
    Ok(())
}

/// Downloads the package and returns its file name; what apt says about it has been compared.
fn download(new: &Path) -> Result<String, Failure> {
    let own = Apt { lists: None };
    if let Some(offer) = own.offer()?
        && own.get(&offer, new).is_ok_and(|complaint| complaint.is_none())
    {
        return Ok(offer.file);
    }
    if let Some(signal) = supervise::caught() {
        return Err(Failure::new(Status::of_signal(signal), "interrupted"));
    }
    // No lists, or lists so old that they name files the mirror no longer has.
    say!("fetching package lists for this, apart from the system's");
    let private = Apt { lists: Some(new.join("apt")) };
    let update = private.update()?;
    let Some(offer) = private.offer()? else {
        return Err(Failure::tool(format!(
            "apt knows no package xen-hypervisor-…-amd64; is there a network, and are there mirrors in \
             /etc/apt? Or name a Xen with --xen{update}"
        )));
    };
    match private.get(&offer, new)? {
        None => Ok(offer.file),
        Some(complaint) => Err(Failure::tool(format!(
            "apt-get cannot download {}; name a Xen with --xen if there is no network{complaint}",
            offer.package
        ))),
    }
}

/// A package as apt would download it.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    package: String,
    file: String,
    sha256: String,
}

/// apt, with the system's lists or with lists of our own.
struct Apt {
    lists: Option<PathBuf>,
}

impl Apt {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-q");
        if let Some(folder) = &self.lists {
            for (key, name) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
                let place = folder.join(name);
                let _ = fs::create_dir_all(&place);
                command.arg("-o").arg(format!("{key}={}/", place.display()));
            }
            // Only what the search for one package needs.
            command.args(["-o", "Acquire::Languages=none"]);
            command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
            command.args(["-o", "Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled=false"]);
        }
        command
    }

    /// Fetches the lists. What went wrong comes back as text: apt may still know enough.
    fn update(&self) -> Result<String, Failure> {
        let outcome = run(self.command("apt-get").arg("update"), APT_LIMIT)?;
        Ok(complaint(&outcome))
    }

    /// The newest Xen that apt knows.
    fn offer(&self) -> Result<Option<Offer>, Failure> {
        let names = run(self.command("apt-cache").args(["pkgnames", "xen-hypervisor-"]), LIMIT)?;
        let Some(package) = newest(&String::from_utf8_lossy(&names.stdout)) else {
            return Ok(None);
        };
        let mut command = self.command("apt-get");
        let uris = run(command.args(["download", "--print-uris", &package]), LIMIT)?;
        Ok(offer_of(&package, &String::from_utf8_lossy(&uris.stdout)))
    }

    /// Downloads it into the folder; what apt complains about if it does not.
    fn get(&self, offer: &Offer, folder: &Path) -> Result<Option<String>, Failure> {
        say!("downloading {} into the cache (once, about 2 MB)", offer.package);
        let mut command = self.command("apt-get");
        let command = command.args(["download", &offer.package]).current_dir(folder);
        let outcome = run(command, APT_LIMIT)?;
        if !outcome.is_success() {
            return Ok(Some(complaint(&outcome)));
        }
        let sum = format!("{}  {}\n", offer.sha256, offer.file);
        fs::write(folder.join(SUMS), sum).map_err(|error| cannot(folder, &error))?;
        let wrong = || format!("\n  {} is not what apt's lists describe", offer.file);
        Ok((!agrees(folder)?).then(wrong))
    }
}

/// The package with the highest version among names, one a line.
fn newest(names: &str) -> Option<String> {
    let version = |name: &str| -> Option<(u32, u32)> {
        let number = name.strip_prefix("xen-hypervisor-")?.strip_suffix("-amd64")?;
        let (major, minor) = number.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let known = names.lines().filter_map(|name| Some((version(name.trim())?, name.trim())));
    known.max().map(|(_, name)| name.to_owned())
}

/// Reads `'URI' FILE SIZE SHA256:SUM`.
fn offer_of(package: &str, uris: &str) -> Option<Offer> {
    let line = uris.lines().find(|line| line.starts_with('\''))?;
    let mut words = line.split_whitespace().skip(1);
    let file = words.next()?;
    let sha256 = words.nth(1)?.strip_prefix("SHA256:")?;
    let is_plain = file.starts_with(package) && file.ends_with(".deb") && !file.contains('/');
    let is_sum = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_plain && is_sum).then(|| Offer {
        package: package.into(),
        file: file.into(),
        sha256: sha256.into(),
    })
}

/// Runs a program whose output is for us.
fn run(command: &mut Command, limit: Duration) -> Result<Outcome, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let (stdout, stderr) = (Output::KeepAll, Output::Keep);
    let watch = Watch { limit: Some(limit), stop: Stop::AskGroup, stdout, stderr };
    let outcome = supervise::run(command, &watch)
        .map_err(|error| Failure::tool(format!("{program} does not start: {error}")))?;
    match outcome.ending {
        Ending::Signalled(signal) => Err(Failure::new(Status::of_signal(signal), "interrupted")),
        Ending::Limit => {
            Err(Failure::tool(format!("{program} took more than {} s", limit.as_secs())))
        }
        _ => Ok(outcome),
    }
}

fn must(outcome: &Outcome, program: &str) -> Result<(), Failure> {
    match outcome.is_success() {
        true => Ok(()),
        false => Err(Failure::tool(format!("{program} failed{}", complaint(outcome)))),
    }
}

/// The last errors a program printed, each behind a line break.
fn complaint(outcome: &Outcome) -> String {
    const LINES: usize = 5;
    let text = String::from_utf8_lossy(&outcome.stderr);
    let lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with("W: Download is perf")).collect();
    lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("\n  apt: {line}"))
        .collect()
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.display()))
}

fn elsewhere() -> String {
    format!(
        "Xen can be fetched on Debian and Ubuntu only; name one with --xen PATH or {}: an ELF file or \
         xen-*.gz, as in /boot of a system with Xen (packages xen-hypervisor of Fedora and Alpine, xen \
         of openSUSE)",
        super::VARIABLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hypervisor_is_chosen_by_number() {
        let names = "xen-hypervisor-common\nxen-hypervisor-4.9-amd64\nxen-hypervisor-4.17-amd64-dbg\n\
                     xen-hypervisor-4.17-amd64\nxen-hypervisor-4.20-arm64\n";
        assert_eq!(newest(names).as_deref(), Some("xen-hypervisor-4.17-amd64"));
        assert_eq!(newest("xen-hypervisor-common\nxen-hypervisor-4-amd64\n"), None);
        assert_eq!(newest(""), None);
    }

    #[test]
    fn an_offer_is_read_or_refused() {
        let sum = "fc".repeat(32);
        let package = "xen-hypervisor-4.17-amd64";
        let line =
            |file: &str, sum: &str| format!("W: hm\n'http://mirror/{file}' {file} 2273932 {sum}\n");
        let good = offer_of(
            package,
            &line("xen-hypervisor-4.17-amd64_1_amd64.deb", &format!("SHA256:{sum}")),
        );
        let offer = good.expect("as apt prints it");
        assert_eq!(
            (offer.file.as_str(), offer.sha256),
            ("xen-hypervisor-4.17-amd64_1_amd64.deb", sum.clone())
        );
        for (file, sum) in [
            ("xen-hypervisor-4.17-amd64_1_amd64.deb", format!("MD5Sum:{sum}")),
            ("xen-hypervisor-4.17-amd64_1_amd64.deb", "SHA256:12".into()),
            ("../xen-hypervisor-4.17-amd64_1_amd64.deb", format!("SHA256:{sum}")),
            ("other.deb", format!("SHA256:{sum}")),
        ] {
            assert_eq!(offer_of(package, &line(file, &sum)), None, "{file} {sum}");
        }
        assert_eq!(offer_of(package, ""), None);
    }
}
