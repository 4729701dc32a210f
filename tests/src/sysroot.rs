//! A `core` for targets that the toolchain at hand does not come with.
//!
//! A toolchain with its own sources, rustup's component `rust-src` or Debian's package `rust-web-src`,
//! builds one here, once, under `target/sysroot`. That takes bootstrap flags; what is then built with it
//! takes none. Debian's is another toolchain than the one that runs the tests, so whatever
//! is built by it is also a test with a second compiler.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, root, run, target};

/// Debian's, which is not on PATH where rustup's is.
const DEBIAN: &str = "/usr/bin/rustc";

/// A compiler, and where it finds `core` for a target.
#[derive(Debug)]
pub struct Sysroot {
    target: String,
    rustc: OsString,
    path: PathBuf,
}

/// A way to build for `target`; without one, says so and gives `None`, and the test is skipped.
pub fn sysroot(target: &str) -> Option<Sysroot> {
    let active = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compilers = [active, DEBIAN.into()];
    let found = compilers.iter().find_map(|rustc| {
        let own = printed(rustc, &["--print", "sysroot"])?;
        let path = PathBuf::from(own.trim());
        let sysroot = Sysroot { target: target.into(), rustc: rustc.clone(), path };
        if sysroot.libraries().exists() {
            return Some(sysroot);
        }
        let sources = sysroot.path.join("lib/rustlib/src/rust/library/core");
        sources.exists().then(|| sysroot.private())
    });
    if found.is_none() {
        println!(
            "SKIPPED: no compiler here has {target}, nor the sources to build it. On Debian: \
             apt-get install rustc-web cargo-web rust-web-src; with rustup: \
             rustup target add {target}"
        );
    }
    found
}

fn printed(rustc: &OsString, arguments: &[&str]) -> Option<String> {
    let output = Command::new(rustc).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Sysroot {
    /// `cargo` with this compiler, at the root; what follows is one of cargo's verbs.
    ///
    /// The target is named by a variable, and `flags` are added to those that find `core`.
    pub fn cargo(&self, flags: &str) -> Command {
        let mut command = cargo(root());
        let sysroot = self.path.display();
        command.env("RUSTC", &self.rustc).env("CARGO_BUILD_TARGET", &self.target);
        command.env("RUSTFLAGS", format!("--sysroot={sysroot} {flags}"));
        command
    }

    /// Where `core` is.
    pub fn libraries(&self) -> PathBuf {
        self.path.join("lib/rustlib").join(&self.target).join("lib")
    }

    /// One that is built from the compiler's sources, if that has not been done yet.
    fn private(mut self) -> Sysroot {
        let version = printed(&self.rustc, &["-vV"]).expect("it has just run");
        let release = version.lines().find_map(|line| line.strip_prefix("release: "));
        // Absolute: dependencies are compiled in other folders.
        let all = std::path::absolute(target()).expect("there is a current folder").join("sysroot");
        self.path = all.join(release.expect("rustc names its release"));
        let ready = self.path.join(format!("{}.ready", self.target));
        fs::create_dir_all(&self.path).expect("target is writable");
        let lock = self.path.join(format!("{}.lock", self.target));
        let lock = File::create(lock).expect("target is writable");
        // Other tests wait here, and then find it ready.
        lock.lock().expect("the file system has locks");
        if !ready.exists() {
            self.build(&self.path.join(format!("stub-{}", self.target)));
            fs::write(ready, version).expect("target is writable");
        }
        self
    }

    fn build(&self, stub: &Path) {
        fs::create_dir_all(stub.join("src")).expect("target is writable");
        fs::write(stub.join("Cargo.toml"), STUB).expect("target is writable");
        fs::write(stub.join("src/lib.rs"), "#![no_std]\n").expect("target is writable");
        // Two builds of one crate in a sysroot are an error, so nothing old may be left.
        let built = stub.join("target").join(&self.target);
        for old in [&built, &self.libraries()] {
            if old.exists() {
                fs::remove_dir_all(old).expect("it is ours");
            }
        }
        let cargo_of_it = Path::new(&self.rustc).with_file_name("cargo");
        let mut command = cargo(stub);
        if cargo_of_it.is_absolute() {
            let mut other = Command::new(cargo_of_it);
            other.current_dir(stub).envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            command = other;
        }
        command.args(["build", "--quiet", "--release", "-Zbuild-std=core,alloc"]);
        command.args(["-Zbuild-std-features=compiler-builtins-mem", "--target", &self.target]);
        command.arg("--target-dir").arg(stub.join("target"));
        command.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        command.env("RUSTFLAGS", "-C embed-bitcode=yes");
        let ended = run(&mut command);
        assert_eq!(ended.status, Some(0), "core for {}: {ended}", self.target);
        fs::create_dir_all(self.libraries()).expect("target is writable");
        for file in fs::read_dir(built.join("release/deps")).expect("it was just built") {
            let path = file.expect("it was just built").path();
            let name = path.file_name().expect("files have names");
            let is_stub = name.to_string_lossy().starts_with("libstub");
            if path.extension().is_some_and(|kind| kind == "rlib") && !is_stub {
                fs::copy(&path, self.libraries().join(name)).expect("target is writable");
            }
        }
    }
}

const STUB: &str = "[package]
name = \"stub\"
version = \"0.0.0\"
edition = \"2024\"

[workspace]

[profile.release]
panic = \"abort\"
opt-level = 3
codegen-units = 1
";
