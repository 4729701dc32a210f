//! Workspaces for tests: a kernel is the stub in a Rust source, `freestone` an empty crate of that name, for the tool
//! looks at names only.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Seen, folder, require_qemu, see, tool};

pub const KERNEL: &str = r#"
#![no_std]
#![no_main]
core::arch::global_asm!(include_str!("stub.s"), ".code64", options(att_syntax));
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
"#;

pub const LINK: &str = r#"
fn main() {
    // There the linker is called without a compiler.
    let is_bare = std::env::var("TARGET").is_ok_and(|target| target.ends_with("-none"));
    let compilers = if is_bare { &[][..] } else { &["-nostartfiles", "-nostdlib"] };
    for flag in compilers.iter().chain(&["-static", "-no-pie"]) {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
}
"#;

/// A workspace with an empty `freestone`, to which packages can be added.
pub struct Workspace(pub PathBuf);

impl Workspace {
    pub fn new(name: &str, metadata: &str) -> Self {
        let workspace = Self(folder(name));
        let profiles = "[profile.dev]\npanic = \"abort\"\n[profile.release]\npanic = \"abort\"\n";
        workspace.write(
            "Cargo.toml",
            &format!("[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\", \".cargo\"]\n{metadata}\n{profiles}"),
        );
        workspace.package("freestone", "", &[("src/lib.rs", "#![no_std]\n")]);
        workspace
    }

    pub fn write(&self, path: &str, text: &str) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().expect("has a parent")).expect("a folder");
        fs::write(file, text).expect("a file");
    }

    pub fn package(&self, name: &str, more: &str, files: &[(&str, &str)]) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}"
        );
        self.write(&format!("{name}/Cargo.toml"), &manifest);
        for (path, text) in files {
            self.write(&format!("{name}/{path}"), text);
        }
    }

    pub fn kernel(&self, name: &str) {
        let bin = format!("[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\"\ntest = false\n");
        let more = format!("{bin}[dependencies]\nfreestone = {{ path = \"../freestone\" }}\n");
        let files = [
            ("src/main.rs", KERNEL),
            ("build.rs", LINK),
            ("src/stub.s", include_str!("../stub.s")),
        ];
        self.package(name, &more, &files);
    }

    pub fn tool(&self, place: &str) -> Command {
        require_qemu();
        let mut command = tool();
        command.current_dir(self.0.join(place)).env("CARGO_TARGET_DIR", self.0.join("target"));
        command
    }

    pub fn see(&self, place: &str, arguments: &[&str]) -> Seen {
        see(self.tool(place).args(arguments))
    }
}
