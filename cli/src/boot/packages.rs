//! Debian's packages, fetched once into the user's cache and never installed.
//!
//! ```text
//! $XDG_CACHE_HOME/freestone/   (or ~/.cache/freestone/)
//!     xen/                     is there only when complete
//!         xen.elf              unpacked from the packages
//!         xen-hypervisor-…deb  the package itself, with licence and changelog
//!         SHA256SUMS           of all files; a package's sum is the one in apt's signed lists
//!     .freestone-PID-0/        while it is unpacked
//!     lock                     held by the process that unpacks it
//! ```
//!
//! apt does the work, with its own configuration, mirrors and keys. If it has no package lists, or old
//! ones, lists are fetched into that folder, so nothing here needs root or changes the system. The sums are
//! checked before each use, which takes some 20 ms for each 10 MB; a folder that does not match them is fetched again.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::boot::install::{self, find_program};
use crate::boot::limits::{self, Bytes};
use crate::foreign::Shown as _;
use crate::say;
use crate::signals;
use crate::status::{Failure, Status};
use crate::supervise::Outcome;
use crate::unfinished::Unfinished;

const SUMS: &str = "SHA256SUMS";

/// For one run of apt: slow mirrors exist, silent ones too.
const APT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// For a local program.
const LIMIT: Duration = Duration::from_secs(60);

/// The most that a package may be, that may be in one, and that a file of apt's lists may be. Debian's largest kernel
/// has 70 MiB and 500 MiB, its list of packages 50 MiB; apt itself compares every file with the size in signed lists.
const MOST_FETCHED: Bytes = Bytes(512 << 20);
const MOST_UNPACKED: Bytes = Bytes(2 << 30);
const MOST_LISTED: Bytes = Bytes(1 << 30);

/// The most that a program may answer: names of packages, a kernel's module.
const MOST_SAID: Bytes = Bytes(64 << 20);

/// How often the lock is tried.
const LOCK_TICK: Duration = Duration::from_millis(100);

/// Something that is made of packages.
pub struct Product {
    /// What users call it, and in small letters its folder in the cache.
    pub name: &'static str,
    /// The packages that it is made of.
    pub packages: &'static [Wanted],
    /// What is downloaded, in words.
    pub size: &'static str,
    /// The file that it is for.
    pub image: &'static str,
    /// What a user can do where it cannot be fetched, in an imperative.
    pub instead: &'static str,
    /// Makes the image, in the first folder, of the packages' files, in the second. Returns what else it is made of,
    /// as paths, absolute or from the first folder: if one of those changes, it is made anew.
    pub make: fn(&Path, &Path) -> Result<Vec<PathBuf>, Failure>,
}

/// A package.
pub enum Wanted {
    /// The one of this name.
    Named(&'static str),
    /// The one that this one stands for: its first dependency.
    Behind(&'static str),
    /// The newest whose name begins and ends so, with nothing but a version of two numbers between.
    Newest(&'static str, &'static str),
}

impl Product {
    /// The image, from the cache or made there.
    pub fn get(&self) -> Result<PathBuf, Failure> {
        let folder = self.folder()?;
        if self.is_whole(&folder)? {
            return Ok(folder.join(self.image));
        }
        let parent = folder.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(|error| cannot(parent, &error))?;
        let _lock = lock(&parent.join("lock"))?;
        // Another process may have made it while we waited.
        if !self.is_whole(&folder)? {
            if folder.exists() {
                say!("the {} in {} is damaged or old; making it anew", self.name, folder.shown());
            }
            let new = Unfinished::folder_in(parent).map_err(|error| cannot(parent, &error))?;
            self.make_in(new.path())?;
            let _ = fs::remove_dir_all(&folder);
            new.rename(&folder).map_err(|error| cannot(&folder, &error))?;
        }
        Ok(folder.join(self.image))
    }

    /// What there is to say about the cache, for `doctor`; `on` is the place that needs it.
    pub fn state(&self, on: &str) -> String {
        let folder = match self.folder() {
            Ok(folder) => folder,
            Err(failure) => return failure.message,
        };
        match self.is_whole(&folder) {
            Ok(true) => {
                let packages = packages_in(&folder).join(", ");
                format!("{packages} in {}", folder.shown())
            }
            _ if folder.exists() => {
                format!("{} is damaged or old; run --on {on} makes it anew", folder.shown())
            }
            _ if find_program(Path::new("apt-get")).is_some() => {
                format!("not fetched yet; the first run --on {on} does that")
            }
            _ => format!("none; {}", self.instead),
        }
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        let none = || {
            let cure = "set XDG_CACHE_HOME or HOME to an absolute path";
            Failure::tool(format!("no place for {}: {cure}, or {}", self.name, self.instead))
        };
        Ok(install::cache().ok_or_else(none)?.join(self.name.to_lowercase()))
    }

    /// Whether all is there and agrees with the sums.
    fn is_whole(&self, folder: &Path) -> Result<bool, Failure> {
        let sums = folder.join(SUMS);
        // An image that the list does not mention is not checked by it.
        let lists_image = fs::read_to_string(&sums).is_ok_and(|text| text.contains(self.image));
        Ok(lists_image && agrees(folder)?)
    }

    /// Fetches, unpacks and makes, in `new`.
    fn make_in(&self, new: &Path) -> Result<(), Failure> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if find_program(Path::new(program)).is_none() {
                return Err(Failure::tool(format!(
                    "{} can be fetched on Debian and Ubuntu only; {}",
                    self.name, self.instead
                )));
            }
        }
        let unpacked = new.join("unpacked");
        fs::create_dir_all(&unpacked).map_err(|error| cannot(new, &error))?;
        let mut listed = self.download(new)?;
        for package in &listed {
            // First how much it is: what lies in it says nothing of that.
            let mut command = Command::new("dpkg-deb");
            command.stdin(Stdio::null()).arg("--fsys-tarfile").arg(new.join(package));
            must(&limits::measure(&mut command, LIMIT, MOST_UNPACKED)?, "dpkg-deb")?;
            let mut command = Command::new("dpkg-deb");
            command.arg("-x").arg(new.join(package)).arg(&unpacked);
            must(&run(limited(&mut command, MOST_UNPACKED), LIMIT)?, "dpkg-deb")?;
        }
        let others = (self.make)(new, &unpacked)?;
        listed.push(self.image.into());
        let mut command = Command::new("sha256sum");
        let outcome = run(command.args(&listed).args(others).current_dir(new), LIMIT)?;
        must(&outcome, "sha256sum")?;
        fs::write(new.join(SUMS), &outcome.stdout).map_err(|error| cannot(new, &error))?;
        for rest in [unpacked, new.join("apt")] {
            let _ = fs::remove_dir_all(rest);
        }
        Ok(())
    }

    /// Downloads the packages and returns their file names; what apt says about them has been compared.
    fn download(&self, new: &Path) -> Result<Vec<String>, Failure> {
        let own = Apt { lists: None };
        if let Ok(offers) = own.offers(self.packages)?
            && own.get(self, &offers, new).is_ok_and(|complaint| complaint.is_none())
        {
            return Ok(offers.into_iter().map(|offer| offer.file).collect());
        }
        if let Some(signal) = signals::caught() {
            return Err(Failure::new(Status::of_signal(signal), "interrupted"));
        }
        // No lists, or lists so old that they name files the mirror no longer has.
        say!("fetching package lists for this, apart from the system's");
        let private = Apt { lists: Some(new.join("apt")) };
        let update = private.update()?;
        let offers = private.offers(self.packages)?.map_err(|wanted| {
            Failure::tool(format!(
                "apt knows no package {wanted}; is there a network, and are there mirrors in /etc/apt? Or {}{update}",
                self.instead
            ))
        })?;
        match private.get(self, &offers, new)? {
            None => Ok(offers.into_iter().map(|offer| offer.file).collect()),
            Some(complaint) => Err(Failure::tool(format!(
                "apt-get cannot download {}; if there is no network, {}{complaint}",
                self.name, self.instead
            ))),
        }
    }
}

fn agrees(folder: &Path) -> Result<bool, Failure> {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--status", SUMS]).current_dir(folder);
    Ok(run(&mut command, LIMIT)?.is_success())
}

/// The names of the packages in the folder.
fn packages_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| name.to_str()?.strip_suffix(".deb").map(str::to_owned)).collect();
    names.sort();
    names
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
        sleep(LOCK_TICK);
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
            // Only what the search for a package needs.
            command.args(["-o", "Acquire::Languages=none"]);
            command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
            command.args(["-o", "Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled=false"]);
        }
        command
    }

    /// Fetches the lists. What went wrong comes back as text: apt may still know enough.
    fn update(&self) -> Result<String, Failure> {
        let mut command = self.command("apt-get");
        let outcome = run(limited(command.arg("update"), MOST_LISTED), APT_LIMIT)?;
        Ok(complaint(&outcome))
    }

    /// The newest of each that apt knows, or the first of which it knows none.
    fn offers(
        &self,
        wanted: &'static [Wanted],
    ) -> Result<Result<Vec<Offer>, &'static Wanted>, Failure> {
        let mut offers = Vec::new();
        for wanted in wanted {
            let Some(offer) = self.offer(wanted)? else { return Ok(Err(wanted)) };
            offers.push(offer);
        }
        Ok(Ok(offers))
    }

    fn offer(&self, wanted: &Wanted) -> Result<Option<Offer>, Failure> {
        let ask = |arguments: [&str; 2]| {
            let outcome = run(self.command("apt-cache").args(arguments), LIMIT)?;
            Ok(String::from_utf8_lossy(&outcome.stdout).into_owned())
        };
        let package = match *wanted {
            Wanted::Named(name) => Some(name.to_owned()),
            Wanted::Behind(name) => first_dependency(&ask(["depends", name])?),
            Wanted::Newest(prefix, suffix) => newest(prefix, suffix, &ask(["pkgnames", prefix])?),
        };
        let Some(package) = package else { return Ok(None) };
        let mut command = self.command("apt-get");
        let uris = run(command.args(["download", "--print-uris", &package]), LIMIT)?;
        Ok(offer_of(&package, &String::from_utf8_lossy(&uris.stdout)))
    }

    /// Downloads them into the folder; what apt complains about if it does not.
    fn get(
        &self,
        product: &Product,
        offers: &[Offer],
        folder: &Path,
    ) -> Result<Option<String>, Failure> {
        let packages: Vec<_> = offers.iter().map(|offer| offer.package.as_str()).collect();
        let names = packages.join(", ");
        say!("downloading {names} into the cache (once, about {})", product.size);
        let mut command = self.command("apt-get");
        let command = command.arg("download").args(packages).current_dir(folder);
        let outcome = run(limited(command, MOST_FETCHED), APT_LIMIT)?;
        if !outcome.is_success() {
            return Ok(Some(complaint(&outcome)));
        }
        let sums: String =
            offers.iter().map(|offer| format!("{}  {}\n", offer.sha256, offer.file)).collect();
        fs::write(folder.join(SUMS), sums).map_err(|error| cannot(folder, &error))?;
        let wrong = || format!("\n  {names}: not what apt's lists describe");
        Ok((!agrees(folder)?).then(wrong))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Named(name) | Wanted::Behind(name) => f.write_str(name),
            Wanted::Newest(prefix, suffix) => write!(f, "{prefix}…{suffix}"),
        }
    }
}

/// The package with the highest version among names, one a line.
fn newest(prefix: &str, suffix: &str, names: &str) -> Option<String> {
    let version = |name: &str| -> Option<(u32, u32)> {
        let number = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let (major, minor) = number.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let known = names.lines().filter_map(|name| Some((version(name.trim())?, name.trim())));
    known.max().map(|(_, name)| name.to_owned())
}

/// The first line of its kind in what `apt-cache depends` prints.
fn first_dependency(listing: &str) -> Option<String> {
    listing.lines().find_map(|line| Some(line.trim().strip_prefix("Depends: ")?.to_owned()))
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
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome, Failure> {
    limits::run(command.stdin(Stdio::null()), limit, MOST_SAID)
}

/// The same command, which can write no larger files.
fn limited(command: &mut Command, most: Bytes) -> &mut Command {
    limits::files_up_to(command, most);
    command
}

/// An error unless the program succeeded.
pub fn must(outcome: &Outcome, program: &str) -> Result<(), Failure> {
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

/// A file that cannot be read or written.
pub fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hypervisor_is_chosen_by_number() {
        let newest = |names| newest("xen-hypervisor-", "-amd64", names);
        let names = "xen-hypervisor-common\nxen-hypervisor-4.9-amd64\nxen-hypervisor-4.17-amd64-dbg\n\
                     xen-hypervisor-4.17-amd64\nxen-hypervisor-4.20-arm64\n";
        assert_eq!(newest(names).as_deref(), Some("xen-hypervisor-4.17-amd64"));
        assert_eq!(newest("xen-hypervisor-common\nxen-hypervisor-4-amd64\n"), None);
        assert_eq!(newest(""), None);
    }

    #[test]
    fn a_package_may_stand_for_another() {
        let listing = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        let found = first_dependency(listing);
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(first_dependency(""), None);
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
