//! Helpers that the tests share: building kernels and running them as a user does, with `cargo freestone`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fs};

pub mod sysroot;

/// The machines every kernel must boot on.
pub const MACHINES: [&str; 3] = ["microvm", "q35", "pc"];

/// Exit statuses of `cargo freestone`, as its README lists them.
pub mod status {
    /// The kernel reported success.
    pub const SUCCESS: i32 = 0;
    /// The kernel reported failure.
    pub const FAILURE: i32 = 1;
    /// Bad arguments, or an image that is no kernel.
    pub const USAGE: i32 = 2;
    /// A tool that is missing or does not do its work.
    pub const TOOL: i32 = 3;
    /// Panic, exception, triple fault.
    pub const CRASH: i32 = 4;
    /// Stopped at the time limit.
    pub const TIMEOUT: i32 = 124;
}

/// Whether tests may take their time: `cargo freestone test --long`.
pub fn long() -> bool {
    env::var_os("FREESTONE_LONG").is_some_and(|value| value == "1")
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is not at the root")
}

/// How a command ended, with its output as text.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` after a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What kernels print that find their page tables wrong when they end (`entry!`'s `audit: exit`).
const AUDIT: &str = "AUDIT AT EXIT: ";

impl Ended {
    /// Asserts the status, and that the output holds each of `texts`, in order; and that no kernel found its page tables
    /// wrong.
    #[track_caller]
    pub fn expect(self, status: i32, texts: &[&str]) -> Ended {
        assert_eq!(self.status, Some(status), "{self}");
        // A kernel that crashed as it should still has its tables as they should be.
        let may_be_bad = texts.iter().any(|text| text.contains(AUDIT));
        assert!(may_be_bad || !self.stdout.contains(AUDIT), "{self}");
        let mut rest = self.stdout.as_str();
        for text in texts {
            let found = rest.find(text);
            let at =
                found.unwrap_or_else(|| panic!("the output lacks {text:?} (in order)\n{self}"));
            rest = &rest[at + text.len()..];
        }
        self
    }

    /// The number behind `label` in the output.
    #[track_caller]
    pub fn number(&self, label: &str) -> u64 {
        let rest = self.stdout.split_once(label).map(|(_, rest)| rest.trim_start());
        let digits = rest.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        let number = digits.and_then(|digits| digits.parse().ok());
        number.unwrap_or_else(|| panic!("the output has no number behind {label:?}\n{self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ended { status, stdout, stderr } = self;
        write!(f, "status {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    match command.output() {
        Ok(output) => output.into(),
        Err(error) => panic!("{command:?} does not start: {error}"),
    }
}

/// Plain cargo, in `directory`, without what the surrounding cargo set for this test.
pub fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let inherited = env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("CARGO_")) {
        // The target directory of the outer build is the one place where kernels are cached.
        if !["CARGO_HOME", "CARGO_TARGET_DIR"].iter().any(|kept| name == *kept) {
            command.env_remove(name);
        }
    }
    command.current_dir(directory).env_remove("RUSTFLAGS");
    command
}

/// `cargo freestone`: the tool that runs these tests, if one does; else built here.
pub fn tool() -> Command {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    let path = TOOL.get_or_init(|| match env::var_os("FREESTONE_CLI") {
        Some(path) => path.into(),
        None => {
            let arguments = ["build", "--quiet", "--profile", "cli", "-p", "cargo-freestone"];
            let built = run(cargo(root()).args(arguments));
            assert_eq!(built.status, Some(0), "{built}");
            target().join("cli/cargo-freestone")
        }
    });
    let mut command = Command::new(path);
    command.current_dir(root()).env("FREESTONE_ACCEL", "tcg");
    command
}

/// Where the workspace's artefacts are.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// How a kernel is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Plain `cargo build`.
    Dev,
    /// `cargo build --release`.
    Release,
}

/// Builds a workspace package with plain cargo and returns the path of its binary `name`.
pub fn kernel(package: &str, name: &str, profile: Profile) -> PathBuf {
    let mut command = cargo(root());
    command.args(["build", "--quiet", "-p", package]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{package} does not build\n{built}");
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    target().join(folder).join(name)
}

/// Runs an image with `cargo freestone run IMAGE ARGUMENTS`.
pub fn boot(image: &Path, arguments: &[&str]) -> Ended {
    run(tool().arg("run").arg(image).args(arguments))
}

/// An empty directory of its own, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A directory below the system's temporary one; `name` and the process tell it from others.
    pub fn new(name: &str) -> Scratch {
        Scratch::below(&env::temp_dir(), name)
    }

    /// A directory below that one.
    pub fn below(folder: &Path, name: &str) -> Scratch {
        let path = folder.join(format!("freestone-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with the folders it needs.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Removes a file below it.
    pub fn remove(&self, name: &str) {
        let path = self.0.join(name);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
