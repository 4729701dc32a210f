//! Writes what the linker needs and tells the kernel's build script where it is.
//!
//! The `links` key in the manifest turns `link=PATH` into `DEP_FREESTONE_LINK` for the build scripts
//! of direct dependents, which pass it on: `cargo::rustc-link-arg-bins=@PATH`.

use std::path::PathBuf;

use freestone_targets::{LinkInput, SUPPORTED};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).expect("Cargo sets it for build scripts");
    let target = variable("TARGET");
    let Some(input) = LinkInput::for_target(&target) else {
        let supported = SUPPORTED.join(", ");
        println!("cargo::error=freestone builds kernels for {supported} so far, not for {target}");
        return;
    };
    match input.write(&PathBuf::from(variable("OUT_DIR"))) {
        Ok(path) => println!("cargo::metadata=link={}", path.display()),
        Err(error) => println!("cargo::error=freestone cannot write its linker script: {error}"),
    }
}
