//! Writes what the linker needs and tells the kernel's build script where it is.
//!
//! The `links` key in the manifest turns `link=PATH` into `DEP_FREESTONE_LINK` for the build scripts
//! of direct dependents, which pass it on: `cargo::rustc-link-arg-bins=@PATH`.

use std::path::PathBuf;

use freestone_targets::{LinkInput, SUPPORTED};

/// Set by `cargo freestone test`, which gives the arguments to everything it has linked, tests inside a
/// kernel above all. Cargo builds a package's kernel along with its tests, and a linker that gets the
/// script twice lays out everything twice.
const LINKED_BY_TOOL: &str = freestone_protocol::link::BY_TOOL;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={LINKED_BY_TOOL}");
    let variable = |name| std::env::var(name).expect("Cargo sets it for build scripts");
    let target = variable("TARGET");
    let Some(input) = LinkInput::for_target(&target) else {
        let supported = SUPPORTED.join(", ");
        println!("cargo::error=freestone builds kernels for {supported} so far, not for {target}");
        return;
    };
    // The tables are for debuggers; where the profile has nothing for them, the image stays small.
    let input = if variable("DEBUG") == "false" { input.without_unwind_tables() } else { input };
    let folder = PathBuf::from(variable("OUT_DIR"));
    let written = match std::env::var_os(LINKED_BY_TOOL) {
        None => input.write(&folder),
        Some(_) => {
            let nothing = folder.join("nothing.args");
            std::fs::write(&nothing, "").map(|()| nothing)
        }
    };
    match written {
        Ok(path) => println!("cargo::metadata=link={}", path.display()),
        Err(error) => println!("cargo::error=freestone cannot write its linker script: {error}"),
    }
}
