//! A `core` for targets that the toolchain at hand does not come with: what `cargo freestone sysroot` gives.
//!
//! It builds one, once, with a toolchain that has the library's source: rustup's component `rust-src`, or
//! Debian's package `rust-web-src`. Debian's is another toolchain than the one that runs the tests, so
//! a build with it also tests a second compiler.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{cargo, root, run, status, tool};

/// A compiler, and where it finds `core` for a target.
#[derive(Debug)]
pub struct Sysroot {
    target: String,
    rustc: String,
    release: String,
    path: PathBuf,
}

/// A way to build for `target`; without one, says so and gives `None`, and the test is skipped.
pub fn sysroot(target: &str) -> Option<Sysroot> {
    let ended = run(tool().args(["sysroot", "--json", "--target", target]));
    if ended.status == Some(status::TOOL) && ended.stderr.contains("no source") {
        println!(
            "SKIPPED: no compiler here has the source to build core for {target}. On Debian: \
             apt-get install rustc-web cargo-web rust-web-src; with rustup: \
             rustup component add rust-src"
        );
        return None;
    }
    assert_eq!(ended.status, Some(status::SUCCESS), "{ended}");
    let answer: Value = serde_json::from_str(&ended.stdout).expect("a line of JSON");
    let text = |key: &str| answer[key].as_str().expect("a documented key").to_owned();
    let path = text("sysroot").into();
    Some(Sysroot { target: target.into(), rustc: text("rustc"), release: text("release"), path })
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

    /// The compiler.
    pub fn rustc(&self) -> &str {
        &self.rustc
    }

    /// The compiler's release, such as `1.96.0`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Where `core` is.
    pub fn libraries(&self) -> PathBuf {
        self.path.join("lib/rustlib").join(&self.target).join("lib")
    }
}
