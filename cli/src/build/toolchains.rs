//! The Rust toolchains of this machine, and what each can build kernels with.
//!
//! Rustup itself is not run, since it might download: its toolchains are found as folders. The tool looks
//! at, in this order, the compiler in use (`RUSTC`, else `rustc` on PATH), rustup's toolchains, and the
//! distribution's `/usr/bin/rustc`; each once, though it may have several names.
//!
//! A kernel for a target needs three things: a compiler that is new enough, `core` for the target
//! (installed, or in a private sysroot, see [`crate::build::sysroot`]), and a linker.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::boot::install::find_program;
use crate::build::cargo::{self, QUESTION_LIMIT};
use crate::build::cargo_args::CargoArguments;
use crate::build::cargo_config::Config;
use crate::foreign::Shown as _;
use crate::say;
use crate::shell::words;
use crate::status::Failure;
use crate::supervise::{self, Ending, Output, Stop, Watch};

/// The oldest toolchain: `rust-version` in the manifest.
pub const OLDEST: (u32, u32) = (1, 95);

/// For one question to one program. A first call of rustc from a cold disk has taken 2 s.
const LIMIT: Duration = Duration::from_secs(20);

/// A compiler and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// What the user calls it: rustup's name, or the compiler's path.
    pub name: String,
    pub rustc: PathBuf,
    /// `1.95.0`, `1.97.0-nightly`
    pub release: String,
    /// What it says of itself, as `rustc 1.95.0 (59807616e 2026-04-14)`. It takes libraries from no other.
    pub version: String,
    pub host: String,
    pub sysroot: PathBuf,
}

/// Why there is no `core` source to build from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSource {
    /// Nothing where the toolchain looks for it.
    Missing,
    /// The library of another release, as after an upgrade of one package of two.
    Other(String),
}

impl Toolchain {
    /// Asks one compiler about itself.
    pub fn of(name: &str, rustc: &Path) -> Result<Self, String> {
        let text = answer(rustc, &["-vV"])?;
        let field = |key| text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        let unknown = || format!("{}: rustc -vV answers in an unknown form", rustc.shown());
        Ok(Self {
            name: name.into(),
            rustc: rustc.into(),
            release: field("release: ").ok_or_else(unknown)?,
            version: text.lines().next().unwrap_or_default().into(),
            host: field("host: ").ok_or_else(unknown)?,
            sysroot: answer(rustc, &["--print", "sysroot"])?.trim_end().into(),
        })
    }

    /// The compiler that cargo would use here.
    pub fn in_use() -> Result<Self, String> {
        let rustc = rustc();
        let found = Self::of(&rustc.to_string_lossy(), Path::new(&rustc))?;
        // Behind the name on PATH is one of rustup's, if its sysroot is there.
        let name = toolchain_folders().into_iter().find(|(_, folder)| *folder == found.sysroot);
        Ok(match name {
            Some((name, _)) => Self { name, ..found },
            None => found,
        })
    }

    /// All of them, the one in use first. Those that do not answer are left out.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<_> = Self::in_use().into_iter().collect();
        let rustups =
            toolchain_folders().into_iter().map(|(name, folder)| (name, folder.join("bin/rustc")));
        let distribution = ("/usr/bin/rustc".to_owned(), PathBuf::from("/usr/bin/rustc"));
        for (name, rustc) in rustups.chain([distribution]).filter(|(_, rustc)| rustc.exists()) {
            let Ok(found) = Self::of(&name, &rustc) else { continue };
            if !all.iter().any(|known| known.sysroot == found.sysroot) {
                all.push(found);
            }
        }
        all
    }

    /// Whether the crates build with it at all; if not, why.
    pub fn is_new_enough(&self) -> Result<(), String> {
        let (major, minor) = OLDEST;
        match parse_version(&self.release) {
            Some(found) if found >= OLDEST => Ok(()),
            _ => Err(format!(
                "{} is older than {major}.{minor}, the oldest that works; {}",
                self.release,
                self.update()
            )),
        }
    }

    /// How to get a newer one.
    fn update(&self) -> String {
        match self.is_rustups() {
            true => format!("get a newer one with: rustup update {}", self.name),
            false => "get a newer one from https://rustup.rs".into(),
        }
    }

    /// Whether `core` for this target is installed.
    pub fn has_core(&self, target: &str) -> bool {
        has_core(&self.sysroot, target)
    }

    /// The library's source that belongs to this compiler.
    pub fn source(&self) -> Result<PathBuf, NoSource> {
        let folder = self.sysroot.join("lib/rustlib/src/rust");
        let library = folder.join("library");
        if !library.join("core/src/lib.rs").is_file() {
            return Err(NoSource::Missing);
        }
        // rustup keeps the two in step. Distributions keep the source in a folder that says its release.
        let real = fs::canonicalize(&folder).unwrap_or(folder);
        let release = real.file_name().and_then(|name| name.to_str()?.strip_prefix("rustc-"));
        match release.and_then(|release| Some((parse_version(release)?, release))) {
            Some((version, release)) if Some(version) != parse_version(&self.release) => {
                Err(NoSource::Other(release.into()))
            }
            _ => Ok(library),
        }
    }

    /// How to get `core` for this target, as a command.
    pub fn cure(&self, target: &str) -> String {
        match self.is_rustups() {
            true => format!("rustup target add --toolchain {} {target}", self.name),
            false => self.source_cure(),
        }
    }

    /// How to get the library's source, as a command.
    pub fn source_cure(&self) -> String {
        if self.is_rustups() {
            return format!("rustup component add --toolchain {} rust-src", self.name);
        }
        // Debian's compiler for its browsers is a package apart from its ordinary one.
        let has = |package: &str| {
            self.sysroot == Path::new("/usr") && Path::new("/usr/share/doc").join(package).exists()
        };
        if has("rustc-web") {
            return "apt-get install rust-web-src".into();
        }
        if has("rustc") {
            return "apt-get install rust-src".into();
        }
        format!(
            "put the standard library's source of {} under {}/lib/rustlib/src/rust",
            self.release,
            self.sysroot.shown()
        )
    }

    fn is_rustups(&self) -> bool {
        toolchain_folders().iter().any(|(_, folder)| *folder == self.sysroot)
    }

    /// A linker for targets whose own is `rust-lld`, `None` if the compiler finds that by itself.
    pub fn linker(&self) -> Result<Option<Linker>, String> {
        let folder =
            |sysroot: &Path| sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld");
        if folder(&self.sysroot).is_file() {
            return Ok(None);
        }
        let others = toolchain_folders().into_iter().map(|(_, sysroot)| folder(&sysroot));
        let on_path = |name: &str| find_program(Path::new(name));
        let newest_first = (15..=30).rev().map(|n| format!("ld.lld-{n}"));
        let lld = on_path("rust-lld").or_else(|| others.clone().find(|path| path.is_file()));
        let lld = lld.or_else(|| on_path("ld.lld"));
        let lld = lld.or_else(|| newest_first.clone().find_map(|name| on_path(&name)));
        if let Some(path) = lld {
            return Ok(Some(Linker { path, is_gnu: false }));
        }
        match on_path("ld") {
            Some(path) => Ok(Some(Linker { path, is_gnu: true })),
            None => Err(
                "no linker: neither rust-lld, ld.lld nor ld is here (Debian: apt-get install lld)"
                    .into(),
            ),
        }
    }
}

/// A linker and how rustc has to treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linker {
    pub path: PathBuf,
    is_gnu: bool,
}

impl Linker {
    /// The compiler flags that choose it.
    pub fn flags(&self) -> Vec<OsString> {
        let mut linker = OsString::from("-Clinker=");
        linker.push(&self.path);
        match self.is_gnu {
            true => vec![linker, "-Clinker-flavor=ld".into()],
            // Such a target takes its linker for an lld already.
            false => vec![linker],
        }
    }
}

/// The compiler that cargo would use here, by name.
pub fn rustc() -> OsString {
    let configured = || Config::read(&CargoArguments::default()).rustc();
    let named = env::var_os("RUSTC").filter(|v| !v.is_empty()).or_else(configured);
    named.unwrap_or_else(|| "rustc".into())
}

/// Whether this sysroot holds `core` for a target.
pub fn has_core(sysroot: &Path, target: &str) -> bool {
    core_in(sysroot, target).is_some()
}

fn core_in(sysroot: &Path, target: &str) -> Option<PathBuf> {
    let files = fs::read_dir(sysroot.join("lib/rustlib").join(target).join("lib")).ok()?;
    files.flatten().map(|file| file.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

/// Which compiler made the `core` in this sysroot, as it says of itself.
pub fn maker_of_core(sysroot: &Path, target: &str) -> Option<String> {
    maker(&fs::read(core_in(sysroot, target)?).ok()?)
}

/// Metadata of rustc, as it has been since long before 1.95: `rust`, three zeroes, the format's number; eight bytes;
/// the length of a text, and the text.
fn maker(rlib: &[u8]) -> Option<String> {
    const MAGIC: &[u8] = b"rust\0\0\0";
    let at = rlib.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let (len, rest) = rlib.get(at + MAGIC.len() + 1 + 8..)?.split_first()?;
    let text = str::from_utf8(rest.get(..usize::from(*len))?).ok()?;
    text.starts_with("rustc ").then(|| text.into())
}

/// Why a build with cargo's own choice of tools cannot have worked, if it is for their age.
pub fn too_old() -> Option<String> {
    let compiler = Toolchain::in_use().ok().and_then(|found| {
        found.is_new_enough().err().map(|why| format!("{}: {why}", found.rustc.shown()))
    });
    compiler.or_else(|| {
        let said = answer(cargo::cargo().get_program(), &["--version"]).ok()?;
        let version = said.split_whitespace().nth(1)?;
        let (major, minor) = OLDEST;
        let is_old = parse_version(version).is_some_and(|found| found < OLDEST);
        is_old.then(|| {
            format!("cargo {version} is older than {major}.{minor}, the oldest that works; get a newer one from https://rustup.rs")
        })
    })
}

/// The first two numbers of `1.95.0-nightly` and the like.
pub fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// rustup's toolchains: names and real folders, in the order of their names. A name that leads to
/// another's folder is left out.
fn toolchain_folders() -> Vec<(String, PathBuf)> {
    let home = env::var_os("RUSTUP_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")));
    let Some(Ok(entries)) = home.map(|home| fs::read_dir(home.join("toolchains"))) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

/// What a program says on stdout.
pub fn answer(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String, String> {
    let name = Path::new(program.as_ref()).shown().to_string();
    let mut command = Command::new(program.as_ref());
    command.args(arguments).stdin(Stdio::null());
    let watch =
        Watch { limit: Some(LIMIT), stop: Stop::Kill, stdout: Output::Keep, stderr: Output::Keep };
    let outcome =
        supervise::run(&mut command, &watch).map_err(|error| format!("{name}: {error}"))?;
    match outcome.ending {
        Ending::Ended(status) if status.success() => {
            Ok(String::from_utf8_lossy(&outcome.stdout).into_owned())
        }
        Ending::Ended(status) => Err(format!("{name} {}", supervise::describe(status))),
        Ending::Limit(_) => Err(format!("{name} does not answer within {} s", LIMIT.as_secs())),
        _ => Err(format!("{name} was stopped")),
    }
}

/// The folder that holds the toolchain's libraries for a target, or for the host.
pub fn libraries(target: Option<&str>, verbose: bool) -> Result<PathBuf, Failure> {
    let mut command = Command::new(rustc());
    command.stdin(Stdio::null()).args(["--print", "target-libdir"]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    if verbose {
        say!("running: {}", words(&command));
    }
    let watch = Watch {
        limit: Some(QUESTION_LIMIT),
        stop: Stop::Ask,
        stdout: Output::KeepAll,
        stderr: Output::Keep,
    };
    let outcome = supervise::run(&mut command, &watch).map_err(|error| {
        Failure::tool(format!("rustc does not start: {error}; is Rust installed?"))
    })?;
    if !outcome.is_success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr).trim_end().to_owned();
        return Err(Failure::usage(format!("rustc does not know this target:\n{complaint}")));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&outcome.stdout).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(sysroot: &Path) -> Toolchain {
        Toolchain {
            name: "some".into(),
            rustc: sysroot.join("bin/rustc"),
            release: "1.96.0".into(),
            version: "rustc 1.96.0".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            sysroot: sysroot.into(),
        }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("freestone-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_compiler_that_made_core_is_read_from_it() {
        let in_use = Toolchain::in_use().expect("it builds this test");
        assert_eq!(maker_of_core(&in_use.sysroot, &in_use.host), Some(in_use.version));
        assert_eq!(maker(b""), None);
        assert_eq!(maker(b"..rust\0\0\0\x0a12345678\x0crustc 1.95.0"), Some("rustc 1.95.0".into()));
        assert_eq!(maker(b"..rust\0\0\0\x0a12345678\x0drustc 1.95.0"), None);
        assert_eq!(maker(b"rust\0\0\0\x0a1234"), None);
    }

    #[test]
    fn core_is_found_by_its_file() {
        let folder = Folder::new("core");
        folder.file("lib/rustlib/a-target/lib/libcore-0123.rlib");
        folder.file("lib/rustlib/b-target/lib/libcorefoo.rlib");
        assert!(toolchain(&folder.0).has_core("a-target"));
        assert!(!toolchain(&folder.0).has_core("b-target"));
        assert!(!toolchain(&folder.0).has_core("c-target"));
    }

    #[test]
    fn a_source_of_another_release_is_told_from_a_missing_one() {
        let folder = Folder::new("source");
        let some = toolchain(&folder.0);
        assert_eq!(some.source(), Err(NoSource::Missing));
        folder.file("src/rustc-1.95.0/library/core/src/lib.rs");
        fs::create_dir_all(folder.0.join("lib/rustlib/src")).unwrap();
        let link = folder.0.join("lib/rustlib/src/rust");
        std::os::unix::fs::symlink(folder.0.join("src/rustc-1.95.0"), &link).unwrap();
        assert_eq!(some.source(), Err(NoSource::Other("1.95.0".into())));
        let right = Toolchain { release: "1.95.0".into(), ..some };
        assert_eq!(right.source(), Ok(link.join("library")));
    }

    #[test]
    fn an_old_compiler_is_refused_with_the_oldest_that_works() {
        let some = toolchain(Path::new("/nowhere"));
        for (release, is_fine) in [
            ("1.95.0", true),
            ("1.100.0", true),
            ("2.0.0", true),
            ("1.97.0-nightly", true),
            ("1.94.1", false),
            ("1.9.0", false),
            ("0.99", false),
            ("new", false),
            ("", false),
        ] {
            let answer = Toolchain { release: release.into(), ..some.clone() }.is_new_enough();
            assert_eq!(answer.is_ok(), is_fine, "{release:?}");
            assert!(answer.err().is_none_or(|why| why.contains("1.95")));
        }
    }

    #[test]
    fn the_oldest_toolchain_is_that_of_the_manifest() {
        assert_eq!(parse_version(env!("CARGO_PKG_RUST_VERSION")), Some(OLDEST));
    }
}
