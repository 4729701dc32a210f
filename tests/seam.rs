//! The border between the platform and its machine: all but the machine is built over a placeholder, for processors that have no
//! machine here yet.
//!
//! A test is skipped, with a message, if there is no way to build for a processor (see `sysroot`).

use std::fs;
use std::path::Path;

use freestone_tests::sysroot::sysroot;
use freestone_tests::{Scratch, cargo, root, run};

const STUBS: &str = "--cfg freestone_machine=\"stubs\" -D warnings";

#[test]
fn the_portable_half_builds_without_a_machine() {
    let scratch = Scratch::new("seam");
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-none", "riscv64gc-unknown-none-elf"]
    {
        let mut command = if target.contains("linux") {
            let mut command = cargo(root());
            command.env("RUSTFLAGS", STUBS);
            command
        } else {
            let Some(sysroot) = sysroot(target) else { continue };
            sysroot.cargo(STUBS)
        };
        command.args(["check", "--quiet", "-p", "freestone-platform", "--all-features"]);
        let ended = run(command.arg("--target-dir").arg(scratch.path()));
        assert_eq!(ended.status, Some(0), "{target}: {ended}");
    }
}

/// Every Rust file below a folder, but for the machine's and the list that chooses it.
fn portable(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "x86_64" {
                portable(&path, all);
            }
        } else if name != "arch.rs" && path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn nothing_but_the_list_of_machines_asks_for_the_processor() {
    let mut all = Vec::new();
    portable(&root().join("platform/src"), &mut all);
    assert!(all.len() > 40, "only {} files", all.len());
    for path in all {
        let text = fs::read_to_string(&path).expect("a source");
        assert!(!text.contains("target_arch"), "{}", path.display());
    }
}
